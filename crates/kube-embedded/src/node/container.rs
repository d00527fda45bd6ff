//! One attempt at a container as the node sees it: starting its shim, or finding it again; stopping it; its end.

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
    environment::{self, Around},
    paths::{Paths, expand},
    sources::Missing,
    status::End,
};
use crate::{
    attempt::{Attempt, Ended, Spec, Started},
    log,
    regular_file::open_regular,
    shim,
};

/// Bytes of a termination message that are kept: the last ones.
const MESSAGE: u64 = 4096;
/// Lines and bytes of the log that stand in for a missing termination message.
const FALLBACK: (usize, usize) = (80, 2048);

/// How often an attempt that is put down, or about to start, is looked at.
const AGAIN: Duration = Duration::from_millis(5);
/// How long a shim may take from its first instruction to its first file.
const STARTING: Duration = Duration::from_secs(5);

/// Everything a container's process is started with.
pub struct Recipe {
    pub spec: Spec,
    pub environment: BTreeMap<String, String>,
}

impl Recipe {
    /// Puts together what `container` asks for. `volumes` are the directories of the pod's volumes, `scratch` a
    /// directory for a container that names no working directory.
    pub fn new(
        container: &Container,
        around: &Around<'_>,
        volumes: &BTreeMap<String, PathBuf>,
        attempt: &Attempt,
        scratch: &Path,
        limits: &Limits,
    ) -> Result<Self, Missing> {
        let declared = environment::declared(container, around)?;
        let last_words = container.termination_message_path.as_deref();
        let paths = Paths::new(
            mounts(container, volumes, &declared)?
                .into_iter()
                .chain(last_words.map(|path| (path.to_owned(), attempt.termination_path()))),
        );
        let words = container.command.iter().chain(&container.args).flatten();
        let command: Vec<String> = words
            .map(|word| paths.translate(&expand(word, &declared)))
            .collect();
        if container.command.as_ref().is_none_or(Vec::is_empty) {
            return Err(Missing::Unsupported(format!(
                "container {:?} names no command: the embedded node runs programs of this machine, no images",
                container.name
            )));
        }
        let grace = around.pod.spec.as_ref();
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
            environment: environment::whole(&container.name, &declared, around, &paths),
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
        let place = volumes.get(&mount.name).ok_or_else(|| {
            Missing::Unsupported(format!("there is no volume {:?} to mount", mount.name))
        })?;
        let below = match (&mount.sub_path, &mount.sub_path_expr) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => expand(path, declared),
            (None, None) => String::new(),
        };
        if !super::paths::is_inside(Path::new(&below)) {
            return Err(Missing::Unsupported(format!(
                "the subPath {below:?} leads out of its volume"
            )));
        }
        all.push((mount.mount_path.clone(), place.join(below)));
    }
    Ok(all)
}

/// An attempt whose shim runs, or ran.
pub struct Launched {
    pub attempt: Attempt,
    /// Its shim, when this process started it.
    child: Option<Child>,
    is_new: bool,
}

