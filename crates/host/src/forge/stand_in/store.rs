//! Storage of the stand-in's pull requests, in a JSON file.

use std::{io, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A stored pull request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredPull {
    pub(super) number: i64,
    pub(super) repository: String,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) base: String,
    pub(super) head: String,
    pub(super) draft: bool,
    pub(super) created: Timestamp,
    #[serde(default)]
    pub(super) merged: Option<Timestamp>,
    #[serde(default)]
    pub(super) closed: bool,
    #[serde(default)]
    pub(super) labels: Vec<String>,
    #[serde(default)]
    pub(super) reviewers: Vec<String>,
    #[serde(default)]
    pub(super) teams: Vec<String>,
    #[serde(default)]
    pub(super) reviews: Vec<Review>,
    /// The merge method of auto-merge, if enabled.
    #[serde(default)]
    pub(super) auto_merge: Option<String>,
}

/// A review.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Review {
    pub(super) by: String,
    pub(super) state: String,
    pub(super) text: String,
    pub(super) at: Timestamp,
}

impl StoredPull {
    pub(super) fn open(&self) -> bool {
        self.merged.is_none() && !self.closed
    }
}

/// All pull requests, oldest first.
pub(super) struct Store {
    file: PathBuf,
    pub(super) pulls: Vec<StoredPull>,
}

impl Store {
    pub(super) async fn open(file: &std::path::Path) -> io::Result<Self> {
        let pulls = match tokio::fs::read(file).await {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(directory) = file.parent() {
                    tokio::fs::create_dir_all(directory).await?;
                }
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            file: file.to_owned(),
            pulls,
        })
    }

    pub(super) fn next_number(&self) -> i64 {
        self.pulls.iter().map(|pull| pull.number).max().unwrap_or(0) + 1
    }

    /// Writes the file atomically.
    pub(super) async fn save(&self) -> io::Result<()> {
        let beside = self.file.with_extension("new");
        tokio::fs::write(&beside, serde_json::to_vec_pretty(&self.pulls)?).await?;
        tokio::fs::rename(&beside, &self.file).await
    }
}
