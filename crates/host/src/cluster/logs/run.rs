//! All the containers of a run, found as they appear.

use std::{
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt, SinkExt, Stream, StreamExt,
    channel::mpsc::Sender,
    future::{self, BoxFuture},
    stream::{self, BoxStream, SelectAll},
};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{Api, Client, api::ListParams, core::DeserializeGuard};
use tokio::sync::watch;

use super::{
    Patience,
    source::{self, Life, Subject},
};
use crate::cluster::{
    back_off::{BackOff, Tries},
    drive::drive,
    kind_watch::{Change, Selection, watch_kind},
};
use flightdeck_core::{
    log::{LogEvent, LogSource},
    runs::{Run, Stage, naming},
};

/// Which run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RunRef {
    pub name: String,
    pub uid: String,
}

impl From<&Run> for RunRef {
    fn from(run: &Run) -> Self {
        Self {
            name: run.name().to_owned(),
            uid: run.uid().to_owned(),
        }
    }
}

/// How a run is followed.
pub struct FollowOptions {
    /// Resolves when the run is over: what has ended by then is read to its end, then the stream ends.
    pub until: BoxFuture<'static, ()>,
    pub back_off: BackOff,
    pub patience: Patience,
    /// How long lines that trickle may gather before they are told; zero tells each as it comes. The first after a silence
    /// is told at once all the same.
    pub gather: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            until: future::pending().boxed(),
            back_off: BackOff::default(),
            patience: Patience::default(),
            gather: Duration::ZERO,
        }
    }
}

impl FollowOptions {
    /// Follows until `finished` resolves, for example [`crate::cluster::finished`].
    pub fn until(finished: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            until: finished.boxed(),
            ..Self::default()
        }
    }
}

/// Tries of the last look at the pods.
const LAST_LOOKS: usize = 5;

/// The log of a run, from its first line on. Containers that ended are read one after the other, in the order they ran; one
/// that runs is read as it writes.
pub fn follow_run(
    client: &Client,
    namespace: &str,
    run: &RunRef,
    options: FollowOptions,
) -> impl Stream<Item = LogEvent> + Send + use<> {
    follow_run_in_chunks(client, namespace, run, options).flat_map(stream::iter)
}

/// The same, as many events at a time as were at hand; no chunk is empty.
pub fn follow_run_in_chunks(
    client: &Client,
    namespace: &str,
    run: &RunRef,
    options: FollowOptions,
) -> impl Stream<Item = Vec<LogEvent>> + Send + use<> {
    let labels = format!("{}={}", naming::LABEL_RUN_UID, run.uid);
    let guarded = Api::<DeserializeGuard<Pod>>::namespaced(client.clone(), namespace);
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    drive(async move |out| {
        let selection = Selection {
            labels: Some(labels.clone()),
            fields: None,
        };
        let mut changes = pin!(watch_kind(guarded.clone(), selection, options.back_off));
        let mut follow = Follow {
            api,
            back_off: options.back_off,
            patience: options.patience,
            gather: options.gather,
            out,
            known: HashMap::new(),
            waiting: BTreeMap::new(),
            reading: SelectAll::new(),
        };
        let mut until = options.until.fuse();
        let mut over = false;
        loop {
            tokio::select! {
                Some(change) = changes.next() => follow.notice(change),
                // `None` says that the last source was closed, which is news too.
                events = follow.reading.next(), if !follow.reading.is_empty() => {
                    if let Some(events) = events
                        && !follow.pass_on(events).await
                    {
                        return;
                    }
                }
                () = &mut until, if !over => {
                    over = true;
                    // The news of the last container may still be on its way.
                    if let Some(pods) = last_look(&guarded, &labels, options.back_off).await {
                        follow.notice(Change::Listed(pods));
                    }
                }
            }
            follow.open_what_is_due();
            if over && follow.reading.is_empty() && follow.waiting.is_empty() {
                // Nobody is left to hear it if this fails.
                let _ = follow.out.send(vec![LogEvent::RunEnded]).await;
                return;
            }
        }
    })
}

