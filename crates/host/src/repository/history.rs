//! One-line commit summaries.

use std::path::Path;

use super::git::{Git, GitError};

/// Maximum number of commits listed.
const LISTED: usize = 200;

/// A commit summary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitLine {
    /// Abbreviated ID; empty for a commit that does not exist yet.
    pub short: String,
    pub subject: String,
    pub author: String,
}

/// Returns the commits reachable from `of` but not from `not`, newest first, at most 200. `not` contains revisions or
/// `--remotes=NAME`.
///
/// # Errors
/// If a revision does not exist.
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
