//! Kills the processes of a container whose shim was killed, and which therefore have no parent that reaps them.
//!
//! On Linux these are all processes in the shim's session or with the attempt's variable in their environment, found by
//! scanning until none is left. Only a process that left the session and cleared its environment escapes. On other
//! systems only the container's process group is killed, while its leader lives (which also holds for processes that
//! outlive a container that exits by itself).

use std::{path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::processes::{self, ticks};
use crate::attempt::{Attempt, Started};

/// Environment variable of every process of a container: the directory of its attempt.
pub(crate) const ATTEMPT_VARIABLE: &str = "KUBE_EMBEDDED_ATTEMPT";

/// Number of scans, and the delay between them: killed processes take a moment to disappear.
const MAX_SCANS: u32 = 1000;
const SCAN_INTERVAL: Duration = Duration::from_millis(5);

/// Kills the processes of an attempt until none is left. Returns `false` if one cannot be killed. Blocks the thread.
#[must_use]
pub(crate) fn kill_orphans(attempt: &Attempt) -> bool {
    let started = attempt.started();
    if let Some(started) = &started {
        let leader = Pid::from_raw(started.process);
        if started.process_ticks.is_some() && ticks(leader) == started.process_ticks {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
    for _ in 0..MAX_SCANS {
        let remaining = remaining(attempt.directory(), started.as_ref());
        if remaining.is_empty() {
            return true;
        }
        for process in remaining {
            // A process of another user cannot be killed, so scanning again is useless.
            if kill(process, Signal::SIGKILL) == Err(Errno::EPERM) {
                return false;
            }
        }
        thread::sleep(SCAN_INTERVAL);
    }
    false
}

fn remaining(attempt: &Path, started: Option<&Started>) -> Vec<Pid> {
    let session = started.and_then(|started| {
        let since = started.shim_ticks?;
        // The session id is not reused while a process is in the session; a leader with another start time is a new
        // session.
        let leader = ticks(Pid::from_raw(started.shim));
        leader
            .is_none_or(|leader| leader == since)
            .then_some((started.shim, since))
    });
    let this = Pid::this();
    processes::all()
        .into_iter()
        .filter(|process| *process != this)
        .filter(|process| {
            let in_session = || {
                session.is_some_and(|(session, since)| {
                    processes::session(*process) == Some(session)
                        && ticks(*process).is_some_and(|at| at >= since)
                })
            };
            processes::is_running(*process)
                && (in_session() || processes::has_variable(*process, ATTEMPT_VARIABLE, attempt))
        })
        .collect()
}
