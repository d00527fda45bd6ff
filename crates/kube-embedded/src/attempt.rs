//! The directory of one attempt to run a container: the interface between the node and its shims.
//!
//! | file | written by | content |
//! |---|---|---|
//! | `spec.json` | node, before the shim starts | [`Spec`]: what to run |
//! | `lock` | shim | held with `flock` while the shim lives |
//! | `claimed` | shim, before it starts the container | if missing, nothing was ever started |
//! | `started.json` | shim, by rename | [`Started`]: process ids and start time |
//! | `log`, `log.1`, `log.2`, ... | shim | output, one record per line (see [`super::log`]); the oldest files are removed |
//! | `grace.json` | node, before it stops the shim | grace period in seconds, overriding `spec.json` |
//! | `termination` | container | termination message |
//! | `ended.json` | shim, by rename, after the log is complete | [`Ended`]: how the container ended |
//!
//! Only the holder of the lock writes `ended.json`, so an attempt ends exactly once: a shim that finds the file starts
//! nothing, and a node that takes the lock of an attempt without it writes [`Ended::lost`].
//!
//! Knows nothing of pods.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Exit code of a container whose shim died before it reported the end.
const EXIT_LOST: i32 = 137;
/// Exit code of a container that could not be started.
const EXIT_NOT_STARTED: i32 = 128;
/// Bytes reserved on disk for `ended.json`.
const RESERVED: usize = 4096;

/// Reason of an attempt that no shim took up.
const NEVER_STARTED: &str = "NotStarted";

/// What a shim runs. The container inherits the shim's environment, so no secret is written to disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Program and arguments. The program is looked up in the PATH of the environment.
    pub command: Vec<String>,
    pub working_directory: PathBuf,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_seconds: u64,
    /// Maximum size of one log file, in bytes.
    pub log_file_bytes: u64,
    /// Maximum number of log files.
    pub log_files: u32,
}

/// Written once the main process of the container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// Process id of the shim.
    pub shim: i32,
    /// Start time of the shim in kernel clock ticks, to detect a reused process id.
    pub shim_ticks: Option<u64>,
    /// Process id of the main process, which is also its process group.
    pub process: i32,
    pub process_ticks: Option<u64>,
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// 0..=255; 128 + signal if a signal ended the process.
    pub exit_code: i32,
    pub signal: Option<i32>,
    /// `StartError`, `NotStarted` or `Lost`; absent if the main process ended by itself.
    pub reason: Option<String>,
    pub message: Option<String>,
    /// Absent if nothing was started.
    pub started_at: Option<Timestamp>,
    pub finished_at: Timestamp,
}

impl Ended {
    /// Returns the end of a container that could not be started.
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

    /// Returns the end of an attempt that no shim took up, because the node ended first.
    #[must_use]
    pub fn never_started(now: Timestamp) -> Self {
        let message = "the server ended before the container was started".to_owned();
        Self {
            reason: Some(NEVER_STARTED.to_owned()),
            ..Self::not_started(message, now)
        }
    }

    /// Returns whether nothing ran, so that the attempt can be repeated.
    #[must_use]
    pub fn is_never_started(&self) -> bool {
        self.reason.as_deref() == Some(NEVER_STARTED)
    }

    /// Returns the end of a container whose shim died before it reported one.
    #[must_use]
    pub fn lost(started_at: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            exit_code: EXIT_LOST,
            signal: None,
            reason: Some("Lost".to_owned()),
            message: Some("the container's shim is gone; its exit code is unknown".to_owned()),
            started_at,
            finished_at: now,
        }
    }
}

/// The directory of one attempt.
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

    /// Returns the attempt that `spec` belongs to.
    #[must_use]
    pub fn from_spec_path(spec: &Path) -> Self {
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

    /// Returns the path of a log file. Numbers start at 0.
    #[must_use]
    pub fn log_path(&self, number: u32) -> PathBuf {
        self.directory.join(match number {
            0 => "log".to_owned(),
            number => format!("log.{number}"),
        })
    }

    /// Returns the numbers of the existing log files, oldest first.
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

    /// Returns `None` if nothing was started, or the file cannot be read.
    #[must_use]
    pub fn started(&self) -> Option<Started> {
        read(&self.started_path()).ok().flatten()
    }

    /// Overrides the grace period of the spec.
    pub fn write_grace(&self, seconds: u64) -> io::Result<()> {
        write(&self.directory.join("grace.json"), &seconds)
    }

    #[must_use]
    pub fn grace(&self) -> Option<u64> {
        read(&self.directory.join("grace.json")).ok().flatten()
    }

    /// Records that the container is about to be started.
    pub fn claim(&self) -> io::Result<()> {
        fs::write(self.directory.join("claimed"), "")
    }

    #[must_use]
    pub fn is_claimed(&self) -> bool {
        self.directory.join("claimed").exists()
    }

    /// Reserves disk space for `ended.json`, because the container may fill the disk.
    pub fn reserve_end(&self) -> io::Result<()> {
        fs::write(temporary(&self.ended_path()), [b' '; RESERVED])
    }

    /// Writes `ended.json` into the reserved space.
    pub fn write_ended(&self, ended: &Ended) -> io::Result<()> {
        let path = self.ended_path();
        let mut bytes = serde_json::to_vec(ended)?;
        // Pad with blanks, so that nothing of a previous content remains.
        bytes.resize(bytes.len().max(RESERVED), b' ');
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(temporary(&path))?;
        file.write_all(&bytes)?;
        fs::rename(temporary(&path), path)
    }

    /// Returns `None` if the attempt has not ended.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        read(&self.ended_path()).ok().flatten()
    }

    /// Returns whether the attempt has ended, or its directory is gone.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended_path().exists() || !self.directory.exists()
    }

    /// Takes the lock; returns `None` if another process holds it.
    pub fn try_lock(&self) -> io::Result<Option<File>> {
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock. Blocks the thread.
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

/// Writes to a temporary file and renames it, so that readers never see a partial file.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    fs::write(temporary(path), serde_json::to_vec(value)?)?;
    fs::rename(temporary(path), path)
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("json.new")
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