async fn last_look(
    api: &Api<DeserializeGuard<Pod>>,
    labels: &str,
    back_off: BackOff,
) -> Option<Vec<DeserializeGuard<Pod>>> {
    let params = ListParams::default().labels(labels);
    let mut tries = Tries::new(back_off);
    for _ in 0..LAST_LOOKS {
        if let Ok(pods) = api.list(&params).await {
            return Some(pods.items);
        }
        tries.wait().await;
    }
    None
}

/// When a container started, and what breaks ties, since Kubernetes counts in seconds: its pod's age; its version, attempt and
/// stage; its pod, its place in it, its restarts.
pub(super) type Order = (
    Timestamp,
    Option<Timestamp>,
    (i32, i32, Option<Stage>),
    String,
    usize,
    i32,
);

struct Follow {
    api: Api<Pod>,
    back_off: BackOff,
    patience: Patience,
    gather: Duration,
    out: Sender<Vec<LogEvent>>,
    /// Every container that was ever seen to have started.
    known: HashMap<Arc<LogSource>, Known>,
    /// Those that were not opened yet, in the order they ran.
    waiting: BTreeMap<Order, Arc<LogSource>>,
    reading: SelectAll<BoxStream<'static, Vec<LogEvent>>>,
}

struct Known {
    life: watch::Sender<Life>,
    started: Option<Timestamp>,
    may_restart: bool,
    opened: bool,
    read: bool,
}

impl Follow {
    /// Takes a change of the run's pods.
    fn notice(&mut self, change: Change<Pod>) {
        match change {
            Change::Listed(pods) => {
                let there: Vec<Pod> = pods.into_iter().filter_map(|pod| pod.0.ok()).collect();
                let is_there = |uid: &str| {
                    let mut uids = there.iter().filter_map(|pod| pod.metadata.uid.as_deref());
                    uids.any(|known| known == uid)
                };
                self.gone(|source| !is_there(&source.pod_uid));
                for pod in &there {
                    self.see(pod);
                }
            }
            Change::Applied(pod) => {
                if let Ok(pod) = pod.0 {
                    self.see(&pod);
                }
            }
            Change::Deleted(metadata) => {
                let uid = metadata.uid.unwrap_or_default();
                self.gone(|source| source.pod_uid == uid);
            }
            // The sources have connections of their own and say what becomes of them.
            Change::Disconnected(_) | Change::Connected => {}
        }
    }

    fn gone(&mut self, is_gone: impl Fn(&LogSource) -> bool) {
        for (source, known) in &self.known {
            if is_gone(source) {
                set(&known.life, Life::Gone);
            }
        }
    }

    fn see(&mut self, pod: &Pod) {
        for Found {
            source,
            life,
            order,
            started,
            may_restart,
        } in containers(pod)
        {
            for (older, known) in &self.known {
                if older.pod_uid == source.pod_uid && older.container == source.container {
                    match source.restart - older.restart {
                        ..=0 => {}
                        1 => set(&known.life, Life::Superseded),
                        2.. => set(&known.life, Life::Replaced),
                    }
                }
            }
            if let Some(known) = self.known.get(&source) {
                set(&known.life, life);
            } else {
                let source = Arc::new(source);
                let known = Known {
                    life: watch::Sender::new(life),
                    started,
                    may_restart,
                    opened: false,
                    read: false,
                };
                self.known.insert(Arc::clone(&source), known);
                self.waiting.insert(order, source);
            }
        }
    }

    /// Opens the next source, unless one that ended earlier is still being read: lines come in the order of the run.
    fn open_what_is_due(&mut self) {
        while let Some(next) = self.waiting.first_entry() {
            let reading_ended = self
                .known
                .values()
                .any(|known| known.opened && !known.read && *known.life.borrow() != Life::Running);
            if reading_ended {
                return;
            }
            let source = next.remove();
            if let Some(known) = self.known.get_mut(&source) {
                known.opened = true;
                let subject = Subject {
                    source,
                    started: known.started,
                    may_restart: known.may_restart,
                    life: known.life.subscribe(),
                    gather: self.gather,
                };
                let api = self.api.clone();
                let stream = source::follow(api, subject, self.back_off, self.patience);
                self.reading.push(stream.boxed());
            }
        }
    }

