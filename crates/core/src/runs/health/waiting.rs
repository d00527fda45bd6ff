//! The agent waits for a person.

use super::{Detector, Facts, Finding, Help, never};

pub(super) const DETECTOR: Detector = Detector {
    id: "waiting",
    about: "The agent waits for an answer or for leave, which nobody can give it in a run",
    find: |facts: &Facts<'_>| {
        let what = facts.signals.waits_for.as_ref()?;
        (!facts.signals.ended).then(|| Finding {
            detector: DETECTOR.id,
            sentence: format!("the agent waits for {what}"),
            needs_you: true,
            help: Some(Help::Stop),
        })
    },
    due: never,
};
