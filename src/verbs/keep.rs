//! Keeps a run in the ledger: what `delete` does first, so that nothing is lost with the pods.

use std::{pin::pin, time::Duration};

use futures::StreamExt;

use super::{Context, VerbError};
use crate::{
    cluster::logs::{FollowOptions, RunRef, follow_run},
    ledger::{Ledger, LedgerError},
    runs::Run,
};

/// How long reading the log of a run that has ended may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events that are written at once.
const CHUNK: usize = 256;

/// Writes the run as it is, and what the cluster still has of its log, into the ledger.
pub async fn keep(context: &Context, run: &Run) -> Result<(), VerbError> {
    let Some(ledger) = context.ledger.clone() else {
        return Ok(());
    };
    let copied = tokio::time::timeout(PATIENCE, copy_log(context, &ledger, run)).await;
    let copied = copied.unwrap_or_else(|_| {
        tracing::warn!(
            run = run.name(),
            "its log could not be read to the end before it was deleted"
        );
        Ok(())
    });
    let recorded = copied.and_then(|()| ledger.record(run));
    recorded.map_err(|error| {
        VerbError::Failed(format!("run {} could not be recorded: {error}", run.name()))
    })
}

async fn copy_log(context: &Context, ledger: &Ledger, run: &Run) -> Result<(), LedgerError> {
    // Where another process writes the log it is being kept already.
    let Some(mut spool) = ledger.spool(run.uid())? else {
        return Ok(());
    };
    let options = FollowOptions::until(std::future::ready(()));
    let events = follow_run(
        &context.client,
        &context.namespace,
        &RunRef::from(run),
        options,
    );
    let mut chunks = pin!(events.ready_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        spool.append(&chunk)?;
    }
    Ok(())
}
