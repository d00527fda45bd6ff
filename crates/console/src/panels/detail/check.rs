//! The Check tab: the result of a pre-flight check, why it matters, and how the plan differs from the remote's.

use super::{
    page::{PageContent, PageFormat, TaggedLines, field, heading},
    tab::Tab,
};
use crate::{
    command::Command,
    effect::Effects,
    ids::{Subject, TabId},
    model::Model,
    overlays,
    panels::preflight::fix_label,
    theme::Scope,
    widgets::markdown::tag,
    world::{Level, PlanComparison},
};
use flightdeck_core::text;

pub(super) struct CheckTab;

impl Tab for CheckTab {
    fn id(&self) -> TabId {
        TabId::Check
    }

    fn title(&self) -> &'static str {
        "Check"
    }

    fn applies_to(&self, subject: &Subject) -> bool {
        matches!(subject, Subject::Check(_))
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        match &model.detail.subject {
            Some(Subject::Check(id)) => Some(content(model, id)),
            Some(Subject::Task(_) | Subject::Run(_)) | None => None,
        }
    }

    fn command(&self, model: &mut Model, command: Command, effects: &mut Effects) -> Option<bool> {
        if command != Command::Fix {
            return None;
        }
        if let Some(Subject::Check(id)) = model.detail.subject.clone() {
            overlays::open_fix_preview(model, &id, effects);
        }
        Some(true)
    }
}

fn content(model: &Model, id: &str) -> PageContent {
    let checks = &model.world.checks;
    let Some(check) = checks.get(id) else {
        return PageContent::sentence("This check does not apply at the moment.");
    };
    let mut lines = TaggedLines::new();
    let status = match check.level {
        Level::Pass => "OK",
        Level::Warn => "Warning (won't block)",
        Level::Fail => "Blocks launch",
    };
    let sign = model.glyphs.level(check.level);
    field(&mut lines, "Status", &format!("{sign} {status}"));
    field(&mut lines, "Result", &check.message);
    if !check.explanation.is_empty() {
        field(&mut lines, "Why", &check.explanation);
    }
    match check.fix {
        Some(fix) => {
            let words = format!("{} (Enter shows the commands first)", fix_label(fix));
            field(&mut lines, "Fix", &words);
        }
        None if check.level == Level::Fail => {
            let words = format!("enter `{id}` and a reason in the launch form");
            field(&mut lines, "Override", &words);
        }
        None => {}
    }
    if let Some(compared) = checks.compared(id) {
        heading(
            &mut lines,
            &format!("Your plan vs. {}", compared.remote_branch),
        );
        for (words, scope) in difference(compared) {
            let tag = if scope == Scope::Muted {
                tag::MUTED
            } else {
                tag::LIST
            };
            lines.push((words, tag));
        }
    }
    PageContent::Text(PageFormat::Document, lines)
}

/// Returns how the plan on disk differs from the remote's, one line per task: `+ 7  Title`, `- 3  Title`,
/// `~ 5  Title: status, details`.
pub(crate) fn difference(compared: &PlanComparison) -> Vec<(String, Scope)> {
    let comparison = &compared.comparison;
    let mut lines = vec![(format!("{}.", comparison.summary()), Scope::Muted)];
    let ids = comparison
        .added
        .iter()
        .chain(&comparison.removed)
        .map(|named| named.id.as_str())
        .chain(comparison.changed.iter().map(|changed| changed.id.as_str()));
    let columns = ids.map(text::width).max().unwrap_or(0).min(12);
    let line = |sign: &str, id: &str, rest: &str| format!("{sign} {id:<columns$}  {rest}");
    for named in &comparison.added {
        let rest = format!("{} (only in your plan)", named.title);
        lines.push((line("+", &named.id, &rest), Scope::DiffAdded));
    }
    for named in &comparison.removed {
        let rest = format!("{} (only on the remote)", named.title);
        lines.push((line("-", &named.id, &rest), Scope::DiffRemoved));
    }
    for changed in &comparison.changed {
        let rest = format!("{}: {}", changed.title, changed.fields.join(", "));
        lines.push((line("~", &changed.id, &rest), Scope::Text));
    }
    if comparison.reordered {
        lines.push(("The tasks are in a different order.".into(), Scope::Muted));
    }
    lines
}
