//! Verbs on runs.

use super::performer::Performer;
use crate::effect::{Outcome, RunEffect};
use flightdeck_verbs::{LaunchSource, Plan, PlannedVerb, Verb};

pub(super) fn perform(performer: &mut Performer, effect: RunEffect) {
    match effect {
        RunEffect::Launch(request, launch) => {
            let local = performer.local.clone();
            performer.spawn_verb(async move |context| {
                let (facts, report) = local.facts(request).await;
                let subject = LaunchSource::new(&facts, &report)?;
                let cluster = context.cluster().await?;
                let run = launch.create(cluster, &subject).await?;
                Ok(Outcome::Launched(run.name().to_owned()))
            });
        }
        RunEffect::Stop(stop) => performer
            .spawn_verb(async move |context| Ok(Outcome::Stopped(stop.run(&context).await?.name))),
        RunEffect::Retry(retry) => performer
            .spawn_verb(async move |context| Ok(Outcome::Retried(retry.run(&context).await?.name))),
        RunEffect::AddContext(add) => performer.spawn_verb(async move |context| {
            Ok(Outcome::ContextAdded(add.run(&context).await?.name))
        }),
        RunEffect::Delete(delete) => performer.spawn_verb(async move |context| {
            let plan = delete.plan(&context).await?;
            Ok(Outcome::Deleted(plan.apply(&context).await?.name))
        }),
    }
}
