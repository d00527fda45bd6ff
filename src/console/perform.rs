//! Does the effects. The only place where the console spawns: it owns every task, and they end with it.

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    ConsoleOptions,
    effect::{Effect, Outcome},
    msg::Msg,
    world::Delta,
};
use crate::verbs;

/// Does effects in the background and reports by messages.
pub struct Performer {
    sender: mpsc::Sender<Msg>,
    tasks: JoinSet<()>,
    connected: tokio::sync::watch::Receiver<Option<verbs::Context>>,
}

impl Performer {
    /// Begins to connect.
    pub fn start(options: ConsoleOptions, sender: mpsc::Sender<Msg>) -> Self {
        let (announce, connected) = tokio::sync::watch::channel(None);
        let mut tasks = JoinSet::new();
        let report = sender.clone();
        tasks.spawn(async move {
            let delta = match options.connection.await {
                Ok(connected) => {
                    announce.send_replace(Some(verbs::Context {
                        client: connected.client,
                        namespace: connected.target.namespace.clone(),
                        settings: options.settings,
                    }));
                    Ok(connected.target)
                }
                Err(reason) => Err(reason),
            };
            send(&report, Msg::World(Delta::Cluster(delta))).await;
        });
        Self {
            sender,
            tasks,
            connected,
        }
    }

    /// Does these.
    pub fn perform(&mut self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            self.one(effect);
        }
        while self.tasks.try_join_next().is_some() {}
    }

    fn one(&mut self, effect: Effect) {
        match effect {
            // The loop itself leaves and suspends.
            Effect::Quit | Effect::Suspend => {}
            Effect::Stop(stop) => self.verb(async move |context| {
                stop.run(&context).await?;
                Ok(Outcome::Stopped(stop.name))
            }),
            Effect::Delete(delete) => self.verb(async move |context| {
                let deleted = delete.run(&context).await?;
                Ok(Outcome::Deleted(deleted.name))
            }),
            Effect::Retry(retry) => self.verb(async move |context| {
                retry.run(&context, None).await?;
                Ok(Outcome::Retried(retry.name))
            }),
            Effect::AddContext(add) => self.verb(async move |context| {
                add.run(&context).await?;
                Ok(Outcome::Retried(add.name))
            }),
            Effect::Detail(_) => {}
            Effect::ReadRepository
            | Effect::Check { .. }
            | Effect::Launch(_)
            | Effect::Browse(_)
            | Effect::Copy(_) => {}
        }
    }

    /// A verb on the cluster; it waits for the connection.
    fn verb<F>(&mut self, run: impl FnOnce(verbs::Context) -> F + Send + 'static)
    where
        F: Future<Output = Result<Outcome, verbs::VerbError>> + Send + 'static,
    {
        let mut connected = self.connected.clone();
        let sender = self.sender.clone();
        self.tasks.spawn(async move {
            let context = match connected.wait_for(Option::is_some).await {
                Ok(context) => context.clone(),
                Err(_) => None,
            };
            let outcome = match context {
                Some(context) => run(context)
                    .await
                    .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
                None => Outcome::Failed("there is no cluster to do this on".into()),
            };
            send(&sender, Msg::Done(outcome)).await;
        });
    }
}

/// Tells the console; when it has ended nobody needs to know.
async fn send(sender: &mpsc::Sender<Msg>, msg: Msg) {
    let _ = sender.send(msg).await;
}
