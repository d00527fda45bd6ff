//! What the console writes into the ledger and reads from it. A ledger that fails costs memory, never the work itself:
//! what goes wrong is said in the program's log.

use tokio::task::spawn_blocking;

use crate::{
    ledger::{Ledger, LedgerError},
    runs::Run,
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

/// The deleted runs it remembers.
pub(super) async fn removed_runs(ledger: Option<Ledger>) -> Vec<Run> {
    let Some(ledger) = ledger else {
        return Vec::new();
    };
    let listed = spawn_blocking(move || ledger.list().inspect_err(warn).unwrap_or_default()).await;
    let entries = listed.unwrap_or_default().into_iter();
    entries
        .filter(|entry| entry.removed.is_some())
        .map(|entry| entry.run)
        .collect()
}
