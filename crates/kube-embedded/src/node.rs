//! The node: runs the pods of the cluster as processes of this machine, each container under its shim.
//!
//! | file | what it holds |
//! |---|---|
//! | `pod` | one pod from its first sight to the last of it |
//! | `queue` | who runs next |
//! | `container` | one attempt at a container: putting it together, starting, stopping, judging |
//! | `environment`, `paths`, `sources`, `volumes`, `claims` | what a container is given |
//! | `supported` | what it may ask for and cannot be given |
//! | `status`, `recorder` | what a kubelet would write of it |
//! | `limits`, `disk` | what all of them may take of the disk |
//! | `logs` | which log a request asks for |
//!
//! On disk, below the state directory: `pods/<uid>/containers/<name>/<attempt>/` (see [`super::attempt`]),
//! `pods/<uid>/volumes/`, `claims/<uid>/`, and `bin/`, which is first in every container's PATH and holds this program.
//!
//! A client of the API server like any other; it knows pods, claims, ConfigMaps and Secrets, and no kind of ours.

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
use pod::{Arrival, Seen};
use pvc::Claims;
use queue::{Queue, Ticket};

pub use disk_usage::{Usage, usage};
pub use limits::Limits;
pub use logs::{LogError, LogQuery, Logs};
pub(super) use recorder::Recorder;

/// Name of the only node.
const NODE_NAME: &str = "embedded";

/// What a node is made of.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// State directory: logs, volumes, claims.
    pub directory: PathBuf,
    /// See [`crate::ClusterOptions::program`].
    pub program: PathBuf,
    /// Containers that run at the same time.
    pub max_containers: usize,
    /// The environment that containers are given parts of.
    pub environment: BTreeMap<String, String>,
    pub limits: Limits,
    pub identity: Identity,
}

/// What the parts of a node share.
struct Node {
    client: Client,
    options: NodeOptions,
    /// Directory with this program, for the PATH.
    programs: PathBuf,
    queue: Queue,
    recorder: Recorder,
    claims: watch::Sender<pvc::Known>,
    /// Nothing is started any more.
    halted: RwLock<bool>,
}

/// A running node.
#[derive(Clone)]
pub struct NodeHandle {
    node: Arc<Node>,
    task: Arc<JoinHandle<()>>,
}

/// Starts the node and the Job controller of the cluster behind `client`. Pods that ran before go on, or are judged.
pub fn start(client: Client, options: NodeOptions) -> io::Result<NodeHandle> {
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
        halted: RwLock::new(false),
        client,
        options,
    });
    let task = tokio::spawn(run(Arc::clone(&node), recording));
    Ok(NodeHandle {
        node,
        task: Arc::new(task),
    })
}

/// Another version of this program may have been there before.
fn link(program: &Path, place: &Path) -> io::Result<()> {
    if fs::read_link(place).is_ok_and(|target| target == program) {
        return Ok(());
    }
    let beside = place.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => symlink(program, &beside)?,
    }
    fs::rename(&beside, place)
}

impl NodeHandle {
    /// Stops watching over pods and Jobs. Containers go on under their shims until the next node finds them.
    pub fn shutdown(&self) {
        self.task.abort();
    }

    /// Kills every container, and starts none any more. Resolves when no process of any is left.
    pub async fn stop_containers(&self) {
        let node = Arc::clone(&self.node);
        let stopped = tokio::task::spawn_blocking(move || {
            *node.halted.write().unwrap_or_else(PoisonError::into_inner) = true;
            for attempt in node.attempts() {
                if let Err(error) = container::put_down(&attempt) {
                    let directory = attempt.directory().display();
                    tracing::warn!(%directory, %error, "a container may still run");
                }
            }
        });
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the containers could not be stopped");
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

    /// Leave to start something, held while it starts; `None` when nothing is started any more.
    fn unhalted(&self) -> Option<RwLockReadGuard<'_, bool>> {
        let halted = self.halted.read().unwrap_or_else(PoisonError::into_inner);
        (!*halted).then_some(halted)
    }

    /// Every attempt on disk that has not ended.
    fn attempts(&self) -> Vec<Attempt> {
        entries(&self.pods_directory())
            .flat_map(|uid| self.attempts_of(&uid))
            .collect()
    }

