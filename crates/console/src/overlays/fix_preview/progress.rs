//! The progress of a running fix.

use crate::theme::Scope;
use flightdeck_preflight::fix::Progress;

/// Lines of progress shown.
const PROGRESS_LINES: usize = 14;

/// A running fix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) lines: Vec<ProgressLine>,
    /// Esc was pressed once.
    pub(super) confirm_cancel: bool,
    pub(super) cancelled: bool,
}

/// A line of the progress of a fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProgressLine {
    /// A command that started.
    Command(String),
    /// Output of a command. If `overwritten`, the next line replaces it.
    Output { text: String, overwritten: bool },
}

impl Running {
    pub(super) fn add(&mut self, progress: Progress) {
        if let Some(ProgressLine::Output {
            overwritten: true, ..
        }) = self.lines.last()
        {
            self.lines.pop();
        }
        self.lines.push(match progress {
            Progress::Started(command) => ProgressLine::Command(command),
            Progress::Output(line) => ProgressLine::Output {
                text: line.text,
                overwritten: line.overwritten,
            },
        });
        // A remote can print without end, and only the last lines are shown.
        let excess = self.lines.len().saturating_sub(PROGRESS_LINES);
        self.lines.drain(..excess);
    }
}

/// Adds the last lines of progress: commands with a sign, their output below.
pub(super) fn add_progress(lines: &[ProgressLine], sign: &str, add: &mut impl FnMut(&str, Scope)) {
    for line in &lines[lines.len().saturating_sub(PROGRESS_LINES)..] {
        match line {
            ProgressLine::Command(command) => add(&format!("{sign} {command}"), Scope::Text),
            ProgressLine::Output { text, .. } => add(&format!("  {text}"), Scope::Muted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_the_last_lines_of_a_fix() {
        let mut running = Running::default();
        for number in 0..1_000 {
            running.add(Progress::Output(
                flightdeck_host::repository::git::OutputLine {
                    text: number.to_string(),
                    overwritten: false,
                },
            ));
        }
        assert_eq!(running.lines.len(), PROGRESS_LINES);
        let last = ProgressLine::Output {
            text: "999".into(),
            overwritten: false,
        };
        assert_eq!(running.lines.last(), Some(&last));
    }
}
