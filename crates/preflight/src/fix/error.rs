//! Errors of fixes, classified by git's output.

use super::{Fix, steps::Act};
use flightdeck_host::repository::{
    GitFailure, RemoteError, address, error_summary, explanation, git::GitError,
};

/// Why a fix failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    #[error("{0}")]
    Unavailable(String),
    #[error("HEAD has moved since the commands were shown; check again")]
    Moved,
    #[error("cancelled during the {0}")]
    Cancelled(&'static str),
    /// A hook rejected the commit; contains the end of its output.
    #[error("commit rejected: {0}")]
    Commit(String),
    #[error("signing the commit failed: {0}; unlock the key by signing something in a terminal")]
    Signing(String),
    #[error("set user.name and user.email in git")]
    Identity,
    #[error("the remote branch is ahead; pull first")]
    Behind,
    #[error("the branch is protected: {0}")]
    Protected(String),
    #[error("no write access to the repository: {0}")]
    NoWrite(String),
    #[error("push rejected by the remote: {0}")]
    Refused(String),
    /// A local hook, or git itself, stopped the push.
    #[error("push stopped before it was sent: {0}")]
    Stopped(String),
    #[error(
        "your branch and the remote branch have diverged; merge or rebase (git pull), then push"
    )]
    Diverged,
    #[error("commits of these submodules are not pushed: {0}")]
    Submodules(String),
    /// Uncommitted changes would be overwritten.
    #[error("uncommitted changes would be overwritten: {0}")]
    WouldOverwrite(String),
    #[error("{0}; push once in a terminal, where git can prompt")]
    Auth(RemoteError),
    #[error(transparent)]
    Remote(RemoteError),
    #[error("{0}")]
    Failed(String),
}

impl FixError {
    /// Another fix that may help.
    #[must_use]
    pub const fn offers(&self) -> Option<Fix> {
        match self {
            Self::Behind => Some(Fix::Pull),
            Self::Protected(_) => Some(Fix::Switch),
            _ => None,
        }
    }

    /// Classifies a failed step. `place` is the URL of the remote, `printed` the output of git.
    pub(super) fn of_step(act: Act, place: &str, printed: &str, error: &GitError) -> Self {
        if matches!(error, GitError::Cancelled { .. }) {
            return Self::Cancelled(match act {
                Act::IntentToAdd | Act::Commit => "commit",
                Act::Push => "push; check the remote to see whether it arrived",
                Act::Fetch => "fetch",
                Act::FastForward => "fast-forward",
                Act::Switch => "switch",
            });
        }
        if matches!(error, GitError::Start(_)) {
            return Self::Failed(error.to_string());
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
            Act::IntentToAdd => Self::Failed(error_summary(error)),
            Act::FastForward if has(&["Not possible to fast-forward", "Diverging branches"]) => {
                Self::Diverged
            }
            Act::FastForward | Act::Switch => Self::WouldOverwrite(in_the_way(printed, error)),
            Act::Fetch => Self::remote(place, error),
            Act::Push if has(&["not be found on any remote"]) => {
                Self::Submodules(listed(printed, "  "))
            }
            Act::Push => {
                let detail = || explanation(printed, error);
                match GitFailure::of(printed) {
                    GitFailure::NonFastForward => Self::Behind,
                    GitFailure::Protected => Self::Protected(detail()),
                    GitFailure::ReadOnly => Self::NoWrite(detail()),
                    GitFailure::Content | GitFailure::Rejected => Self::Refused(detail()),
                    _ if has(&["[remote rejected]"]) => Self::Refused(detail()),
                    _ if has(&["failed to push some refs"]) => Self::Stopped(last()),
                    _ => Self::remote(place, error),
                }
            }
        }
    }

    fn remote(place: &str, error: &GitError) -> Self {
        match RemoteError::new(place, error) {
            error if error.needs_user() => Self::Auth(error),
            error => Self::Remote(error),
        }
    }
}

/// Returns the files that would be overwritten, or git's message.
fn in_the_way(printed: &str, error: &GitError) -> String {
    let files = listed(printed, "\t");
    if files.is_empty() {
        error_summary(error)
    } else {
        files
    }
}

/// Returns the lines that start with `indent`, joined.
fn listed(printed: &str, indent: &str) -> String {
    let names = printed.lines().filter_map(|line| line.strip_prefix(indent));
    names.collect::<Vec<_>>().join(", ")
}

/// Returns the last lines of the output, joined. Hooks print the reason last.
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
