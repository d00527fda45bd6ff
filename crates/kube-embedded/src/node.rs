//! The node: runs the pods of the cluster as local processes, each container under its own shim.
//!
//! | module | content |
//! |---|---|
//! | `pod` | one pod from first sight to removal |
//! | `queue` | admission queue for containers |
//! | `container` | one attempt at a container: configuration, start, stop, exit |
//! | `environment`, `paths`, `sources`, `volumes`, `pvc` | inputs of a container |
//! | `unsupported` | features of a pod that the node cannot provide |
//! | `status`, `recorder` | pod status and Events |
//! | `limits`, `disk_usage` | limits on disk usage |
//! | `logs` | log requests |
//!
//! Directories below the state directory: `pods/<uid>/containers/<name>/<attempt>/` (see [`super::attempt`]),
//! `pods/<uid>/volumes/`, `claims/<uid>/`, and `bin/`, which is first in every container's PATH and links to the
//! program.
//!
//! The node is a client of the API server like any other. It knows pods, claims, ConfigMaps and Secrets, and no custom
//! kinds.

mod container;
mod disk_usage;
mod environment;
mod limits;
mod logs;
mod paths;
mod pod;
mod pvc;
mod queue;
mod recorder;
mod sources;
mod status;
mod unsupported;
mod volumes;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use super::{Identity, attempt::Attempt, jobs};
use pod::{ObservedPod, PodStart};
use pvc::Claims;
use queue::{Queue, Ticket};

pub use disk_usage::{Usage, usage};
pub use limits::Limits;
pub(crate) use logs::{LogError, LogQuery, Logs};
pub(super) use recorder::Recorder;

/// Name of the only node.
const NODE_NAME: &str = "embedded";

/// Settings of the node; see [`crate::ClusterOptions`].
#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    /// State directory of logs, volumes and claims.
    pub directory: PathBuf,
    /// See [`crate::ClusterOptions::program`].
    pub program: PathBuf,
    /// Maximum number of containers that run at the same time.
    pub max_containers: usize,
    /// Environment from which containers inherit variables.
    pub environment: BTreeMap<String, String>,
    pub limits: Limits,
    pub identity: Identity,
}

/// State shared by the parts of the node.
struct Node {
    client: Client,
    options: NodeOptions,
    /// Directory with a link to the program, for the PATH.
    programs: PathBuf,
    queue: Queue,
    recorder: Recorder,
    claims: watch::Sender<pvc::ClaimsByName>,
    /// Whether starting containers is disabled.
    stopped: RwLock<bool>,
}

/// A running node.
#[derive(Clone)]
pub(crate) struct NodeHandle {
    node: Arc<Node>,
    task: Arc<JoinHandle<()>>,
}

/// Starts the node and the Job controller of the cluster behind `client`. Pods of an earlier node are resumed.
pub(crate) fn start(client: Client, options: NodeOptions) -> io::Result<NodeHandle> {
    let programs = options.directory.join("bin");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&options.directory)?;
    for directory in [&programs, &options.directory.join("pods")] {
        fs::create_dir_all(directory)?;
    }
    link(&options.program, &programs.join(&options.identity.name))?;
    let (recorder, recording) = Recorder::new(client.clone(), &options.identity.component);
    let node = Arc::new(Node {
        programs,
        queue: Queue::new(options.max_containers),
        recorder,
        claims: watch::Sender::default(),
        stopped: RwLock::new(false),
        client,
        options,
    });
    let task = tokio::spawn(run(Arc::clone(&node), recording));
    Ok(NodeHandle {
        node,
        task: Arc::new(task),
    })
}

/// Links `path` to `program`, replacing a link to another version.
fn link(program: &Path, path: &Path) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|target| target == program) {
        return Ok(());
    }
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => symlink(program, &temporary)?,
    }
    fs::rename(&temporary, path)
}

impl NodeHandle {
    /// Stops the node and the Job controller. Containers keep running under their shims until the next node finds them.
    pub(crate) fn shutdown(&self) {
        self.task.abort();
    }

