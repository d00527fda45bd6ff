//! Runs one container: its attempts, one after the other, by the restart policy.

use std::{fs, io, path::Path, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference};
use kube::ResourceExt;
use tokio::{sync::watch, time::sleep};

use super::{
    super::{
        container::{self, AttemptHandle, LaunchConfig},
        sources::Missing,
        status::{self, PodRecord, State, Termination},
    },
    PodRunner,
    lifecycle::{Stop, is_stopping, until_stopped},
    prepare::Prepared,
    remove,
};
use crate::attempt::{Attempt, Ended};

/// Maximum restart back-off.
const MAX_BACK_OFF: Duration = Duration::from_secs(300);
/// Run time after which the back-off is reset, as on a kubelet.
const BACK_OFF_RESET: Duration = Duration::from_secs(600);
/// Delay before a failed creation is retried.
const CREATE_RETRY: Duration = Duration::from_secs(10);
/// Delay before an undelivered signal is resent.
const SIGNAL_RETRY: Duration = Duration::from_millis(20);

impl PodRunner {
    /// Returns a container as the object of Events.
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

    /// Runs a container to completion, with restarts. Returns whether it succeeded.
    pub(super) async fn container(
        &self,
        role: Role,
        container: &Container,
        prepared: &Prepared,
        mut stop: watch::Receiver<Stop>,
    ) -> bool {
        let uid = self.pod.uid().unwrap_or_default();
        let directory = self.node.container_directory(&uid, &container.name);
        let attempt = |number: u32| Attempt::new(directory.join(number.to_string()));
        let policy = self.pod.spec.as_ref();
        let policy = policy.and_then(|spec| spec.restart_policy.as_deref());
        let last_attempt = attempts(&directory).last().copied();
        let mut number = last_attempt.unwrap_or(0);
        // Number of consecutive short runs.
        let mut failures = number;
        let mut launched = last_attempt.map(|number| AttemptHandle::existing(attempt(number)));
        loop {
            let current = match launched.take() {
                Some(found) => Ok(Some(found)),
                None if is_stopping(&stop) => Ok(None),
                None => self.launch(container, prepared, attempt(number)),
            };
            let mut current = match current {
                Ok(Some(current)) => current,
                Ok(None) => return false,
                Err(CreateError {
                    reason,
                    message,
                    transient,
                }) => {
                    let (recorder, about) = (&self.node.recorder, self.about(role, container));
                    recorder.warning(&about, "Failed", format!("Error: {message}"));
                    self.update(|record| role.of(record).state = State::waiting(reason, message));
                    if transient
                        && until_stopped(&mut stop, sleep(CREATE_RETRY))
                            .await
                            .is_some()
                    {
                        continue;
                    }
                    let _ = stop.wait_for(|stop| *stop > Stop::Run).await;
                    return false;
                }
            };
            let ended = self
                .supervise(role, container, number, &mut current, &mut stop)
                .await;
            let ended = ended.unwrap_or_else(|error| {
                let message = format!("cannot observe the end of the container: {error}");
                Ended::not_started(message, Timestamp::now())
            });
            if ended.is_never_started() && !current.is_new() && !is_stopping(&stop) {
                number += 1;
                continue;
            }
            let end = container::termination(container, &current.attempt, ended);
            let succeeded = end.exit_code == 0;
            self.update(|record| role.of(record).state = State::Terminated(end.clone()));
            if !role.restarts(policy, succeeded) || is_stopping(&stop) {
                return succeeded;
            }
            failures = if ran_long_enough(&end) {
                0
            } else {
                failures + 1
            };
            let wait = back_off(failures);
            if !wait.is_zero() {
                let message = format!(
                    "back-off {}s restarting failed container={} pod={}",
                    wait.as_secs(),
                    container.name,
                    self.pod.name_any()
                );
                let event_message = format!(
                    "Back-off restarting failed container {} in pod {}",
                    container.name,
                    self.pod.name_any()
                );
                let about = self.about(role, container);
                self.node.recorder.warning(&about, "BackOff", event_message);
                self.update(|record| {
                    let container = role.of(record);
                    container.last = Some(end.clone());
                    container.state = State::waiting("CrashLoopBackOff", message);
                });
                if until_stopped(&mut stop, sleep(wait)).await.is_none() {
                    self.update(|record| role.of(record).state = State::Terminated(end));
                    return succeeded;
                }
            }
            remove_older_attempts(&directory, number);
            number += 1;
            self.update(|record| {
                let container = role.of(record);
                container.last = Some(end);
                container.restarts = number as i32;
            });
        }
    }

