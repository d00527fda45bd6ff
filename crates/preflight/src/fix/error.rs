//! Why a fix failed, told apart by what git printed.

use super::{
    Fix,
    refusal::{self, Refusal},
    steps::Act,
};
use flightdeck_host::repository::{RemoteError, address, error_summary, git::GitError};

/// Why a fix was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    #[error("{0}")]
    Unavailable(String),
    #[error("HEAD has moved since this was shown: look at it again")]
    Moved,
    #[error("cancelled during the {0}")]
    Cancelled(&'static str),
    /// A hook refused the commit; the text is what it printed, shortened.
    #[error("the commit was refused: {0}")]
    Commit(String),
    #[error(
        "the commit could not be signed: {0}; sign something in a terminal once, so that the key is unlocked"
    )]
    Signing(String),
    #[error("git does not know who you are: set user.name and user.email")]
    Identity,
    #[error("the remote has commits this branch lacks: pull first")]
    Behind,
    #[error("one may not push to this branch: {0}")]
    Protected(String),
    #[error("you may not push to this repository: {0}")]
    NoWrite(String),
    #[error("the remote refuses what would be pushed: {0}")]
    Refused(String),
    /// A hook on this machine, or a check before the push.
    #[error("the push was stopped: {0}")]
    Stopped(String),
    #[error(
        "your branch and the remote's have parted: merge or rebase by hand (git pull), then push"
    )]
    Parted,
    #[error("commits of these submodules are on no remote, and nobody could clone them: {0}")]
    Submodules(String),
    /// Local changes stand in the way of what would be brought here.
    #[error("changes you have not committed are in the way: {0}")]
    InTheWay(String),
    #[error("{0}; push by hand in a terminal once, so that git can ask you")]
    Auth(RemoteError),
    #[error(transparent)]
    Remote(RemoteError),
    #[error("{0}")]
    Other(String),
}

impl FixError {
    /// What may help instead.
    #[must_use]
    pub const fn offers(&self) -> Option<Fix> {
        match self {
            Self::Behind => Some(Fix::Pull),
            Self::Protected(_) => Some(Fix::Switch),
            _ => None,
        }
    }

    /// Tells a failed step apart. `place` is the address of the remote, `printed` what both streams said.
    pub(super) fn of_step(act: Act, place: &str, printed: &str, error: &GitError) -> Self {
        if matches!(error, GitError::Cancelled { .. }) {
            return Self::Cancelled(match act {
                Act::Announce | Act::Commit => "commit",
                Act::Push => "push; whether it arrived will be seen when the remote is asked",
                Act::Fetch => "fetch",
                Act::FastForward => "fast-forward",
                Act::Switch => "switch",
            });
        }
        if matches!(error, GitError::Start(_)) {
            return Self::Other(error.to_string());
        }
        let has = |signs: &[&str]| signs.iter().any(|sign| printed.contains(sign));
        let last = || last_lines(printed, &error.to_string());
        match act {
            Act::Commit
                if has(&[
                    "gpg failed to sign",
                    "failed to sign the data",
                    "Signing failed",
                ]) =>
            {
                Self::Signing(last())
            }
            Act::Commit if has(&["Please tell me who you are", "empty ident name"]) => {
                Self::Identity
            }
            Act::Commit => Self::Commit(last()),
            Act::Announce => Self::Other(error_summary(error)),
            Act::FastForward if has(&["Not possible to fast-forward", "Diverging branches"]) => {
                Self::Parted
            }
            Act::FastForward | Act::Switch => Self::InTheWay(in_the_way(printed, error)),
            Act::Fetch => Self::remote(place, error),
            Act::Push if has(&["not be found on any remote"]) => {
                Self::Submodules(listed(printed, "  "))
            }
            Act::Push => match refusal::of(printed) {
                Some((Refusal::Behind, _)) => Self::Behind,
                Some((Refusal::Protected, said)) => Self::Protected(said),
                Some((Refusal::NoWrite, said)) => Self::NoWrite(said),
                Some((Refusal::Content | Refusal::Hook, said)) => Self::Refused(said),
                None if has(&["failed to push some refs"]) => Self::Stopped(last()),
                None => Self::remote(place, error),
            },
        }
    }

    fn remote(place: &str, error: &GitError) -> Self {
        match RemoteError::new(place, error) {
            error @ (RemoteError::Auth { .. } | RemoteError::HostKey { .. }) => Self::Auth(error),
            error => Self::Remote(error),
        }
    }
}

/// The files that stand in the way, or what git said.
fn in_the_way(printed: &str, error: &GitError) -> String {
    let files = listed(printed, "\t");
    if files.is_empty() {
        error_summary(error)
    } else {
        files
    }
}

/// The names of a list that git prints, each on a line of its own behind `indent`.
fn listed(printed: &str, indent: &str) -> String {
    let names = printed.lines().filter_map(|line| line.strip_prefix(indent));
    names.collect::<Vec<_>>().join(", ")
}

/// The last lines of what was printed, on one line: a hook says why it refuses near its end.
fn last_lines(printed: &str, otherwise: &str) -> String {
    let lines: Vec<&str> = printed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("failed to push some refs"))
        .collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    if last.is_empty() {
        otherwise.to_owned()
    } else {
        address::without_credentials_in(&last)
    }
}
