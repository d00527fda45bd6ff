//! The pod of the current stage does not start.

use super::{Detector, Facts, Finding, PodState, Remedy, due_after};
use crate::{runs::Stage, text};

pub(super) const DETECTOR: Detector = Detector {
    id: "pod",
    about: "A pod cannot start (image, Secret, node), or has not been created",
    find,
    due: |facts| {
        let absent = facts.pod == PodState::Absent && facts.signals.last_at.is_none();
        let since = absent.then(|| since(facts)).flatten()?;
        due_after(since, facts.thresholds.pending_minutes, facts.now)
    },
};

/// Returns when the wait for a pod of the current stage began.
fn since(facts: &Facts<'_>) -> Option<jiff::Timestamp> {
    let began = Stage::ALL
        .into_iter()
        .find_map(|stage| facts.started(stage));
    let created = || facts.run.metadata.creation_timestamp.as_ref();
    began.or_else(|| created().map(|created| created.0))
}

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let message = match facts.pod {
        PodState::Running => return None,
        PodState::Blocked(why) => why.to_owned(),
        PodState::Absent if facts.signals.last_at.is_some() => return None,
        PodState::Absent => {
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
        message,
        needs_action: true,
        remedy: Some(Remedy::Events),
    })
}
