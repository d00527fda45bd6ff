//! One pod from its first sight to the last of it: waiting for a place, its init containers, its containers, its
//! deadline, its deletion. What it learns it writes into the pod's status.
//!
//! Everything that was begun is found again on disk, so that a node that starts anew goes on where the last one was.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    MANAGER, NODE_NAME, Node, claims,
    container::{self, Launched, Recipe},
    environment::{self, Around},
    sources::{Missing, Sources},
    status::{Known, Now},
    volumes::{self, VolumeError},
};
use crate::embedded::attempt::{Attempt, Ended};

/// A pod as the node last saw it; `None` when it is gone.
pub type Seen = Option<Arc<Pod>>;

/// How often a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest a container that keeps failing waits to be started again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
const DEADLINE: (&str, &str) = (
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
);

/// How far a pod is to be stopped; it only ever grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Go,
    Ask,
    Kill,
}

/// Runs a pod until it is gone.
pub async fn run(node: Arc<Node>, mut seen: watch::Receiver<Seen>) {
    let Some(pod) = seen.borrow_and_update().clone() else {
        return;
    };
    let finished = is_finished(&pod);
    let (stop, stopped) = watch::channel(Stop::Go);
    let work = Work::new(node, pod);
    if !finished {
        let mut driver = Driver::new(&work, stop);
        let mut flow = std::pin::pin!(work.flow(stopped));
        let mut flowing = true;
        while flowing || !driver.written {
            driver.look(seen.borrow_and_update().clone());
            let due = driver.due();
            tokio::select! {
                () = &mut flow, if flowing => {
                    flowing = false;
                    work.note(|known| known.over = true);
                }
                // The sender lives as long as the node does.
                _ = seen.changed() => {}
                () = driver.write() => {}
                due = due => driver.stop_for(due),
            }
        }
    }
    work.leave(seen).await;
}

pub fn is_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// A pod and what is known of it.
struct Work {
    node: Arc<Node>,
    pod: Arc<Pod>,
    api: Api<Pod>,
    directory: PathBuf,
    known: Mutex<Known>,
    changed: Notify,
}

impl Work {
    fn new(node: Arc<Node>, pod: Arc<Pod>) -> Self {
        let namespace = pod.namespace().unwrap_or_default();
        Self {
            api: Api::namespaced(node.client.clone(), &namespace),
            directory: node.pod_directory(&pod.uid().unwrap_or_default()),
            known: Mutex::new(Known::of(&pod)),
            changed: Notify::new(),
            node,
            pod,
        }
    }

