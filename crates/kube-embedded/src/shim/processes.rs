//! Processes of a container: adopting orphans, reaping and killing.

use std::{fs, io, path::Path};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// Exit of the main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    /// 128 + signal if a signal ended it.
    pub code: i32,
    pub signal: Option<i32>,
}

impl Exit {
    const fn from_status(status: WaitStatus) -> Option<Self> {
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

/// Makes orphaned descendants children of this process, even those that left the process group. Does nothing on systems
/// without subreapers.
pub(super) fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// Reaps exited children. Returns `Some` once the main process has exited. `before` is called while its id cannot be
/// reused yet, so that its group can be signaled safely.
#[cfg(target_os = "linux")]
pub(super) fn reap(main: Pid, before: impl FnOnce()) -> io::Result<Option<Exit>> {
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
                    return Ok(Exit::from_status(waitpid(main, None)?));
                }
                Some(orphan) => {
                    waitpid(orphan, None)?;
                }
            },
        }
    }
}

/// Reaps exited children. Returns `Some` once the main process has exited. `before` is called right after, because this
/// system cannot peek without reaping; a group with members keeps its id.
#[cfg(not(target_os = "linux"))]
pub fn reap(main: Pid, before: impl FnOnce()) -> io::Result<Option<Exit>> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Ok(status) if status.pid() == Some(main) => {
                before();
                return Ok(Exit::from_status(status));
            }
            Ok(_) => {}
        }
    }
}

/// Kills and reaps all children until none is left.
pub(super) fn kill_children() {
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

/// Returns the children of this process; none on systems without /proc, where orphans are not adopted.
fn children() -> Vec<Pid> {
    let this = Pid::this().as_raw() as u64;
    let mut all = all();
    all.retain(|process| number(*process, PARENT) == Some(this));
    all
}

/// Returns all processes; none on systems without /proc.
pub(super) fn all() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    entries.filter_map(number).map(Pid::from_raw).collect()
}

/// Returns the start time of a process in kernel clock ticks since boot, which distinguishes it from others with the
/// same id; `None` if it is gone.
#[cfg(target_os = "linux")]
#[must_use]
pub(crate) fn ticks(process: Pid) -> Option<u64> {
    number(process, START)
}

/// Returns a hash of the start time of a process as printed by `ps`, which distinguishes it from others with the same
/// id; `None` if it is gone.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn ticks(process: Pid) -> Option<u64> {
    let id = process.to_string();
    let output = std::process::Command::new("ps")
        .args(["-o", "lstart=", "-p", &id])
        .output()
        .ok()?;
    let time = output.stdout.trim_ascii();
    let digest = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte));
    (!time.is_empty()).then(|| time.iter().fold(7, digest))
}

/// Returns the session of a process.
pub(super) fn session(process: Pid) -> Option<i32> {
    i32::try_from(number(process, SESSION)?).ok()
}

/// Returns whether a process is running, that is, neither a zombie nor dead.
pub(super) fn is_running(process: Pid) -> bool {
    field(process, STATE).is_some_and(|state| !matches!(state.as_str(), "Z" | "X"))
}

/// Returns whether a process was started with `name=value` in its environment.
pub(super) fn has_variable(process: Pid, name: &str, value: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;

    let wanted = [name.as_bytes(), b"=", value.as_os_str().as_bytes()].concat();
    fs::read(format!("/proc/{process}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == wanted))
}

/// Field indexes in `/proc/<pid>/stat`, after the command name.
const STATE: usize = 0;
const PARENT: usize = 1;
const SESSION: usize = 3;
#[cfg(target_os = "linux")]
const START: usize = 19;

fn number(process: Pid, index: usize) -> Option<u64> {
    field(process, index)?.parse().ok()
}

fn field(process: Pid, index: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The command name is in parentheses, and may contain spaces and parentheses.
    let rest = &stat[stat.rfind(')')? + 1..];
    rest.split_whitespace().nth(index).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn ticks_identify_process() {
        assert!(ticks(Pid::this()).is_some());
        assert_eq!(ticks(Pid::this()), ticks(Pid::this()));
        assert!(ticks(Pid::from_raw(i32::MAX)).is_none());
    }
}
