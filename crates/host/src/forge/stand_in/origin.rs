//! What the bare repository behind the stand-in says.

use std::path::Path;

use crate::repository::git::{Git, GitError};

fn git(origin: &Path) -> Git {
    Git::new(origin).isolated()
}

fn branch(name: &str) -> String {
    format!("refs/heads/{name}")
}

/// The commit of a branch; `None` when there is no such branch.
pub(super) async fn commit(origin: &Path, name: &str) -> Option<String> {
    let git = git(origin).args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
    let found = git.arg(format!("{}^{{commit}}", branch(name))).run().await;
    found.ok().map(|output| output.text())
}

/// Whether `head` has a commit that `base` lacks.
pub(super) async fn has_commits(origin: &Path, base: &str, head: &str) -> Result<bool, GitError> {
    let range = format!("{}..{}", branch(base), branch(head));
    let git = git(origin).args(["rev-list", "--max-count=1", "--end-of-options"]);
    let output = git.arg(range).run().await?;
    Ok(!output.text().is_empty())
}

/// Whether `head` merges into `base` without a conflict.
pub(super) async fn merges(origin: &Path, base: &str, head: &str) -> bool {
    let git = git(origin).args(["merge-tree", "--write-tree", "--no-messages"]);
    git.args([branch(base), branch(head)]).run().await.is_ok()
}
