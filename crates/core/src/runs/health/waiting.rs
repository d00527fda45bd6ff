//! The agent waits for a person.

use super::{Detector, Facts, Finding, Remedy, never};

pub(super) const DETECTOR: Detector = Detector {
    id: "waiting",
    about: "The agent is waiting for an answer or a permission, which a run cannot get",
    find: |facts: &Facts<'_>| {
        let what = facts.signals.waiting_for.as_ref()?;
        (!facts.signals.ended).then(|| Finding {
            detector: DETECTOR.id,
            message: format!("the agent is waiting for {what}"),
            needs_action: true,
            remedy: Some(Remedy::Stop),
        })
    },
    due: never,
};
