//! One attempt to run a container: starting or adopting its shim, stopping it, and reporting its exit.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid as ProcessId,
};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    sync::oneshot,
};

use super::{
    Limits,
    environment::{self, EnvContext},
    paths::{Paths, expand},
    sources::Missing,
    status::Termination,
};
use crate::{
    attempt::{Attempt, Ended, Spec, Started},
    log,
    regular_file::open_regular,
    shim,
};

/// Maximum size of a termination message, in bytes; its end is kept.
const MAX_MESSAGE: u64 = 4096;
/// Maximum lines and bytes of a log used as termination message.
const LOG_MESSAGE: (usize, usize) = (80, 2048);

/// Polling interval while an attempt starts or is killed.
const POLL: Duration = Duration::from_millis(5);
/// How long a shim may take to write its first file.
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Configuration of a container's process.
pub(super) struct LaunchConfig {
    pub spec: Spec,
    pub environment: BTreeMap<String, String>,
}

impl LaunchConfig {
    /// Builds the configuration of `container`. `volumes` are the directories of the pod's volumes, `scratch` is the
    /// working directory unless the container names one.
    pub(super) fn new(
        container: &Container,
        env_context: &EnvContext<'_>,
        volumes: &BTreeMap<String, PathBuf>,
        attempt: &Attempt,
        scratch: &Path,
        limits: &Limits,
    ) -> Result<Self, Missing> {
        let declared = environment::declared(container, env_context)?;
        let termination_path = container.termination_message_path.as_deref();
        let paths = Paths::new(
            mounts(container, volumes, &declared)?
                .into_iter()
                .chain(termination_path.map(|path| (path.to_owned(), attempt.termination_path()))),
        );
        let words = container.command.iter().chain(&container.args).flatten();
        let command: Vec<String> = words
            .map(|word| paths.translate(&expand(word, &declared)))
            .collect();
        if container.command.as_ref().is_none_or(Vec::is_empty) {
            return Err(Missing::Unsupported(format!(
                "container {:?} has no command: the embedded node runs local programs, not images",
                container.name
            )));
        }
        let grace = env_context.pod.spec.as_ref();
        let grace = grace.and_then(|spec| spec.termination_grace_period_seconds);
        Ok(Self {
            spec: Spec {
                command,
                working_directory: container
                    .working_dir
                    .as_deref()
                    .filter(|directory| !directory.is_empty())
                    .map_or_else(
                        || scratch.to_owned(),
                        |directory| paths.translate(&expand(directory, &declared)).into(),
                    ),
                grace_seconds: u64::try_from(grace.unwrap_or(30)).unwrap_or(0),
                log_file_bytes: limits.log_file_bytes,
                log_files: limits.log_files,
            },
            environment: environment::complete(&container.name, &declared, env_context, &paths),
        })
    }
}

fn mounts(
    container: &Container,
    volumes: &BTreeMap<String, PathBuf>,
    declared: &BTreeMap<String, String>,
) -> Result<Vec<(String, PathBuf)>, Missing> {
    let mut all = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let directory = volumes.get(&mount.name).ok_or_else(|| {
            Missing::Unsupported(format!("there is no volume {:?} to mount", mount.name))
        })?;
        let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => expand(path, declared),
            (None, None) => String::new(),
        };
        if !super::paths::is_inside(Path::new(&sub_path)) {
            return Err(Missing::Unsupported(format!(
                "the subPath {sub_path:?} is outside its volume"
            )));
        }
        all.push((mount.mount_path.clone(), directory.join(sub_path)));
    }
    Ok(all)
}

/// An attempt whose shim has been started.
pub(super) struct AttemptHandle {
    pub attempt: Attempt,
    /// The shim, if this process started it.
    child: Option<Child>,
    is_new: bool,
}

impl AttemptHandle {
    /// Creates the directory of an attempt and starts its shim.
    pub(super) fn start(
        program: &Path,
        attempt: Attempt,
        config: &LaunchConfig,
    ) -> io::Result<Self> {
        fs::create_dir_all(attempt.directory())?;
        File::create(attempt.log_path(0))?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(attempt.termination_path())?;
        attempt.write_spec(&config.spec)?;
        let spawned = Command::new(program)
            .args(["shim", "--spec"])
            .arg(attempt.spec_path())
            .env_clear()
            .envs(&config.environment)
            .env(shim::ATTEMPT_VARIABLE, attempt.directory())
            .current_dir(attempt.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => Some(child),
            // Too large an environment, or too many processes: report it as the end of the container, like a container
            // runtime.
            Err(error) => {
                let message = format!("cannot start the container's process: {error}");
                attempt.write_ended(&Ended::not_started(message, Timestamp::now()))?;
                None
            }
        };
        Ok(Self {
            attempt,
            child,
            is_new: true,
        })
    }

    /// Returns an attempt started by an earlier process.
    #[must_use]
    pub(super) const fn existing(attempt: Attempt) -> Self {
        Self {
            attempt,
            child: None,
            is_new: false,
        }
    }

    /// Returns whether this process started the attempt.
    #[must_use]
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Waits until the container runs or has failed to start.
    pub(super) async fn started(&mut self) -> Option<Started> {
        match self.child.as_mut().and_then(|child| child.stdout.as_mut()) {
            Some(stdout) => {
                let _ = stdout.read(&mut [0]).await;
            }
            None => self.wait_for_files().await,
        }
        self.attempt.started()
    }

