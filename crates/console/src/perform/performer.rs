//! The state of the I/O layer, and how its tasks are spawned.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    connection::Connection, followers::Followers, local_context::LocalContext, send::send,
};
use crate::{effect::Outcome, msg::Msg};
use flightdeck_host::{ledger::Ledger, repository::CommandLog};
use flightdeck_verbs::{Context, VerbError};

/// A kind of work where only the newest matters: new work aborts the work in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    Preflight,
    Log,
    Detail,
}

/// Performs effects in the background and reports their outcomes as messages.
pub(crate) struct Performer {
    pub(super) local: Arc<LocalContext>,
    pub(super) sender: mpsc::Sender<Msg>,
    pub(super) tasks: JoinSet<()>,
    pub(super) lanes: HashMap<Lane, AbortHandle>,
    pub(super) connection: Connection,
    pub(super) ledger: Option<Ledger>,
    pub(super) followers: Followers,
    pub(super) preflight: PreflightState,
    /// Records the git commands that are run for the user.
    pub(super) log: CommandLog,
}

/// The checks and the fix in progress.
#[derive(Default)]
pub(super) struct PreflightState {
    /// The check in progress contacts the remote.
    pub(super) contacting_remote: Arc<AtomicBool>,
    /// Cancels the running fix.
    pub(super) fix: CancellationToken,
}

impl Performer {
    /// Spawns work in a lane.
    pub(super) fn spawn_in_lane(
        &mut self,
        lane: Lane,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(recording(self.log.clone(), work));
        if let Some(older) = self.lanes.insert(lane, handle) {
            older.abort();
        }
    }

    /// Aborts the work in a lane.
    pub(super) fn abort_lane(&mut self, lane: Lane) {
        if let Some(handle) = self.lanes.remove(&lane) {
            handle.abort();
        }
    }

    /// Spawns work that runs beside all other work, and reports its outcome.
    pub(super) fn spawn_detached(&mut self, work: impl Future<Output = Outcome> + Send + 'static) {
        let sender = self.sender.clone();
        let work = recording(self.log.clone(), work);
        self.tasks
            .spawn(async move { send(&sender, Msg::Done(work.await)).await });
    }

    /// Spawns a verb, which waits for the connection to the cluster.
    pub(super) fn spawn_verb<F>(&mut self, run: impl FnOnce(Context) -> F + Send + 'static)
    where
        F: Future<Output = Result<Outcome, VerbError>> + Send + 'static,
    {
        let connection = self.connection.clone();
        let start = self.local.start().to_owned();
        self.spawn_detached(async move {
            match connection.ready().await {
                Ok(cluster) => run(Context::connected(start, cluster.as_ref().clone()))
                    .await
                    .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
                Err(sentence) => Outcome::Failed(sentence),
            }
        });
    }
}

/// Runs work, recording the git commands that it runs.
async fn recording<T>(log: CommandLog, work: impl Future<Output = T>) -> T {
    // Boxed: these futures are large, and each wrapper would copy them.
    log.record(Box::pin(work)).await
}
