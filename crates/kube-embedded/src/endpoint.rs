//! Where the server of a directory is found: a lock that its process holds for life, and a file that says the rest.

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

/// Looking whether the lock is held takes it for a moment: whoever wants it for life tries this often.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);
/// How long a server may take to end once it was told to.
const STOP: Duration = Duration::from_secs(20);

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
    /// ValidationRules by which it misbehaves on purpose; 0 but in a rehearsal.
    #[serde(default)]
    pub fault_rules: usize,
}

impl Endpoint {
    /// The server's version against `own`. One that cannot be read is taken for an older one.
    #[must_use]
    pub fn compare_version(&self, own: &str) -> Ordering {
        version_numbers(&self.version).cmp(&version_numbers(own))
    }
}

/// `1.2.3`, whatever stands behind it.
fn version_numbers(version: &str) -> Option<[u64; 3]> {
    let release = version.split(['-', '+']).next()?;
    let numbers: Option<Vec<u64>> = release.split('.').map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
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
                Ok(()) => {
                    // What an earlier server left behind must not be taken for this one's.
                    remove(directory);
                    return Ok(Some(Self(file)));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The server of a directory. A file that a server left behind is recognised: nobody holds the lock, or its process is gone.
#[must_use]
pub fn find(directory: &Path) -> Option<Endpoint> {
    let endpoint: Endpoint = serde_json::from_slice(&fs::read(file(directory)).ok()?).ok()?;
    (held(directory) && lives(endpoint.pid)).then_some(endpoint)
}

/// Tells the server to stop and waits until it has; `false` when none runs.
pub async fn stop(directory: &Path) -> io::Result<bool> {
    match find(directory) {
        Some(found) => stop_server(directory, &found).await,
        None => Ok(false),
    }
}

/// The same for one server: `false` when it does not run, or another does by now.
pub async fn stop_server(directory: &Path, server: &Endpoint) -> io::Result<bool> {
    if find(directory).as_ref() != Some(server) {
        return Ok(false);
    }
    kill(Pid::from_raw(server.pid), Signal::SIGTERM)?;
    let deadline = Instant::now() + STOP;
    // The lock is free when the process is gone, or another's when that was quick.
    while held(directory) && find(directory).is_none_or(|found| found == *server) {
        if Instant::now() > deadline {
            let pid = server.pid;
            let why = format!("process {pid} did not end within {} s", STOP.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        tokio::time::sleep(BETWEEN_TRIES).await;
    }
    Ok(true)
}

/// Whether a process of this number runs, be it another's.
fn lives(pid: i32) -> bool {
    // 0 and below are groups of processes.
    pid > 0 && !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

/// Writes the file.
pub(super) fn publish(directory: &Path, endpoint: &Endpoint) -> io::Result<()> {
    write_private(&file(directory), &serde_json::to_vec_pretty(endpoint)?)
}

/// Removes the file.
pub(super) fn remove(directory: &Path) {
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
            pid: i32::try_from(std::process::id()).unwrap(),
            version: "0.1.0".into(),
            kubeconfig: directory.join("kubeconfig.yaml"),
            fault_rules: 0,
        }
    }

    #[test]
    fn a_server_is_found_while_it_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let lock = Lock::acquire(directory).unwrap().unwrap();
        publish(directory, &endpoint(directory)).unwrap();
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
    fn what_no_living_server_wrote_is_not_found() {
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
    fn what_an_earlier_server_left_is_gone_before_the_next_can_be_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        publish(directory, &endpoint(directory)).unwrap();
        let _lock = Lock::acquire(directory).unwrap().unwrap();
        assert_eq!(find(directory), None);
    }

    #[tokio::test]
    async fn a_process_that_is_not_the_server_is_never_told_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        // This very process, which a SIGTERM would end; it holds no lock.
        publish(directory, &endpoint(directory)).unwrap();
        assert!(!stop(directory).await.unwrap());
        let _lock = Lock::acquire(directory).unwrap().unwrap();
        publish(directory, &endpoint(directory)).unwrap();
        let mut before = endpoint(directory);
        before.version = "0.0.9".into();
        let stopped = stop_server(directory, &before).await.unwrap();
        assert!(!stopped, "another took its place");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
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
