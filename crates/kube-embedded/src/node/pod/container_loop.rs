//! The turns of one container: its attempts, one after the other, as the restart policy says.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference};
use kube::ResourceExt;
use tokio::{sync::watch, time::sleep};

use super::{
    super::{
        container::{self, Launched, Recipe},
        sources::Missing,
        status::{self, End, Known, Now},
    },
    Work,
    lifecycle::{Stop, is_stopping, until_stopped},
    prepare::Ready,
    remove,
};
use crate::attempt::{Attempt, Ended};

/// The longest a container that keeps failing waits to be started again.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// A container that ran for so long starts over with its back-off, as on a kubelet.
const LONG_ENOUGH: Duration = Duration::from_secs(600);
/// When what could not be made is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// When a signal that found nobody is sent again.
const SOON: Duration = Duration::from_millis(20);

impl Work {
    /// One of the pod's containers, as Events name it.
    fn about(&self, role: Role, container: &Container) -> ObjectReference {
        let list = match role {
            Role::Init(_) => "initContainers",
            Role::Main(_) => "containers",
        };
        ObjectReference {
            field_path: Some(format!("spec.{list}{{{}}}", container.name)),
            ..self.reference.clone()
        }
    }

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
        // Ends in a row that came soon after the start.
        let mut failures = number;
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
                Err(Trouble {
                    reason,
                    message,
                    passes,
                }) => {
                    let (recorder, about) = (&self.node.recorder, self.about(role, container));
                    recorder.warning(&about, "Failed", format!("Error: {message}"));
                    self.note(|known| role.of(known).now = Now::waiting(reason, message));
                    if passes && until_stopped(&mut stop, sleep(TRY_AGAIN)).await.is_some() {
                        continue;
                    }
                    let _ = stop.wait_for(|stop| *stop > Stop::Go).await;
                    return false;
                }
            };
            let ended = self
                .oversee(role, container, number, &mut current, &mut stop)
                .await;
            let ended = ended.unwrap_or_else(|error| {
                let message = format!("the end of the container cannot be seen: {error}");
                Ended::not_started(message, Timestamp::now())
            });
            if ended.is_never_started() && !current.is_new() && !is_stopping(&stop) {
                number += 1;
                continue;
            }
            let end = container::end(container, &current.attempt, ended);
            let well = end.exit_code == 0;
            self.note(|known| role.of(known).now = Now::Terminated(end.clone()));
            if !role.restarts(policy, well) || is_stopping(&stop) {
                return well;
            }
            failures = if lasted(&end) { 0 } else { failures + 1 };
            let wait = back_off(failures);
            if !wait.is_zero() {
                let message = format!(
                    "back-off {}s restarting failed container={} pod={}",
                    wait.as_secs(),
                    container.name,
                    self.pod.name_any()
                );
                let sentence = format!(
                    "Back-off restarting failed container {} in pod {}",
                    container.name,
                    self.pod.name_any()
                );
                let about = self.about(role, container);
                self.node.recorder.warning(&about, "BackOff", sentence);
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
    ) -> Result<Option<Launched>, Trouble> {
        let Some(_unhalted) = self.node.unhalted() else {
            return Ok(None);
        };
        let scratch = self.directory.join("scratch").join(&container.name);
        let around = self.around(&ready.sources);
        let limits = &self.node.options.limits;
        let recipe = Recipe::new(
            container,
            &around,
            &ready.places,
            &attempt,
            &scratch,
            limits,
        )
        .map_err(|missing: Missing| Trouble::new(&missing, false))?;
        let start = || -> io::Result<Option<Launched>> {
            fs::create_dir_all(&scratch)?;
            // A container runtime makes the working directory; outside the state directory that is not ours to do.
            let working_directory = &recipe.spec.working_directory;
            if working_directory.starts_with(&self.node.options.directory) {
                fs::create_dir_all(working_directory)?;
            }
            Launched::start(&self.node.options.program, attempt, &recipe).map(Some)
        };
        start().map_err(|error| Trouble::new(&error, true))
    }

    /// Watches an attempt to its end, stopping it when the pod is stopped.
    async fn oversee(
        &self,
        role: Role,
        container: &Container,
        number: u32,
        launched: &mut Launched,
        stop: &mut watch::Receiver<Stop>,
    ) -> io::Result<Ended> {
        let (recorder, about) = (&self.node.recorder, self.about(role, container));
        let is_new = launched.is_new();
        let started = launched.started().await;
        if is_new {
            let name = &container.name;
            recorder.normal(&about, "Created", format!("Created container {name}"));
            match (
                &started,
                launched.attempt.ended().and_then(|ended| ended.message),
            ) {
                (Some(_), _) => {
                    recorder.normal(&about, "Started", format!("Started container {name}"));
                }
                (None, Some(message)) => {
                    recorder.warning(&about, "Failed", format!("Error: {message}"));
                }
                (None, None) => {}
            }
        }
        if let Some(started) = started {
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
                Stop::Ask => launched.stop(*self.grace()),
                Stop::Kill => launched.kill(),
            };
            if heard {
                if told == Stop::Go && wanted > told {
                    let message = format!("Stopping container {}", container.name);
                    recorder.normal(&about, "Killing", message);
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
                // Its shim is about to start, or about to end.
                () = sleep(SOON), if !heard => {}
            }
        }
    }
}

/// Why an attempt cannot be made.
struct Trouble {
    reason: &'static str,
    message: String,
    /// It may be gone the next time, as a full disk is.
    passes: bool,
}

impl Trouble {
    fn new(why: &dyn std::fmt::Display, passes: bool) -> Self {
        Self {
            reason: "CreateContainerError",
            message: why.to_string(),
            passes,
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

/// Whether a container ran for so long that how it began is forgotten.
fn lasted(end: &End) -> bool {
    let ran = end.started_at.map(|at| end.finished_at.duration_since(at));
    ran.is_some_and(|ran| ran.unsigned_abs() >= LONG_ENOUGH)
}

/// The first start after a failure is at once, those after it ever later.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(10)
            .saturating_mul(1 << (n - 2).min(5))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_in_a_row_waits_longer_up_to_five_minutes() {
        let waits: Vec<u64> = (1..9).map(|n| back_off(n).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn who_ran_for_ten_minutes_starts_over() {
        let end = |seconds| End {
            exit_code: 1,
            signal: None,
            reason: "Error".to_owned(),
            message: None,
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::from_second(seconds).unwrap(),
        };
        assert!(!lasted(&end(599)));
        assert!(lasted(&end(600)));
    }

    #[test]
    fn a_restart_policy_says_who_is_started_again() {
        for (policy, role, well, again) in [
            ("Never", Role::Main(0), false, false),
            ("Never", Role::Init(0), false, false),
            ("OnFailure", Role::Main(0), false, true),
            ("OnFailure", Role::Main(0), true, false),
            ("Always", Role::Main(0), true, true),
            ("Always", Role::Main(0), false, true),
            ("Always", Role::Init(0), true, false),
            ("Always", Role::Init(0), false, true),
        ] {
            assert_eq!(role.restarts(Some(policy), well), again, "{policy} {well}");
        }
    }
}
