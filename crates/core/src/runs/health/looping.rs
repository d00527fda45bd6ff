//! The agent does the same again and again.

use super::{Detector, Facts, Finding, Help, never};

pub(super) const DETECTOR: Detector = Detector {
    id: "looping",
    about: "The same tool call, or the same short round of calls, is made again and again",
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
        sentence: format!(
            "{what} {} times in a row: {}",
            repeated.times, repeated.what
        ),
        needs_you: true,
        help: Some(Help::Stop),
    })
}
