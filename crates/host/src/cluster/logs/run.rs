//! Finds all containers of a run as they start.

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
    Timeouts,
    source::{self, Life, Subject},
};
use crate::cluster::{
    BACKOFF,
    channel_stream::channel_stream,
    kind_watch::{Change, Selection, watch_kind},
};
use flightdeck_core::{
    backoff::{Attempts, Backoff},
    log::{LogEvent, LogSource},
    runs::{Run, Stage, naming},
};

/// Identifies a run.
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

/// Options for following a run.
pub struct FollowOptions {
    /// Resolves when the run is over. Containers that have started are then read to their ends, and the stream ends.
    pub until: BoxFuture<'static, ()>,
    pub backoff: Backoff,
    pub timeouts: Timeouts,
    /// How long to batch slowly arriving lines; zero sends each line at once. The first line after a silence is
    /// always sent at once.
    pub batch_time: Duration,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            until: future::pending().boxed(),
            backoff: BACKOFF,
            timeouts: Timeouts::default(),
            batch_time: Duration::ZERO,
        }
    }
}

impl FollowOptions {
    /// Follows until `finished` resolves, for example [`crate::cluster::wait_finished`].
    pub fn until(finished: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            until: finished.boxed(),
            ..Self::default()
        }
    }
}

/// Attempts to list the pods once more at the end.
const LIST_ATTEMPTS: usize = 5;

/// Follows the log of a run from its first line. Containers that have ended are read one after the other, in the
/// order they ran; running ones are read concurrently.
pub fn follow_run(
    client: &Client,
    namespace: &str,
    run: &RunRef,
    options: FollowOptions,
) -> impl Stream<Item = LogEvent> + Send + use<> {
    follow_run_batched(client, namespace, run, options).flat_map(stream::iter)
}

/// Like [`follow_run`], in batches of the available events. Batches are never empty.
pub fn follow_run_batched(
    client: &Client,
    namespace: &str,
    run: &RunRef,
    options: FollowOptions,
) -> impl Stream<Item = Vec<LogEvent>> + Send + use<> {
    let labels = format!("{}={}", naming::LABEL_RUN_UID, run.uid);
    let guarded = Api::<DeserializeGuard<Pod>>::namespaced(client.clone(), namespace);
    let api = Api::<Pod>::namespaced(client.clone(), namespace);
    channel_stream(async move |out| {
        let selection = Selection {
            labels: Some(labels.clone()),
            fields: None,
        };
        let mut changes = pin!(watch_kind(guarded.clone(), selection, options.backoff));
        let mut follow = Follow {
            api,
            backoff: options.backoff,
            timeouts: options.timeouts,
            batch_time: options.batch_time,
            out,
            known: HashMap::new(),
            waiting: BTreeMap::new(),
            reading: SelectAll::new(),
        };
        let mut until = options.until.fuse();
        let mut over = false;
        loop {
            tokio::select! {
                Some(change) = changes.next() => follow.handle_change(change),
                // `None` means that the last source was closed, which also needs handling.
                events = follow.reading.next(), if !follow.reading.is_empty() => {
                    if let Some(events) = events
                        && !follow.forward(events).await
                    {
                        return;
                    }
                }
                () = &mut until, if !over => {
                    over = true;
                    // The watch event of the last container may still be pending.
                    if let Some(pods) = list_pods(&guarded, &labels, options.backoff).await {
                        follow.handle_change(Change::Listed(pods));
                    }
                }
            }
            follow.open_next();
            if over && follow.reading.is_empty() && follow.waiting.is_empty() {
                // The receiver may be gone.
                let _ = follow.out.send(vec![LogEvent::RunEnded]).await;
                return;
            }
        }
    })
}

async fn list_pods(
    api: &Api<DeserializeGuard<Pod>>,
    labels: &str,
    backoff: Backoff,
) -> Option<Vec<DeserializeGuard<Pod>>> {
    let params = ListParams::default().labels(labels);
    let mut attempts = Attempts::new(backoff);
    for _ in 0..LIST_ATTEMPTS {
        if let Ok(pods) = api.list(&params).await {
            return Some(pods.items);
        }
        tokio::time::sleep(attempts.next_delay()).await;
    }
    None
}

