//! `docs-ready`: the documents of a task are where a code run reads them.

use super::{Check, Facts, Verdict};
use flightdeck_core::runs::DOCUMENTS;

pub(super) struct DocsReady;

impl Check for DocsReady {
    fn id(&self) -> &'static str {
        "docs-ready"
    }

    fn title(&self) -> &'static str {
        "Documents"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        if !facts.kind.needs_documents() {
            return None;
        }
        let documents = facts.documents?;
        let task = facts.tasks.first()?;
        let place = facts.repository()?.remote.as_ref()?.place();
        Some(if documents.is_complete() {
            Verdict::pass(format!("{place} has the documents of task {task}"))
        } else {
            let missing: Vec<&str> = documents.missing().collect();
            Verdict::warn(format!(
                "{place} has {} of {} documents of task {task}; missing {}",
                documents.count(),
                DOCUMENTS.len(),
                missing.join(", ")
            ))
            .because("The agent would get the task's own text for what is missing. A docs run writes them.")
        })
    }
}
