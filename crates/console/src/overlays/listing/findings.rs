//! What is wrong with the plan's file, or was tolerated in it, each with its place.

use super::{Go, Row};
use crate::{model::Model, theme::Scope, world::Plan};
use flightdeck_core::{
    tasks::{Finding, FindingKind},
    text,
};

/// Columns of `line:column`.
const PLACE: usize = 10;
/// Columns of the task's id.
const TASK: usize = 8;

/// First why the file cannot be read, if it cannot; then what stops tasks, then what was tolerated, both in file order.
pub(super) fn rows(model: &Model) -> Vec<Row> {
    let plan = &model.world.plan;
    let broken = plan.error().map(|error| Row {
        pieces: vec![
            (
                error
                    .place
                    .as_ref()
                    .map_or_else(String::new, |(_, line, column)| format!("{line}:{column}")),
                Scope::Muted,
                Some(PLACE),
            ),
            (format!("{} ", model.glyphs.failed), Scope::Bad, None),
            (
                text::sanitize(&error.message).into_owned(),
                Scope::Text,
                None,
            ),
        ],
        full: vec![
            (error.message.clone(), Scope::Text),
            (
                if plan.get().is_some() {
                    "The last good version stays on the screen until the file can be read again."
                        .into()
                } else {
                    String::new()
                },
                Scope::Muted,
            ),
        ],
        go: error
            .place
            .as_ref()
            .map(|(path, line, _)| Go::Edit(path.clone(), *line)),
    });
    let known = plan.get();
    let mut findings: Vec<(&Plan, &Finding)> = known
        .into_iter()
        .flat_map(|plan| {
            plan.file
                .findings
                .iter()
                .map(move |finding| (plan.as_ref(), finding))
        })
        .collect();
    findings.sort_by_key(|(_, finding)| weight(model, finding.kind).1 != Scope::Bad);
    let findings = findings.into_iter().map(|(plan, finding)| {
        let go = Go::Edit(plan.path.clone(), finding.line.max(1));
        row(model, finding, go)
    });
    broken.into_iter().chain(findings).collect()
}

fn row(model: &Model, finding: &Finding, go: Go) -> Row {
    let place = match (finding.line, finding.column) {
        (0, _) => String::new(),
        (line, column) => format!("{line}:{column}"),
    };
    let (sign, scope, why) = weight(model, finding.kind);
    let message = text::sanitize(&finding.message).into_owned();
    let of = match (&finding.task, &finding.tag) {
        (Some(task), Some(tag)) => format!("Task {task} of the tag {tag}. {why}"),
        (Some(task), None) => format!("Task {task}. {why}"),
        (None, Some(tag)) => format!("The tag {tag}. {why}"),
        (None, None) => why.to_owned(),
    };
    let id = text::sanitize(finding.task.as_deref().unwrap_or_default()).into_owned();
    Row {
        pieces: vec![
            (place, Scope::Muted, Some(PLACE)),
            (format!("{sign} "), scope, None),
            (id, Scope::Strong, Some(TASK)),
            (" ".into(), Scope::Text, None),
            (message, Scope::Text, None),
        ],
        full: vec![(finding.message.clone(), Scope::Text), (of, Scope::Muted)],
        go: Some(go),
    }
}

/// Sign and scope of a kind of finding, and what follows from it.
const fn weight(model: &Model, kind: FindingKind) -> (&'static str, Scope, &'static str) {
    let glyphs = &model.glyphs;
    match kind {
        FindingKind::DuplicateId => (
            glyphs.failed,
            Scope::Bad,
            "Only the first task of that id can be meant by anything that names it.",
        ),
        FindingKind::Cycle => (
            glyphs.failed,
            Scope::Bad,
            "None of these tasks can ever become ready.",
        ),
        FindingKind::DanglingDependency | FindingKind::SelfDependency => (
            glyphs.failed,
            Scope::Bad,
            "The task can never become ready.",
        ),
        FindingKind::ByteOrderMark | FindingKind::Encoding | FindingKind::TrailingText => (
            glyphs.warning,
            Scope::Warn,
            "It was read all the same; other tools may refuse the file.",
        ),
        FindingKind::Field => (
            glyphs.warning,
            Scope::Warn,
            "It was read all the same, as far as it goes.",
        ),
    }
}
