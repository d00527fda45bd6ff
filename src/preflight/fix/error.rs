//! Why a fix failed, told apart by what git printed.

use crate::repository::{RemoteError, git::GitError, last_words};

/// Why a fix was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixError {
    #[error("{0}")]
    Unavailable(String),
    /// git or a hook refused the commit; the text is what it printed, shortened.
    #[error("the commit was refused: {0}")]
    Commit(String),
    #[error("the remote has commits this branch lacks: pull first")]
    Behind,
    #[error("the remote does not take pushes to this branch: {0}")]
    Refused(String),
    /// A hook on this machine, or a check before the push.
    #[error("the push was stopped: {0}")]
    Stopped(String),
    #[error(
        "your branch and the remote's have parted: merge or rebase by hand (git pull), then push"
    )]
    Parted,
    /// Local changes stand in the way of what would be brought here.
    #[error("changes you have not committed are in the way: {0}")]
    InTheWay(String),
    #[error(transparent)]
    Remote(RemoteError),
}

impl FixError {
    /// Tells a failed command apart. `place` is the address of the remote.
    pub(super) fn git(place: &str, error: &GitError) -> Self {
        let stderr = error.stderr();
        let has = |signs: &[&str]| signs.iter().any(|sign| stderr.contains(sign));
        let command = match error {
            GitError::Failed { command, .. } | GitError::Timeout { command, .. } => {
                command.as_str()
            }
            GitError::Start(_) => "",
        };
        let line_with = |signs: &[&str]| {
            let line = stderr
                .lines()
                .find(|line| signs.iter().any(|sign| line.contains(sign)));
            line.map_or_else(|| last_words(error), |line| line.trim().to_owned())
        };
        if command.contains(" commit ") {
            return Self::Commit(last_lines(stderr, &error.to_string()));
        }
        if command.starts_with("merge ") {
            return if has(&["Not possible to fast-forward", "Diverging branches"]) {
                Self::Parted
            } else {
                Self::InTheWay(last_words(error))
            };
        }
        if has(&["(fetch first)", "(non-fast-forward)"]) {
            return Self::Behind;
        }
        let refusals = ["[remote rejected]", "protected branch", "GH006", "GH013"];
        if has(&refusals) {
            return Self::Refused(line_with(&refusals));
        }
        if command.starts_with("push ") && has(&["failed to push some refs"]) {
            return Self::Stopped(last_lines(stderr, &error.to_string()));
        }
        Self::Remote(RemoteError::new(place, error))
    }
}

/// The last lines of what was printed, on one line: a hook says why it refuses near its end.
fn last_lines(stderr: &str, otherwise: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("failed to push some refs"))
        .collect();
    let last = lines[lines.len().saturating_sub(3)..].join(" / ");
    if last.is_empty() {
        otherwise.to_owned()
    } else {
        last
    }
}
