//! The git commands of each fix. Pure.

use std::{path::Path, time::Duration};

use super::{Fix, FixError, branch::Target, message, run_files};
use crate::Facts;
use flightdeck_host::repository::{self, Difference, git::Git, network_git};

/// Time limit of a commit or push, including hooks.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// Type of a step, used to classify its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// `git add --intent-to-add`, which makes new files committable by path.
    IntentToAdd,
    Commit,
    Push,
    Fetch,
    FastForward,
    Switch,
}

impl Act {
    /// Name of the completed step; empty for preparations.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::IntentToAdd | Self::Fetch => "",
            Self::Commit => "commit",
            Self::Push => "push",
            Self::FastForward => "fast-forward",
            Self::Switch => "switch",
        }
    }
}

/// One git command of a fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub act: Act,
    pub arguments: Vec<String>,
    /// Arguments of the command that undoes the step if the next one fails.
    pub undo: Option<Vec<String>>,
}

impl Step {
    fn new(act: Act, arguments: Vec<String>) -> Self {
        Self {
            act,
            arguments,
            undo: None,
        }
    }

    pub(super) fn pushes(&self) -> bool {
        self.act == Act::Push
    }

    /// The command, run with the user's git and without prompts.
    pub(super) fn git(&self, root: &Path) -> Git {
        command(root, &self.arguments)
    }

    /// Command line for display.
    pub(super) fn command_line(&self, root: &Path) -> String {
        format!("git {}", self.git(root).command_line())
    }
}

/// Builds a git command. Removes `GPG_TTY`: pinentry must not draw on the console.
pub(super) fn command(root: &Path, arguments: &[String]) -> Git {
    network_git(root)
        .args(arguments)
        .env_remove(&["GPG_TTY"])
        .timeout(COMMAND_TIMEOUT)
}

/// Returns the steps of a fix.
pub(super) fn steps(
    facts: &Facts,
    repository: &repository::Facts,
    fix: Fix,
    target: Option<&Target>,
) -> Result<Vec<Step>, FixError> {
    if let Some(operation) = repository.operation {
        return Err(FixError::Unavailable(format!(
            "{} is in progress; finish or abort it first",
            operation.name()
        )));
    }
    match fix {
        Fix::Commit => commit(facts, fix),
        Fix::CommitAndPush => {
            let mut steps = commit(facts, fix)?;
            steps.push(push(repository)?);
            Ok(steps)
        }
        Fix::Push => Ok(vec![push(repository)?]),
        Fix::Pull => pull(repository),
        Fix::Switch => Ok(switch(repository, target)),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn commit(facts: &Facts, fix: Fix) -> Result<Vec<Step>, FixError> {
    let files = run_files(facts);
    if let Some(file) = files.iter().find(|file| file.how == Difference::Conflicted) {
        return Err(FixError::Unavailable(format!(
            "{} has a merge conflict: resolve it first",
            file.path
        )));
    }
    if files.is_empty() && fix == Fix::Commit {
        return Err(FixError::Unavailable(
            "nothing to commit; check again".into(),
        ));
    }
    if let Some(file) = files.iter().find(|file| file.path.contains('\u{fffd}')) {
        return Err(FixError::Unavailable(format!(
            "the name of {} is not UTF-8; commit it manually",
            file.path
        )));
    }
    let mut steps = Vec::new();
    let new: Vec<String> = files
        .iter()
        .filter(|file| file.how == Difference::Untracked)
        .map(|file| file.path.clone())
        .collect();
    if !new.is_empty() {
        let add = words("--literal-pathspecs add --intent-to-add --");
        let reset = words("--literal-pathspecs reset --quiet --");
        steps.push(Step {
            undo: Some([reset, new.clone()].concat()),
            ..Step::new(Act::IntentToAdd, [add, new].concat())
        });
    }
    if !files.is_empty() {
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        let message = format!("--message={}", message(facts, &files));
        let start = words("--literal-pathspecs commit --only");
        steps.push(Step::new(
            Act::Commit,
            [start, vec![message, "--".into()], paths].concat(),
        ));
    }
    Ok(steps)
}

/// Returns the remote, the local branch and the remote branch.
fn ends(repository: &repository::Facts) -> Result<(&repository::Remote, &str, &str), FixError> {
    let remote = repository
        .remote
        .as_ref()
        .ok_or_else(|| FixError::Unavailable("the repository has no remote".into()))?;
    let (Some(here), Some(there)) = (repository.branch(), remote.branch.as_deref()) else {
        return Err(FixError::Unavailable(
            "HEAD is detached; switch to a branch first".into(),
        ));
    };
    Ok((remote, here, there))
}

fn push(repository: &repository::Facts) -> Result<Step, FixError> {
    let (remote, here, there) = ends(repository)?;
    let mut push = begin_push(repository, remote.follows.is_none());
    push.extend([
        remote.name.clone(),
        format!("refs/heads/{here}:refs/heads/{there}"),
    ]);
    Ok(Step::new(Act::Push, push))
}

/// Never pushes submodules, only checks that their commits are on a remote.
fn begin_push(repository: &repository::Facts, set_upstream: bool) -> Vec<String> {
    let mut push = words("push --progress");
    if repository.submodules {
        push.push("--recurse-submodules=check".into());
    }
    if set_upstream {
        push.push("--set-upstream".into());
    }
    push
}

fn pull(repository: &repository::Facts) -> Result<Vec<Step>, FixError> {
    let (remote, _, there) = ends(repository)?;
    let tracking = remote.tracking_ref.clone().unwrap_or_default();
    let mut fetch = words("fetch --progress --no-tags --no-recurse-submodules");
    fetch.extend([
        remote.name.clone(),
        format!("+refs/heads/{there}:{tracking}"),
    ]);
    let mut merge = words("merge --ff-only");
    merge.push(tracking);
    Ok(vec![
        Step::new(Act::Fetch, fetch),
        Step::new(Act::FastForward, merge),
    ])
}

fn switch(repository: &repository::Facts, target: Option<&Target>) -> Vec<Step> {
    let mut steps = Vec::new();
    match target {
        None => {}
        Some(Target::Existing(branch)) => {
            steps.push(Step::new(
                Act::Switch,
                vec!["switch".into(), branch.clone()],
            ));
        }
        Some(Target::New(branch)) => {
            let mut switch = words("switch --create");
            switch.push(branch.clone());
            steps.push(Step::new(Act::Switch, switch));
            if let Some(remote) = &repository.remote {
                let mut push = begin_push(repository, true);
                push.extend([
                    remote.name.clone(),
                    format!("refs/heads/{branch}:refs/heads/{branch}"),
                ]);
                steps.push(Step::new(Act::Push, push));
            }
        }
    }
    steps
}
