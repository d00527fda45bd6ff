//! What a shim does with process ids: adopting what its container leaves behind, reaping, killing.

use std::{fs, io, path::Path};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// How the main process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 128 + signal when a signal ended it.
    pub code: i32,
    pub signal: Option<i32>,
}

impl Exit {
    const fn of(status: WaitStatus) -> Option<Self> {
        match status {
            WaitStatus::Exited(_, code) => Some(Self { code, signal: None }),
            WaitStatus::Signaled(_, signal, _) => Some(Self {
                code: 128 + signal as i32,
                signal: Some(signal as i32),
            }),
            _ => None,
        }
    }
}

/// Orphans of the container become children of this process, even those that left its group. Where the system cannot
/// do that, only the group is looked after.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Reaps what has ended. `Some` once the main process has: `before` is called while its id still cannot be used again,
/// so that its group can be signalled safely.
#[cfg(target_os = "linux")]
pub fn reap(main: Pid, before: impl FnOnce()) -> io::Result<Option<Exit>> {
    use nix::sys::wait::{Id, waitid};

    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    loop {
        match waitid(Id::All, look) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(status) => match status.pid() {
                None => return Ok(None),
                Some(pid) if pid == main => {
                    before();
                    return Ok(Exit::of(waitpid(main, None)?));
                }
                Some(orphan) => {
                    waitpid(orphan, None)?;
                }
            },
        }
    }
}

/// Reaps what has ended. `Some` once the main process has, with `before` called right after: this system cannot look
/// without reaping. A group with anybody left in it keeps its id.
#[cfg(not(target_os = "linux"))]
pub fn reap(main: Pid, before: impl FnOnce()) -> io::Result<Option<Exit>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(status) if status.pid() == Some(main) => {
                before();
                return Ok(Exit::of(status));
            }
            Ok(_) => {}
        }
    }
}

/// Kills and reaps every process that is left of the container, until there is none.
pub fn kill_orphans() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(_) => return,
            Ok(WaitStatus::StillAlive) => {
                for child in children() {
                    let _ = kill(child, Signal::SIGKILL);
                }
                if waitpid(None, None).is_err_and(|error| error != Errno::EINTR) {
                    return;
                }
            }
            Ok(_) => {}
        }
    }
}

/// Processes whose parent is this one; none where the system does not tell (there no orphan becomes its child).
fn children() -> Vec<Pid> {
    let this = Pid::this().as_raw() as u64;
    let mut all = all();
    all.retain(|process| number(*process, PARENT) == Some(this));
    all
}

/// Every process, as far as the system tells.
pub fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.filter_map(number).map(Pid::from_raw).collect()
}

/// When a process was started: a number that tells it from any other with its id, `None` when it is gone. On Linux the
/// kernel's clock ticks since boot.
#[cfg(target_os = "linux")]
#[must_use]
pub fn ticks(process: Pid) -> Option<u64> {
    number(process, START)
}

/// When a process was started: a number that tells it from any other with its id, `None` when it is gone. Made from what
/// `ps` says, to the second.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn ticks(process: Pid) -> Option<u64> {
    let id = process.to_string();
    let told = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &id])
        .output()
        .ok()?;
    let time = told.stdout.trim_ascii();
    let digest = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
    (!time.is_empty()).then(|| time.iter().fold(7, digest))
}

/// The session of a process.
pub fn session(process: Pid) -> Option<i32> {
    i32::try_from(number(process, SESSION)?).ok()
}

/// Whether a process still runs: one that only waits to be reaped does not.
pub fn lives(process: Pid) -> bool {
    field(process, STATE).is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// Whether a process was started with `name=value` in its environment.
pub fn has_variable(process: Pid, name: &str, value: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    let wanted = [name.as_bytes(), b"=", value.as_os_str().as_bytes()].concat();
    fs::read(format!("/proc/{process}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == wanted))
}

/// Places in `/proc/<pid>/stat` behind the command's name.
const STATE: usize = 0;
const PARENT: usize = 1;
const SESSION: usize = 3;
#[cfg(target_os = "linux")]
const START: usize = 19;

fn number(process: Pid, place: usize) -> Option<u64> {
    field(process, place)?.parse().ok()
}

fn field(process: Pid, place: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command's name is in brackets and may hold anything, brackets and spaces too.
    let behind = &stat[stat.rfind(')')? + 1..];
    behind.split_whitespace().nth(place).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_known_by_its_start() {
        assert!(ticks(Pid::this()).is_some());
        assert_eq!(ticks(Pid::this()), ticks(Pid::this()));
        assert!(ticks(Pid::from_raw(i32::MAX)).is_none());
    }
}
