//! The agent's commits: what they are based on, and what each changes.
//!
//! A push publishes every commit, not only the final difference, so each is checked.

use std::{collections::HashSet, fmt::Write, path::Path};

use super::{
    branch::SOURCE,
    changes::{self, Change},
    error::StageError,
    remote::local,
};
use flightdeck_core::runs::{RunKind, RunManifest, reason};

/// Maximum number of commits per attempt.
const LIMIT: usize = 10_000;

/// The changes of the work.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Changes from the merge base to the head.
    pub net: Vec<Change>,
    /// Changes of single commits that later commits revert.
    pub undone: Vec<Change>,
}

/// A commit with its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Commit {
    id: String,
    parents: Vec<String>,
}

/// Returns the commit of the source branch that `head` is based on, and the changes since. The source branch is [`SOURCE`] in `repository`.
///
/// # Errors
/// If the commits do not simply continue the source branch, so that no single diff shows all changes.
pub(crate) async fn read(
    manifest: &RunManifest,
    repository: &Path,
    head: &str,
) -> Result<(String, Changes), StageError> {
    let refused =
        |why: String| StageError::ended(reason::OUTSIDE_TASK, format!("nothing was pushed: {why}"));
    let source = &manifest.source_branch;
    let bases = local(repository)
        .args(["merge-base", "--all", SOURCE, head])
        .run()
        .await
        .map(|output| output.text())
        .unwrap_or_default();
    let bases: Vec<&str> = bases.lines().collect();
    let base = match bases[..] {
        [base] => base,
        [] => {
            return Err(refused(format!(
                "the agent's commits are not based on {source}"
            )));
        }
        _ => {
            return Err(refused(format!(
                "the agent's commits and {source} have {} merge bases, so no single diff shows their changes",
                bases.len()
            )));
        }
    };
    let commits = commits(repository, head).await?;
    let pairs = comparisons(manifest.kind, source, &commits).map_err(refused)?;
    let net = differences(repository, &[(base, head)]).await?;
    let mut seen: HashSet<Change> = net.iter().cloned().collect();
    let mut undone = differences(repository, &pairs).await?;
    undone.retain(|change| seen.insert(change.clone()));
    Ok((base.to_owned(), Changes { net, undone }))
}

/// Returns the commits that are not in the source branch, newest first; at most one more than [`LIMIT`].
async fn commits(repository: &Path, head: &str) -> Result<Vec<Commit>, StageError> {
    let listed = local(repository)
        .args(["rev-list", "--parents"])
        .arg(format!("--max-count={}", LIMIT + 1))
        .args([head, "--not", SOURCE, "--"])
        .run()
        .await?
        .text();
    let commits = listed.lines().filter_map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Commit {
            id: words.next()?,
            parents: words.collect(),
        })
    });
    Ok(commits.collect())
}

/// Returns the pairs to diff, as `(parent, commit)`.
///
/// A merge of the source branch is compared with the merged side: compared with the work, every change of the source branch
/// would count as the agent's.
///
/// # Errors
/// If the commits cannot be checked one by one; the error says why.
fn comparisons<'a>(
    kind: RunKind,
    source: &str,
    commits: &'a [Commit],
) -> Result<Vec<(&'a str, &'a str)>, String> {
    if commits.len() > LIMIT {
        return Err(format!("the agent made more than {LIMIT} commits"));
    }
    let work: HashSet<&str> = commits.iter().map(|commit| commit.id.as_str()).collect();
    let compared = commits.iter().map(|commit| {
        let id = commit.id.as_str();
        match &commit.parents[..] {
            [] => Err(format!("commit {id} has no parent")),
            [parent] => Ok((parent.as_str(), id)),
            _ if kind == RunKind::Docs => Err(format!(
                "commit {id} is a merge, but a docs run may add only plain commits"
            )),
            [one, two] if work.contains(one.as_str()) != work.contains(two.as_str()) => {
                let merged = if work.contains(one.as_str()) {
                    two
                } else {
                    one
                };
                Ok((merged.as_str(), id))
            }
            _ => Err(format!(
                "commit {id} merges something other than {source} into the work"
            )),
        }
    });
    compared.collect()
}

/// Returns the changes of every `(from, to)` pair, with one git process.
async fn differences(repository: &Path, pairs: &[(&str, &str)]) -> Result<Vec<Change>, StageError> {
    let mut lines = String::new();
    for (from, to) in pairs {
        // A commit, and the parent to compare it with.
        let _ = writeln!(lines, "{to} {from}");
    }
    let raw = local(repository)
        .args(["diff-tree", "--stdin", "--no-commit-id", "-r", "-z"])
        .args(["--raw", "--no-renames"])
        .input(lines)
        .run()
        .await?
        .stdout;
    Ok(changes::parse(&raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(id: &str, parents: &[&str]) -> Commit {
        Commit {
            id: id.into(),
            parents: parents.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn compares_each_commit_with_its_parent() {
        let plain = [commit("b", &["a"]), commit("a", &["s"])];
        let merged = [commit("m", &["a", "t"]), commit("a", &["s"])];
        let no_fast_forward = [commit("m", &["s", "a"]), commit("a", &["s"])];
        for (kind, commits, expected) in [
            (RunKind::Docs, &plain, [("a", "b"), ("s", "a")]),
            (RunKind::Code, &merged, [("t", "m"), ("s", "a")]),
            (RunKind::Code, &no_fast_forward, [("s", "m"), ("s", "a")]),
        ] {
            let compared = comparisons(kind, "main", commits);
            assert_eq!(compared.unwrap(), expected, "{commits:?}");
        }
    }

    #[test]
    fn rejects_other_merges_and_roots() {
        let merge = |parents: &[&str]| vec![commit("m", parents), commit("a", &["s"])];
        for (kind, commits, word) in [
            (RunKind::Docs, merge(&["a", "t"]), "m is a merge"),
            (
                RunKind::Code,
                merge(&["s", "t"]),
                "m merges something other",
            ),
            (RunKind::Code, merge(&["a", "s", "t"]), "something other"),
            (
                RunKind::Code,
                vec![
                    commit("m", &["a", "b"]),
                    commit("a", &["s"]),
                    commit("b", &["s"]),
                ],
                "something other than main",
            ),
            (
                RunKind::Code,
                vec![commit("m", &["r", "s"]), commit("r", &[])],
                "r has no parent",
            ),
            (
                RunKind::Docs,
                vec![commit("a", &["s"]); LIMIT + 1],
                "more than 10000 commits",
            ),
        ] {
            let refused = comparisons(kind, "main", &commits).unwrap_err();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
