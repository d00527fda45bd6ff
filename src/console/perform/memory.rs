//! What the console writes into the ledger and reads from it. A ledger that fails costs memory, never the work itself:
//! what goes wrong is said in the program's log.

use std::path::PathBuf;

use jiff::Timestamp;
use tokio::task::spawn_blocking;

use crate::{
    ledger::{Ledger, LedgerError},
    runs::Run,
};

/// The ledger in that directory, if there is to be one.
pub(super) fn open(directory: Option<PathBuf>) -> Option<Ledger> {
    let opened = Ledger::open(directory?);
    opened.inspect_err(warn).ok()
}

pub(super) fn warn(error: &LedgerError) {
    tracing::warn!("{error}");
}

/// Keeps runs as they are now.
pub(super) async fn keep(ledger: &Option<Ledger>, runs: &[Run]) {
    let (Some(ledger), runs) = (ledger.clone(), runs.to_vec()) else {
        return;
    };
    let kept = spawn_blocking(move || {
        for run in &runs {
            let _ = ledger.record(run).inspect_err(warn);
        }
    });
    let _ = kept.await;
}

/// Notes that runs were deleted here.
pub(super) async fn removed(ledger: &Option<Ledger>, uids: &[String]) {
    let (Some(ledger), uids) = (ledger.clone(), uids.to_vec()) else {
        return;
    };
    let noted = spawn_blocking(move || {
        let by = std::env::var("USER").unwrap_or_else(|_| "the console".into());
        for uid in &uids {
            let _ = ledger
                .mark_removed(uid, &by, Timestamp::now())
                .inspect_err(warn);
        }
    });
    let _ = noted.await;
}

/// The deleted runs it remembers.
pub(super) async fn removed_runs(ledger: &Option<Ledger>) -> Vec<Run> {
    let Some(ledger) = ledger.clone() else {
        return Vec::new();
    };
    let listed = spawn_blocking(move || ledger.list().inspect_err(warn).unwrap_or_default()).await;
    let entries = listed.unwrap_or_default().into_iter();
    entries
        .filter(|entry| entry.removed.is_some())
        .map(|entry| entry.run)
        .collect()
}
