//! Pre-flight checks and fixes.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    performer::{Lane, Performer},
    send::send,
};
use crate::{
    effect::{FixFailure, Outcome, PreflightEffect, PreflightRequest},
    msg::Msg,
    world::Delta,
};
use flightdeck_preflight::fix::{self, FixPlan, Progress};

pub(super) fn perform(performer: &mut Performer, effect: PreflightEffect) {
    match effect {
        PreflightEffect::Run(request) => run(performer, request),
        PreflightEffect::PollRemote(request) => {
            // A check that the user requested takes precedence over a poll.
            if performer
                .preflight
                .contacting_remote
                .load(Ordering::Relaxed)
            {
                return run(performer, request);
            }
            let (local, sender) = (performer.local.clone(), performer.sender.clone());
            performer.spawn_in_lane(Lane::Preflight, async move {
                send_all(&sender, local.poll_remote(request).await).await;
            });
        }
        PreflightEffect::PlanFix(request, fix) => {
            let local = performer.local.clone();
            performer.spawn_detached(async move {
                match local.plan_fix(request, fix).await {
                    Ok(plan) => Outcome::FixPlanned(Box::new(plan)),
                    Err(failure) => Outcome::FixFinished(Err(failure)),
                }
            });
        }
        PreflightEffect::ApplyFix(plan) => {
            let cancel = CancellationToken::new();
            performer.preflight.fix = cancel.clone();
            let sender = performer.sender.clone();
            performer.spawn_detached(async move {
                Outcome::FixFinished(apply_fix(&plan, &cancel, &sender).await)
            });
        }
        PreflightEffect::CancelFix => performer.preflight.fix.cancel(),
    }
}

fn run(performer: &mut Performer, request: PreflightRequest) {
    let (local, sender) = (performer.local.clone(), performer.sender.clone());
    let contacting = Arc::clone(&performer.preflight.contacting_remote);
    // If this aborts a check that contacts the remote, it has to do so instead.
    let contact_remote = request.contact_remote || contacting.load(Ordering::Relaxed);
    contacting.store(contact_remote, Ordering::Relaxed);
    performer.spawn_in_lane(Lane::Preflight, async move {
        let request = PreflightRequest {
            contact_remote,
            ..request
        };
        let deltas = local.check(request).await;
        contacting.store(false, Ordering::Relaxed);
        send_all(&sender, deltas).await;
    });
}

async fn send_all(sender: &mpsc::Sender<Msg>, deltas: Vec<Delta>) {
    for delta in deltas {
        send(sender, Msg::World(delta)).await;
    }
}

/// Runs the commands of a fix and sends its progress.
async fn apply_fix(
    plan: &FixPlan,
    cancel: &CancellationToken,
    sender: &mpsc::Sender<Msg>,
) -> Result<(), FixFailure> {
    let progress = |progress: Progress| {
        // Dropped if the channel is full: the screen only misses a line.
        let _ = sender.try_send(Msg::Done(Outcome::FixProgress(progress)));
    };
    let applied = Box::pin(fix::apply(plan, cancel, progress)).await;
    applied.map(drop).map_err(|unfinished| FixFailure {
        offers: unfinished.why.offers(),
        why: unfinished.to_string(),
    })
}
