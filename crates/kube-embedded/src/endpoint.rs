//! Discovery of the server of a state directory: a lock held while the server runs, and an endpoint file.

use std::{
    cmp::Ordering,
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// Number of attempts to take the lock: [`find`] holds it for a moment to see whether it is free.
const LOCK_ATTEMPTS: u32 = 20;
const RETRY: Duration = Duration::from_millis(10);
/// How long to wait for a server to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `https://127.0.0.1:PORT`
    pub address: String,
    /// Process id.
    pub pid: i32,
    /// Version of the program that serves; see [`Identity::version`](crate::Identity::version).
    pub version: String,
    /// Kubeconfig for kubectl and other clients.
    pub kubeconfig: PathBuf,
    /// Number of fault injection rules.
    #[serde(default)]
    pub fault_rules: usize,
}

impl Endpoint {
    /// Compares the server's version with `own`. An unreadable version counts as older.
    #[must_use]
    pub fn compare_version(&self, own: &str) -> Ordering {
        parse_version(&self.version).cmp(&parse_version(own))
    }
}

/// Parses `1.2.3`, ignoring pre-release and build metadata.
fn parse_version(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let numbers: Option<Vec<u64>> = release.split('.').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// The exclusive right to serve a directory, released when dropped or when the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the lock, creating the directory with mode 0700. Returns `None` if another process holds it.
    pub fn acquire(directory: &Path) -> io::Result<Option<Self>> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let file = open(directory)?;
        for _ in 0..LOCK_ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    // The endpoint file of an earlier server must not be taken for this one's.
                    remove(directory);
                    return Ok(Some(Self(file)));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Returns the running server of a directory. An endpoint file is stale if the lock is free or its process is
/// gone.
#[must_use]
pub fn find(directory: &Path) -> Option<Endpoint> {
    let endpoint: Endpoint = serde_json::from_slice(&fs::read(file(directory)).ok()?).ok()?;
    (is_held(directory) && is_alive(endpoint.pid)).then_some(endpoint)
}

/// Stops the server of a directory and waits until it has ended. Returns `false` if none runs.
pub async fn stop(directory: &Path) -> io::Result<bool> {
    match find(directory) {
        Some(found) => stop_server(directory, &found).await,
        None => Ok(false),
    }
}

/// Stops the given server and waits until it has ended. Returns `false` if it does not run, or another server has taken
/// its place.
pub async fn stop_server(directory: &Path, server: &Endpoint) -> io::Result<bool> {
    if find(directory).as_ref() != Some(server) {
        return Ok(false);
    }
    kill(Pid::from_raw(server.pid), Signal::SIGTERM)?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    // Another server may take the lock before this loop sees it free.
    while is_held(directory) && find(directory).is_none_or(|found| found == *server) {
        if Instant::now() > deadline {
            let pid = server.pid;
            let why = format!(
                "process {pid} did not end within {} s",
                STOP_TIMEOUT.as_secs()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(true)
}

/// Returns whether a process with this id exists, under any user.
fn is_alive(pid: i32) -> bool {
    // 0 and below would address process groups.
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// Writes the endpoint file.
pub(super) fn publish(directory: &Path, endpoint: &Endpoint) -> io::Result<()> {
    write_private(&file(directory), &serde_json::to_vec_pretty(endpoint)?)
}

/// Removes the endpoint file.
pub(super) fn remove(directory: &Path) {
    // A leftover file is recognized as stale.
    drop(fs::remove_file(file(directory)));
}

/// Writes a file atomically, with mode 0600.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // An existing file would keep its mode.
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

fn is_held(directory: &Path) -> bool {
    open(directory)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(directory: &Path) -> Endpoint {
        Endpoint {
            address: "https://127.0.0.1:1".into(),
            pid: i32::try_from(std::process::id()).unwrap(),
            version: "0.1.0".into(),
            kubeconfig: directory.join("kubeconfig.yaml"),
            fault_rules: 0,
        }
    }

    #[test]
    fn finds_server_while_lock_is_held() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let lock = Lock::acquire(directory).unwrap().unwrap();
        publish(directory, &endpoint(directory)).unwrap();
        assert_eq!(find(directory), Some(endpoint(directory)));
        assert!(
            Lock::acquire(directory).unwrap().is_none(),
            "one server per directory"
        );
        drop(lock);
        assert_eq!(find(directory), None, "the endpoint file is stale");
        assert!(Lock::acquire(directory).unwrap().is_some());
    }

    #[test]
    fn ignores_files_of_dead_servers() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let _lock = Lock::acquire(directory).unwrap().unwrap();
        let good = serde_json::to_value(endpoint(directory)).unwrap();
        let with = |key: &str, value: serde_json::Value| {
            let mut changed = good.clone();
            changed[key] = value;
            changed.to_string()
        };
        for (text, found) in [
            (good.to_string(), true),
            (with("version", "99.0.0".into()), true),
            (with("anything", "a later version says".into()), true),
            (good.to_string()[..40].to_owned(), false),
            ("\0\0\0".to_owned(), false),
            (String::new(), false),
            (with("pid", i32::MAX.into()), false),
            (with("pid", 0.into()), false),
            (with("pid", (-1).into()), false),
        ] {
            fs::write(file(directory), &text).unwrap();
            assert_eq!(find(directory).is_some(), found, "{text}");
        }
    }

    #[test]
    fn acquiring_lock_removes_stale_file() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        publish(directory, &endpoint(directory)).unwrap();
        let _lock = Lock::acquire(directory).unwrap().unwrap();
        assert_eq!(find(directory), None);
    }

    #[tokio::test]
    async fn stops_only_the_process_that_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        // The test process itself, which does not hold the lock; SIGTERM would end it.
        publish(directory, &endpoint(directory)).unwrap();
        assert!(!stop(directory).await.unwrap());
        let _lock = Lock::acquire(directory).unwrap().unwrap();
        publish(directory, &endpoint(directory)).unwrap();
        let mut before = endpoint(directory);
        before.version = "0.0.9".into();
        let stopped = stop_server(directory, &before).await.unwrap();
        assert!(!stopped, "another server took its place");
    }

    #[test]
    fn compares_versions_numerically() {
        let directory = Path::new("/nowhere");
        for (server, own, expected) in [
            ("0.1.0", "0.1.0", Ordering::Equal),
            ("0.9.0", "0.10.0", Ordering::Less),
            ("1.0.0", "0.10.0", Ordering::Greater),
            ("0.2.0-dev", "0.2.0+7", Ordering::Equal),
            ("?", "0.1.0", Ordering::Less),
            ("1.0", "0.1.0", Ordering::Less),
        ] {
            let mut endpoint = endpoint(directory);
            endpoint.version = server.into();
            assert_eq!(endpoint.compare_version(own), expected, "{server} {own}");
        }
    }

    #[test]
    fn private_files_have_mode_0600() {
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
