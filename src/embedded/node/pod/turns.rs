//! The turns of one container: its attempts, one after the other, as the restart policy says.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use kube::ResourceExt;
use tokio::{sync::watch, time::sleep};

use super::{
    super::{
        container::{self, Launched, Recipe},
        sources::Missing,
        status::{self, Known, Now},
    },
    Work,
    driver::{Stop, is_stopping, until_stopped},
    ready::Ready,
    remove,
};
use crate::embedded::attempt::{Attempt, Ended};

/// The longest a container that keeps failing waits to be started again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// When a signal that found nobody is sent again.
const SOON: Duration = Duration::from_millis(20);

impl Work {
    /// Runs a container to its last end, starting it again as the restart policy says. Whether it ended well.
    pub async fn container(
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
                Some(found) => Ok(Some(found)),
                None if is_stopping(&stop) => Ok(None),
                None => self.launch(container, ready, attempt(number)),
            };
            let mut current = match current {
                Ok(Some(current)) => current,
                Ok(None) => return false,
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
            if !role.restarts(policy, well) || is_stopping(&stop) {
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

    /// Starts an attempt; `None` when the node starts nothing any more.
    fn launch(
        &self,
        container: &Container,
        ready: &Ready,
        attempt: Attempt,
    ) -> Result<Option<Launched>, (&'static str, String)> {
        let Some(_unhalted) = self.node.unhalted() else {
            return Ok(None);
        };
        let scratch = self.directory.join("scratch").join(&container.name);
        let around = self.around(&ready.sources);
        let recipe = Recipe::new(container, &around, &ready.places, &attempt, &scratch)
            .map_err(|missing: Missing| ("CreateContainerError", missing.to_string()))?;
        let start = || -> io::Result<Option<Launched>> {
            fs::create_dir_all(&scratch)?;
            // A container runtime makes the working directory; outside the state directory that is not ours to do.
            let working_directory = &recipe.spec.working_directory;
            if working_directory.starts_with(&self.node.options.directory) {
                fs::create_dir_all(working_directory)?;
            }
            Launched::start(&self.node.options.program, attempt, &recipe).map(Some)
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
            let heard = match wanted {
                _ if wanted <= told => true,
                Stop::Go => true,
                Stop::Ask => launched.stop(),
                Stop::Kill => launched.kill(),
            };
            if heard {
                told = wanted;
            }
            tokio::select! {
                ended = launched.ended() => return ended,
                changed = stop.changed() => {
                    if changed.is_err() {
                        return launched.ended().await;
                    }
                }
                // Its shim is about to start, or about to end.
                () = sleep(SOON), if !heard => {}
            }
        }
    }
}

/// Which of a pod's containers.
#[derive(Clone, Copy)]
pub enum Role {
    Init(usize),
    Main(usize),
}

impl Role {
    fn of(self, known: &mut Known) -> &mut status::Container {
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
pub fn attempts(directory: &Path) -> Vec<u32> {
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
fn forget_before(directory: &Path, number: u32) {
    for old in attempts(directory).into_iter().filter(|old| *old < number) {
        remove(&directory.join(old.to_string()));
    }
}
