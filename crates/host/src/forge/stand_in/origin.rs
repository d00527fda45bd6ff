//! Reads the bare repository behind the stand-in.

use std::path::Path;

use crate::repository::git::{Git, GitError};

fn git(origin: &Path) -> Git {
    Git::new(origin).isolated()
}

fn branch(name: &str) -> String {
    format!("refs/heads/{name}")
}

/// Returns the commit of a branch; `None` if the branch does not exist.
pub(super) async fn commit(origin: &Path, name: &str) -> Option<String> {
    let git = git(origin).args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
    let found = git.arg(format!("{}^{{commit}}", branch(name))).run().await;
    found.ok().map(|output| output.text())
}

/// Returns whether `head` has a commit that is not in `base`.
pub(super) async fn has_commits(origin: &Path, base: &str, head: &str) -> Result<bool, GitError> {
    let range = format!("{}..{}", branch(base), branch(head));
    let git = git(origin).args(["rev-list", "--max-count=1", "--end-of-options"]);
    let output = git.arg(range).run().await?;
    Ok(!output.text().is_empty())
}

/// Returns whether `head` merges into `base` without conflicts.
pub(super) async fn merges(origin: &Path, base: &str, head: &str) -> bool {
    let git = git(origin).args(["merge-tree", "--write-tree", "--no-messages"]);
    git.args([branch(base), branch(head)]).run().await.is_ok()
}
