//! Does the effects. The only place where the console spawns: it owns every task, and they end with it.

mod desk;
mod desktop;
mod detail;
mod follow;
mod memory;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, pin_mut};
use jiff::Timestamp;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use super::{
    Connect, Connected, ConsoleOptions,
    effect::{Effect, Followed, Inquiry, Outcome},
    msg::Msg,
    panels::detail::Want,
    world::Delta,
};
use flightdeck_host::{cluster, ledger::Ledger, repository::CommandLog};
use flightdeck_verbs::VerbError;

/// How long after a first try at the cluster the next one is made; twice as long each time.
const SHORTEST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A kind of work of which only the newest matters: a new one aborts the one under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Preflight,
    Log,
    Detail,
}

/// Does effects in the background and reports by messages.
pub struct Performer {
    desk: Arc<Desk>,
    sender: mpsc::Sender<Msg>,
    tasks: JoinSet<()>,
    lanes: HashMap<Lane, AbortHandle>,
    connection: watch::Receiver<Connection>,
    /// Told when a person does not want to wait for the next try at the cluster.
    retry: Arc<Notify>,
    ledger: Option<Ledger>,
    followers: follow::Followers,
    /// The look at the desk that is under way asks the remote.
    asking: Arc<AtomicBool>,
    /// Ends the fix under way.
    fixing: CancellationToken,
    log: CommandLog,
}

/// How far the connection is.
#[derive(Clone)]
enum Connection {
    Waiting,
    Ready(Arc<flightdeck_verbs::Context>),
    Failed(String),
}

