//! Glyphs of states, in Unicode and ASCII.

use super::world::Level;
use flightdeck_core::{runs::Phase, tasks::Status};

/// A set of glyphs. All but `next` are one column wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyphs {
    pub pending: &'static str,
    pub running: &'static str,
    pub done: &'static str,
    pub failed: &'static str,
    pub warning: &'static str,
    pub blocked: &'static str,
    pub deferred: &'static str,
    pub cancelled: &'static str,
    pub review: &'static str,
    pub unknown: &'static str,
    pub folded: &'static str,
    pub unfolded: &'static str,
    pub marked: &'static str,
    pub next: &'static str,
    pub dash: &'static str,
    pub dot: &'static str,
    spinner: &'static [&'static str],
}

const UNICODE: Glyphs = Glyphs {
    pending: "○",
    running: "▶",
    done: "✓",
    failed: "✗",
    warning: "!",
    blocked: "◷",
    deferred: "◌",
    cancelled: "⊘",
    review: "◐",
    unknown: "?",
    folded: "▸",
    unfolded: "▾",
    marked: "●",
    next: "◂ next",
    dash: "─",
    dot: "·",
    spinner: &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};

const ASCII: Glyphs = Glyphs {
    pending: "o",
    running: ">",
    done: "+",
    failed: "x",
    warning: "!",
    blocked: "=",
    deferred: "~",
    cancelled: "-",
    review: "%",
    unknown: "?",
    folded: ">",
    unfolded: "v",
    marked: "*",
    next: "< next",
    dash: "-",
    dot: ".",
    spinner: &["|", "/", "-", "\\"],
};

impl Glyphs {
    /// Returns the set `ascii`, or Unicode for any other name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        if name == "ascii" { ASCII } else { UNICODE }
    }

    /// Returns the glyph of a task status.
    #[must_use]
    pub const fn status(&self, status: &Status) -> &'static str {
        match status {
            Status::Pending => self.pending,
            Status::InProgress => self.running,
            Status::Done => self.done,
            Status::Review => self.review,
            Status::Deferred => self.deferred,
            Status::Cancelled => self.cancelled,
            Status::Blocked => self.blocked,
            Status::Other(_) => self.unknown,
        }
    }

    /// Returns the glyph of a run phase.
    #[must_use]
    pub const fn phase(&self, phase: &Phase) -> &'static str {
        match phase {
            Phase::Pending => self.pending,
            Phase::Running => self.running,
            Phase::Succeeded => self.done,
            Phase::Failed => self.failed,
            Phase::Cancelled => self.cancelled,
            Phase::Other(_) => self.unknown,
        }
    }

    /// Returns the glyph of a check level.
    #[must_use]
    pub const fn level(&self, level: Level) -> &'static str {
        match level {
            Level::Pass => self.done,
            Level::Warn => self.warning,
            Level::Fail => self.failed,
        }
    }

    /// Returns the frame of the spinner at a time, at 10 Hz.
    #[must_use]
    pub fn spinner(&self, now: jiff::Timestamp) -> &'static str {
        let frame = now.as_millisecond() / 100;
        self.spinner[frame.rem_euclid(self.spinner.len() as i64) as usize]
    }
}
