//! Reads and writes the ledger. Its errors are logged and never fail other work.

use std::collections::BTreeMap;

use tokio::task::{JoinSet, spawn_blocking};

use super::{performer::Performer, send::send};
use crate::{
    effect::LedgerEffect,
    msg::Msg,
    world::{Delta, Progress},
};
use flightdeck_core::runs::{Run, estimate::FinishedRun};
use flightdeck_host::{
    ledger::{Ledger, LedgerError, Retention, Totals},
    settings::LedgerSettings,
};

pub(super) fn perform(performer: &mut Performer, effect: LedgerEffect) {
    let (ledger, sender) = (performer.ledger.clone(), performer.sender.clone());
    match effect {
        LedgerEffect::LoadFinishedRuns => performer.tasks.spawn(async move {
            let finished = finished_runs(ledger).await;
            send(&sender, Msg::World(Delta::FinishedRuns(finished))).await;
        }),
        LedgerEffect::LoadArchivedRuns => performer.tasks.spawn(async move {
            for run in archived_runs(ledger).await {
                send(&sender, Msg::World(Delta::ArchivedRun(Box::new(run)))).await;
            }
        }),
    };
}

/// Writes the error to the log file.
pub(super) fn warn(error: &LedgerError) {
    tracing::warn!("{error}");
}

/// Records the current state of a run.
pub(super) async fn record(ledger: Option<Ledger>, run: Run) {
    if let Some(ledger) = ledger {
        // Errors are already logged.
        let _ = spawn_blocking(move || ledger.record(&run).inspect_err(warn).is_ok()).await;
    }
}

/// Records usage and documents counted from the log: an agent that is killed does not report them.
pub(super) async fn record_totals(ledger: Option<Ledger>, run: &str, progress: &Progress) {
    let totals = Totals {
        usage: progress.usage,
        documents: progress.documents,
    };
    let uid = run.to_owned();
    if let Some(ledger) = ledger.filter(|_| totals != Totals::default()) {
        // Errors are already logged.
        let _ = spawn_blocking(move || ledger.record_totals(&uid, &totals).inspect_err(warn)).await;
    }
}

/// Prunes the ledger once, in the background, by the retention settings.
pub(super) fn spawn_prune(
    tasks: &mut JoinSet<()>,
    ledger: Option<Ledger>,
    settings: &LedgerSettings,
) {
    let retention = Retention::of(settings);
    if let Some(ledger) = ledger {
        tasks.spawn_blocking(move || {
            let plan = ledger.plan_prune(&retention, jiff::Timestamp::now());
            let pruned = plan.and_then(|plan| ledger.prune(&plan)).inspect_err(warn);
            for run in pruned.unwrap_or_default() {
                tracing::info!(run = run.name, why = run.why, "pruned from the ledger");
            }
        });
    }
}

/// Loads the archived runs that were deleted, or that have finished: the cluster may have deleted these itself.
async fn archived_runs(ledger: Option<Ledger>) -> Vec<Run> {
    let Some(ledger) = ledger else {
        return Vec::new();
    };
    let listed = spawn_blocking(move || ledger.list().inspect_err(warn).unwrap_or_default()).await;
    let entries = listed.unwrap_or_default().into_iter();
    entries
        .filter(|entry| entry.removed.is_some() || entry.run.ended())
        .map(|entry| entry.run)
        .collect()
}

/// Loads the files that a run's agent received.
pub(super) async fn files(ledger: Option<Ledger>, run: &str) -> Option<BTreeMap<String, String>> {
    let (ledger, uid) = (ledger?, run.to_owned());
    let read = spawn_blocking(move || ledger.files(&uid).inspect_err(warn));
    read.await.ok()?.ok()?
}

/// Loads durations and costs of finished runs.
async fn finished_runs(ledger: Option<Ledger>) -> Vec<FinishedRun> {
    let Some(ledger) = ledger else {
        return Vec::new();
    };
    let listed = spawn_blocking(move || ledger.list().inspect_err(warn).unwrap_or_default()).await;
    let entries = listed.unwrap_or_default().into_iter();
    entries
        .filter_map(|entry| {
            let cost = entry.usage().map_or(0, |usage| usage.cost_micro_usd);
            Some(FinishedRun {
                cost_micro_usd: cost,
                ..FinishedRun::of(&entry.run)?
            })
        })
        .collect()
}
