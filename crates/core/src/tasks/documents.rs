//! The set of documents that a task has.

use crate::runs::DOCUMENTS;

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
