//! Which documents of each task exist.

use std::{collections::HashMap, fs, path::Path};

use crate::runs::{DOCUMENTS, documents_directory};

/// The documents that a task has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DocumentSet {
    present: [bool; DOCUMENTS.len()],
}

impl DocumentSet {
    /// Builds the set from the file names in the folder of a task; ignores other files.
    pub fn from_listing<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let mut set = Self::default();
        for name in names {
            if let Some(at) = DOCUMENTS
                .iter()
                .position(|document| *document == name.as_ref())
            {
                set.present[at] = true;
            }
        }
        set
    }

    /// Number of documents, at most four.
    #[must_use]
    pub fn count(self) -> usize {
        self.present.iter().filter(|present| **present).count()
    }

    #[must_use]
    pub fn is_complete(self) -> bool {
        self.count() == DOCUMENTS.len()
    }

    /// Returns the names of the existing documents.
    pub fn present(self) -> impl Iterator<Item = &'static str> {
        DOCUMENTS
            .into_iter()
            .zip(self.present)
            .filter_map(|(name, present)| present.then_some(name))
    }

    /// Returns the names of the missing documents.
    pub fn missing(self) -> impl Iterator<Item = &'static str> {
        DOCUMENTS
            .into_iter()
            .zip(self.present)
            .filter_map(|(name, present)| (!present).then_some(name))
    }
}

/// Returns the documents on disk by task id, for tasks that have any. Lists the documents folder once, and each task
/// folder once.
#[must_use]
pub fn documents(project: &Path, tag: &str) -> HashMap<String, DocumentSet> {
    // With an empty id this is `<parent>/task-`, the prefix of all task folders.
    let pattern = project.join(documents_directory(tag, ""));
    let (Some(parent), Some(prefix)) = (pattern.parent(), pattern.file_name()) else {
        return HashMap::new();
    };
    let prefix = prefix.to_string_lossy();
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    names(parent)
        .iter()
        .filter_map(|name| {
            let id = name.strip_prefix(prefix.as_ref())?;
            let set = DocumentSet::from_listing(names(&parent.join(name)));
            (!id.is_empty() && set.count() > 0).then(|| (id.to_owned(), set))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_documents_by_tag_and_task() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str| {
            let path = directory.path().join(".taskmaster/docs").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        for document in DOCUMENTS {
            write(&format!("task-1/{document}"));
        }
        write("task-2/task.md");
        write("task-2/notes.md");
        write("task-3/notes.md");
        write("mvp/task-1/prompt.md");
        write("prd.md");

        let master = documents(directory.path(), "master");
        assert_eq!(master.len(), 2);
        assert!(master["1"].is_complete());
        assert_eq!(
            master["2"].missing().collect::<Vec<_>>(),
            ["prompt.md", "design-spec.md", "acceptance-criteria.md"]
        );
        let mvp = documents(directory.path(), "mvp");
        assert_eq!((mvp.len(), mvp["1"].count()), (1, 1));
        assert!(documents(directory.path(), "none").is_empty());
    }
}
