//! Verbs on runs.

use super::performer::Performer;
use crate::effect::{Outcome, RunEffect};
use flightdeck_verbs::LaunchSource;

pub(super) fn perform(performer: &mut Performer, effect: RunEffect) {
    match effect {
        RunEffect::Launch(request, launch) => {
            let local = performer.local.clone();
            performer.spawn_verb(async move |context| {
                let (facts, report) = local.facts(request).await;
                let subject = LaunchSource::new(&facts, &report)?;
                let run = launch.run(&context, &subject).await?;
                Ok(Outcome::Launched(run.name().to_owned()))
            });
        }
        RunEffect::Stop(stop) => performer.spawn_verb(async move |context| {
            stop.run(&context).await?;
            Ok(Outcome::Stopped(stop.name))
        }),
        RunEffect::Retry(retry) => {
            let local = performer.local.clone();
            performer.spawn_verb(async move |context| {
                retry.run(&context, local.start()).await?;
                Ok(Outcome::Retried(retry.name))
            });
        }
        RunEffect::AddContext(add) => performer.spawn_verb(async move |context| {
            add.run(&context).await?;
            Ok(Outcome::ContextAdded(add.name))
        }),
        RunEffect::Delete(delete) => performer.spawn_verb(async move |context| {
            let deleted = delete.run(&context).await?;
            Ok(Outcome::Deleted(deleted.name))
        }),
    }
}
