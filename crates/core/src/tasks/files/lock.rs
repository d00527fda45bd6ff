//! Task Master's lock of a plan, in both its forms.
//!
//! Task Master has two implementations, which use the same path, `tasks.json.lock`: one creates a directory
//! (proper-lockfile), the other a file with `{"pid", "timestamp"}`. Both treat a lock as stale when it has not been
//! touched for ten seconds. This module creates a directory, because both can take over a stale one.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::Deserialize;

use crate::files::read_bounded;

/// Maximum size of a lock file, in bytes: it holds two numbers.
const MAX_LOCK_SIZE: u64 = 4 << 10;
/// Age at which both implementations consider a lock stale.
const STALE: Duration = Duration::from_secs(10);
/// Retry interval.
const PAUSE: Duration = Duration::from_millis(20);

/// Error from locking a plan.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} is locked by {holder} for {}; the file was not changed. If no program is writing, remove {}", .file.display(), crate::text::duration(.age.as_secs() as i64), .lock.display())]
    Held {
        file: PathBuf,
        lock: PathBuf,
        /// `process 4242`, or a description.
        holder: String,
        /// Time since the lock was touched.
        age: Duration,
    },
    #[error("{}: {source}", .lock.display())]
    Io { lock: PathBuf, source: io::Error },
}

/// A held lock, released on drop. Holds two directories if the plan is a symbolic link, because other programs lock
/// the path they are given.
#[derive(Debug)]
pub(super) struct Lock {
    held: Vec<(PathBuf, Identity)>,
    taken: Instant,
}

/// Identifies a lock directory, to detect that another program replaced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(lock: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(lock)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

impl Lock {
    /// Locks `file`, waiting up to `timeout`. Blocks.
    pub(super) fn take(file: &Path, timeout: Duration) -> Result<Self, LockError> {
        let mut lock = Self {
            held: Vec::new(),
            taken: Instant::now(),
        };
        let deadline = Instant::now() + timeout;
        for path in paths(file).map_err(|source| LockError::Io {
            lock: file.to_owned(),
            source,
        })? {
            let identity = take_one(file, &path, deadline)?;
            lock.held.push((path, identity));
        }
        lock.taken = Instant::now();
        Ok(lock)
    }

    /// Whether no other program can have taken over the lock, so that data read under it is still current.
    pub(super) fn is_ours(&self) -> bool {
        self.taken.elapsed() < STALE / 2
            && self
                .held
                .iter()
                .all(|(path, identity)| Identity::of(path).is_ok_and(|now| now == *identity))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for (path, identity) in &self.held {
            if Identity::of(path).is_ok_and(|now| now == *identity) {
                // If removal fails, the lock becomes stale.
                drop(fs::remove_dir(path));
            }
        }
    }
}

/// Returns the paths to lock, in a fixed order to avoid deadlocks.
fn paths(file: &Path) -> io::Result<Vec<PathBuf>> {
    let beside = |file: &Path| -> io::Result<PathBuf> {
        let parent = file.parent().filter(|parent| *parent != Path::new(""));
        let directory = parent.unwrap_or(Path::new(".")).canonicalize()?;
        let mut name = file
            .file_name()
            .map_or_else(OsString::new, ToOwned::to_owned);
        name.push(".lock");
        Ok(directory.join(name))
    };
    let mut paths = vec![beside(&file.canonicalize()?)?, beside(file)?];
    paths.dedup();
    Ok(paths)
}

fn take_one(file: &Path, lock: &Path, deadline: Instant) -> Result<Identity, LockError> {
    let failed = |source| LockError::Io {
        lock: lock.to_owned(),
        source,
    };
    loop {
        match fs::create_dir(lock) {
            Ok(()) => return Identity::of(lock).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let (identity, age) = match Identity::of(lock).and_then(|found| Ok((found, age(lock)?))) {
            Ok(found) => found,
            // Released in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        if age > STALE {
            break_stale(lock, identity).map_err(failed)?;
            continue;
        }
        if Instant::now() >= deadline {
            return Err(LockError::Held {
                file: file.to_owned(),
                lock: lock.to_owned(),
                holder: holder(lock),
                age,
            });
        }
        thread::sleep(PAUSE);
    }
}

/// Returns the time since the lock was touched; zero if the clock was set back.
fn age(lock: &Path) -> io::Result<Duration> {
    let modified = fs::symlink_metadata(lock)?.modified()?;
    Ok(SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default())
}

/// Renames a stale lock, then removes it. If another process has replaced the lock in the meantime, the new lock is
/// put back.
fn break_stale(lock: &Path, stale: Identity) -> io::Result<()> {
    static TAKEN: AtomicU64 = AtomicU64::new(0);
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    let mut aside = lock.as_os_str().to_owned();
    aside.push(format!(".stale.{}.{number}", nix::unistd::getpid()));
    let aside = PathBuf::from(aside);
    match fs::rename(lock, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved?,
    }
    if Identity::of(&aside)? != stale {
        return fs::rename(&aside, lock);
    }
    // A non-empty directory is kept: it is not a lock.
    let removed = if fs::symlink_metadata(&aside)?.is_dir() {
        fs::remove_dir(&aside)
    } else {
        fs::remove_file(&aside)
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

/// Describes the holder, as far as known.
fn holder(lock: &Path) -> String {
    #[derive(Deserialize)]
    struct Content {
        pid: u32,
    }
    let file = fs::symlink_metadata(lock).is_ok_and(|metadata| metadata.is_file());
    let content = file
        .then(|| read_bounded(lock, MAX_LOCK_SIZE).ok())
        .flatten();
    let content = content.and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok());
    content.map_or_else(
        || "another program (Task Master or Flightdeck)".into(),
        |content| format!("process {}", content.pid),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_over_the_limit_names_no_holder() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("tasks.json.lock");
        let mut content = br#"{"pid": 42}"#.to_vec();
        fs::write(&lock, &content).unwrap();
        assert_eq!(holder(&lock), "process 42");
        content.resize(MAX_LOCK_SIZE as usize + 1, b' ');
        fs::write(&lock, &content).unwrap();
        assert!(holder(&lock).starts_with("another program"));
    }
}
