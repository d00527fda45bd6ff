//! The Preview tab: every file the agent is given. Before a launch they are rendered here; afterwards the live ones are
//! shown, and where the two differ the difference.

use std::collections::BTreeMap;

use crate::{
    list::List,
    model::Model,
    widgets::{diff, syntax::Syntax},
    world::TaskId,
};
use flightdeck_core::runs::{Run, RunKind};
use flightdeck_host::{settings::Settings, templates};
use flightdeck_verbs::{Launch, Subject};

use super::{
    Fetched,
    page::{Content, Lines, Page, Reading},
};

/// Files by their names.
pub type Files = BTreeMap<String, String>;

/// How a file of the run compares with what would be rendered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// There is nothing to compare with.
    Alone,
    Same,
    Different,
    /// Only the run has it.
    Extra,
    /// Only what would be rendered now has it.
    Missing,
}

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    pub list: List<String>,
    pub page: Page,
    /// The keys go to the file, not to the list.
    pub reading: bool,
    /// Show the difference instead of the file.
    pub difference: bool,
    /// As they would be rendered now, or why they cannot be.
    rendered: Fetched<Files>,
    /// The run's own.
    live: Fetched<Files>,
    shown: Option<String>,
}

impl Preview {
    /// Takes in what would be rendered now.
    pub fn set_rendered(&mut self, rendered: Result<Files, String>) {
        self.rendered = rendered.into();
        self.settle();
    }

    /// Takes in the run's own files.
    pub fn set_live(&mut self, live: Result<Files, String>) {
        self.live = live.into();
        self.settle();
    }

    /// The file of that name and how it compares.
    pub fn compared(&self, name: &str) -> Compared {
        let Some(live) = self.live.ready() else {
            return Compared::Alone;
        };
        let rendered = self.rendered.ready().map(|files| files.get(name));
        match (live.get(name), rendered) {
            (_, None) => Compared::Alone,
            (Some(one), Some(Some(other))) if one == other => Compared::Same,
            (Some(_), Some(Some(_))) => Compared::Different,
            (Some(_), Some(None)) => Compared::Extra,
            (None, _) => Compared::Missing,
        }
    }

    /// Whether the files are the run's own.
    pub const fn is_live(&self) -> bool {
        matches!(self.live, Fetched::Ready(_))
    }

    /// Derives list and text anew.
    pub fn settle(&mut self) {
        let live = self.live.ready().into_iter().flat_map(BTreeMap::keys);
        let rendered = self.rendered.ready().into_iter().flat_map(BTreeMap::keys);
        let mut names: Vec<String> = live.chain(rendered).cloned().collect();
        names.sort_by_key(|name| (rank(name), name.clone()));
        names.dedup();
        self.list.set_rows(names);
        let name = self.list.selected().cloned();
        if name != self.shown {
            self.page.reset();
            self.shown.clone_from(&name);
        }
        let content = name.map_or_else(|| self.nothing(), |name| self.content(&name));
        self.page.show(content);
    }

    fn nothing(&self) -> Content {
        match (&self.live, &self.rendered) {
            (Fetched::Failed(reason), _) | (_, Fetched::Failed(reason)) => {
                Content::sentence(reason.clone())
            }
            _ => Content::sentence("Rendering the files ..."),
        }
    }

    fn content(&self, name: &str) -> Content {
        let live = self.live.ready().and_then(|files| files.get(name));
        let rendered = self.rendered.ready().and_then(|files| files.get(name));
        if self.difference
            && let (Some(live), Some(rendered)) = (live, rendered)
        {
            let difference = diff::unified(live, rendered);
            if difference.is_empty() {
                return Content::sentence("A run launched now would get the same file.");
            }
            return Content::Text(Reading::Difference, diff::lines(&difference));
        }
        let text = live.or(rendered).map_or("", String::as_str);
        if text.is_empty() {
            return Content::sentence("The file is empty.");
        }
        let syntax = Syntax::of_file(name);
        let lines: Lines = syntax.lines(text);
        Content::Text(Reading::Source(syntax), lines)
    }
}

/// What a person wants to read first comes first.
fn rank(name: &str) -> usize {
    let first = [
        "prompt.md",
        "CLAUDE.md",
        "run.json",
        "settings.local.json",
        "agent.sh",
    ];
    first
        .iter()
        .position(|other| *other == name)
        .unwrap_or(first.len())
}

/// The files of a run as they would be rendered now.
pub fn files_of(run: &Run, settings: &Settings) -> Result<Files, String> {
    templates::render(run, settings).map_err(|error| error.to_string())
}

/// The files a docs run of a task would get if it was launched now.
pub fn files_of_task(model: &Model, id: &TaskId) -> Result<Files, String> {
    let repository = model.world.repository.get();
    let repository =
        repository.ok_or_else(|| "The repository has not been read yet.".to_owned())?;
    let plan = model
        .world
        .plan
        .get()
        .ok_or_else(|| "The plan has not been read yet.".to_owned())?;
    let task = id.split('.').next().unwrap_or(id).to_owned();
    let project = flightdeck_core::tasks::project_directory(&plan.path);
    let directory = project.and_then(|path| path.strip_prefix(&repository.root).ok());
    let directory = directory
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| !path.is_empty());
    let subject = Subject {
        repository_url: repository.url.clone().unwrap_or_default(),
        branch: repository.branch.clone().unwrap_or_else(|| "HEAD".into()),
        working_directory: directory.unwrap_or_else(|| ".".into()),
        tag: plan.tag.clone(),
        tasks: plan
            .tasks()
            .iter()
            .map(|task| (task.id.clone(), plan.documents(&task.id).is_complete()))
            .collect(),
        revision: None,
        refused: Vec::new(),
        person: String::new(),
    };
    let launch = Launch {
        tasks: vec![task],
        ..Launch::new(RunKind::Docs)
    };
    let run = launch
        .compose(&subject, &model.settings, "preview")
        .map_err(|error| error.to_string())?;
    files_of(&run, model.controller_settings())
}
