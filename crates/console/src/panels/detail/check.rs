//! The Check tab: what a pre-flight check found, why it matters, and how the plan differs from the remote's.

use crate::{
    model::Model,
    panels::preflight::fix_words,
    theme::Scope,
    widgets::markdown::tag,
    world::{Compared, Level},
};
use flightdeck_core::text;

use super::{
    page::{Content, Lines, Reading},
    task::{field, heading},
};

/// What is said of a check.
pub fn content(model: &Model, id: &str) -> Content {
    let checks = &model.world.checks;
    let Some(check) = checks.get(id) else {
        return Content::sentence(
            "This check does not apply now: what it asks about is not known.",
        );
    };
    let mut lines = Lines::new();
    let verdict = match check.level {
        Level::Pass => "in order",
        Level::Warn => "a warning: a launch is possible",
        Level::Fail => "refuses a launch",
    };
    let sign = model.glyphs.level(check.level);
    field(&mut lines, "Verdict", &format!("{sign} {verdict}"));
    field(&mut lines, "Found", &check.message);
    if !check.explanation.is_empty() {
        field(&mut lines, "Why", &check.explanation);
    }
    match check.fix {
        Some(fix) => field(
            &mut lines,
            "Fix",
            &format!("{} (Enter shows the exact commands first)", fix_words(fix)),
        ),
        None if check.level == Level::Fail => field(
            &mut lines,
            "Pass over",
            &format!("in the launch form, by the name {id} and a reason"),
        ),
        None => {}
    }
    if let Some(compared) = checks.compared(id) {
        heading(&mut lines, &format!("Your file against {}", compared.place));
        for (words, scope) in difference(compared) {
            let tag = if scope == Scope::Muted {
                tag::MUTED
            } else {
                tag::LIST
            };
            lines.push((words, tag));
        }
    }
    Content::Text(Reading::Document, lines)
}

/// How the plan on disk differs from the remote's, a line a task: `+ 7  Title`, `- 3  Title`, `~ 5  Title: status, details`.
pub fn difference(compared: &Compared) -> Vec<(String, Scope)> {
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
        let rest = format!("{} (only in your file)", named.title);
        lines.push((line("+", &named.id, &rest), Scope::DiffAdded));
    }
    for named in &comparison.removed {
        let rest = format!("{} (only there)", named.title);
        lines.push((line("-", &named.id, &rest), Scope::DiffRemoved));
    }
    for changed in &comparison.changed {
        let rest = format!("{}: {}", changed.title, changed.fields.join(", "));
        lines.push((line("~", &changed.id, &rest), Scope::Text));
    }
    if comparison.reordered {
        lines.push(("The tasks stand in another order.".into(), Scope::Muted));
    }
    lines
}
