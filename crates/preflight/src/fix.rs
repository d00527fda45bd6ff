//! Fixes of failed checks: a plan of exact git commands to show, then run.
//!
//! [`apply`] runs the very [`FixPlan`] that was shown. Everything runs with the user's git, hooks, signing key and credentials.

mod apply;
mod branch;
mod error;
mod steps;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

pub use self::{
    apply::{PartialFix, Progress, RanCommand, apply},
    error::FixError,
};
use self::{branch::Target, steps::Step};
use super::{Facts, RemoteBranch};
use flightdeck_core::runs::{documents_directory, naming};
use flightdeck_host::repository::{self, CommitLine, Differing};

/// A fix of a failed check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// Commit the files a run reads, and nothing else.
    Commit,
    /// Commit those files, then push the branch.
    CommitAndPush,
    /// Push the branch.
    Push,
    /// Fast-forward to the remote branch.
    Pull,
    /// Switch to the branch HEAD points at, or create and push a branch for the plan.
    Switch,
}

impl Fix {
    /// Name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::CommitAndPush => "commit-and-push",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Switch => "switch",
        }
    }

    const fn commits(self) -> bool {
        matches!(self, Self::Commit | Self::CommitAndPush)
    }
}

/// The commands of a fix, to be confirmed by the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixPlan {
    pub fix: Fix,
    /// Command lines, in order.
    pub commands: Vec<String>,
    /// Files to commit.
    pub files: Vec<String>,
    /// Message of the commit, if there is one.
    pub message: Option<String>,
    /// Commits to push, latest first, at most 200.
    pub commits: Vec<CommitLine>,
    /// Branch to push to, like `origin/feature/x`.
    pub destination: Option<String>,
    root: PathBuf,
    steps: Vec<Step>,
    /// URL of the remote, without credentials.
    place: String,
    /// Branch and commit of HEAD when the plan was made; `apply` refuses if HEAD has moved.
    on: Option<String>,
    at: Option<String>,
}

/// Returns the files a run reads that differ from HEAD.
#[must_use]
pub fn run_files(facts: &Facts) -> Vec<&Differing> {
    let Ok(repository) = &facts.repository else {
        return Vec::new();
    };
    let prefix = naming::directory_prefix(&repository.working_directory);
    let docs = format!("{prefix}.taskmaster/docs/");
    let of_tasks: Vec<String> = if facts.kind.needs_documents() {
        facts
            .tasks
            .iter()
            .map(|task| format!("{prefix}{}/", documents_directory(&facts.tag, task)))
            .collect()
    } else {
        Vec::new()
    };
    let is_read = |path: &str| {
        let written_for_agents = path.strip_prefix(&docs).is_some_and(|name| {
            !name.contains('/') && [".md", ".txt"].iter().any(|end| name.ends_with(end))
        });
        repository.plan.relative.as_deref() == Some(path)
            || written_for_agents
            || of_tasks.iter().any(|folder| path.starts_with(folder))
    };
    repository
        .differing
        .iter()
        .filter(|file| is_read(&file.path))
        .collect()
}

/// Returns the commit message of a fix.
fn message(facts: &Facts, files: &[&Differing]) -> String {
    let plan = facts
        .repository
        .as_ref()
        .ok()
        .and_then(|repository| repository.plan.relative.as_deref());
    match files {
        [file] if Some(file.path.as_str()) == plan => "Update the plan".into(),
        _ => "Update the plan and its documents".into(),
    }
}

/// Plans a fix.
///
/// # Errors
/// If the fix is impossible: nothing to commit, a conflict, no remote, no branch.
pub async fn plan(facts: &Facts, fix: Fix) -> Result<FixPlan, FixError> {
    let repository = facts
        .repository
        .as_ref()
        .map_err(|error| FixError::Unavailable(error.to_string()))?;
    let target = match fix {
        Fix::Switch => Some(branch::target(repository).await?),
        _ => None,
    };
    let steps = steps::steps(facts, repository, fix, target.as_ref())?;
    let files = if fix.commits() {
        run_files(facts)
    } else {
        Vec::new()
    };
    let message = (!files.is_empty()).then(|| message(facts, &files));
    let pushes = steps.iter().any(Step::pushes);
    let mut commits = Vec::new();
    if pushes {
        let author = repository.identity.name.clone().unwrap_or_default();
        commits.extend(message.iter().map(|message| CommitLine {
            short: String::new(),
            subject: message.clone(),
            author: author.clone(),
        }));
        commits.extend(leaving(facts, repository, target.is_some()).await?);
    }
    let remote = repository.remote.as_ref();
    let destination = remote
        .filter(|_| pushes)
        .map(|remote| match target.as_ref() {
            Some(Target::New(branch)) => format!("{}/{branch}", remote.name),
            _ => remote.place(),
        });
    Ok(FixPlan {
        fix,
        commands: steps
            .iter()
            .map(|step| step.command_line(&repository.root))
            .collect(),
        files: files.iter().map(|file| file.path.clone()).collect(),
        message,
        commits,
        destination,
        root: repository.root.clone(),
        steps,
        place: remote.map_or_else(String::new, |remote| remote.push_url.clone()),
        on: repository.branch().map(str::to_owned),
        at: repository.commit().map(str::to_owned),
    })
}

/// Returns the commits to push. A new branch is compared with all branches of the remote.
async fn leaving(
    facts: &Facts,
    repository: &repository::Facts,
    new_branch: bool,
) -> Result<Vec<CommitLine>, FixError> {
    let (Some(remote), Some(_)) = (&repository.remote, repository.commit()) else {
        return Ok(Vec::new());
    };
    let not = match facts.remote_branch() {
        RemoteBranch::Known(known) if !new_branch => known.commit.clone(),
        _ => format!("--remotes={}", remote.name),
    };
    repository::commits(&repository.root, "HEAD", &[&not])
        .await
        .map_err(|error| FixError::Failed(repository::error_summary(&error)))
}

#[cfg(test)]
mod tests;
