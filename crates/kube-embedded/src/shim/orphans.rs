//! Ends what is left of a container whose shim was killed: nobody adopts its orphans any more.
//!
//! On Linux that is every process of the shim's session, and every one that carries the attempt's mark in its
//! environment, wherever it went; looked for again until there is none. Only a process that left the session *and* cleared
//! its environment stays. On other systems it is the process group of the container, while its leader lives: what left
//! the group, or outlived its leader, stays (there the same holds for what a container leaves behind when it ends by itself).

use std::{path::Path, thread, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use super::processes::{self, ticks};
use crate::attempt::{Attempt, Started};

/// Variable that every process of a container inherits: the directory of its attempt.
pub const MARK: &str = "KUBE_EMBEDDED_ATTEMPT";

/// How often is looked, and how long is waited between two looks: what is killed takes a moment to be gone.
const LOOKS: u32 = 1000;
const AGAIN: Duration = Duration::from_millis(5);

/// Kills what is left of an attempt, until nothing is. Blocks the thread. False: something would not go.
#[must_use]
pub fn end(attempt: &Attempt) -> bool {
    let started = attempt.started();
    if let Some(started) = &started {
        let leader = Pid::from_raw(started.process);
        if started.process_ticks.is_some() && ticks(leader) == started.process_ticks {
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
    for _ in 0..LOOKS {
        let left = left(attempt.directory(), started.as_ref());
        if left.is_empty() {
            return true;
        }
        for process in left {
            // Another account's: not ours to end, and it will not go.
            if kill(process, Signal::SIGKILL) == Err(Errno::EPERM) {
                return false;
            }
        }
        thread::sleep(AGAIN);
    }
    false
}

fn left(attempt: &Path, started: Option<&Started>) -> Vec<Pid> {
    let session = started.and_then(|started| {
        let since = started.shim_ticks?;
        // The id names this session for as long as anybody is in it; another leader would mean that it is over.
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
            processes::lives(*process)
                && (in_session() || processes::has_variable(*process, MARK, attempt))
        })
        .collect()
}
