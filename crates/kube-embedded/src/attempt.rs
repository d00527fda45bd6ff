//! The directory of one attempt at a container: the whole contract between the node and its shims.
//!
//! | file | written by | holds |
//! |---|---|---|
//! | `spec.json` | node, before the shim starts | [`Spec`]: what to run |
//! | `lock` | shim | held (`flock`) for as long as the shim lives |
//! | `claimed` | shim, before it starts anything | without it nothing of the attempt ever ran |
//! | `started.json` | shim, by rename | [`Started`]: who runs, since when |
//! | `log`, `log.1`, `log.2`, ... | shim | output, one record a line (see [`super::log`]); each file is full before the next is begun, and the oldest go |
//! | `grace.json` | node, before it asks the shim to stop | seconds until the container is killed, when not those of `spec.json` |
//! | `termination` | the container | its last words |
//! | `ended.json` | shim, by rename, after the last byte of the log | [`Ended`]: how it ended |
//!
//! Whoever writes `ended.json` holds the lock, so an attempt ends exactly once: a shim that finds one starts nothing,
//! and a node that takes the lock of an attempt without one writes [`Ended::lost`] before it lets go.
//!
//! Knows nothing of pods.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Exit code of a container whose end nobody saw.
const EXIT_LOST: i32 = 137;
/// Exit code of a container that could not be started.
const EXIT_NOT_STARTED: i32 = 128;
/// Bytes kept free for the end.
const RESERVED: usize = 4096;

/// Reason of an attempt that was never taken up.
const UNTOUCHED: &str = "NotStarted";

/// What a shim runs. Its environment is the shim's own, so that no secret is written down here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Program and arguments; the program is looked up in the PATH of the environment.
    pub command: Vec<String>,
    pub working_directory: PathBuf,
    /// Seconds between SIGTERM and SIGKILL when the container is asked to stop.
    pub grace_seconds: u64,
    /// Bytes of one file of the log.
    pub log_file_bytes: u64,
    /// Files of the log that are kept.
    pub log_files: u32,
}

/// Written when the container's main process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Process id of the shim.
    pub shim: i32,
    /// When the kernel started the shim, in its own ticks: guards against a process id used again.
    pub shim_ticks: Option<u64>,
    /// Process id of the container's main process, and its process group.
    pub process: i32,
    pub process_ticks: Option<u64>,
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// 0..=255; 128 + signal when a signal ended it.
    pub exit_code: i32,
    pub signal: Option<i32>,
    /// `StartError` or `Lost` when the main process did not end by itself.
    pub reason: Option<String>,
    pub message: Option<String>,
    /// Absent when nothing was started.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

impl Ended {
    /// The container could not be started.
    #[must_use]
    pub fn not_started(message: String, now: Timestamp) -> Self {
        Self {
            exit_code: EXIT_NOT_STARTED,
            signal: None,
            reason: Some("StartError".to_owned()),
            message: Some(message),
            started_at: None,
            finished_at: now,
        }
    }

    /// No shim ever took the attempt up: its node ended in between, and nothing of it ran.
    #[must_use]
    pub fn untouched(now: Timestamp) -> Self {
        let message = "the server ended before the container was started".to_owned();
        Self {
            reason: Some(UNTOUCHED.to_owned()),
            ..Self::not_started(message, now)
        }
    }

    /// Whether nothing ran, so that it may be tried again.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.reason.as_deref() == Some(UNTOUCHED)
    }

    /// The shim is gone without a word.
    #[must_use]
    pub fn lost(started_at: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            exit_code: EXIT_LOST,
            signal: None,
            reason: Some("Lost".to_owned()),
            message: Some(
                "the process that watched over the container is gone; how it ended is unknown"
                    .to_owned(),
            ),
            started_at,
            finished_at: now,
        }
    }
}

/// One attempt's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    directory: PathBuf,
}

impl Attempt {
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The attempt a spec file belongs to.
    #[must_use]
    pub fn of_spec(spec: &Path) -> Self {
        Self::new(spec.parent().unwrap_or(Path::new(".")))
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    #[must_use]
    pub fn spec_path(&self) -> PathBuf {
        self.directory.join("spec.json")
    }

    /// A file of the log; the first has number 0.
    #[must_use]
    pub fn log_path(&self, number: u32) -> PathBuf {
        self.directory.join(match number {
            0 => "log".to_owned(),
            number => format!("log.{number}"),
        })
    }

    /// Numbers of the files of the log that are there, the oldest first.
    pub fn log_files(&self) -> io::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let name = entry?.file_name();
            let number = match name.to_str() {
                Some("log") => Some(0),
                Some(name) => name.strip_prefix("log.").and_then(|n| n.parse().ok()),
                None => None,
            };
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    #[must_use]
    pub fn termination_path(&self) -> PathBuf {
        self.directory.join("termination")
    }

    fn started_path(&self) -> PathBuf {
        self.directory.join("started.json")
    }

    fn ended_path(&self) -> PathBuf {
        self.directory.join("ended.json")
    }

    pub fn write_spec(&self, spec: &Spec) -> io::Result<()> {
        write(&self.spec_path(), spec)
    }

    pub fn spec(&self) -> io::Result<Spec> {
        read(&self.spec_path())?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn write_started(&self, started: &Started) -> io::Result<()> {
        write(&self.started_path(), started)
    }

    /// `None` while nothing runs, or when the file says nothing readable.
    #[must_use]
    pub fn started(&self) -> Option<Started> {
        read(&self.started_path()).ok().flatten()
    }

    /// Gives a container that is asked to stop another time to do so than its spec has.
    pub fn write_grace(&self, seconds: u64) -> io::Result<()> {
        write(&self.directory.join("grace.json"), &seconds)
    }

    #[must_use]
    pub fn grace(&self) -> Option<u64> {
        read(&self.directory.join("grace.json")).ok().flatten()
    }

    /// Says that something may run from now on.
    pub fn claim(&self) -> io::Result<()> {
        fs::write(self.directory.join("claimed"), "")
    }

    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.directory.join("claimed").exists()
    }

    /// Takes the room for the end now, since the container may fill the disk.
    pub fn reserve_end(&self) -> io::Result<()> {
        fs::write(beside(&self.ended_path()), [b' '; RESERVED])
    }

    /// Writes how it ended, into what was reserved for it.
    pub fn write_ended(&self, ended: &Ended) -> io::Result<()> {
        let path = self.ended_path();
        let mut bytes = serde_json::to_vec(ended)?;
        // Blanks to the end: nothing of what was there before may stay.
        bytes.resize(bytes.len().max(RESERVED), b' ');
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(beside(&path))?;
        file.write_all(&bytes)?;
        fs::rename(beside(&path), path)
    }

    /// `None` while the attempt has not ended.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        read(&self.ended_path()).ok().flatten()
    }

    /// Whether nothing more will come: the attempt has ended, or its directory is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended_path().exists() || !self.directory.exists()
    }

    /// Takes the lock at once; `None` when somebody else holds it.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, waiting for it as long as it takes. Blocks the thread.
    pub fn lock(&self) -> io::Result<File> {
        let file = self.lock_file()?;
        file.lock()?;
        Ok(file)
    }

    fn lock_file(&self) -> io::Result<File> {
        File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.directory.join("lock"))
    }
}

/// Writes beside and renames, so that a reader sees all of it or nothing.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    fs::write(beside(path), serde_json::to_vec(value)?)?;
    fs::rename(beside(path), path)
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
