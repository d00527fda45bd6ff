//! The agent's commits: what they continue, and what each of them changes.
//!
//! A push publishes every commit, not only the difference at the end, so each is judged.

use std::{collections::HashSet, fmt::Write, path::Path};

use super::{
    branch::SOURCE,
    changes::{self, Change},
    error::StageError,
    remote::local,
};
use flightdeck_core::runs::{RunKind, RunManifest, reason};

/// Most commits of one attempt.
const LIMIT: usize = 10_000;

/// What the work changes.
#[derive(Debug, Default)]
pub struct Changes {
    /// From where the work left the source branch to its end.
    pub net: Vec<Change>,
    /// Further changes of single commits, which later commits undo.
    pub undone: Vec<Change>,
}

/// A commit with its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Commit {
    id: String,
    parents: Vec<String>,
}

/// Reads what the commits up to `head` change; the source branch is [`SOURCE`] of `repository`.
///
/// # Errors
/// If the commits are not a plain continuation of the source branch, so that no difference shows all they change.
pub async fn read(
    manifest: &RunManifest,
    repository: &Path,
    head: &str,
) -> Result<Changes, StageError> {
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
                "the agent's commits do not continue {source}"
            )));
        }
        _ => {
            return Err(refused(format!(
                "the agent's commits and {source} have {} merge bases, so that no single difference shows what they change",
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
    Ok(Changes { net, undone })
}

/// The commits that the source branch does not have, the newest first; one more than [`LIMIT`] at most.
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

/// What each commit is compared with, as `(parent, commit)`.
///
/// A commit that merges the source branch is compared with that: compared with the work, everything the source branch brings
/// would be the agent's change.
///
/// # Errors
/// Why the commits cannot be judged one by one.
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
            [] => Err(format!("the commit {id} has no parent")),
            [parent] => Ok((parent.as_str(), id)),
            _ if kind == RunKind::Docs => Err(format!(
                "the commit {id} is a merge, and a docs run adds plain commits only"
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
                "the commit {id} merges something else than {source} into the work"
            )),
        }
    });
    compared.collect()
}

/// The changes of every `(from, to)`, by one git.
async fn differences(repository: &Path, pairs: &[(&str, &str)]) -> Result<Vec<Change>, StageError> {
    let mut lines = String::new();
    for (from, to) in pairs {
        // A commit, and what is taken for its parent.
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
    fn each_commit_is_compared_with_what_it_continues() {
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
    fn other_merges_and_roots_are_refused() {
        let merge = |parents: &[&str]| vec![commit("m", parents), commit("a", &["s"])];
        for (kind, commits, word) in [
            (RunKind::Docs, merge(&["a", "t"]), "m is a merge"),
            (RunKind::Code, merge(&["s", "t"]), "m merges something else"),
            (RunKind::Code, merge(&["a", "s", "t"]), "something else"),
            (
                RunKind::Code,
                vec![
                    commit("m", &["a", "b"]),
                    commit("a", &["s"]),
                    commit("b", &["s"]),
                ],
                "something else than main",
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
