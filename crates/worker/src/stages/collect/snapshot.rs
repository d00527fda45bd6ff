//! A repository beside the read-only checkout: it borrows the checkout's objects and work tree, but not its configuration.
//!
//! An agent that was killed leaves uncommitted work. It is committed here, so that it can be published.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::offline;
use crate::stages::{
    agent::uncommitted, environment::StageEnv, error::StageError, log, remote::local,
};
use flightdeck_core::files::read_bounded;
use flightdeck_host::repository::git::Git;

/// The repository, in the handover.
const REPOSITORY: &str = "work";
/// Maximum size of the checkout's list of shallow commits, in bytes.
const SHALLOW_LIMIT: u64 = 1 << 20;
/// Maximum size of the checkout's index, in bytes.
const INDEX_LIMIT: u64 = 256 << 20;

pub(super) struct Snapshot {
    checkout: PathBuf,
    git_directory: PathBuf,
}

impl Snapshot {
    /// Creates the repository, with `head` as its current commit.
    pub(super) async fn open(
        checkout: &Path,
        handover: &Path,
        head: &str,
    ) -> Result<Self, StageError> {
        let directory = handover.join(REPOSITORY);
        local(handover)
            .args(["init", "--quiet", "--template="])
            .arg(&directory)
            .run()
            .await?;
        let snapshot = Self {
            checkout: checkout.to_owned(),
            git_directory: directory.join(".git"),
        };
        let own = checkout.join(".git");
        let alternates = snapshot.git_directory.join("objects/info/alternates");
        let objects = format!("{}\n", own.join("objects").display());
        write(&alternates, objects.as_bytes())?;
        copy(
            &own.join("shallow"),
            &snapshot.git_directory.join("shallow"),
            SHALLOW_LIMIT,
        )?;
        // Keeps what git knows of unchanged files, and the files whose changes it must ignore.
        copy(
            &own.join("index"),
            &snapshot.git_directory.join("index"),
            INDEX_LIMIT,
        )?;
        snapshot
            .git(&["update-ref", "--no-deref", "HEAD", head])
            .run()
            .await?;
        Ok(snapshot)
    }

    /// Returns a git command on the repository with the checkout as its work tree.
    pub(super) fn git(&self, words: &[&str]) -> Git {
        let exclude = self.checkout.join(".git/info/exclude");
        offline(local(&self.checkout))
            .config("core.excludesFile", &exclude.display().to_string())
            .arg(format!("--git-dir={}", self.git_directory.display()))
            .arg(format!("--work-tree={}", self.checkout.display()))
            .args(words)
    }

    /// Commits what the agent left uncommitted, if anything. Returns the commit.
    pub(super) async fn commit_uncommitted(
        &self,
        stage: &StageEnv,
    ) -> Result<Option<String>, StageError> {
        let own = uncommitted::pathspecs(stage)?;
        if own.paths.is_empty() {
            return Ok(None);
        }
        let with_paths = |words: &[&str]| {
            let git = self.git(words).arg("--").args(&own.paths);
            if own.literal {
                git.env("GIT_LITERAL_PATHSPECS", "1")
            } else {
                git
            }
        };
        // What the agent staged is not part of the commit unless it is below the paths.
        let read = self.git(&["read-tree", "-m", "HEAD"]).run().await;
        if read.is_err() {
            // The copied index is unusable.
            let _ = fs::remove_file(self.git_directory.join("index"));
            self.git(&["read-tree", "HEAD"]).run().await?;
        }
        let added = with_paths(own.add).run().await;
        if let Err(error) = added {
            log(format!("Could not add all uncommitted files: {error}"));
        }
        let clean = self
            .git(&["diff", "--cached", "--quiet", "--no-ext-diff", "HEAD", "--"])
            .run()
            .await
            .is_ok();
        if clean {
            return Ok(None);
        }
        let name = uncommitted::message(&stage.manifest);
        self.git(&["commit", "--quiet", "--no-verify", "-m", &name])
            .config("user.name", crate::stages::setup::AGENT_NAME)
            .config(
                "user.email",
                &crate::stages::setup::agent_email(&stage.manifest.run),
            )
            .config("commit.gpgSign", "false")
            .run()
            .await?;
        log("Committed what the agent left uncommitted.");
        let head = self.git(&["rev-parse", "HEAD"]).run().await?;
        Ok(Some(head.text()))
    }
}

/// Copies a small file, if it exists.
fn copy(from: &Path, to: &Path, limit: u64) -> Result<(), StageError> {
    if !from.symlink_metadata().is_ok_and(|data| data.is_file()) {
        return Ok(());
    }
    let bytes = read_bounded(from, limit)
        .map_err(io::Error::from)
        .map_err(StageError::file("read", from))?;
    write(to, &bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), StageError> {
    fs::write(path, bytes).map_err(StageError::file("write", path))
}
