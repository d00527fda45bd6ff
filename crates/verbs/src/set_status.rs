//! `tasks set-status`: gives a task of the plan another status, where Task Master and others may be writing too.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::VerbError;
use flightdeck_core::tasks::{self, EditError, LoadError, Status, StatusChange, WriteError};

/// How long to wait for other programs: as long as it takes until the lock of one that died is stale, and a little more.
const PATIENCE: Duration = Duration::from_secs(12);

/// Gives a task another status; nothing else in the file changes.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
pub struct SetStatus {
    /// Id of the task: 3, or 3.2 for a subtask.
    pub id: String,
    /// pending, in-progress, done, review, deferred, cancelled or blocked.
    pub status: String,
    /// The tag the task is in. Default: the one in use.
    #[arg(long, value_name = "TAG")]
    #[serde(default)]
    pub tag: Option<String>,
    /// The task file. Default: the nearest tasks.json.
    #[arg(long, value_name = "FILE")]
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusSet {
    pub file: PathBuf,
    pub tag: String,
    /// The task, then its parent where that follows. Empty when the task had the status already.
    pub changes: Vec<StatusChange>,
}

impl SetStatus {
    /// Writes the status. `start` is where the plan is looked for unless a file was named.
    pub async fn run(&self, start: &Path) -> Result<StatusSet, VerbError> {
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
                "\"{}\" is no status; Task Master has {}",
                self.status,
                words.join(", ")
            ))
        })
    }

    fn write(&self, start: &Path, status: &Status) -> Result<StatusSet, VerbError> {
        let file = plan_file(self.file.as_deref(), start)?;
        let tag = self.tag.clone();
        let tag = tag.unwrap_or_else(|| tasks::current_tag_of(&file));
        let changes =
            tasks::write_status(&file, &tag, self.id.trim(), status, PATIENCE).map_err(refusal)?;
        Ok(StatusSet { file, tag, changes })
    }
}

/// The task file that is meant: the one named, else the nearest to `start`. Blocks.
pub fn plan_file(named: Option<&Path>, start: &Path) -> Result<PathBuf, VerbError> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let absolute = start
        .canonicalize()
        .map_err(|error| VerbError::NotFound(format!("{}: {error}", start.display())))?;
    tasks::nearest(&absolute).ok_or_else(|| {
        VerbError::NotFound(format!(
            "no {} in {} or above it in its repository; name one with --file, or make one with task-master init",
            tasks::TASK_FILE_PATHS[0],
            absolute.display()
        ))
    })
}

fn refusal(error: WriteError) -> VerbError {
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
