//! What puts a check right: the exact commands, shown before they run, and then run.
//!
//! One function, `steps`, says what the commands are; the sheet prints them and [`apply`] runs them, so that the two never differ.
//! Everything runs with the person's own git: hooks, signing and credentials are theirs.

mod error;

use std::time::Duration;

use serde::Serialize;

pub use self::error::FixError;
use super::{Facts, There};
use crate::{
    repository::{self, CommitLine, Difference, Differing, git::Git, network_git},
    runs::{RunKind, documents_directory, naming},
};

/// How long a commit or a push may take: hooks run in it.
const PATIENCE: Duration = Duration::from_secs(300);
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
        }
    }

    /// Whether commits leave the machine.
    #[must_use]
    pub const fn pushes(self) -> bool {
        matches!(self, Self::CommitAndPush | Self::Push)
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
}

/// A command that has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanCommand {
    pub command: String,
    /// What it printed; may hold remote text.
    pub output: String,
}

/// The files a run reads that are not what HEAD has.
#[must_use]
pub fn run_files(facts: &Facts) -> Vec<&Differing> {
    let Ok(repository) = &facts.repository else {
        return Vec::new();
    };
    let prefix = naming::directory_prefix(&repository.working_directory);
    let docs = format!("{prefix}.taskmaster/docs/");
    let of_tasks: Vec<String> = match facts.kind {
        RunKind::Docs => Vec::new(),
        RunKind::Code => facts
            .tasks
            .iter()
            .map(|task| format!("{prefix}{}/", documents_directory(&facts.tag, task)))
            .collect(),
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

/// The arguments of every git command of a fix, in order.
fn steps(facts: &Facts, fix: Fix) -> Result<Vec<Vec<String>>, FixError> {
    let repository = facts
        .repository
        .as_ref()
        .map_err(|error| FixError::Unavailable(error.to_string()))?;
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<String>>();
    let mut steps = Vec::new();
    if fix.commits() {
        let files = run_files(facts);
        if let Some(file) = files.iter().find(|file| file.how == Difference::Conflicted) {
            return Err(FixError::Unavailable(format!(
                "{} has a merge conflict: resolve it first",
                file.path
            )));
        }
        if files.is_empty() && fix == Fix::Commit {
            return Err(FixError::Unavailable(
                "there is nothing to commit: check again".into(),
            ));
        }
        let new: Vec<String> = files
            .iter()
            .filter(|file| file.how == Difference::Untracked)
            .map(|file| file.path.clone())
            .collect();
        if !new.is_empty() {
            steps.push([words("--literal-pathspecs add --intent-to-add --"), new].concat());
        }
        if !files.is_empty() {
            let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
            let message = format!("--message={}", message(facts, &files));
            steps.push(
                [
                    words("--literal-pathspecs commit --only"),
                    vec![message, "--".into()],
                    paths,
                ]
                .concat(),
            );
        }
    }
    let remote = || {
        let remote = repository.remote.as_ref();
        let remote =
            remote.ok_or_else(|| FixError::Unavailable("the repository has no remote".into()))?;
        let (Some(here), Some(there)) = (repository.branch(), remote.branch.as_deref()) else {
            return Err(FixError::Unavailable(
                "HEAD is on no branch: switch to one first".into(),
            ));
        };
        Ok((remote, here, there))
    };
    if fix.pushes() {
        let (remote, here, there) = remote()?;
        let mut push = words("push");
        if remote.follows.is_none() {
            push.push("--set-upstream".into());
        }
        push.extend([
            remote.name.clone(),
            format!("refs/heads/{here}:refs/heads/{there}"),
        ]);
        steps.push(push);
    }
    if fix == Fix::Pull {
        let (remote, _, there) = remote()?;
        let tracking = remote.tracking_ref.clone().unwrap_or_default();
        let fetch = words("fetch --no-tags --no-recurse-submodules");
        steps.push(
            [
                fetch,
                vec![
                    remote.name.clone(),
                    format!("+refs/heads/{there}:{tracking}"),
                ],
            ]
            .concat(),
        );
        steps.push([words("merge --ff-only"), vec![tracking]].concat());
    }
    Ok(steps)
}

fn command(root: &std::path::Path, arguments: &[String]) -> Git {
    network_git(root).args(arguments).patience(PATIENCE)
}

fn command_line(git: &Git) -> String {
    format!("git {}", git.command_line())
}

/// What a fix would do now: the commands, and every commit that would leave the machine.
///
/// # Errors
/// When the fix cannot be done at all: nothing to commit, a conflict, no remote, no branch.
pub async fn plan(facts: &Facts, fix: Fix) -> Result<FixSheet, FixError> {
    let steps = steps(facts, fix)?;
    let repository = facts
        .repository
        .as_ref()
        .map_err(|error| FixError::Unavailable(error.to_string()))?;
    let files = if fix.commits() {
        run_files(facts)
    } else {
        Vec::new()
    };
    let message = (!files.is_empty()).then(|| message(facts, &files));
    let mut commits = Vec::new();
    if fix.pushes() {
        let author = repository.identity.name.clone().unwrap_or_default();
        commits.extend(message.iter().map(|message| CommitLine {
            short: String::new(),
            subject: message.clone(),
            author: author.clone(),
        }));
        commits.extend(leaving(facts, repository).await?);
    }
    Ok(FixSheet {
        fix,
        commands: steps
            .iter()
            .map(|step| command_line(&command(&repository.root, step)))
            .collect(),
        files: files.iter().map(|file| file.path.clone()).collect(),
        message,
        commits,
        destination: repository
            .remote
            .as_ref()
            .filter(|_| fix.pushes())
            .map(repository::Remote::place),
    })
}

/// Commits of HEAD that the remote's branch lacks; for a branch that is new there, those no branch of the remote has.
async fn leaving(
    facts: &Facts,
    repository: &repository::Facts,
) -> Result<Vec<CommitLine>, FixError> {
    let (Some(remote), Some(_)) = (&repository.remote, repository.commit()) else {
        return Ok(Vec::new());
    };
    let not = match facts.there() {
        There::Known(known) => known.commit.clone(),
        _ => format!("--remotes={}", remote.name),
    };
    repository::commits(&repository.root, "HEAD", &[&not])
        .await
        .map_err(|error| FixError::git("", &error))
}

/// Runs a fix; `progress` hears of each command before it runs. What ran before an error stays done.
///
/// # Errors
/// When the fix cannot be done, or a command fails: what git, a hook or the remote said is told apart.
pub async fn apply(
    facts: &Facts,
    fix: Fix,
    mut progress: impl FnMut(&str) + Send,
) -> Result<Vec<RanCommand>, FixError> {
    let steps = steps(facts, fix)?;
    let repository = facts
        .repository
        .as_ref()
        .map_err(|error| FixError::Unavailable(error.to_string()))?;
    let place = repository
        .remote
        .as_ref()
        .map_or_else(String::new, |remote| remote.push_url.clone());
    let mut ran = Vec::new();
    for step in steps {
        let git = command(&repository.root, &step);
        let line = command_line(&git);
        progress(&line);
        let output = git
            .run()
            .await
            .map_err(|error| FixError::git(&place, &error))?;
        let printed = [output.text(), output.stderr.trim_end().to_owned()];
        ran.push(RanCommand {
            command: line,
            output: printed
                .iter()
                .filter(|text| !text.is_empty())
                .cloned()
                .collect::<Vec<_>>()
                .join("\n"),
        });
    }
    Ok(ran)
}

#[cfg(test)]
mod tests;