/// Start time of a container, and tie-breakers because Kubernetes times have a resolution of seconds: creation of its
/// pod; version, attempt and stage; pod UID, index in the pod, restarts.
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
    backoff: Backoff,
    timeouts: Timeouts,
    batch_time: Duration,
    out: Sender<Vec<LogEvent>>,
    /// All containers seen to have started.
    known: HashMap<Arc<LogSource>, KnownContainer>,
    /// Containers that are not opened yet, in the order they ran.
    waiting: BTreeMap<Order, Arc<LogSource>>,
    reading: SelectAll<BoxStream<'static, Vec<LogEvent>>>,
}

struct KnownContainer {
    life: watch::Sender<Life>,
    started: Option<Timestamp>,
    may_restart: bool,
    opened: bool,
    read: bool,
}

impl Follow {
    /// Handles a change of the run's pods.
    fn handle_change(&mut self, change: Change<Pod>) {
        match change {
            Change::Listed(pods) => {
                let there: Vec<Pod> = pods.into_iter().filter_map(|pod| pod.0.ok()).collect();
                let is_there = |uid: &str| {
                    let mut uids = there.iter().filter_map(|pod| pod.metadata.uid.as_deref());
                    uids.any(|known| known == uid)
                };
                self.mark_gone(|source| !is_there(&source.pod_uid));
                for pod in &there {
                    self.handle_pod(pod);
                }
            }
            Change::Applied(pod) => {
                if let Ok(pod) = pod.0 {
                    self.handle_pod(&pod);
                }
            }
            Change::Deleted(metadata) => {
                let uid = metadata.uid.unwrap_or_default();
                self.mark_gone(|source| source.pod_uid == uid);
            }
            // Sources have their own connections, and report disconnects themselves.
            Change::Disconnected(_) | Change::Connected => {}
        }
    }

    fn mark_gone(&mut self, is_gone: impl Fn(&LogSource) -> bool) {
        for (source, known) in &self.known {
            if is_gone(source) {
                set(&known.life, Life::Gone);
            }
        }
    }

    fn handle_pod(&mut self, pod: &Pod) {
        for StartedContainer {
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
                let known = KnownContainer {
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

    /// Opens the next sources, unless one that has ended is still being read: lines are kept in the order of the run.
    fn open_next(&mut self) {
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
                    batch_time: self.batch_time,
                };
                let api = self.api.clone();
                let stream = source::follow(api, subject, self.backoff, self.timeouts);
                self.reading.push(stream.boxed());
            }
        }
    }

    /// Sends events. Returns whether the receiver is still there.
    async fn forward(&mut self, events: Vec<LogEvent>) -> bool {
        // A source's end is the last event of its batch.
        if let Some(LogEvent::SourceEnded(source)) = events.last()
            && let Some(known) = self.known.get_mut(source)
        {
            known.read = true;
        }
        self.out.send(events).await.is_ok()
    }
}

/// Notifies the follower of a source only on a change.
fn set(sender: &watch::Sender<Life>, life: Life) {
    sender.send_if_modified(|known| std::mem::replace(known, life) != life);
}

/// A container that has started.
pub(super) struct StartedContainer {
    pub(super) source: LogSource,
    pub(super) life: Life,
    pub(super) order: Order,
    started: Option<Timestamp>,
    may_restart: bool,
}

/// Returns the started containers of a pod, with all instances that the cluster still has a log of.
pub(super) fn containers(pod: &Pod) -> Vec<StartedContainer> {
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
            found.push(StartedContainer {
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

/// Returns whether a container may be restarted in its pod.
fn may_restart(pod: &Pod, container: &str) -> bool {
    let Some(spec) = &pod.spec else {
        return true;
    };
    // A sidecar is an init container with its own restart policy.
    let mut sidecars = spec.init_containers.iter().flatten();
    spec.restart_policy.as_deref() != Some("Never")
        || sidecars.any(|other| other.name == container && other.restart_policy.is_some())
}

/// Returns the instances of a container that have a log: restart count, state and start time.
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
        // Waiting to be restarted: the current log is that of the previous instance.
        return vec![(restart, Life::Ended, time(&before.started_at))];
    }
    if let Some(before) = before.filter(|_| restart > 0) {
        lives.insert(0, (restart - 1, Life::Superseded, time(&before.started_at)));
    }
    lives
}