    /// Kills every container and starts no more. Returns once no process is left.
    pub(crate) async fn stop_containers(&self) {
        let node = Arc::clone(&self.node);
        let task = tokio::task::spawn_blocking(move || {
            *node.stopped.write().unwrap_or_else(PoisonError::into_inner) = true;
            for attempt in node.running_attempts() {
                if let Err(error) = container::kill_and_wait(&attempt) {
                    let directory = attempt.directory().display();
                    tracing::warn!(%directory, %error, "cannot kill a container");
                }
            }
        });
        if let Err(error) = task.await {
            tracing::error!(%error, "cannot stop the containers");
        }
    }
}

impl Node {
    fn pods_directory(&self) -> PathBuf {
        self.options.directory.join("pods")
    }

    fn pod_directory(&self, uid: &str) -> PathBuf {
        self.pods_directory().join(uid)
    }

    fn container_directory(&self, uid: &str, container: &str) -> PathBuf {
        container_directory(&self.options.directory, uid, container)
    }

    fn claims_directory(&self) -> PathBuf {
        self.options.directory.join("claims")
    }

    fn claim_directory(&self, uid: &str) -> PathBuf {
        self.claims_directory().join(uid)
    }

    /// Returns a permit to start a container, held during the start; `None` if starting is disabled.
    fn start_permit(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let stopped = self.stopped.read().unwrap_or_else(PoisonError::into_inner);
        (!*stopped).then_some(stopped)
    }

    /// Returns the attempts on disk that have not ended.
    fn running_attempts(&self) -> Vec<Attempt> {
        entries(&self.pods_directory())
            .flat_map(|uid| self.running_attempts_of(&uid))
            .collect()
    }

    fn running_attempts_of(&self, uid: &str) -> Vec<Attempt> {
        let containers = self.pod_directory(uid).join("containers");
        entries(&containers)
            .flat_map(|container| {
                let directory = containers.join(container);
                let numbers = pod::attempts(&directory);
                numbers
                    .into_iter()
                    .map(move |number| Attempt::new(directory.join(number.to_string())))
            })
            .filter(|attempt| !attempt.is_over())
            .collect()
    }

    /// Removes a pod that is no longer in the API, killing its processes first.
    fn remove_orphaned_pod(&self, uid: &str) {
        for attempt in self.running_attempts_of(uid) {
            if let Err(error) = container::kill_and_wait(&attempt) {
                tracing::warn!(pod = uid, %error, "cannot kill a container of a removed pod");
            }
        }
        pod::remove(&self.pod_directory(uid));
    }
}

/// Returns the directory of a container's attempts.
fn container_directory(state: &Path, uid: &str, container: &str) -> PathBuf {
    let pod = state.join("pods").join(uid);
    pod.join("containers").join(container)
}

/// Returns the names in a directory; none if it does not exist.
fn entries(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The task of one pod, and the channel to it.
struct PodTask {
    observed: watch::Sender<ObservedPod>,
}

async fn run(node: Arc<Node>, recording: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = JoinSet::new();
    tasks.spawn(recording);
    let component = node.options.identity.component.clone();
    tasks.spawn(jobs::run(
        node.client.clone(),
        node.recorder.clone(),
        component,
    ));
    let pods = Api::<Pod>::all(node.client.clone());
    let pods = watcher(pods, watcher::Config::default()).default_backoff();
    let all = Api::<PersistentVolumeClaim>::all(node.client.clone());
    let all = watcher(all, watcher::Config::default()).default_backoff();
    let (mut pods, mut all) = (std::pin::pin!(pods), std::pin::pin!(all));
    let mut claims = Claims::default();
    let mut pod_tasks = PodTasks::default();
    loop {
        tokio::select! {
            event = pods.next() => match event {
                Some(Ok(event)) => pod_tasks.handle(&node, event, &mut tasks).await,
                Some(Err(error)) => tracing::warn!(%error, "the watch of pods failed"),
                None => return,
            },
            event = all.next() => match event {
                Some(Ok(event)) => claims.handle(&node, event).await,
                Some(Err(error)) => tracing::warn!(%error, "the watch of claims failed"),
                None => return,
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the node panicked");
                }
            }
        }
        if claims.any_terminating() {
            let active_pods = pod_tasks.active_pods();
            claims.release(&node, &active_pods).await;
        }
    }
}

