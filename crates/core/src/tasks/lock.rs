//! Task Master's lock of a plan, in both of its forms, so that no two programs write at once.
//!
//! Its two code bases put the lock at the same path, `tasks.json.lock`: one makes a directory there (proper-lockfile), the other a
//! file that holds `{"pid", "timestamp"}`. Both call it stale when it has not been touched for ten seconds. A directory is the form
//! that both can take over from a process that died, so that is what this makes.

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

/// Untouched for longer, the program that took it is gone: what both code bases of Task Master go by.
const STALE: Duration = Duration::from_secs(10);
/// Most bytes of a lock that is a file: it holds two numbers.
const LARGEST: u64 = 4 << 10;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// Why a plan could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{} is held by {holder}, for {}; it was not changed. If no program is writing, remove {}", .file.display(), crate::text::duration(.age.as_secs() as i64), .lock.display())]
    Held {
        file: PathBuf,
        lock: PathBuf,
        /// `process 4242`, or who it may be.
        holder: String,
        /// Since it was last touched.
        age: Duration,
    },
    #[error("{}: {source}", .lock.display())]
    Io { lock: PathBuf, source: io::Error },
}

/// The lock, until it is dropped. A directory of ours per path: two where the plan is a symbolic link, since others lock the path as
/// they were given it.
#[derive(Debug)]
pub(super) struct Lock {
    held: Vec<(PathBuf, Identity)>,
    taken: Instant,
}

/// Tells a lock from one that took its place.
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
    /// Takes the lock of `file`; waits up to `patience` for others. Blocks.
    pub(super) fn take(file: &Path, patience: Duration) -> Result<Self, LockError> {
        let mut lock = Self {
            held: Vec::new(),
            taken: Instant::now(),
        };
        let deadline = Instant::now() + patience;
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

    /// Whether nobody can have taken it over, so that what was read under it still holds.
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
                // Where it cannot be removed it becomes stale.
                drop(fs::remove_dir(path));
            }
        }
    }
}

/// The paths a lock of `file` may be at, in the order every process takes them in.
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
            // Released this moment.
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

/// Since it was last touched; zero where the clock was set back.
fn age(lock: &Path) -> io::Result<Duration> {
    let modified = fs::symlink_metadata(lock)?.modified()?;
    Ok(SystemTime::now()
        .duration_since(modified)
        .unwrap_or_default())
}

/// Moves a stale lock out of the way, then removes it. Another process may have done so and taken the lock since it was looked at: that
/// one is put back.
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
    // A directory that somebody put something into stays aside: no lock holds anything.
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

/// Who holds it, as far as the lock tells.
fn holder(lock: &Path) -> String {
    #[derive(Deserialize)]
    struct Content {
        pid: u32,
    }
    let file = fs::symlink_metadata(lock).is_ok_and(|metadata| metadata.is_file());
    let content = file.then(|| read_bounded(lock, LARGEST).ok()).flatten();
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
        content.resize(LARGEST as usize + 1, b' ');
        fs::write(&lock, &content).unwrap();
        assert!(holder(&lock).starts_with("another program"));
    }
}
