//! Problems of the plan file, each with its position.

use super::row::{Link, Row};
use crate::{model::Model, theme::Scope, world::Plan};
use flightdeck_core::{
    tasks::{Finding, FindingKind},
    text,
};

/// Columns of `line:column`.
const POSITION: usize = 10;
/// Columns of the task's id.
const TASK: usize = 8;

/// The read error first, then problems that block tasks, then tolerated ones; each group in file order.
pub(super) fn rows(model: &Model) -> Vec<Row> {
    let plan = &model.world.plan;
    let broken = plan.error().map(|error| Row {
        pieces: vec![
            (
                error
                    .position
                    .as_ref()
                    .map_or_else(String::new, |(_, line, column)| format!("{line}:{column}")),
                Scope::Muted,
                Some(POSITION),
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
                    "The last good version is shown until the file can be read again.".into()
                } else {
                    String::new()
                },
                Scope::Muted,
            ),
        ],
        link: error
            .position
            .as_ref()
            .map(|(path, line, _)| Link::Edit(path.clone(), *line)),
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
    findings.sort_by_key(|(_, finding)| severity(model, finding.kind).1 != Scope::Bad);
    let findings = findings.into_iter().map(|(plan, finding)| {
        let link = Link::Edit(plan.path.clone(), finding.line.max(1));
        row(model, finding, link)
    });
    broken.into_iter().chain(findings).collect()
}

fn row(model: &Model, finding: &Finding, target: Link) -> Row {
    let position = match (finding.line, finding.column) {
        (0, _) => String::new(),
        (line, column) => format!("{line}:{column}"),
    };
    let (sign, scope, why) = severity(model, finding.kind);
    let message = text::sanitize(&finding.message).into_owned();
    let of = match (&finding.task, &finding.tag) {
        (Some(task), Some(tag)) => format!("Task {task}, tag {tag}. {why}"),
        (Some(task), None) => format!("Task {task}. {why}"),
        (None, Some(tag)) => format!("Tag {tag}. {why}"),
        (None, None) => why.to_owned(),
    };
    let id = text::sanitize(finding.task.as_deref().unwrap_or_default()).into_owned();
    Row {
        pieces: vec![
            (position, Scope::Muted, Some(POSITION)),
            (format!("{sign} "), scope, None),
            (id, Scope::Strong, Some(TASK)),
            (" ".into(), Scope::Text, None),
            (message, Scope::Text, None),
        ],
        full: vec![(finding.message.clone(), Scope::Text), (of, Scope::Muted)],
        link: Some(target),
    }
}

/// The sign, style and consequence of a kind of finding.
const fn severity(model: &Model, kind: FindingKind) -> (&'static str, Scope, &'static str) {
    let glyphs = &model.glyphs;
    match kind {
        FindingKind::DuplicateId => (
            glyphs.failed,
            Scope::Bad,
            "References to this id resolve to the first task only.",
        ),
        FindingKind::Cycle => (
            glyphs.failed,
            Scope::Bad,
            "None of these tasks can become ready.",
        ),
        FindingKind::DanglingDependency | FindingKind::SelfDependency => (
            glyphs.failed,
            Scope::Bad,
            "The task can never become ready.",
        ),
        FindingKind::ByteOrderMark | FindingKind::Encoding | FindingKind::TrailingText => (
            glyphs.warning,
            Scope::Warn,
            "Read anyway; other tools may reject the file.",
        ),
        FindingKind::Field => (glyphs.warning, Scope::Warn, "Read anyway."),
    }
}