    /// Waits for the first file of an adopted shim. A shim started just before the restart may not hold its lock yet;
    /// taking the lock now would mark it as lost and keep it from starting.
    async fn wait_for_files(&self) {
        let deadline = tokio::time::Instant::now() + START_TIMEOUT;
        while self.attempt.started().is_none()
            && self.attempt.ended().is_none()
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for the end of the attempt.
    pub(super) async fn ended(&mut self) -> io::Result<Ended> {
        if let Some(child) = &mut self.child {
            child.wait().await?;
            let attempt = self.attempt.clone();
            let reaped = tokio::task::spawn_blocking(move || reap(&attempt));
            return reaped.await.map_err(io::Error::other)?;
        }
        // An adopted shim is not a child process, but releases its lock when it ends. Wait for it on a separate thread:
        // it may take hours, and blocking threads of the runtime would delay the exit of this process.
        let (sender, termination) = oneshot::channel();
        let attempt = self.attempt.clone();
        thread::Builder::new()
            .name("shim".to_owned())
            .spawn(move || {
                let _ = sender.send(reap(&attempt));
            })?;
        termination.await.map_err(io::Error::other)?
    }

    /// Asks the container to stop, with `grace` or the grace period of its spec. Returns whether the shim got the
    /// signal.
    pub(super) fn stop(&self, grace: Option<u64>) -> bool {
        if let Some(seconds) = grace
            && let Err(error) = self.attempt.write_grace(seconds)
        {
            tracing::warn!(%error, "cannot write the grace period of a container");
        }
        signal(&self.attempt, Signal::SIGTERM)
    }

    /// Kills the container. Returns whether the shim got the signal.
    pub(super) fn kill(&self) -> bool {
        signal(&self.attempt, Signal::SIGUSR1)
    }
}

/// Signals the shim of an attempt. Returns `false` if it does not run (yet).
fn signal(attempt: &Attempt, signal: Signal) -> bool {
    attempt.started().is_some_and(|started| {
        let shim = ProcessId::from_raw(started.shim);
        // A running shim holds its lock.
        let is_running = attempt.try_lock().is_ok_and(|lock| lock.is_none());
        is_running && shim::ticks(shim) == started.shim_ticks && kill(shim, signal).is_ok()
    })
}

/// Kills an attempt and waits until no process of it is left. Blocks the thread.
pub(super) fn kill_and_wait(attempt: &Attempt) -> io::Result<()> {
    loop {
        signal(attempt, Signal::SIGUSR1);
        if let Some(lock) = attempt.try_lock()? {
            drop(lock);
            return reap(attempt).map(drop);
        }
        thread::sleep(POLL);
    }
}

/// Returns how an attempt ended, once its shim is gone. If the shim did not report the end, kills what is left of the
/// container and records it as lost.
pub(super) fn reap(attempt: &Attempt) -> io::Result<Ended> {
    let _lock = attempt.lock()?;
    if let Some(ended) = attempt.ended() {
        return Ok(ended);
    }
    if !shim::kill_orphans(attempt) {
        let directory = attempt.directory().display();
        tracing::warn!(%directory, "cannot kill a process of a container whose shim is gone");
    }
    let (started, now) = (attempt.started(), Timestamp::now());
    let ended = if started.is_none() && !attempt.is_claimed() {
        Ended::never_started(now)
    } else {
        Ended::lost(started.map(|started| started.at), now)
    };
    attempt.write_ended(&ended)?;
    Ok(ended)
}

/// Converts the end of an attempt to the terms of a kubelet, with the termination message.
#[must_use]
pub(super) fn termination(container: &Container, attempt: &Attempt, ended: Ended) -> Termination {
    let reason = match (&ended.reason, ended.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => "Completed".to_owned(),
        (None, _) => "Error".to_owned(),
    };
    let message = ended.message.or_else(|| {
        let message = read_end(&attempt.termination_path(), MAX_MESSAGE);
        let policy = container.termination_message_policy.as_deref();
        let fallback = policy == Some("FallbackToLogsOnError") && ended.exit_code != 0;
        if message.is_none() && fallback {
            log_message(attempt)
        } else {
            message
        }
    });
    Termination {
        exit_code: ended.exit_code,
        signal: ended.signal,
        reason,
        message,
        started_at: ended.started_at,
        finished_at: ended.finished_at,
    }
}

/// Returns the end of a file as text; `None` if it is empty or not a regular file.
fn read_end(path: &Path, limit: u64) -> Option<String> {
    let mut file = open_regular(path).ok()?;
    let length = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the end of a container's log, cut within a line like a kubelet does.
fn log_message(attempt: &Attempt) -> Option<String> {
    let (lines, bytes) = LOG_MESSAGE;
    let text = log::last_lines(attempt, lines, bytes).ok()?;
    (!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_is_a_termination_message() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("message");
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_end(&path, 4).as_deref(), Some("6789"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(read_end(&path, 4), None);
    }

    #[tokio::test]
    async fn waits_for_shim_started_before_restart() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = Attempt::new(directory.path().to_owned());
        let mut launched = AttemptHandle::existing(attempt.clone());
        let started = Started {
            shim: 1,
            shim_ticks: None,
            process: 2,
            process_ticks: None,
            at: Timestamp::UNIX_EPOCH,
        };
        // The writer runs only after the reader has found nothing.
        let (seen, written) = tokio::join!(launched.started(), async {
            attempt.write_started(&started)
        });
        written.unwrap();
        assert_eq!(seen, Some(started));
    }
}
