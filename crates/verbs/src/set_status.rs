//! `tasks set-status`: changes the status of a task. Safe against concurrent writes by Task Master.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Render, Verb, VerbError, View};
use flightdeck_core::tasks::{self, EditError, LoadError, Status, StatusChange, WriteError};
use flightdeck_core::text;

/// How long to wait for the lock. Longer than a lock takes to become stale after a crash.
const LOCK_TIMEOUT: Duration = Duration::from_secs(12);

/// Changes the status of a task, and nothing else in the file.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct SetStatus {
    /// ID of the task, like 3, or 3.2 for a subtask.
    pub id: String,
    /// pending, in-progress, done, review, deferred, cancelled or blocked.
    pub status: String,
    /// Tag of the task. Default: the current tag.
    #[arg(long, value_name = "TAG")]
    #[serde(default)]
    pub tag: Option<String>,
    /// Task file. Default: the nearest tasks.json.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// The changes that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusChanges {
    pub file: PathBuf,
    pub tag: String,
    /// The task, then its parent if that changed too. Empty if the task already had the status.
    pub changes: Vec<StatusChange>,
}

impl SetStatus {
    /// Writes the status. Searches for the plan from `start` unless a file is given.
    pub async fn set(&self, start: &Path) -> Result<StatusChanges, VerbError> {
        let status = self.parsed()?;
        let (verb, start) = (self.clone(), start.to_owned());
        let written = tokio::task::spawn_blocking(move || verb.write(&start, &status));
        written
            .await
            .map_err(|error| VerbError::Failed(error.to_string()))?
    }

    fn parsed(&self) -> Result<Status, VerbError> {
        let word = self.status.trim().to_lowercase();
        let known = Status::KNOWN;
        let found = known.iter().find(|status| status.as_str() == word).cloned();
        found.ok_or_else(|| {
            let words: Vec<&str> = known.iter().map(Status::as_str).collect();
            VerbError::Usage(format!(
                "invalid status \"{}\"; expected one of {}",
                self.status,
                words.join(", ")
            ))
        })
    }

    fn write(&self, start: &Path, status: &Status) -> Result<StatusChanges, VerbError> {
        let file = plan_file(self.file.as_deref(), start)?;
        let tag = self.tag.clone();
        let tag = tag.unwrap_or_else(|| tasks::current_tag_of(&file));
        let changes = tasks::write_status(&file, &tag, self.id.trim(), status, LOCK_TIMEOUT)
            .map_err(classify)?;
        Ok(StatusChanges { file, tag, changes })
    }
}

/// Returns the given task file, or the nearest one above `start`. Blocks.
pub fn plan_file(named: Option<&Path>, start: &Path) -> Result<PathBuf, VerbError> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let absolute = start
        .canonicalize()
        .map_err(|error| VerbError::NotFound(format!("{}: {error}", start.display())))?;
    tasks::nearest(&absolute).ok_or_else(|| {
        VerbError::NotFound(format!(
            "{} not found in {} or its parents; use --file, or create one with task-master init",
            tasks::TASK_FILE_PATHS[0],
            absolute.display()
        ))
    })
}

fn classify(error: WriteError) -> VerbError {
    let sentence = error.to_string();
    match error {
        WriteError::Locked(_) | WriteError::Contended { .. } => VerbError::Conflict(sentence),
        WriteError::Load(LoadError::Io { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            VerbError::NotFound(sentence)
        }
        WriteError::Edit {
            source: EditError::NoTag { .. } | EditError::NoTask { .. },
            ..
        } => VerbError::NotFound(sentence),
        WriteError::Edit {
            source: EditError::Ambiguous { .. },
            ..
        } => VerbError::Usage(sentence),
        WriteError::Load(_) | WriteError::Edit { .. } | WriteError::Io { .. } => {
            VerbError::Failed(sentence)
        }
    }
}

/// One change of a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct ChangedTask {
    id: String,
    title: String,
    from: String,
    to: String,
}

/// The changed file and tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangedStatus {
    file: PathBuf,
    tag: String,
    changes: Vec<ChangedTask>,
    /// The request, for the message if nothing changed.
    #[serde(skip)]
    #[schemars(skip)]
    requested: SetStatus,
}

impl Verb for SetStatus {
    const NAME: &'static str = "tasks set-status";
    const ABOUT: &'static str = "Set the status of a task; nothing else in the file changes";
    type Output = ChangedStatus;

    async fn run(self, context: &Context) -> Result<ChangedStatus, VerbError> {
        let written = self.set(&context.start).await?;
        let change = |change: StatusChange| ChangedTask {
            id: change.id,
            title: change.title,
            from: change.old.as_str().to_owned(),
            to: change.new.as_str().to_owned(),
        };
        Ok(ChangedStatus {
            file: written.file,
            tag: written.tag,
            changes: written.changes.into_iter().map(change).collect(),
            requested: self,
        })
    }
}

impl Render for ChangedStatus {
    fn names(&self) -> Vec<String> {
        self.changes
            .iter()
            .map(|change| change.id.clone())
            .collect()
    }

    fn view(&self) -> View {
        let line = |change: &ChangedTask| {
            let ChangedTask {
                id,
                title,
                from,
                to,
            } = change;
            text::sanitize(&format!("{id}  {from} -> {to}  {title}")).into_owned()
        };
        View::Text(self.changes.iter().map(line).collect())
    }

    fn notices(&self) -> Vec<String> {
        if !self.changes.is_empty() {
            return Vec::new();
        }
        let SetStatus { id, status, .. } = &self.requested;
        vec![format!(
            "Task {id} is already {}; nothing was written",
            status.trim()
        )]
    }
}
