//! The agent says nothing.

use super::{Detector, Facts, Finding, Help, from_then_on};
use crate::{runs::Stage, text};

pub(super) const DETECTOR: Detector = Detector {
    id: "silent",
    about: "The agent has said nothing for a while, or one tool has been at work for long",
    find,
    due: |facts| {
        let (since, minutes) = silence(facts)?;
        from_then_on(since, minutes, facts.now)
    },
};

/// Since when nothing was said, and how many minutes of that are nothing to worry about.
fn silence(facts: &Facts<'_>) -> Option<(jiff::Timestamp, u32)> {
    let began = facts.began(Stage::Agent)?;
    let signals = facts.signals;
    if signals.ended || signals.waits_for.is_some() {
        return None;
    }
    let last = signals.last_at.map_or(began, |last| last.max(began));
    let thresholds = facts.thresholds;
    // A build or a test says nothing to the stream until it is done.
    let minutes = if signals.at_work.is_some() {
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
    let sentence = match &facts.signals.at_work {
        Some((what, _)) => format!("one tool has been at work for {lasts}: {what}"),
        None => format!("the agent has said nothing for {lasts}"),
    };
    Some(Finding {
        detector: DETECTOR.id,
        sentence,
        needs_you: true,
        help: Some(Help::Stop),
    })
}
