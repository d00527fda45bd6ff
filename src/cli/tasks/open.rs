//! The plan a command is about, with what lies beside it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::Choice;
use crate::cli::{Session, output};
use flightdeck_core::{
    tasks::{
        self, Complexity, DEFAULT_TAG, DocumentSet, LoadError, ReadError, Tag, Task, TaskFile,
    },
    text,
};
use flightdeck_verbs::{VerbError, plan_file};

/// A plan that was read, and the tag of it that is meant.
pub struct Opened {
    pub path: PathBuf,
    /// The folder documents and reports are below; absent for a file that stands in no project.
    pub project: Option<PathBuf>,
    pub file: TaskFile,
    /// Position of the tag that is meant.
    at: Option<usize>,
    /// Stands for it where the file has none.
    none: Tag,
    documents: HashMap<String, DocumentSet>,
}

impl Opened {
    /// Reads the plan. Where the tag in use is not in it, its first one is meant, and that is said.
    pub fn open(session: &Session, choice: &Choice) -> Result<Self, VerbError> {
        let (path, read) = read(session, choice)?;
        let file = read.map_err(|error| VerbError::Failed(error.in_file(&path)))?;
        let at = chosen(&file, &path, choice.tag.as_deref())?;
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
            documents,
        })
    }

    /// The tag that is meant.
    pub fn tag(&self) -> &Tag {
        self.at
            .and_then(|at| self.file.tags.get(at))
            .unwrap_or(&self.none)
    }

    /// Which documents a task has.
    pub fn documents(&self, task: &str) -> DocumentSet {
        self.documents.get(task).copied().unwrap_or_default()
    }

    /// What the complexity report says of a task. Reads the report.
    pub fn complexity(&self, task: &str) -> Option<Complexity> {
        tasks::complexity(self.project.as_deref()?, &self.tag().name).remove(task)
    }

    /// The task of that id; with its parent for a subtask. Of tasks that share an id the first one.
    pub fn find(&self, id: &str) -> Result<(Option<&Task>, &Task), VerbError> {
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

/// The file that is meant, and what was read of it.
pub fn read(
    session: &Session,
    choice: &Choice,
) -> Result<(PathBuf, Result<TaskFile, ReadError>), VerbError> {
    let path = plan_file(choice.file.as_deref(), &session.place.repo)?;
    let bytes = tasks::load(&path).map_err(|error| match &error {
        LoadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            VerbError::NotFound(error.to_string())
        }
        _ => VerbError::Failed(error.to_string()),
    })?;
    Ok((path, tasks::read(&bytes)))
}

/// Position of the tag that is meant; `None` in a file without tags.
fn chosen(file: &TaskFile, path: &Path, asked: Option<&str>) -> Result<Option<usize>, VerbError> {
    let position = |name: &str| file.tags.iter().position(|tag| tag.name == name);
    let known = || {
        let known: Vec<&str> = file.tags.iter().map(|tag| tag.name.as_str()).collect();
        if known.is_empty() {
            "none".into()
        } else {
            text::sanitize(&known.join(", ")).into_owned()
        }
    };
    if let Some(name) = asked {
        let found = position(name).ok_or_else(|| {
            VerbError::NotFound(format!(
                "no tag {} in {}; it has {}",
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
        output::notice(&format!("{} has no list of tasks", path.display()));
        return Ok(None);
    };
    output::notice(&format!(
        "tag {} is in use but not in the file; this is tag {} (it has {})",
        text::sanitize(&name),
        text::sanitize(&first.name),
        known()
    ));
    Ok(Some(0))
}
