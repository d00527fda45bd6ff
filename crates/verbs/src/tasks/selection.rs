//! The plan and tag a command works on, with the task documents.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::PlanArgs;
use crate::{VerbError, plan_file};
use flightdeck_core::{
    tasks::{
        self, Complexity, DEFAULT_TAG, DocumentSet, LoadError, ReadError, Tag, Task, TaskFile,
    },
    text,
};

/// A plan and the selected tag.
pub(super) struct Selection {
    pub path: PathBuf,
    /// Directory of the project with documents and reports; `None` for a file outside a project.
    project: Option<PathBuf>,
    pub file: TaskFile,
    /// Index of the selected tag.
    at: Option<usize>,
    /// Stands in for the tag if the file has none.
    none: Tag,
    /// Messages about the selection.
    pub warnings: Vec<String>,
    documents: HashMap<String, DocumentSet>,
}

impl Selection {
    /// Reads the plan. Falls back to the first tag, with a warning, if the current tag does not exist. Blocks.
    pub(super) fn read(start: &Path, arguments: &PlanArgs) -> Result<Self, VerbError> {
        let mut warnings = Vec::new();
        let (path, read) = read(start, arguments)?;
        let file = read.map_err(|error| VerbError::Failed(error.in_file(&path)))?;
        let at = select(&file, &path, arguments.tag.as_deref(), &mut warnings)?;
        let name = at.map_or_else(|| DEFAULT_TAG.into(), |at| file.tags[at].name.clone());
        let project = tasks::project_directory(&path).map(Path::to_owned);
        let documents = project
            .as_deref()
            .map(|project| tasks::documents(project, &name))
            .unwrap_or_default();
        Ok(Self {
            path,
            project,
            file,
            at,
            none: Tag {
                name,
                tasks: Vec::new(),
            },
            warnings,
            documents,
        })
    }

    /// Returns the selected tag.
    pub(super) fn tag(&self) -> &Tag {
        self.at
            .and_then(|at| self.file.tags.get(at))
            .unwrap_or(&self.none)
    }

    /// Returns the documents of a task.
    pub(super) fn documents(&self, task: &str) -> DocumentSet {
        self.documents.get(task).copied().unwrap_or_default()
    }

    /// Returns the complexity of a task. Reads the report.
    pub(super) fn complexity(&self, task: &str) -> Option<Complexity> {
        tasks::complexity(self.project.as_deref()?, &self.tag().name).remove(task)
    }

    /// Returns the first task of that ID, with its parent for a subtask.
    pub(super) fn find(&self, id: &str) -> Result<(Option<&Task>, &Task), VerbError> {
        let tasks = self.tag().tasks.iter();
        let whole = tasks.clone().find(|task| task.id == id);
        let below = || {
            tasks.clone().find_map(|task| {
                let own = id.strip_prefix(&task.id)?.strip_prefix('.')?;
                let found = task.subtasks.iter().find(|subtask| subtask.id == own)?;
                Some((Some(task), found))
            })
        };
        whole
            .map(|task| (None, task))
            .or_else(below)
            .ok_or_else(|| {
                let sentence = format!(
                    "no task {id} in tag {} of {}",
                    self.tag().name,
                    self.path.display()
                );
                VerbError::NotFound(text::sanitize(&sentence).into_owned())
            })
    }
}

/// Returns the path of the plan and its parsed content.
pub(super) fn read(
    start: &Path,
    arguments: &PlanArgs,
) -> Result<(PathBuf, Result<TaskFile, ReadError>), VerbError> {
    let path = plan_file(arguments.file.as_deref(), start)?;
    let bytes = tasks::load(&path).map_err(|error| match &error {
        LoadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            VerbError::NotFound(error.to_string())
        }
        _ => VerbError::Failed(error.to_string()),
    })?;
    Ok((path, tasks::read(&bytes)))
}

/// Returns the index of the requested or current tag; `None` in a file without tags.
fn select(
    file: &TaskFile,
    path: &Path,
    requested: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<Option<usize>, VerbError> {
    let position = |name: &str| file.tags.iter().position(|tag| tag.name == name);
    let known = || {
        let known: Vec<&str> = file.tags.iter().map(|tag| tag.name.as_str()).collect();
        if known.is_empty() {
            "none".into()
        } else {
            text::sanitize(&known.join(", ")).into_owned()
        }
    };
    if let Some(name) = requested {
        let found = position(name).ok_or_else(|| {
            VerbError::NotFound(format!(
                "no tag {} in {}; available tags: {}",
                text::sanitize(name),
                path.display(),
                known()
            ))
        });
        return found.map(Some);
    }
    let name = tasks::current_tag_of(path);
    if let Some(at) = position(&name) {
        return Ok(Some(at));
    }
    let Some(first) = file.tags.first() else {
        warnings.push(format!("{} has no tags", path.display()));
        return Ok(None);
    };
    warnings.push(format!(
        "the current tag {} is not in the file; showing tag {} (available: {})",
        text::sanitize(&name),
        text::sanitize(&first.name),
        known()
    ));
    Ok(Some(0))
}