impl Launched {
    /// Starts an attempt: its directory, then its shim.
    pub fn start(program: &Path, attempt: Attempt, recipe: &Recipe) -> io::Result<Self> {
        fs::create_dir_all(attempt.directory())?;
        File::create(attempt.log_path(0))?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(attempt.termination_path())?;
        attempt.write_spec(&recipe.spec)?;
        let spawned = Command::new(program)
            .args(["shim", "--spec"])
            .arg(attempt.spec_path())
            .env_clear()
            .envs(&recipe.environment)
            .env(shim::MARK, attempt.directory())
            .current_dir(attempt.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => Some(child),
            // Too large an environment, no more processes: the container's end, as a container runtime has it.
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

    /// An attempt that was started before this process.
    #[must_use]
    pub const fn found(attempt: Attempt) -> Self {
        Self {
            attempt,
            child: None,
            is_new: false,
        }
    }

    /// Whether this process started it.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Resolves once the container runs, or will not.
    pub async fn started(&mut self) -> Option<Started> {
        match self.child.as_mut().and_then(|child| child.stdout.as_mut()) {
            Some(stdout) => {
                let _ = stdout.read(&mut [0]).await;
            }
            None => self.settled().await,
        }
        self.attempt.started()
    }

    /// A shim that the node before this one had only just started may not hold its lock yet: whoever judged it now would
    /// write it down as lost, and keep it from starting. Its files are awaited, for a while; the lock is left to it.
    async fn settled(&self) {
        let deadline = tokio::time::Instant::now() + STARTING;
        while self.attempt.started().is_none()
            && self.attempt.ended().is_none()
            && tokio::time::Instant::now() < deadline
        {
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Resolves with how it ended, once it has.
    pub async fn ended(&mut self) -> io::Result<Ended> {
        if let Some(child) = &mut self.child {
            child.wait().await?;
            let attempt = self.attempt.clone();
            let judged = tokio::task::spawn_blocking(move || judge(&attempt));
            return judged.await.map_err(io::Error::other)?;
        }
        // Nothing tells of the end of a process that is no child, but its lock falls. A thread of its own, since it
        // may wait for hours and must not keep this program from ending.
        let (told, end) = oneshot::channel();
        let attempt = self.attempt.clone();
        thread::Builder::new()
            .name("shim".to_owned())
            .spawn(move || {
                let _ = told.send(judge(&attempt));
            })?;
        end.await.map_err(io::Error::other)?
    }

    /// Asks the container to stop; its shim kills it after `grace` seconds, or those of its spec. Whether its shim heard of it.
    pub fn stop(&self, grace: Option<u64>) -> bool {
        if let Some(seconds) = grace
            && let Err(error) = self.attempt.write_grace(seconds)
        {
            tracing::warn!(%error, "a container is not told how long it has to stop");
        }
        signal(&self.attempt, Signal::SIGTERM)
    }

    /// Kills the container. Whether its shim heard of it.
    pub fn kill(&self) -> bool {
        signal(&self.attempt, Signal::SIGUSR1)
    }
}

/// Signals the shim of an attempt. False when there is none: not yet, or no more.
fn signal(attempt: &Attempt, signal: Signal) -> bool {
    attempt.started().is_some_and(|started| {
        let shim = ProcessId::from_raw(started.shim);
        // A shim holds its lock for as long as it lives.
        let lives = attempt.try_lock().is_ok_and(|lock| lock.is_none());
        lives && shim::ticks(shim) == started.shim_ticks && kill(shim, signal).is_ok()
    })
}

/// Kills an attempt and waits until nothing of it is left. Blocks the thread.
pub fn put_down(attempt: &Attempt) -> io::Result<()> {
    loop {
        signal(attempt, Signal::SIGUSR1);
        if let Some(lock) = attempt.try_lock()? {
            drop(lock);
            return judge(attempt).map(drop);
        }
        thread::sleep(AGAIN);
    }
}

/// How an attempt whose shim is gone ended. One that left no word is written down as lost, and what is left of it killed.
pub fn judge(attempt: &Attempt) -> io::Result<Ended> {
    let _lock = attempt.lock()?;
    if let Some(ended) = attempt.ended() {
        return Ok(ended);
    }
    if !shim::end_remains(attempt) {
        let directory = attempt.directory().display();
        tracing::warn!(%directory, "a process of a container whose shim is gone may still run");
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

/// How an attempt ended, in a kubelet's words, with the container's own last ones.
#[must_use]
pub fn end(container: &Container, attempt: &Attempt, ended: Ended) -> End {
    let reason = match (&ended.reason, ended.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => "Completed".to_owned(),
        (None, _) => "Error".to_owned(),
    };
    let message = ended.message.or_else(|| {
        let message = last(&attempt.termination_path(), MESSAGE);
        let policy = container.termination_message_policy.as_deref();
        let fallback = policy == Some("FallbackToLogsOnError") && ended.exit_code != 0;
        if message.is_none() && fallback {
            last_of_log(attempt)
        } else {
            message
        }
    });
    End {
        exit_code: ended.exit_code,
        signal: ended.signal,
        reason,
        message,
        started_at: ended.started_at,
        finished_at: ended.finished_at,
    }
}

/// The last bytes of a file as text; `None` when there are none. The container may have put anything in its place.
fn last(path: &Path, limit: u64) -> Option<String> {
    let mut file = open_regular(path).ok()?;
    let length = file.seek(SeekFrom::End(0)).ok()?;
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

/// The last of what a container wrote, as a kubelet cuts it: in the middle of a line.
fn last_of_log(attempt: &Attempt) -> Option<String> {
    let (lines, bytes) = FALLBACK;
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
        assert_eq!(last(&path, 4).as_deref(), Some("6789"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(last(&path, 4), None);
    }

    #[tokio::test]
    async fn a_shim_that_an_earlier_node_had_only_just_started_is_awaited() {
        let directory = tempfile::tempdir().unwrap();
        let attempt = Attempt::new(directory.path().to_owned());
        let mut launched = Launched::found(attempt.clone());
        let started = Started {
            shim: 1,
            shim_ticks: None,
            process: 2,
            process_ticks: None,
            at: Timestamp::UNIX_EPOCH,
        };
        // The second half runs only once the first has looked and found nothing.
        let (seen, written) = tokio::join!(launched.started(), async {
            attempt.write_started(&started)
        });
        written.unwrap();
        assert_eq!(seen, Some(started));
    }
}
