//! Tools were refused.

use super::{Detector, Facts, Finding, Help, never};
use crate::text;

pub(super) const DETECTOR: Detector = Detector {
    id: "refused",
    about: "Tool calls were refused by the agent's settings",
    find,
    due: never,
};

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let signals = facts.signals;
    let most = facts.thresholds.refused_calls;
    if most == 0 || signals.refused < most {
        return None;
    }
    let last = signals.last_refused.as_deref().unwrap_or("a tool");
    let were = if signals.refused == 1 { "was" } else { "were" };
    Some(Finding {
        detector: DETECTOR.id,
        sentence: format!(
            "{} {were} refused, the last: {last}",
            text::count(signals.refused, "tool call")
        ),
        needs_you: false,
        help: Some(Help::Timeline),
    })
}
