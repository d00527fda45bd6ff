//! What a shim does with process ids: adopting what its container leaves behind, reaping, killing.

use std::{fs, io};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
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
pub fn reap(main: Pid, before: impl FnOnce()) -> io::Result<Option<Exit>> {
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

/// Processes whose parent is this one.
fn children() -> Vec<Pid> {
    let this = Pid::this().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| stat(*pid, PARENT) == Some(this as u64))
        .map(Pid::from_raw)
        .collect()
}

/// When the kernel started a process, in clock ticks since boot; `None` when it is gone or the system does not say.
#[must_use]
pub fn ticks(process: Pid) -> Option<u64> {
    stat(process.as_raw(), START)
}

/// Places in `/proc/<pid>/stat` behind the command's name.
const PARENT: usize = 1;
const START: usize = 19;

fn stat(pid: i32, place: usize) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in brackets and may hold anything, brackets and spaces too.
    let behind = &stat[stat.rfind(')')? + 1..];
    behind.split_whitespace().nth(place)?.parse().ok()
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