impl Performer {
    /// Begins to connect.
    pub fn start(options: ConsoleOptions, sender: mpsc::Sender<Msg>) -> Self {
        let (announce, connection) = watch::channel(Connection::Waiting);
        let mut tasks = JoinSet::new();
        let ledger = options.ledger.clone();
        let report = sender.clone();
        let desk = Arc::new(Desk::new(options.start, options.settings.clone()));
        let (watching, changed) = (desk.clone(), sender.clone());
        tasks.spawn(async move { watching.watch(&changed).await });
        let seconds = options.settings.ui.remote_interval;
        if seconds > 0 {
            let (due, looking) = (sender.clone(), desk.clone());
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(looking.until_next_look()).await;
                    send(&due, Msg::Done(Outcome::RemoteDue)).await;
                }
            });
        }
        let taken_down = sender.clone();
        let log = CommandLog::new(move |command| {
            // A channel that is full loses a line of the log and nothing else.
            let _ = taken_down.try_send(Msg::World(Delta::Ran(Arc::new(command))));
        });
        memory::tidy(&mut tasks, options.ledger.clone(), &options.settings.ledger);
        let retry = Arc::new(Notify::new());
        let asked = Arc::clone(&retry);
        let asking = desk.clone();
        tasks.spawn(async move {
            let connected = connect(&options.connect, &asked, &announce, &report).await;
            asking.found(&connected);
            let context = flightdeck_verbs::Context {
                client: connected.client,
                namespace: connected.target.namespace.clone(),
                settings: options.settings,
                ledger: options.ledger,
            };
            send(&report, Msg::World(Delta::Cluster(connected.target))).await;
            for notice in connected.notices {
                send(&report, Msg::Done(Outcome::Noted(notice))).await;
            }
            let deltas = cluster::watch_runs(&context.client, &context.namespace);
            announce.send_replace(Connection::Ready(Arc::new(context)));
            pin_mut!(deltas);
            while let Some(delta) = deltas.next().await {
                send(&report, Msg::World(Delta::Watch(Box::new(delta)))).await;
            }
        });
        Self {
            desk,
            sender,
            tasks,
            lanes: HashMap::new(),
            connection,
            retry,
            ledger,
            followers: follow::Followers::default(),
            asking: Arc::default(),
            fixing: CancellationToken::new(),
            log,
        }
    }

    /// Does these.
    pub fn perform(&mut self, effects: impl IntoIterator<Item = Effect>) {
        while self.tasks.try_join_next().is_some() {}
        for effect in effects {
            self.one(effect);
        }
    }

    fn one(&mut self, effect: Effect) {
        match effect {
            // The loop itself does what is the terminal's.
            Effect::Quit
            | Effect::Suspend
            | Effect::Edit(..)
            | Effect::Notify(_)
            | Effect::Seen => {}
            Effect::Connect => self.retry.notify_one(),
            Effect::Inspect(inquiry) => {
                let (desk, sender) = (self.desk.clone(), self.sender.clone());
                // A look that takes the place of one that asks the remote asks it too: the question is not lost.
                let asking = Arc::clone(&self.asking);
                let ask = inquiry.ask || asking.load(Ordering::Relaxed);
                asking.store(ask, Ordering::Relaxed);
                self.lane(Lane::Preflight, async move {
                    let found = desk.inspect(Inquiry { ask, ..inquiry }).await;
                    asking.store(false, Ordering::Relaxed);
                    for delta in found {
                        send(&sender, Msg::World(delta)).await;
                    }
                });
            }
            // A question that the person asked and that is not answered yet goes before a quiet look.
            Effect::Glance(inquiry) if self.asking.load(Ordering::Relaxed) => {
                self.one(Effect::Inspect(inquiry));
            }
            Effect::Glance(inquiry) => {
                let (desk, sender) = (self.desk.clone(), self.sender.clone());
                self.lane(Lane::Preflight, async move {
                    for delta in desk.glance(inquiry).await {
                        send(&sender, Msg::World(delta)).await;
                    }
                });
            }
            Effect::PlanFix(inquiry, fix) => {
                let desk = self.desk.clone();
                self.detached(async move {
                    match desk.plan_fix(inquiry, fix).await {
                        Ok(sheet) => Outcome::FixPlanned(Box::new(sheet)),
                        Err(failure) => Outcome::Fixed(Err(failure)),
                    }
                });
            }
            Effect::ApplyFix(sheet) => {
                let cancel = CancellationToken::new();
                self.fixing = cancel.clone();
                let sender = self.sender.clone();
                self.detached(async move {
                    Outcome::Fixed(desk::apply_fix(&sheet, &cancel, &sender).await)
                });
            }
            Effect::CancelFix => self.fixing.cancel(),
            Effect::SetStatus(verbs) => {
                let desk = self.desk.clone();
                self.detached(async move {
                    let mut changes = Vec::new();
                    for verb in verbs {
                        match verb.run(desk.start()).await {
                            Ok(set) => changes.extend(set.changes),
                            Err(error) => return Outcome::Failed(error.to_string()),
                        }
                    }
                    Outcome::StatusSet(changes)
                });
            }
            Effect::Launch(inquiry, launch) => {
                let desk = self.desk.clone();
                self.verb(async move |context| {
                    let (facts, report) = desk.facts(inquiry).await;
                    let subject = flightdeck_verbs::Subject::of(&facts, &report)?;
                    let run = launch.run(&context, &subject).await?;
                    Ok(Outcome::Launched(run.name().to_owned()))
                });
            }
            Effect::Clean(plan) => {
                let sender = self.sender.clone();
                self.verb(async move |context| {
                    // A channel that is full loses a name on screen and nothing else.
                    let progress = |name: &str| {
                        let _ = sender.try_send(Msg::Done(Outcome::Cleaning(name.to_owned())));
                    };
                    Ok(Outcome::Cleaned(plan.apply(&context, progress).await))
                });
            }
            Effect::Stop(stop) => self.verb(async move |context| {
                stop.run(&context).await?;
                Ok(Outcome::Stopped(stop.name))
            }),
            Effect::Delete(delete) => self.verb(async move |context| {
                let deleted = delete.run(&context).await?;
                Ok(Outcome::Deleted(deleted.name))
            }),
            Effect::Retry(retry) => {
                let desk = self.desk.clone();
                self.verb(async move |context| {
                    retry.run(&context, desk.start()).await?;
                    Ok(Outcome::Retried(retry.name))
                });
            }
            Effect::AddContext(advice) => self.verb(async move |context| {
                advice.run(&context).await?;
                Ok(Outcome::ContextAdded(advice.name))
            }),
            Effect::Browse(url) => {
                let done = desktop::browse(&url, |name| std::env::var(name).ok());
                self.report(done.map(|()| None));
            }
            Effect::Copy(text) => {
                let done = desktop::copy(&text, std::io::stdout());
                self.report(done.map(|()| Some(Outcome::Copied(text))));
            }
            Effect::PlanMerge(branch) => {
                let desk = self.desk.clone();
                self.detached(async move {
                    Outcome::MergePlanned(desk.plan_merge(&branch).await.map(Box::new))
                });
            }
            Effect::Merge(plan) => {
                let desk = self.desk.clone();
                self.detached(async move { Outcome::Merged(desk.merge(&plan).await) });
            }
            Effect::Tally => {
                let (ledger, sender) = (self.ledger.clone(), self.sender.clone());
                self.tasks.spawn(async move {
                    let earlier = memory::earlier(ledger).await;
                    send(&sender, Msg::World(Delta::Earlier(earlier))).await;
                });
            }
            Effect::Remember => {
                let (ledger, sender) = (self.ledger.clone(), self.sender.clone());
                self.tasks.spawn(async move {
                    for run in memory::removed_runs(ledger).await {
                        send(&sender, Msg::World(Delta::Remembered(Box::new(run)))).await;
                    }
                });
            }
            Effect::Follow(followed) => {
                let listening = self.followers.progress(&followed.run);
                self.follow(followed, listening);
            }
            Effect::Detail(Want::Log {
                run,
                name,
                kind,
                removed: false,
            }) => {
                // What the ledger told is not listened to any more.
                self.lane(Lane::Log, std::future::ready(()));
                let listening = self.followers.show(&run);
                self.follow(Followed { run, name, kind }, listening);
            }
            Effect::Detail(want) => {
                if let Want::Log { .. } | Want::LeaveLog = want {
                    self.followers.leave();
                }
                let lane = match want {
                    Want::Log { .. } | Want::LeaveLog => Some(Lane::Log),
                    Want::Search(..) | Want::LookOn | Want::Save { .. } => None,
                    _ => Some(Lane::Detail),
                };
                let (connection, sender) = (self.connection.clone(), self.sender.clone());
                let ledger = self.ledger.clone();
                let work = async move {
                    let context = if detail::needs_cluster(&want) {
                        connected(connection).await
                    } else {
                        Err(String::new())
                    };
                    Box::pin(detail::answer(want, context, ledger, sender)).await;
                };
                match lane {
                    Some(lane) => self.lane(lane, work),
                    None => drop(self.tasks.spawn(work)),
                }
            }
        }
    }

    /// Begins to follow a run, unless somebody does.
    fn follow(&mut self, followed: Followed, listening: Option<follow::Listening>) {
        let Some(listening) = listening else {
            return;
        };
        let ledger = self.ledger.clone();
        let (connection, sender) = (self.connection.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            match connected(connection).await {
                Ok(context) => {
                    Box::pin(follow::follow(
                        &context, followed, listening, ledger, &sender,
                    ))
                    .await;
                }
                Err(why) => follow::unreachable(followed.run, listening, why, &sender).await,
            }
        });
    }

    fn lane(&mut self, lane: Lane, work: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(recording(self.log.clone(), work));
        if let Some(older) = self.lanes.insert(lane, handle) {
            older.abort();
        }
    }

    fn detached(&mut self, work: impl Future<Output = Outcome> + Send + 'static) {
        let sender = self.sender.clone();
        let work = recording(self.log.clone(), work);
        self.tasks
            .spawn(async move { send(&sender, Msg::Done(work.await)).await });
    }

    fn report(&mut self, done: Result<Option<Outcome>, String>) {
        let outcome = done.unwrap_or_else(|sentence| Some(Outcome::Failed(sentence)));
        if let Some(outcome) = outcome {
            self.detached(async move { outcome });
        }
    }

    /// A verb on the cluster; it waits for the connection.
    fn verb<F>(&mut self, run: impl FnOnce(Arc<flightdeck_verbs::Context>) -> F + Send + 'static)
    where
        F: Future<Output = Result<Outcome, VerbError>> + Send + 'static,
    {
        let connection = self.connection.clone();
        let (sender, log) = (self.sender.clone(), self.log.clone());
        self.tasks.spawn(async move {
            let outcome = match connected(connection).await {
                Ok(context) => recording(log, run(context))
                    .await
                    .unwrap_or_else(|error| Outcome::Failed(error.to_string())),
                Err(sentence) => Outcome::Failed(sentence),
            };
            send(&sender, Msg::Done(outcome)).await;
        });
    }
}