    /// Changes what is known, and has it written.
    fn note(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn known(&self) -> Known {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn containers(&self) -> (&[Container], &[Container]) {
        let spec = self.pod.spec.as_ref();
        let init = spec.and_then(|spec| spec.init_containers.as_deref());
        (
            init.unwrap_or_default(),
            spec.map_or(&[], |spec| &spec.containers),
        )
    }

    /// All that is to be done for the pod; returns when nothing of it runs and nothing will be started.
    async fn flow(&self, mut stop: watch::Receiver<Stop>) {
        let Some(ready) = self.get_ready(&mut stop).await else {
            return;
        };
        let (init, main) = self.containers();
        for (index, container) in init.iter().enumerate() {
            let role = Role::Init(index);
            if !self.container(role, container, &ready, stop.clone()).await {
                return;
            }
        }
        let all = main.iter().enumerate().map(|(index, container)| {
            self.container(Role::Main(index), container, &ready, stop.clone())
        });
        join_all(all).await;
    }

    /// Waits for the claims, for a place among the running, and for all that is mounted and named to be there.
    async fn get_ready(&self, stop: &mut watch::Receiver<Stop>) -> Option<Ready> {
        let begun = self.directory.join("begun");
        let claims = until_stopped(stop, self.claims(begun.exists())).await?;
        let volumes_directory = self.directory.join("volumes");
        let places = volumes::places(&self.pod, &volumes_directory, &claims);
        if begun.exists() {
            // Its containers may be running: they are not asked to wait again.
            return Some(Ready {
                _place: self.node.place_if_free(self.containers().1.len()),
                sources: until_stopped(stop, self.sources()).await?,
                places,
            });
        }
        loop {
            let containers = self.containers().1.len();
            let place = if let Some(place) = self.node.place_if_free(containers) {
                place
            } else {
                let why = format!(
                    "0/1 nodes are available: all {} places for containers are taken.",
                    self.node.options.max_containers
                );
                self.note(|known| known.delay(why));
                until_stopped(stop, self.node.take_place(containers)).await??
            };
            until_stopped(stop, self.settle()).await?;
            let sources = until_stopped(stop, self.sources()).await?;
            match self.prepare(&sources, &volumes_directory) {
                Ok(()) => {
                    if let Err(error) = fs::write(&begun, "") {
                        self.wait_for(
                            "CreateContainerError",
                            &format!("{}: {error}", begun.display()),
                        );
                    }
                    return Some(Ready {
                        _place: Some(place),
                        sources,
                        places,
                    });
                }
                Err((reason, message)) => self.wait_for(reason, &message),
            }
            drop(place);
            until_stopped(stop, sources.changed(&self.node.client, &self.pod)).await?;
        }
    }

    fn wait_for(&self, reason: &str, message: &str) {
        self.note(|known| {
            let first = known.init.first_mut().or(known.main.first_mut());
            if let Some(first) = first {
                first.now = Now::waiting(reason, message);
            }
        });
    }

    /// The directories of the pod's claims, once all are bound. A pod that has begun keeps claims that are being deleted.
    async fn claims(&self, begun: bool) -> BTreeMap<String, PathBuf> {
        let mut bound = self.node.claims.subscribe();
        let namespace = self.pod.namespace().unwrap_or_default();
        let names: Vec<String> = claims::named(&self.pod).map(str::to_owned).collect();
        loop {
            let found = claims::find(&bound.borrow_and_update(), &namespace, &names, begun);
            match found {
                Ok(uids) => {
                    return uids
                        .into_iter()
                        .map(|(name, uid)| (name, self.node.claim_directory(&uid)))
                        .collect();
                }
                Err(why) => self.note(|known| known.delay(why)),
            }
            if bound.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The pod has its place: from here on its deadline runs.
    async fn settle(&self) {
        let now = Timestamp::now();
        self.note(|known| {
            known.unscheduled = None;
            known.start_time.get_or_insert(now);
        });
        let bound = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.node_name.as_ref());
        if bound.is_some() {
            return;
        }
        let patch = json!({
            "metadata": {"uid": self.pod.uid()},
            "spec": {"nodeName": NODE_NAME},
        });
        let name = self.pod.name_any();
        while let Err(error) = self
            .api
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            if is_gone(&error) {
                return;
            }
            tracing::warn!(pod = name, %error, "the pod cannot be bound");
            sleep(RETRY).await;
        }
    }

    async fn sources(&self) -> Sources {
        loop {
            match Sources::read(&self.node.client, &self.pod).await {
                Ok(sources) => return sources,
                Err(error) => {
                    tracing::warn!(pod = self.pod.name_any(), %error, "what the pod names cannot be read");
                    sleep(RETRY).await;
                }
            }
        }
    }

    fn around<'a>(&'a self, sources: &'a Sources) -> Around<'a> {
        Around {
            pod: &self.pod,
            sources,
            node: &self.node.options.environment,
            programs: &self.node.programs,
        }
    }

    /// Lays out the volumes and checks that every container can be put together. Else: a reason and a sentence.
    fn prepare(
        &self,
        sources: &Sources,
        directory: &std::path::Path,
    ) -> Result<(), (&'static str, String)> {
        volumes::fill(&self.pod, directory, sources).map_err(|error| match error {
            VolumeError::Missing(..) => ("ContainerCreating", error.to_string()),
            VolumeError::Disk { .. } => ("CreateContainerError", error.to_string()),
        })?;
        let (init, main) = self.containers();
        for container in init.iter().chain(main) {
            environment::declared(container, &self.around(sources))
                .map_err(|missing| ("CreateContainerConfigError", missing.to_string()))?;
        }
        Ok(())
    }

    /// Runs a container to its last end, starting it again as the restart policy says. Whether it ended well.
    async fn container(
        &self,
        role: Role,
        container: &Container,
        ready: &Ready,
        mut stop: watch::Receiver<Stop>,
    ) -> bool {
        let uid = self.pod.uid().unwrap_or_default();
        let directory = self.node.container_directory(&uid, &container.name);
        let attempt = |number: u32| Attempt::new(directory.join(number.to_string()));
        let policy = self.pod.spec.as_ref();
        let policy = policy.and_then(|spec| spec.restart_policy.as_deref());
        let known = attempts(&directory).last().copied();
        let mut number = known.unwrap_or(0);
        let mut launched = known.map(|number| Launched::found(attempt(number)));
        loop {
            let current = match launched.take() {
                Some(found) => Ok(found),
                None if is_stopping(&stop) || self.node.is_halted() => return false,
                None => self.launch(container, ready, attempt(number)),
            };
            let mut current = match current {
                Ok(current) => current,
                Err((reason, message)) => {
                    self.note(|known| role.of(known).now = Now::waiting(reason, message));
                    // Whatever it was, it was not a matter of time.
                    let _ = stop.wait_for(|stop| *stop > Stop::Go).await;
                    return false;
                }
            };
            let ended = self.oversee(role, number, &mut current, &mut stop).await;
            let ended = ended.unwrap_or_else(|error| {
                let message = format!("the end of the container cannot be seen: {error}");
                Ended::not_started(message, Timestamp::now())
            });
            let end = container::end(container, &current.attempt, ended);
            let well = end.exit_code == 0;
            self.note(|known| role.of(known).now = Now::Terminated(end.clone()));
            if !role.restarts(policy, well) || is_stopping(&stop) || self.node.is_halted() {
                return well;
            }
            let wait = back_off(number);
            if !wait.is_zero() {
                let message = format!("back-off {}s restarting failed container", wait.as_secs());
                self.note(|known| {
                    let container = role.of(known);
                    container.last = Some(end.clone());
                    container.now = Now::waiting("CrashLoopBackOff", message);
                });
                if until_stopped(&mut stop, sleep(wait)).await.is_none() {
                    self.note(|known| role.of(known).now = Now::Terminated(end));
                    return well;
                }
            }
            forget_before(&directory, number);
            number += 1;
            self.note(|known| {
                let container = role.of(known);
                container.last = Some(end);
                container.restarts = number as i32;
            });
        }
    }

    fn launch(
        &self,
        container: &Container,
        ready: &Ready,
        attempt: Attempt,
    ) -> Result<Launched, (&'static str, String)> {
        let scratch = self.directory.join("scratch").join(&container.name);
        let around = self.around(&ready.sources);
        let recipe = Recipe::new(container, &around, &ready.places, &attempt, &scratch)
            .map_err(|missing: Missing| ("CreateContainerError", missing.to_string()))?;
        let start = || -> io::Result<Launched> {
            fs::create_dir_all(&scratch)?;
            // A container runtime makes the working directory; outside the state directory that is not ours to do.
            let working_directory = &recipe.spec.working_directory;
            if working_directory.starts_with(&self.node.options.directory) {
                fs::create_dir_all(working_directory)?;
            }
            Launched::start(&self.node.options.program, attempt, &recipe)
        };
        start().map_err(|error| ("CreateContainerError", error.to_string()))
    }

    /// Watches an attempt to its end, stopping it when the pod is stopped.
    async fn oversee(
        &self,
        role: Role,
        number: u32,
        launched: &mut Launched,
        stop: &mut watch::Receiver<Stop>,
    ) -> io::Result<Ended> {
        if let Some(started) = launched.started().await {
            self.note(|known| {
                let container = role.of(known);
                container.restarts = number as i32;
                container.now = Now::Running(started.at);
            });
        }
        let mut told = Stop::Go;
        loop {
            let wanted = *stop.borrow_and_update();
            if wanted > told {
                match wanted {
                    Stop::Go => {}
                    Stop::Ask => launched.stop(),
                    Stop::Kill => launched.kill(),
                }
                told = wanted;
            }
            tokio::select! {
                ended = launched.ended() => return ended,
                changed = stop.changed() => {
                    if changed.is_err() {
                        return launched.ended().await;
                    }
                }
            }
        }
    }

    /// Nothing runs any more: waits for the pod's deletion, lets it go, and clears its directory.
    async fn leave(&self, mut seen: watch::Receiver<Seen>) {
        loop {
            let latest = seen.borrow_and_update().clone();
            match latest {
                None => break,
                Some(pod) if pod.metadata.deletion_timestamp.is_some() => {
                    let parameters = DeleteParams {
                        grace_period_seconds: Some(0),
                        preconditions: Some(Preconditions {
                            uid: pod.uid(),
                            resource_version: None,
                        }),
                        ..DeleteParams::default()
                    };
                    let released = self.api.delete(&pod.name_any(), &parameters).await;
                    if released.is_err_and(|error| !is_gone(&error)) {
                        sleep(RETRY).await;
                        continue;
                    }
                }
                Some(_) => {}
            }
            if seen.changed().await.is_err() {
                return;
            }
        }
        remove(&self.directory);
    }
}

/// Removes a pod's directory; what cannot be removed now is removed when the node starts next.
pub fn remove(directory: &std::path::Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(directory = %directory.display(), %error, "a directory cannot be removed");
        }
        _ => {}
    }
}

