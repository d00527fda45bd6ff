//! Performs effects. The only place where the console spawns tasks; they are aborted with the [`Performer`].
//!
//! Each domain of effects has a handler in a module of its own.

mod cleanup;
mod connection;
mod desktop;
mod detail;
mod follow;
mod followers;
mod ledger;
mod local_context;
mod log_items;
mod performer;
mod plan;
mod preflight;
mod pull_request;
mod repository;
mod runs;
mod save;
mod send;

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};

pub(crate) use self::performer::Performer;
use self::{followers::Followers, local_context::LocalContext, performer::PreflightState};
use super::{connection::ConsoleOptions, effect::Effect, msg::Msg, world::Delta};
use flightdeck_host::repository::CommandLog;

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
            preflight: PreflightState::default(),
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
}
