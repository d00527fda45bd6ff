//! Tool calls were denied.

use super::{Detector, Facts, Finding, Remedy, never};
use crate::text;

pub(super) const DETECTOR: Detector = Detector {
    id: "refused",
    about: "Tool calls were denied by the agent's settings",
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
    Some(Finding {
        detector: DETECTOR.id,
        message: format!(
            "{} denied, last: {last}",
            text::count(signals.refused, "tool call")
        ),
        needs_action: false,
        remedy: Some(Remedy::Timeline),
    })
}