    /// Whether somebody listens.
    async fn pass_on(&mut self, events: Vec<LogEvent>) -> bool {
        // The last word of a source is the last of its chunk.
        if let Some(LogEvent::SourceEnded(source)) = events.last()
            && let Some(known) = self.known.get_mut(source)
        {
            known.read = true;
        }
        self.out.send(events).await.is_ok()
    }
}

/// Wakes the follower of a source only if something changed.
fn set(sender: &watch::Sender<Life>, life: Life) {
    sender.send_if_modified(|known| std::mem::replace(known, life) != life);
}

/// A container that has started.
pub(super) struct Found {
    pub(super) source: LogSource,
    pub(super) life: Life,
    pub(super) order: Order,
    started: Option<Timestamp>,
    may_restart: bool,
}

/// The containers of a pod that have started, in all the lives that the cluster still has a log of.
pub(super) fn containers(pod: &Pod) -> Vec<Found> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let label = |key: &str| pod.metadata.labels.as_ref()?.get(key).map(String::as_str);
    let number = |key: &str| label(key).and_then(|word| word.parse().ok()).unwrap_or(0);
    let init = status.init_container_statuses.iter().flatten();
    let main = status.container_statuses.iter().flatten();
    let pod_created = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let mut found = Vec::new();
    for (place, container) in init.chain(main).enumerate() {
        for (restart, life, started) in lives(container) {
            found.push(Found {
                source: LogSource {
                    pod: pod.metadata.name.clone().unwrap_or_default(),
                    pod_uid: uid.clone(),
                    container: container.name.clone(),
                    restart,
                    stage: label(naming::LABEL_STAGE).and_then(Stage::parse),
                    context_version: number(naming::LABEL_VERSION),
                    attempt: number(naming::LABEL_ATTEMPT),
                },
                life,
                order: (
                    started.or(pod_created).unwrap_or(Timestamp::MIN),
                    pod_created,
                    (
                        number(naming::LABEL_VERSION),
                        number(naming::LABEL_ATTEMPT),
                        label(naming::LABEL_STAGE).and_then(Stage::parse),
                    ),
                    uid.clone(),
                    place,
                    restart,
                ),
                started,
                may_restart: may_restart(pod, &container.name),
            });
        }
    }
    found
}

/// Whether a container may be started anew in its pod.
fn may_restart(pod: &Pod, container: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return true;
    };
    // A sidecar is an init container with a policy of its own.
    let mut sidecars = spec.init_containers.iter().flatten();
    spec.restart_policy.as_deref() != Some("Never")
        || sidecars.any(|other| other.name == container && other.restart_policy.is_some())
}

/// The lives of a container of which there is a log: how often it was started before, whether it runs, since when it ran.
fn lives(container: &ContainerStatus) -> Vec<(i32, Life, Option<Timestamp>)> {
    let (Some(state), restart) = (&container.state, container.restart_count) else {
        return Vec::new();
    };
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    // A container that could not be started has no log.
    let has_log = |ended: &&ContainerStateTerminated| {
        ended.started_at.is_some() || ended.container_id.is_some()
    };
    let ended = |state: &Option<ContainerState>| state.as_ref()?.terminated.clone();
    let before = ended(&container.last_state);
    let before = before.as_ref().filter(has_log);
    let mut lives = Vec::new();
    if let Some(running) = &state.running {
        lives.push((restart, Life::Running, time(&running.started_at)));
    } else if let Some(ended) = &state.terminated {
        lives.extend(
            Some(ended)
                .filter(has_log)
                .map(|ended| (restart, Life::Ended, time(&ended.started_at))),
        );
    } else if let Some(before) = before {
        // It waits to be started anew: what is there is the log of the time before.
        return vec![(restart, Life::Ended, time(&before.started_at))];
    }
    if let Some(before) = before.filter(|_| restart > 0) {
        lives.insert(0, (restart - 1, Life::Superseded, time(&before.started_at)));
    }
    lives
}
