//! The agent stream has no new lines.

use super::{Detector, Facts, Finding, Remedy, due_after};
use crate::{runs::Stage, text};

pub(super) const DETECTOR: Detector = Detector {
    id: "silent",
    about: "The agent has written nothing for a while, or one tool runs for long",
    find,
    due: |facts| {
        let (since, minutes) = silence(facts)?;
        due_after(since, minutes, facts.now)
    },
};

/// Returns the time of the last line, and the threshold in minutes.
fn silence(facts: &Facts<'_>) -> Option<(jiff::Timestamp, u32)> {
    let began = facts.started(Stage::Agent)?;
    let signals = facts.signals;
    if signals.ended || signals.waiting_for.is_some() {
        return None;
    }
    let last = signals.last_at.map_or(began, |last| last.max(began));
    let thresholds = facts.thresholds;
    // Builds and tests write nothing to the stream until they finish.
    let minutes = if signals.running_tool.is_some() {
        thresholds.tool_minutes
    } else {
        thresholds.silent_minutes
    };
    Some((last, minutes))
}

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let (since, minutes) = silence(facts)?;
    let lasts = facts.now.duration_since(since).as_mins();
    if minutes == 0 || lasts < i64::from(minutes) {
        return None;
    }
    let lasts = text::age(lasts * 60);
    let message = match &facts.signals.running_tool {
        Some((what, _)) => format!("one tool has been running for {lasts}: {what}"),
        None => format!("no output from the agent for {lasts}"),
    };
    Some(Finding {
        detector: DETECTOR.id,
        message,
        needs_action: true,
        remedy: Some(Remedy::Stop),
    })
}
