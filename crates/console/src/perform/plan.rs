//! Changes to the task plan.

use super::performer::Performer;
use crate::effect::{Outcome, PlanEffect};

pub(super) fn perform(performer: &mut Performer, effect: PlanEffect) {
    match effect {
        PlanEffect::SetStatus(verbs) => {
            let local = performer.local.clone();
            performer.spawn_detached(async move {
                let mut changes = Vec::new();
                for verb in verbs {
                    match verb.set(local.start()).await {
                        Ok(set) => changes.extend(set.changes),
                        Err(error) => return Outcome::Failed(error.to_string()),
                    }
                }
                Outcome::StatusSet(changes)
            });
        }
    }
}