    /// Starts an attempt; `None` if starting is disabled.
    fn launch(
        &self,
        container: &Container,
        prepared: &Prepared,
        attempt: Attempt,
    ) -> Result<Option<AttemptHandle>, CreateError> {
        let Some(_permit) = self.node.start_permit() else {
            return Ok(None);
        };
        let scratch = self.directory.join("scratch").join(&container.name);
        let env_context = self.env_context(&prepared.sources);
        let limits = &self.node.options.limits;
        let config = LaunchConfig::new(
            container,
            &env_context,
            &prepared.volume_directories,
            &attempt,
            &scratch,
            limits,
        )
        .map_err(|missing: Missing| CreateError::new(&missing, false))?;
        let start = || -> io::Result<Option<AttemptHandle>> {
            fs::create_dir_all(&scratch)?;
            // Create the working directory, as a container runtime does, but only inside the state directory.
            let working_directory = &config.spec.working_directory;
            if working_directory.starts_with(&self.node.options.directory) {
                fs::create_dir_all(working_directory)?;
            }
            AttemptHandle::start(&self.node.options.program, attempt, &config).map(Some)
        };
        start().map_err(|error| CreateError::new(&error, true))
    }

    /// Waits for the end of an attempt, stopping it when the pod is stopped.
    async fn supervise(
        &self,
        role: Role,
        container: &Container,
        number: u32,
        launched: &mut AttemptHandle,
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
            self.update(|record| {
                let container = role.of(record);
                container.restarts = number as i32;
                container.state = State::Running(started.at);
            });
        }
        let mut sent = Stop::Run;
        loop {
            let wanted = *stop.borrow_and_update();
            let delivered = match wanted {
                _ if wanted <= sent => true,
                Stop::Run => true,
                Stop::Terminate => launched.stop(*self.grace()),
                Stop::Kill => launched.kill(),
            };
            if delivered {
                if sent == Stop::Run && wanted > sent {
                    let message = format!("Stopping container {}", container.name);
                    recorder.normal(&about, "Killing", message);
                }
                sent = wanted;
            }
            tokio::select! {
                ended = launched.ended() => return ended,
                changed = stop.changed() => {
                    if changed.is_err() {
                        return launched.ended().await;
                    }
                }
                // Its shim is just starting or ending.
                () = sleep(SIGNAL_RETRY), if !delivered => {}
            }
        }
    }
}

/// Why an attempt cannot be created.
struct CreateError {
    reason: &'static str,
    message: String,
    /// Whether a retry may succeed, as after a full disk.
    transient: bool,
}

impl CreateError {
    fn new(why: &dyn std::fmt::Display, transient: bool) -> Self {
        Self {
            reason: "CreateContainerError",
            message: why.to_string(),
            transient,
        }
    }
}

/// Index of a container in its pod.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Init(usize),
    Main(usize),
}

impl Role {
    fn of(self, record: &mut PodRecord) -> &mut status::ContainerRecord {
        match self {
            Self::Init(index) => &mut record.init[index],
            Self::Main(index) => &mut record.main[index],
        }
    }

    fn restarts(self, policy: Option<&str>, succeeded: bool) -> bool {
        match (policy, self) {
            (Some("Never"), _) => false,
            (Some("OnFailure"), _) | (_, Self::Init(_)) => !succeeded,
            _ => true,
        }
    }
}

/// Returns whether a container ran long enough to reset the back-off.
fn ran_long_enough(end: &Termination) -> bool {
    let ran = end.started_at.map(|at| end.finished_at.duration_since(at));
    ran.is_some_and(|ran| ran.unsigned_abs() >= BACK_OFF_RESET)
}

/// Returns the delay of the next start: none after the first failure, then exponential.
fn back_off(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(10)
            .saturating_mul(1 << (n - 2).min(5))
            .min(MAX_BACK_OFF),
    }
}

/// Returns the numbers of the attempts in a container's directory, in order.
pub(crate) fn attempts(directory: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            // Without a spec, nothing was started.
            entry.path().join("spec.json").exists().then_some(number)
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Removes attempts before `number`, whose log is kept as the previous log.
fn remove_older_attempts(directory: &Path, number: u32) {
    for old in attempts(directory).into_iter().filter(|old| *old < number) {
        remove(&directory.join(old.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_grows_to_five_minutes() {
        let waits: Vec<u64> = (1..9).map(|n| back_off(n).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn back_off_resets_after_ten_minutes() {
        let end = |seconds| Termination {
            exit_code: 1,
            signal: None,
            reason: "Error".to_owned(),
            message: None,
            started_at: Some(Timestamp::UNIX_EPOCH),
            finished_at: Timestamp::from_second(seconds).unwrap(),
        };
        assert!(!ran_long_enough(&end(599)));
        assert!(ran_long_enough(&end(600)));
    }

    #[test]
    fn restart_policy_decides_restarts() {
        for (policy, role, succeeded, again) in [
            ("Never", Role::Main(0), false, false),
            ("Never", Role::Init(0), false, false),
            ("OnFailure", Role::Main(0), false, true),
            ("OnFailure", Role::Main(0), true, false),
            ("Always", Role::Main(0), true, true),
            ("Always", Role::Main(0), false, true),
            ("Always", Role::Init(0), true, false),
            ("Always", Role::Init(0), false, true),
        ] {
            assert_eq!(
                role.restarts(Some(policy), succeeded),
                again,
                "{policy} {succeeded}"
            );
        }
    }
}