    fn attempts_of(&self, uid: &str) -> Vec<Attempt> {
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

    /// Removes what is left of a pod that nobody knows any more, its processes first.
    fn sweep(&self, uid: &str) {
        for attempt in self.attempts_of(uid) {
            if let Err(error) = container::put_down(&attempt) {
                tracing::warn!(pod = uid, %error, "a container of a lost pod may still run");
            }
        }
        pod::remove(&self.pod_directory(uid));
    }
}

/// Where the attempts at a pod's container are.
fn container_directory(state: &Path, uid: &str, container: &str) -> PathBuf {
    let pod = state.join("pods").join(uid);
    pod.join("containers").join(container)
}

/// Names in a directory; none when it is not there.
fn entries(directory: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// One pod's runner, and what it is told.
struct Runner {
    seen: watch::Sender<Seen>,
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
    let mut runners = Runners::default();
    loop {
        tokio::select! {
            event = pods.next() => match event {
                Some(Ok(event)) => runners.take_in(&node, event, &mut tasks).await,
                Some(Err(error)) => tracing::warn!(%error, "the watch of pods was cut"),
                None => return,
            },
            event = all.next() => match event {
                Some(Ok(event)) => claims.take_in(&node, event).await,
                Some(Err(error)) => tracing::warn!(%error, "the watch of claims was cut"),
                None => return,
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a part of the node ended");
                }
            }
        }
        if claims.some_leave() {
            let users = runners.users();
            claims.release(&node, &users).await;
        }
    }
}

#[derive(Default)]
struct Runners {
    all: HashMap<String, Runner>,
    /// The pods of a list that is not complete yet.
    listed: Option<Vec<Pod>>,
    /// What the next new pod draws.
    next_ticket: Ticket,
}

impl Runners {
    async fn take_in(&mut self, node: &Arc<Node>, event: Event<Pod>, tasks: &mut JoinSet<()>) {
        match event {
            Event::Init => self.listed = Some(Vec::new()),
            Event::InitApply(pod) => {
                if let Some(listed) = &mut self.listed {
                    listed.push(pod);
                }
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                self.take_in_all(node, listed, tasks).await;
                node.queue.open();
            }
            Event::Apply(pod) => self.see(node, pod, None, tasks),
            Event::Delete(pod) => self.lose(&pod.uid().unwrap_or_default()),
        }
    }

    /// Takes in everything there is: who is gone is lost, who runs already keeps its places, and the others queue up as
    /// they did before.
    async fn take_in_all(&mut self, node: &Arc<Node>, pods: Vec<Pod>, tasks: &mut JoinSet<()>) {
        let listed: HashSet<String> = pods.iter().filter_map(Pod::uid).collect();
        let gone: Vec<String> = self
            .all
            .keys()
            .filter(|uid| !listed.contains(*uid))
            .cloned()
            .collect();
        for uid in &gone {
            self.lose(uid);
        }
        let recalled = tokio::task::spawn_blocking({
            let node = Arc::clone(node);
            move || {
                for left in entries(&node.pods_directory()).filter(|uid| !listed.contains(uid)) {
                    if !gone.contains(&left) {
                        let node = Arc::clone(&node);
                        // A container of it may take its time.
                        tokio::task::spawn_blocking(move || node.sweep(&left));
                    }
                }
                pod::in_order(&node, pods)
            }
        });
        let Ok(recalled) = recalled.await else {
            return tracing::error!("what was left of the pods cannot be read");
        };
        for (pod, trace) in recalled {
            self.see(node, pod, Some(trace), tasks);
        }
    }

    /// `trace`: what an earlier node left of the pod, when it may have.
    fn see(
        &mut self,
        node: &Arc<Node>,
        pod: Pod,
        trace: Option<pod::Trace>,
        tasks: &mut JoinSet<()>,
    ) {
        let uid = pod.uid().unwrap_or_default();
        if let Some(runner) = self.all.get(&uid) {
            runner.seen.send_replace(Some(Arc::new(pod)));
            return;
        }
        let trace = trace.unwrap_or_default();
        let ticket = trace.ticket.unwrap_or(self.next_ticket);
        self.next_ticket = self.next_ticket.max(ticket + 1);
        let begun = trace.begun.filter(|_| !pod::is_finished(&pod));
        let arrival = Arrival {
            ticket,
            begun: begun.map(|at| (at, node.queue.occupy(pod::size(&pod)))),
        };
        let (seen, receiver) = watch::channel(Some(Arc::new(pod)));
        tasks.spawn(pod::run(Arc::clone(node), receiver, arrival));
        self.all.insert(uid, Runner { seen });
    }

    /// The runner clears up and ends by itself.
    fn lose(&mut self, uid: &str) {
        if let Some(runner) = self.all.remove(uid) {
            runner.seen.send_replace(None);
        }
    }

    /// Pods that still need their claims.
    fn users(&self) -> Vec<Arc<Pod>> {
        self.all
            .values()
            .filter_map(|runner| runner.seen.borrow().clone())
            .filter(|pod| !pod::is_finished(pod))
            .collect()
    }
}