#[derive(Default)]
struct PodTasks {
    all: HashMap<String, PodTask>,
    /// Pods of an incomplete list.
    listed: Option<Vec<Pod>>,
    /// Ticket of the next new pod.
    next_ticket: Ticket,
}

impl PodTasks {
    async fn handle(&mut self, node: &Arc<Node>, event: Event<Pod>, tasks: &mut JoinSet<()>) {
        match event {
            Event::Init => self.listed = Some(Vec::new()),
            Event::InitApply(pod) => {
                if let Some(listed) = &mut self.listed {
                    listed.push(pod);
                }
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.handle_list(node, listed, tasks).await;
                node.queue.open();
            }
            Event::Apply(pod) => self.observe(node, pod, None, tasks),
            Event::Delete(pod) => self.forget(&pod.uid().unwrap_or_default()),
        }
    }

    /// Handles a complete list: pods that are gone are removed, running pods keep their slots, and the others queue up
    /// in their previous order.
    async fn handle_list(&mut self, node: &Arc<Node>, pods: Vec<Pod>, tasks: &mut JoinSet<()>) {
        let listed: HashSet<String> = pods.iter().filter_map(Pod::uid).collect();
        let gone: Vec<String> = self
            .all
            .keys()
            .filter(|uid| !listed.contains(*uid))
            .cloned()
            .collect();
        for uid in &gone {
            self.forget(uid);
        }
        let saved = tokio::task::spawn_blocking({
            let node = Arc::clone(node);
            move || {
                for uid in entries(&node.pods_directory()).filter(|uid| !listed.contains(uid)) {
                    if !gone.contains(&uid) {
                        let node = Arc::clone(&node);
                        // Killing its containers may take a while.
                        tokio::task::spawn_blocking(move || node.remove_orphaned_pod(&uid));
                    }
                }
                pod::in_queue_order(&node, pods)
            }
        });
        let Ok(saved) = saved.await else {
            return tracing::error!("cannot read the saved state of the pods");
        };
        for (pod, saved) in saved {
            self.observe(node, pod, Some(saved), tasks);
        }
    }

    /// Starts or updates the task of a pod. `saved`: state left by an earlier node.
    fn observe(
        &mut self,
        node: &Arc<Node>,
        pod: Pod,
        saved: Option<pod::SavedState>,
        tasks: &mut JoinSet<()>,
    ) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(task) = self.all.get(&uid) {
            task.observed.send_replace(Some(Arc::new(pod)));
            return;
        }
        let saved = saved.unwrap_or_default();
        let ticket = saved.ticket.unwrap_or(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        let begun = saved.begun.filter(|_| !pod::is_finished(&pod));
        let start = PodStart {
            ticket,
            begun: begun.map(|at| (at, node.queue.reserve(pod::slots(&pod)))),
        };
        let (observed, receiver) = watch::channel(Some(Arc::new(pod)));
        tasks.spawn(pod::run(Arc::clone(node), receiver, start));
        self.all.insert(uid, PodTask { observed });
    }

    /// Tells the task that the pod is gone; it cleans up and ends.
    fn forget(&mut self, uid: &str) {
        if let Some(task) = self.all.remove(uid) {
            task.observed.send_replace(None);
        }
    }

    /// Returns the pods that have not finished.
    fn active_pods(&self) -> Vec<Arc<Pod>> {
        self.all
            .values()
            .filter_map(|task| task.observed.borrow().clone())
            .filter(|pod| !pod::is_finished(pod))
            .collect()
    }
}
