//! Limits of the memory that steps use.

use super::Steps;
use crate::{text, transcript::StepKind};

/// Maximum number of steps; the oldest are dropped. The log has all of them.
pub(super) const STEPS_LIMIT: usize = 100_000;
/// Maximum size of shell output in bytes; the oldest is dropped.
pub(super) const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;
/// Maximum size of all other texts in bytes; the oldest are shortened.
pub(super) const BYTES_LIMIT: usize = 64 * 1024 * 1024;

impl Steps {
    /// Replaces the oldest output by its line count.
    pub(super) fn trim_output(&mut self, most: usize) {
        while self.output_bytes > most && self.outputs.len() > 1 {
            let Some((number, bytes)) = self.outputs.pop_front() else {
                return;
            };
            self.output_bytes -= bytes;
            if let Some(step) = self.get_mut(number)
                && let StepKind::Output { lines } = &mut step.what
            {
                *lines = vec![format!(
                    "({} dropped; see the log)",
                    text::count(lines.len(), "line")
                )];
            }
        }
    }

    /// Shortens the texts of the oldest steps.
    pub(super) fn trim_texts(&mut self, most: usize) {
        while self.bytes > most && self.first_whole + 1 < self.end() {
            let number = self.first_whole;
            self.first_whole += 1;
            let Some(step) = self.get(number) else {
                continue;
            };
            let bytes = step.bytes();
            self.bytes -= bytes;
            // Steps without texts are unchanged.
            if bytes > 0
                && let Some(step) = self.get_mut(number)
            {
                step.trim_texts();
            }
        }
    }

    pub(super) fn drop_oldest(&mut self, most: usize) {
        if self.retained.len() <= most {
            return;
        }
        // Drop in bulk, because cleaning up the indexes is linear.
        let surplus = self.retained.len() - most + most / 10;
        let counted = self.first_whole.saturating_sub(self.first);
        for (index, step) in self.retained.drain(..surplus).enumerate() {
            if index >= counted {
                self.bytes -= step.bytes();
            }
        }
        self.first += surplus;
        self.first_whole = self.first_whole.max(self.first);
        let first = self.first;
        self.calls.retain(|_, number| *number >= first);
        self.unanswered.retain(|number| *number >= first);
        self.changed.retain(|number| *number >= first);
    }
}
