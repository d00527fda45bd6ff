//! The repository, branch and plan a launch starts from, as found by pre-flight.

use super::VerbError;
use flightdeck_core::{resources::TasksRevision, tasks};
use flightdeck_preflight::{Facts, RemoteBranch, Report};

/// The repository, branch and plan a launch starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchSource {
    /// URL the pods clone.
    pub repository_url: String,
    /// Branch to clone, by its name on the remote.
    pub branch: String,
    /// Directory of the Task Master project, relative to the repository root.
    pub working_directory: String,
    pub tag: String,
    /// Every top-level task: its ID, and whether its four documents exist.
    pub tasks: Vec<(String, bool)>,
    /// Revision of the plan verified by `tasks-pushed`.
    pub revision: Option<TasksRevision>,
    /// Failed checks: `(id, message)`.
    pub blocking: Vec<(String, String)>,
    /// User who launches.
    pub user: String,
}

impl LaunchSource {
    /// Derives the source from pre-flight facts. Reads the documents directory.
    ///
    /// # Errors
    /// If there is no repository, branch, remote or plan; the error lists the failed checks.
    pub fn new(facts: &Facts, report: &Report) -> Result<Self, VerbError> {
        let blocking = report.blocking();
        let blocked = || VerbError::Blocked(blocking.clone());
        let repository = facts.repository.as_ref().map_err(|_| blocked())?;
        let remote = repository.remote.as_ref().ok_or_else(blocked)?;
        let branch = remote.branch.clone().ok_or_else(blocked)?;
        let plan = facts
            .plan
            .as_ref()
            .and_then(|plan| plan.as_ref().ok())
            .ok_or_else(blocked)?;
        let documents = tasks::documents(&repository.project, &facts.tag);
        let documented = |id: &str| documents.get(id).is_some_and(|set| set.is_complete());
        let listed = plan
            .tag(&facts.tag)
            .map(|tag| tag.tasks.as_slice())
            .unwrap_or_default();
        let revision = match (
            &repository.plan.relative,
            &repository.plan.disk_blob,
            facts.remote_branch(),
        ) {
            (Some(path), Some(blob), RemoteBranch::Known(known)) => Some(TasksRevision {
                path: path.clone(),
                blob: blob.clone(),
                commit: known.commit.clone(),
            }),
            _ => None,
        };
        let user = repository
            .identity
            .name
            .clone()
            .or_else(|| std::env::var("USER").ok());
        Ok(Self {
            repository_url: remote.clone_url.clone(),
            branch,
            working_directory: repository.working_directory.clone(),
            tag: facts.tag.clone(),
            tasks: listed
                .iter()
                .map(|task| (task.id.clone(), documented(&task.id)))
                .collect(),
            revision,
            blocking,
            user: user.unwrap_or_else(|| "unknown".into()),
        })
    }
}