/// The work, with every command it runs on the person's behalf taken down.
async fn recording<T>(log: CommandLog, work: impl Future<Output = T>) -> T {
    // On the heap: these are large, and each layer around them would copy them.
    log.record(Box::pin(work)).await
}

/// Tries until the cluster answers, waiting longer each time; whoever asks need not wait.
async fn connect(
    connect: &Connect,
    asked: &Notify,
    announce: &watch::Sender<Connection>,
    report: &mpsc::Sender<Msg>,
) -> Connected {
    let mut wait = SHORTEST_WAIT;
    loop {
        let reason = match connect().await {
            Ok(connected) => return connected,
            Err(reason) => reason,
        };
        announce.send_replace(Connection::Failed(reason.clone()));
        let again = Timestamp::now() + wait;
        send(report, Msg::World(Delta::Unreachable(reason, again))).await;
        // Either way the next try begins: the time is over, or somebody asks.
        let _ = tokio::time::timeout(wait, asked.notified()).await;
        send(report, Msg::World(Delta::Connecting)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// The connection as soon as it stands.
async fn connected(
    mut connection: watch::Receiver<Connection>,
) -> Result<Arc<flightdeck_verbs::Context>, String> {
    let settled = connection
        .wait_for(|connection| !matches!(connection, Connection::Waiting))
        .await;
    match settled.as_deref() {
        Ok(Connection::Ready(context)) => Ok(context.clone()),
        Ok(Connection::Failed(reason)) => Err(reason.clone()),
        Ok(Connection::Waiting) | Err(_) => Err("there is no cluster to do this on".into()),
    }
}

/// Tells the console; when it has ended nobody needs to know.
async fn send(sender: &mpsc::Sender<Msg>, msg: Msg) {
    let _ = sender.send(msg).await;
}
