//! Archives runs in the ledger, and reads archived logs.

mod archived_log;
mod controller;

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use tokio::task::spawn_blocking;

pub use self::archived_log::{ArchivedLog, archived_log};
use super::{ClusterContext, VerbError};
use flightdeck_core::{
    log::{LogEvent, LogSource},
    runs::Run,
};
use flightdeck_host::{
    cluster::logs::{self, FollowOptions, RunRef, follow_run},
    ledger::{Ledger, LedgerError, LogWriter},
};

/// Maximum time to read the log of a finished run.
const COPY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often to check whether another process has finished writing the log.
const WRITER_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum number of events per write.
const CHUNK: usize = 256;

/// Archives a run, its files, and the log that is still on the cluster.
pub async fn archive_run(context: &ClusterContext, run: &Run) -> Result<(), VerbError> {
    let Some(ledger) = context.ledger.clone() else {
        return Ok(());
    };
    let copied = tokio::time::timeout(COPY_TIMEOUT, copy_log(context, &ledger, run)).await;
    let copied = copied.unwrap_or_else(|_| {
        tracing::warn!(
            run = run.name(),
            "reading the log timed out; archiving a part of it"
        );
        Ok(())
    });
    let files = match &run.status.config_map_name {
        Some(name) => files(context, name).await,
        None => None,
    };
    let (uid, object) = (run.uid().to_owned(), run.clone());
    let recorded = blocking(move || {
        ledger.record(&object)?;
        files.map_or(Ok(()), |files| ledger.record_files(&uid, &files))
    });
    let recorded = match copied {
        Ok(()) => recorded.await,
        failed => failed,
    };
    recorded.map_err(|error| {
        VerbError::Failed(format!("run {} could not be archived: {error}", run.name()))
    })
}

/// Imports the logs that the controller archived of pods that are gone.
pub async fn import_archived(context: &ClusterContext, run: &Run) {
    if let Some(ledger) = &context.ledger {
        let live = live_sources(context, run).await;
        controller::import(context, ledger, run, &live).await;
    }
}

/// Returns the files of the run's agent; `None` if the ConfigMap does not exist.
async fn files(context: &ClusterContext, name: &str) -> Option<BTreeMap<String, String>> {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    api.get_opt(name).await.ok()??.data
}

/// Copies the log from the cluster to the ledger.
async fn copy_log(context: &ClusterContext, ledger: &Ledger, run: &Run) -> Result<(), LedgerError> {
    let live = live_sources(context, run).await;
    controller::import(context, ledger, run, &live).await;
    let mut archiver = loop {
        if is_archived(ledger, run, &live).await? {
            return Ok(());
        }
        let archiver = LogArchiver::open(Some(ledger.clone()), run.uid()).await?;
        if archiver.writer.is_some() {
            break archiver;
        }
        // Another process writes the log. It finishes soon if the run has ended.
        if !run.ended() {
            return Ok(());
        }
        tokio::time::sleep(WRITER_POLL_INTERVAL).await;
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
        archiver.append(&Arc::new(chunk)).await?;
    }
    Ok(())
}

/// Whether the ledger has the complete log of each live source.
async fn is_archived(
    ledger: &Ledger,
    run: &Run,
    live: &[Arc<LogSource>],
) -> Result<bool, LedgerError> {
    let (ledger, uid) = (ledger.clone(), run.uid().to_owned());
    let known = blocking(move || ledger.log_sources(&uid)).await?;
    Ok(live
        .iter()
        .all(|source| known.contains(&(source.as_ref().clone(), true))))
}

/// Lists the containers whose log is on the cluster; none if they cannot be listed.
async fn live_sources(context: &ClusterContext, run: &Run) -> Vec<Arc<LogSource>> {
    let sources = logs::sources(&context.client, &context.namespace, &RunRef::from(run)).await;
    sources
        .inspect_err(|error| tracing::warn!(run = run.name(), %error, "cannot list the pods"))
        .unwrap_or_default()
}

/// Archives the log of a run while it is followed. Writes on blocking threads.
#[derive(Debug, Default)]
pub struct LogArchiver {
    writer: Option<LogWriter>,
}

impl LogArchiver {
    /// Opens the log. Archives nothing without a ledger, or while another process writes the log.
    pub async fn open(ledger: Option<Ledger>, uid: &str) -> Result<Self, LedgerError> {
        let Some(ledger) = ledger else {
            return Ok(Self::default());
        };
        let uid = uid.to_owned();
        let writer = blocking(move || ledger.log_writer(&uid)).await?;
        Ok(Self { writer })
    }

    /// Writes events. After an error, nothing more is archived.
    pub async fn append(&mut self, events: &Arc<Vec<LogEvent>>) -> Result<(), LedgerError> {
        let Some(mut writer) = self.writer.take() else {
            return Ok(());
        };
        let events = Arc::clone(events);
        let writer = blocking(move || writer.append(&events).map(|()| writer)).await?;
        self.writer = Some(writer);
        Ok(())
    }
}

/// Runs work on the ledger on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        // The runtime is shutting down, or the work panicked.
        Err(error) => Err(LedgerError::Io {
            path: "ledger".into(),
            source: std::io::Error::other(error),
        }),
    }
}
