//! What puts a check right: the exact commands, shown before they run, and then run.
//!
//! A sheet says what the commands are; the person reads it and [`apply`] runs it, so that the two never differ. Everything runs
//! with the person's own git: hooks, signing and credentials are theirs.

mod apply;
mod branch;
mod error;
mod refusal;
mod steps;

use std::path::PathBuf;

use serde::Serialize;

pub use self::{
    apply::{Progress, RanCommand, Unfinished, apply},
    error::FixError,
};
use self::{branch::Target, steps::Step};
use super::{Facts, There};
use flightdeck_core::runs::{documents_directory, naming};
use flightdeck_host::repository::{self, CommitLine, Differing};

/// What puts a check right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fix {
    /// Commits the files a run reads, and nothing else.
    Commit,
    /// Does that, and pushes.
    CommitAndPush,
    /// Pushes the branch.
    Push,
    /// Brings the remote's commits here where nothing has to be merged.
    Pull,
    /// Switches to the branch HEAD is at, or to a new one for the plan, which is pushed.
    Switch,
}

impl Fix {
    /// As in a report.
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

    /// Whether it only adds: the run's files are committed, the branch is pushed, nothing here changes under the person's hands.
    #[must_use]
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Commit | Self::CommitAndPush | Self::Push)
    }

    const fn commits(self) -> bool {
        matches!(self, Self::Commit | Self::CommitAndPush)
    }
}

/// What a fix will do, for a person to say yes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixSheet {
    pub fix: Fix,
    /// As they will be run, in this order.
    pub commands: Vec<String>,
    /// Files that will be committed.
    pub files: Vec<String>,
    /// Message of the commit; `None` when none is made.
    pub message: Option<String>,
    /// Every commit that will leave the machine, the latest first, at most 200.
    pub commits: Vec<CommitLine>,
    /// Where they go: `origin/feature/x`; `None` when nothing is pushed.
    pub destination: Option<String>,
    root: PathBuf,
    steps: Vec<Step>,
    /// Address of the remote, without credentials.
    place: String,
    /// The branch HEAD was on, and its commit: the sheet is about these and no others.
    on: Option<String>,
    at: Option<String>,
}

/// The files a run reads that are not what HEAD has.
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

/// The message of the commit a fix makes.
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

/// What a fix would do now: the commands, and every commit that would leave the machine.
///
/// # Errors
/// When the fix cannot be done at all: nothing to commit, a conflict, no remote, no branch.
pub async fn plan(facts: &Facts, fix: Fix) -> Result<FixSheet, FixError> {
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
    Ok(FixSheet {
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

/// Commits of HEAD that the remote's branch lacks; for a branch that is new there, those no branch of the remote has.
async fn leaving(
    facts: &Facts,
    repository: &repository::Facts,
    new_branch: bool,
) -> Result<Vec<CommitLine>, FixError> {
    let (Some(remote), Some(_)) = (&repository.remote, repository.commit()) else {
        return Ok(Vec::new());
    };
    let not = match facts.there() {
        There::Known(known) if !new_branch => known.commit.clone(),
        _ => format!("--remotes={}", remote.name),
    };
    repository::commits(&repository.root, "HEAD", &[&not])
        .await
        .map_err(|error| FixError::Other(repository::error_summary(&error)))
}

#[cfg(test)]
mod tests;