/// The pod is gone, or another has its name.
fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 422))
}

/// What a pod's containers are started with.
struct Ready {
    _place: Option<OwnedSemaphorePermit>,
    sources: Sources,
    places: BTreeMap<String, PathBuf>,
}

/// Which of a pod's containers.
#[derive(Clone, Copy)]
enum Role {
    Init(usize),
    Main(usize),
}

impl Role {
    fn of(self, known: &mut Known) -> &mut super::status::Container {
        match self {
            Self::Init(index) => &mut known.init[index],
            Self::Main(index) => &mut known.main[index],
        }
    }

    fn restarts(self, policy: Option<&str>, well: bool) -> bool {
        match (policy, self) {
            (Some("Never"), _) => false,
            (Some("OnFailure"), _) | (_, Self::Init(_)) => !well,
            _ => true,
        }
    }
}

/// The first start after a failure is at once, those after it ever later.
fn back_off(restarts: u32) -> Duration {
    match restarts {
        0 => Duration::ZERO,
        n => Duration::from_secs(10)
            .saturating_mul(1 << (n - 1).min(5))
            .min(LONGEST_BACK_OFF),
    }
}

/// Numbers of the attempts that a container's directory holds, in order.
pub fn attempts(directory: &std::path::Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            // Without its spec nothing was started yet.
            entry.path().join("spec.json").exists().then_some(number)
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// The log before the last is kept, as on a real node; older ones are not.
fn forget_before(directory: &std::path::Path, number: u32) {
    for old in attempts(directory).into_iter().filter(|old| *old < number) {
        remove(&directory.join(old.to_string()));
    }
}

fn is_stopping(stop: &watch::Receiver<Stop>) -> bool {
    *stop.borrow() > Stop::Go
}

async fn until_stopped<T>(
    stop: &mut watch::Receiver<Stop>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop > Stop::Go) => None,
        done = work => Some(done),
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What a pod's time being up means.
#[derive(Clone, Copy)]
enum Due {
    /// Its own deadline has passed.
    Deadline,
    /// It was asked to stop long enough ago.
    Kill,
}

/// Keeps a pod's status written, and stops the pod when its time is up or it is deleted.
struct Driver<'a> {
    work: &'a Work,
    stop: watch::Sender<Stop>,
    pod: Arc<Pod>,
    /// What the pod's status says, as far as this node wrote it.
    status: Option<PodStatus>,
    /// Whether the final status is on record, or nobody can be told any more.
    written: bool,
    kill_at: Option<Instant>,
}

