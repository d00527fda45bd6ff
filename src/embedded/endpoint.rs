//! Where the server of a directory is found: a lock that its process holds for life, and a file that says the rest.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// Looking whether the lock is held takes it for a moment: whoever wants it for life tries this often.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `https://127.0.0.1:PORT`
    pub address: String,
    /// Its process.
    pub pid: i32,
    /// Version of the program that serves.
    pub version: String,
    /// For kubectl and everybody else.
    pub kubeconfig: PathBuf,
}

/// The right to serve a directory; given back when it is dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the lock; `None` when another process has it. Makes the directory, for its owner alone.
    pub fn acquire(directory: &Path) -> io::Result<Option<Self>> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let file = open(directory)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The server of a directory. A file that a server left behind is recognised, since nobody holds the lock.
#[must_use]
pub fn find(directory: &Path) -> Option<Endpoint> {
    let endpoint = serde_json::from_slice(&fs::read(file(directory)).ok()?).ok()?;
    held(directory).then_some(endpoint)
}

/// Tells the server to stop and waits until it has; `false` when none runs.
pub async fn stop(directory: &Path) -> io::Result<bool> {
    let Some(endpoint) = find(directory) else {
        return Ok(false);
    };
    kill(Pid::from_raw(endpoint.pid), Signal::SIGTERM)?;
    let lock = open(directory)?;
    // The lock is free when the process is gone.
    tokio::task::spawn_blocking(move || lock.lock_shared())
        .await
        .map_err(io::Error::other)??;
    Ok(true)
}

/// Writes the file.
pub(super) fn announce(directory: &Path, endpoint: &Endpoint) -> io::Result<()> {
    write_private(&file(directory), &serde_json::to_vec_pretty(endpoint)?)
}

/// Removes the file.
pub(super) fn withdraw(directory: &Path) {
    // A file that stays is recognised as stale.
    drop(fs::remove_file(file(directory)));
}

/// Writes a file that only its owner can read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // A leftover keeps its own mode when it is opened again.
    drop(fs::remove_file(&temporary));
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn file(directory: &Path) -> PathBuf {
    directory.join("endpoint.json")
}

fn open(directory: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join("lock"))
}

fn held(directory: &Path) -> bool {
    open(directory)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(directory: &Path) -> Endpoint {
        Endpoint {
            address: "https://127.0.0.1:1".into(),
            pid: 1,
            version: "0".into(),
            kubeconfig: directory.join("kubeconfig.yaml"),
        }
    }

    #[test]
    fn a_server_is_found_while_it_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let lock = Lock::acquire(directory).unwrap().unwrap();
        announce(directory, &endpoint(directory)).unwrap();
        assert_eq!(find(directory), Some(endpoint(directory)));
        assert!(
            Lock::acquire(directory).unwrap().is_none(),
            "one server a directory"
        );
        drop(lock);
        assert_eq!(find(directory), None, "what it left behind is stale");
        assert!(Lock::acquire(directory).unwrap().is_some());
    }

    #[test]
    fn what_is_private_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        fs::write(path.with_extension("new"), "left over").unwrap();
        write_private(&path, b"token").unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read(&path).unwrap(), b"token");
    }
}
