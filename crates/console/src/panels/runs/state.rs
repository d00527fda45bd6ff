//! State of the Runs panel.

use std::cmp::Ordering;

use crate::{
    filter::Filter,
    list::List,
    world::{Loaded, RunEntry, RunId, World},
};

/// Columns that the filter can name.
pub(super) const COLUMNS: &[&str] = &["kind", "name", "phase", "task", "svc", "branch"];

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct RunsPanel {
    pub list: List<RunId>,
    pub filter: Filter,
    /// Include deleted runs.
    pub removed: bool,
    /// Include the runs of all repositories.
    pub everyone: bool,
    pub order: SortOrder,
}

/// Order of the list. Active runs come first in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortOrder {
    #[default]
    Newest,
    Name,
    Phase,
    Cost,
}

impl SortOrder {
    pub(super) const fn next(self) -> Self {
        match self {
            Self::Newest => Self::Name,
            Self::Name => Self::Phase,
            Self::Phase => Self::Cost,
            Self::Cost => Self::Newest,
        }
    }

    /// Returns the words for the title; empty for the default order.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Newest => "",
            Self::Name => "by name",
            Self::Phase => "by phase",
            Self::Cost => "by cost",
        }
    }
}

impl RunsPanel {
    /// Rebuilds the rows after the runs, the filter or the order changed.
    pub fn refresh(&mut self, world: &World) {
        let repository = world.repository.get();
        let label = repository.and_then(|repository| repository.label.as_deref());
        // Until the repository is read, the runs of others cannot be told apart; none of them is shown or selected meanwhile.
        let unknown = matches!(world.repository, Loaded::Waiting) && !self.everyone;
        let mut terms = self.filter.terms(COLUMNS);
        let mut shown: Vec<(&RunId, &RunEntry)> = world
            .runs
            .iter()
            .filter(|_| !unknown)
            .filter(|(_, entry)| self.removed || !entry.removed)
            .filter(|(_, entry)| {
                self.everyone || label.is_none_or(|label| entry.of_repository(label))
            })
            .filter(|(_, entry)| {
                let run = &entry.run;
                terms.matches(&[
                    ("kind", run.kind.as_str()),
                    ("name", run.name()),
                    ("phase", run.phase().as_str()),
                    ("task", &run.tasks.join(",")),
                    ("svc", run.code.as_ref().map_or("", |code| &code.service)),
                    ("branch", &run.spec.source_branch),
                ])
            })
            .collect();
        shown.sort_by(|(a_id, a), (b_id, b)| {
            let chosen = match self.order {
                SortOrder::Newest => Ordering::Equal,
                SortOrder::Name => a.run.name().cmp(b.run.name()),
                SortOrder::Phase => a.run.phase().as_str().cmp(b.run.phase().as_str()),
                SortOrder::Cost => b.usage().cost_micro_usd.cmp(&a.usage().cost_micro_usd),
            };
            b.active()
                .cmp(&a.active())
                .then(chosen)
                .then_with(|| b.created().cmp(&a.created()))
                .then_with(|| a_id.cmp(b_id))
        });
        self.list
            .set_rows(shown.into_iter().map(|(id, _)| id.clone()).collect());
        self.list.forget_marks(|id| world.runs.get(id).is_some());
    }
}
