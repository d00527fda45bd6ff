//! The tasks that block a task, transitively, and the tasks that it blocks.

use super::row::{Link as RowLink, Row};
use crate::{model::Model, theme::Scope};
use flightdeck_core::{
    tasks::{BranchEnd, Dependencies, DependencyNode},
    text,
};

/// Columns of the label before the first line of each tree.
const RELATION: usize = 11;
/// Columns of a status.
const STATUS: usize = 12;

/// Blockers first, then blocked tasks; deeper levels are indented.
pub(super) fn rows(model: &Model, id: &str) -> Vec<Row> {
    let Some(plan) = model.world.plan.get() else {
        return Vec::new();
    };
    let Some(tag) = plan.file.tag(&plan.tag) else {
        return Vec::new();
    };
    let known = Dependencies::new(tag);
    let trees = [
        ("blocked by", known.blockers(id)),
        ("blocks", known.blocks(id)),
    ];
    let links = trees.iter().flat_map(|(_, links)| links);
    let columns = links
        .map(|link| 2 * link.depth + text::width(&link.id))
        .max();
    let columns = columns.unwrap_or(0).min(24);
    let mut rows = Vec::new();
    for (relation, links) in &trees {
        for (at, link) in links.iter().enumerate() {
            let relation = if at == 0 { *relation } else { "" };
            rows.push(row(model, relation, link, columns));
        }
    }
    rows
}

fn row(model: &Model, relation: &str, link: &DependencyNode, columns: usize) -> Row {
    let glyphs = &model.glyphs;
    let (sign, scope) = match &link.status {
        Some(status) => (glyphs.status(status), Scope::of_status(status)),
        None => (glyphs.failed, Scope::Bad),
    };
    let status = link
        .status
        .as_ref()
        .map_or("missing", |status| status.as_str());
    let id = format!("{}{}", "  ".repeat(link.depth), text::sanitize(&link.id));
    let more = match link.stop {
        Some(BranchEnd::Cycle) => {
            "A cycle: none of these tasks can become ready. Remove one of the dependencies."
        }
        Some(BranchEnd::Repeated) => "Its dependencies are listed above.",
        Some(BranchEnd::Missing) => {
            "No task has this id, so the tasks that depend on it can never become ready."
        }
        None => "",
    };
    let title = text::sanitize(&link.title).into_owned();
    Row {
        pieces: vec![
            (relation.to_owned(), Scope::Muted, Some(RELATION)),
            (format!("{sign} "), scope, None),
            (id, Scope::Strong, Some(columns)),
            (" ".into(), Scope::Text, None),
            (text::sanitize(status).into_owned(), scope, Some(STATUS)),
            (" ".into(), Scope::Text, None),
            (title, Scope::Text, None),
        ],
        full: vec![
            (
                format!("{}  {}: {}", link.id, link.title, link.why()),
                Scope::Text,
            ),
            (more.to_owned(), Scope::Muted),
        ],
        link: (link.stop != Some(BranchEnd::Missing)).then(|| RowLink::Task(link.id.clone())),
    }
}
