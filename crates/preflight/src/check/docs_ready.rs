//! `docs-ready`: the documents of the task exist where a code run reads them.

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
        let documents = facts.documents.as_ref()?;
        let task = facts.tasks.first()?;
        let place = &documents.place;
        let found = match &documents.found {
            Ok(found) => found,
            // A run may have credentials that the user's git lacks.
            Err(why) => {
                return Some(
                    Verdict::warn(format!("cannot read {place}: {why}"))
                        .because("Runs clone the documents repository. Check --docs-repository and --docs-branch."),
                );
            }
        };
        Some(if found.is_complete() {
            Verdict::pass(format!("{place} has the documents of task {task}"))
        } else {
            let missing: Vec<&str> = found.missing().collect();
            Verdict::warn(format!(
                "{place} has {} of {} documents of task {task}; missing {}",
                found.count(),
                DOCUMENTS.len(),
                missing.join(", ")
            ))
            .because("The agent gets the task's text instead. A docs run writes the documents.")
        })
    }
}
