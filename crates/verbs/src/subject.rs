//! What a launch is about: the repository as pre-flight found it.

use super::VerbError;
use flightdeck_core::{resources::TasksRevision, tasks};
use flightdeck_preflight::{Facts, Report, There};

/// What a launch is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// What the pod clones.
    pub repository_url: String,
    /// The branch that is cloned, as the remote calls it.
    pub branch: String,
    /// Of the Task Master project, from the repository root.
    pub working_directory: String,
    pub tag: String,
    /// Every top-level task: its id, and whether its four documents exist.
    pub tasks: Vec<(String, bool)>,
    /// What `tasks-pushed` verified.
    pub revision: Option<TasksRevision>,
    /// Checks that fail: `(id, sentence)`.
    pub refused: Vec<(String, String)>,
    /// Who launches.
    pub person: String,
}

impl Subject {
    /// What the facts are about. Reads the folder of documents.
    ///
    /// # Errors
    /// When there is nothing to launch on: no repository, branch, remote or plan. Pre-flight's sentences say which.
    pub fn of(facts: &Facts, report: &Report) -> Result<Self, VerbError> {
        let refused = report.refused();
        let nothing = || VerbError::Refused(refused.clone());
        let repository = facts.repository.as_ref().map_err(|_| nothing())?;
        let remote = repository.remote.as_ref().ok_or_else(nothing)?;
        let branch = remote.branch.clone().ok_or_else(nothing)?;
        let plan = facts
            .plan
            .as_ref()
            .and_then(|plan| plan.as_ref().ok())
            .ok_or_else(nothing)?;
        let documents = tasks::documents(&repository.project, &facts.tag);
        let documented = |id: &str| documents.get(id).is_some_and(|set| set.is_complete());
        let listed = plan
            .tag(&facts.tag)
            .map(|tag| tag.tasks.as_slice())
            .unwrap_or_default();
        let revision = match (
            &repository.plan.relative,
            &repository.plan.disk_blob,
            facts.there(),
        ) {
            (Some(path), Some(blob), There::Known(known)) => Some(TasksRevision {
                path: path.clone(),
                blob: blob.clone(),
                commit: known.commit.clone(),
            }),
            _ => None,
        };
        let person = repository
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
            refused,
            person: person.unwrap_or_else(|| "somebody".into()),
        })
    }
}
