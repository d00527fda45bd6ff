//! The summary printed by `tasks show`.

use std::fmt::Write;

use super::selection::Selection;
use flightdeck_core::{
    tasks::{BranchEnd, Dependencies, DependencyNode, Task},
    text,
};

/// Maximum number of lines of a dependency tree.
const MAX_LINKS: usize = 30;

/// Returns the lines of a task's summary, sanitized.
pub(super) fn lines(
    selection: &Selection,
    id: &str,
    parent: Option<&Task>,
    task: &Task,
) -> Vec<String> {
    let known = Dependencies::new(selection.tag());
    let mut card = Card::default();
    card.line(&format!("{id}  {}", task.title));
    let mut about = format!(
        "{} · {} priority",
        task.status.as_str(),
        task.priority.as_str()
    );
    if let Some(parent) = parent {
        let _ = write!(about, " · part of {} {}", parent.id, parent.title);
    }
    if let Some(complexity) = selection.complexity(id) {
        let _ = write!(
            about,
            " · complexity {} ({})",
            complexity.score,
            complexity.level().as_str()
        );
    }
    card.line(&about);
    card.line(&format!(
        "tag {} · {}:{}",
        selection.tag().name,
        selection.path.display(),
        task.line
    ));
    card.links("Depends on", known.direct(id));
    card.links("Open dependencies", known.blockers(id));
    card.links("Blocks", known.blocks(id));
    if parent.is_none() {
        let documents = selection.documents(id);
        let present: Vec<&str> = documents.present().collect();
        let missing: Vec<&str> = documents.missing().collect();
        card.head("Documents");
        card.line(&format!("  {}/4 {}", present.len(), present.join(", ")));
        if !missing.is_empty() && !present.is_empty() {
            card.line(&format!("  missing: {}", missing.join(", ")));
        }
    }
    card.prose("Description", &task.description);
    card.prose("Details", &task.details);
    card.prose("Test strategy", &task.test_strategy);
    if !task.subtasks.is_empty() {
        card.head("Subtasks");
        for subtask in &task.subtasks {
            let id = task.subtask_id(subtask);
            card.line(&format!(
                "  {id}  {}  {}",
                subtask.status.as_str(),
                subtask.title
            ));
        }
    }
    card.text.trim_end().lines().map(str::to_owned).collect()
}

#[derive(Default)]
struct Card {
    text: String,
}

impl Card {
    fn line(&mut self, line: &str) {
        self.text.push_str(text::sanitize(line).trim_end());
        self.text.push('\n');
    }

    fn head(&mut self, head: &str) {
        self.text.push('\n');
        self.line(head);
    }

    fn prose(&mut self, head: &str, prose: &str) {
        if prose.trim().is_empty() {
            return;
        }
        self.head(head);
        for line in prose.trim().lines() {
            self.line(&format!("  {line}"));
        }
    }

    fn links(&mut self, head: &str, links: Vec<DependencyNode>) {
        if links.is_empty() {
            return;
        }
        self.head(head);
        let more = links.len().saturating_sub(MAX_LINKS);
        for link in links.into_iter().take(MAX_LINKS) {
            let indent = "  ".repeat(link.depth + 1);
            let shown = match link.stop {
                Some(BranchEnd::Repeated) => " (see above)",
                _ => "",
            };
            self.line(&format!(
                "{indent}{}  {}  {}{shown}",
                link.id,
                link.why(),
                link.title
            ));
        }
        if more > 0 {
            self.line(&format!("  and {more} more"));
        }
    }
}
