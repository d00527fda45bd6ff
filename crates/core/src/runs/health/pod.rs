//! The pod of the stage under way does not start.

use super::{Detector, Facts, Finding, Help, Pod, from_then_on};
use crate::{runs::Stage, text};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod",
    about: "A pod cannot start (image, Secret, node), or none has come for a while",
    find,
    due: |facts| {
        let absent = facts.pod == Pod::Absent && facts.signals.last_at.is_none();
        let since = absent.then(|| since(facts)).flatten()?;
        from_then_on(since, facts.thresholds.pending_minutes, facts.now)
    },
};

/// Since when a pod of the stage under way is awaited.
fn since(facts: &Facts<'_>) -> Option<jiff::Timestamp> {
    let began = Stage::ALL.into_iter().find_map(|stage| facts.began(stage));
    let created = || facts.run.metadata.creation_timestamp.as_ref();
    began.or_else(|| created().map(|created| created.0))
}

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let sentence = match facts.pod {
        Pod::Running => return None,
        Pod::Held(why) => why.to_owned(),
        Pod::Absent if facts.signals.last_at.is_some() => return None,
        Pod::Absent => {
            let minutes = facts.thresholds.pending_minutes;
            let lasts = facts.now.duration_since(since(facts)?).as_mins();
            if minutes == 0 || lasts < i64::from(minutes) {
                return None;
            }
            format!("no pod has started for {}", text::age(lasts * 60))
        }
    };
    Some(Finding {
        detector: DETECTOR.id,
        sentence,
        needs_you: true,
        help: Some(Help::Events),
    })
}