impl<'a> Driver<'a> {
    fn new(work: &'a Work, stop: watch::Sender<Stop>) -> Self {
        Self {
            work,
            stop,
            pod: Arc::clone(&work.pod),
            status: work.pod.status.clone(),
            written: false,
            kill_at: None,
        }
    }

    fn stop(&self, wanted: Stop) {
        self.stop.send_if_modified(|stop| {
            let more = wanted > *stop;
            *stop = wanted.max(*stop);
            more
        });
    }

    /// Takes in the pod as it is now.
    fn look(&mut self, seen: Seen) {
        let Some(pod) = seen else {
            self.written = true;
            return self.stop(Stop::Kill);
        };
        if pod.metadata.deletion_timestamp.is_some() {
            let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            let grace = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
            let kill_at = Instant::now().checked_add(grace);
            self.kill_at = match (self.kill_at, kill_at) {
                (Some(before), Some(now)) => Some(before.min(now)),
                (before, now) => before.or(now),
            };
            self.stop(Stop::Ask);
        }
        self.pod = pod;
    }

    /// When the pod's own deadline is.
    fn deadline(&self) -> Option<Instant> {
        let seconds = self.pod.spec.as_ref()?.active_deadline_seconds?;
        let started = self.work.known().start_time?;
        let passed = Timestamp::now().duration_since(started).as_millis();
        let left = i128::from(seconds) * 1000 - passed;
        Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Resolves when the pod's time is up. Never, when nothing is due.
    fn due(&self) -> impl Future<Output = Due> + use<> {
        let known = self.work.known();
        let ending = known.over || known.verdict.is_some();
        let deadline = self.deadline().filter(|_| !ending);
        let kill_at = self.kill_at.filter(|_| *self.stop.borrow() < Stop::Kill);
        async move {
            tokio::select! {
                () = until(deadline) => Due::Deadline,
                () = until(kill_at) => Due::Kill,
            }
        }
    }

    fn stop_for(&self, due: Due) {
        match due {
            Due::Deadline => {
                let (reason, message) = DEADLINE;
                let verdict = (reason.to_owned(), message.to_owned());
                self.work.note(|known| known.verdict = Some(verdict));
                self.stop(Stop::Ask);
            }
            Due::Kill => self.stop(Stop::Kill),
        }
    }

    /// Waits for news of the pod and writes them. May be dropped at any time: what was not written stays to be written.
    async fn write(&mut self) {
        let known = self.work.known();
        let status = known.status(&self.pod, Timestamp::now());
        if self.status.as_ref() == Some(&status) || self.written {
            if known.over {
                self.written = true;
            }
            return self.work.changed.notified().await;
        }
        let name = self.pod.name_any();
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": self.pod.uid()},
            {"op": "add", "path": "/status", "value": status},
        ]);
        let patch: json_patch::Patch = match serde_json::from_value(patch) {
            Ok(patch) => patch,
            Err(error) => {
                tracing::error!(pod = name, %error, "a status cannot be written");
                return self.work.changed.notified().await;
            }
        };
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = self
            .work
            .api
            .patch_status(&name, &parameters, &Patch::<Pod>::Json(patch))
            .await;
        match written {
            Ok(_) => {
                self.written = known.over;
                self.status = Some(status);
            }
            Err(error) if is_gone(&error) => {
                self.written = known.over;
                self.status = Some(status);
            }
            Err(error) => {
                tracing::warn!(pod = name, %error, "the pod's status cannot be written");
                sleep(RETRY).await;
            }
        }
    }
}
