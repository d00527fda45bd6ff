//! Cleanup of runs.

use super::performer::Performer;
use crate::{
    effect::{CleanupEffect, Outcome},
    msg::Msg,
};

pub(super) fn perform(performer: &mut Performer, effect: CleanupEffect) {
    match effect {
        CleanupEffect::Delete(selection) => {
            let sender = performer.sender.clone();
            performer.spawn_verb(async move |context| {
                let progress = |name: &str| {
                    // Dropped if the channel is full: the screen only misses a name.
                    let _ = sender.try_send(Msg::Done(Outcome::CleanupDeleting(name.to_owned())));
                };
                let cluster = context.cluster().await?;
                Ok(Outcome::CleanupFinished(
                    selection.delete(cluster, progress).await,
                ))
            });
        }
    }
}
