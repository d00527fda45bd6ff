//! The agent repeats the same calls.

use super::{Detector, Facts, Finding, Remedy, never};

pub(super) const DETECTOR: Detector = Detector {
    id: "looping",
    about: "The agent repeats the same tool call or short sequence of calls",
    find,
    due: never,
};

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let most = facts.thresholds.repeated_calls;
    let repeated = facts.signals.repeated.as_ref()?;
    if facts.signals.ended || most == 0 || repeated.times < most {
        return None;
    }
    let what = match repeated.round {
        1 => "the same call".to_owned(),
        round => format!("the same {round} calls"),
    };
    Some(Finding {
        detector: DETECTOR.id,
        message: format!(
            "{what} {} times in a row: {}",
            repeated.times, repeated.what
        ),
        needs_action: true,
        remedy: Some(Remedy::Stop),
    })
}
