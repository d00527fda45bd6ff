//! What the console writes into the ledger and reads from it. A ledger that fails costs memory, never the work itself:
//! what goes wrong is said in the program's log.

use std::collections::BTreeMap;

use tokio::task::spawn_blocking;

use crate::world::Progress;
use flightdeck_core::runs::{Run, estimate::FinishedRun};
use flightdeck_host::{
    ledger::{Ledger, LedgerError, Retention, Totals},
    settings::LedgerSettings,
};

/// Says it where it disturbs nobody.
pub(super) fn warn(error: &LedgerError) {
    tracing::warn!("{error}");
}

/// Keeps a run as it is now.
pub(super) async fn keep(ledger: Option<Ledger>, run: Run) {
    if let Some(ledger) = ledger {
        let kept = spawn_blocking(move || ledger.record(&run).inspect_err(warn).is_ok());
        // Said already when it failed.
        let _ = kept.await;
    }
}

/// Keeps what was counted of a run: an agent that is killed may not have said it.
pub(super) async fn totals(ledger: Option<Ledger>, run: &str, progress: &Progress) {
    let totals = Totals {
        usage: progress.usage,
        documents: progress.documents,
    };
    let uid = run.to_owned();
    if let Some(ledger) = ledger.filter(|_| totals != Totals::default()) {
        let kept = spawn_blocking(move || ledger.record_totals(&uid, &totals).inspect_err(warn));
        // Said already when it failed.
        let _ = kept.await;
    }
}

/// Removes what the settings no longer keep, once, where nobody waits for it.
pub(super) fn tidy(
    tasks: &mut tokio::task::JoinSet<()>,
    ledger: Option<Ledger>,
    settings: &LedgerSettings,
) {
    let retention = Retention::of(settings);
    if let Some(ledger) = ledger {
        tasks.spawn_blocking(move || {
            let plan = ledger.plan_prune(&retention, jiff::Timestamp::now());
            let pruned = plan.and_then(|plan| ledger.prune(&plan)).inspect_err(warn);
            for run in pruned.unwrap_or_default() {
                tracing::info!(run = run.name, why = run.why, "is kept no longer");
            }
        });
    }
}

/// The runs it remembers that were deleted, or that have ended: of those the cluster may have deleted some by itself.
pub(super) async fn removed_runs(ledger: Option<Ledger>) -> Vec<Run> {
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

/// The files that a run's agent was given.
pub(super) async fn files(ledger: Option<Ledger>, run: &str) -> Option<BTreeMap<String, String>> {
    let (ledger, uid) = (ledger?, run.to_owned());
    let read = spawn_blocking(move || ledger.files(&uid).inspect_err(warn));
    read.await.ok()?.ok()?
}

/// What runs took and cost that have ended.
pub(super) async fn earlier(ledger: Option<Ledger>) -> Vec<FinishedRun> {
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
