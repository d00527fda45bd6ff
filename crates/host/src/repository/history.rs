//! Commits in one line each.

use std::path::Path;

use super::git::{Git, GitError};

/// Commits that are listed at most.
const LISTED: usize = 200;

/// A commit in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitLine {
    /// Abbreviated id; empty for a commit that is yet to be made.
    pub short: String,
    pub subject: String,
    pub author: String,
}

/// Commits of `of` that nothing of `not` has, the latest first, at most 200. `not` holds revisions or `--remotes=NAME`.
///
/// # Errors
/// When git knows one of the revisions not.
pub async fn commits(root: &Path, of: &str, not: &[&str]) -> Result<Vec<CommitLine>, GitError> {
    let log = Git::new(root)
        .args(["log", "--format=%h%x1f%s%x1f%an"])
        .arg(format!("--max-count={LISTED}"))
        .args([of, "--not"])
        .args(not)
        .arg("--")
        .run()
        .await?;
    let line = |line: &str| {
        let mut parts = line.split('\u{1f}').map(str::to_owned);
        Some(CommitLine {
            short: parts.next()?,
            subject: parts.next()?,
            author: parts.next()?,
        })
    };
    Ok(log.text().lines().filter_map(line).collect())
}
