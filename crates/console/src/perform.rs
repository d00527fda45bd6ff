//! Performs effects. The only place where the console spawns tasks; they are aborted with the [`Performer`].
//!
//! Each domain of effects has a handler in a module of its own.

mod cleanup;
mod connection;
mod desktop;
mod detail;
mod follow;
mod ledger;
mod local_context;
mod plan;
mod preflight;
mod repository;
mod runs;

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use self::{connection::Connection, follow::Followers, local_context::LocalContext};
use super::{
    connection::ConsoleOptions,
    effect::{Effect, Outcome},
    msg::Msg,
    world::Delta,
};
use flightdeck_host::{ledger::Ledger, repository::CommandLog};
use flightdeck_verbs::{Context, VerbError};

/// A kind of work of which only the newest matters: new work aborts the work in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Preflight,
    Log,
    Detail,
}

/// Performs effects in the background and reports their outcomes as messages.
pub(crate) struct Performer {
    local: Arc<LocalContext>,
    sender: mpsc::Sender<Msg>,
    tasks: JoinSet<()>,
    lanes: HashMap<Lane, AbortHandle>,
    connection: Connection,
    ledger: Option<Ledger>,
    followers: Followers,
    preflight: preflight::State,
    /// Records the git commands that are run for the user.
    log: CommandLog,
}

impl Performer {
    /// Starts to connect to the cluster and to watch the repository.
    pub(crate) fn start(options: ConsoleOptions, sender: mpsc::Sender<Msg>) -> Self {
        let mut tasks = JoinSet::new();
        let settings = options.settings;
        let local = Arc::new(LocalContext::new(options.start, settings.clone()));
        local_context::spawn_watch(&mut tasks, &local, &sender);
        if settings.ui.remote_interval > 0 {
            local_context::spawn_poll_timer(&mut tasks, &local, &sender);
        }
        ledger::spawn_prune(&mut tasks, options.ledger.clone(), &settings.ledger);
        let (connection, connecting) = connection::start(
            options.connect,
            local.clone(),
            settings,
            options.ledger.clone(),
            sender.clone(),
        );
        tasks.spawn(connecting);
        let commands = sender.clone();
        let log = CommandLog::new(move |command| {
            // Dropped if the channel is full: the log only misses a line.
            let _ = commands.try_send(Msg::World(Delta::CommandRan(Arc::new(command))));
        });
        Self {
            local,
            sender,
            tasks,
            lanes: HashMap::new(),
            connection,
            ledger: options.ledger,
            followers: Followers::default(),
            preflight: preflight::State::default(),
            log,
        }
    }

    pub(crate) fn perform(&mut self, effects: impl IntoIterator<Item = Effect>) {
        // Release the tasks that have finished.
        while self.tasks.try_join_next().is_some() {}
        for effect in effects {
            match effect {
                // Performed by the event loop.
                Effect::Terminal(_) => {}
                Effect::Connection(effect) => self.connection.perform(effect),
                Effect::Preflight(effect) => preflight::perform(self, effect),
                Effect::Plan(effect) => plan::perform(self, effect),
                Effect::Repository(effect) => repository::perform(self, effect),
                Effect::Run(effect) => runs::perform(self, effect),
                Effect::Cleanup(effect) => cleanup::perform(self, effect),
                Effect::Ledger(effect) => ledger::perform(self, effect),
                Effect::Log(effect) => follow::perform(self, effect),
                Effect::Desktop(effect) => desktop::perform(self, effect),
                Effect::Detail(request) => detail::perform(self, request),
            }
        }
    }

    /// Spawns work in a lane.
    fn spawn_in_lane(&mut self, lane: Lane, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(recording(self.log.clone(), work));
        if let Some(older) = self.lanes.insert(lane, handle) {
            older.abort();
        }
    }

    /// Aborts the work in a lane.
    fn abort_lane(&mut self, lane: Lane) {
        if let Some(handle) = self.lanes.remove(&lane) {
            handle.abort();
        }
    }

    /// Spawns work that runs beside all other work, and reports its outcome.
    fn spawn_detached(&mut self, work: impl Future<Output = Outcome> + Send + 'static) {
        let sender = self.sender.clone();
        let work = recording(self.log.clone(), work);
        self.tasks
            .spawn(async move { send(&sender, Msg::Done(work.await)).await });
    }

    /// Spawns a verb, which waits for the connection to the cluster.
    fn spawn_verb<F>(&mut self, run: impl FnOnce(Context) -> F + Send + 'static)
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

/// Sends a message to the console, if it still runs.
async fn send(sender: &mpsc::Sender<Msg>, msg: Msg) {
    let _ = sender.send(msg).await;
}
