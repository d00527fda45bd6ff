//! Reads a repository with the `git` program: slower, but works for every repository that git can open.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::runtime::Handle;

use super::backend::{Backend, Blob};
use crate::repository::{
    facts::{FactsError, Head, Operation},
    git::{Git, GitError},
    git_failure::error_summary,
};

/// A repository and a snapshot of its configuration.
pub(super) struct GitBackend {
    runtime: Handle,
    root: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    /// All keys and values in order; the last value of a key wins.
    config: Vec<(String, String)>,
}

impl GitBackend {
    /// Opens the repository that contains the absolute path `start`. Must be called from a blocking thread.
    pub(super) fn open(runtime: Handle, start: &Path) -> Result<Self, FactsError> {
        let place = start.display().to_string();
        let query = |words: &[&str]| {
            let run = Git::new(start).args(words).run();
            runtime.block_on(run).map(|output| output.text())
        };
        let failed = |error: GitError| {
            if error.stderr().contains("not a git repository") {
                FactsError::NotARepository(place.clone())
            } else if error.stderr().contains("must be run in a work tree") {
                FactsError::Bare(place.clone())
            } else {
                FactsError::Unreadable {
                    place: place.clone(),
                    message: error_summary(&error),
                }
            }
        };
        let answer = query(&[
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--git-dir",
            "--git-common-dir",
        ])
        .map_err(failed)?;
        let mut lines = answer.lines().map(PathBuf::from);
        let (Some(root), Some(git_dir), Some(common_dir)) =
            (lines.next(), lines.next(), lines.next())
        else {
            return Err(FactsError::Bare(place));
        };
        let listed = query(&["config", "--list", "--null"]).map_err(failed)?;
        let config = listed.split('\0').filter_map(|entry| {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, "true"));
            (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
        });
        Ok(Self {
            root,
            git_dir,
            common_dir,
            config: config.collect(),
            runtime,
        })
    }

    fn git(&self, words: &[&str]) -> Result<String, GitError> {
        let run = Git::new(&self.root).args(words).run();
        self.runtime.block_on(run).map(|output| output.text())
    }

    /// Returns the output; `None` on failure or if it is empty.
    fn query(&self, words: &[&str]) -> Option<String> {
        self.git(words).ok().filter(|answer| !answer.is_empty())
    }

    fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.config
            .iter()
            .filter(move |(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }
}

impl Backend for GitBackend {
    fn root(&self) -> &Path {
        &self.root
    }

    fn git_dir(&self) -> PathBuf {
        self.git_dir.clone()
    }

    fn common_dir(&self) -> PathBuf {
        self.common_dir.clone()
    }

    fn head(&self) -> Result<Head, String> {
        let branch = self.query(&["symbolic-ref", "--quiet", "HEAD"]);
        let branch = branch.map(|name| name.trim_start_matches("refs/heads/").to_owned());
        let commit = self.query(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]);
        match (branch, commit) {
            (Some(name), Some(commit)) => Ok(Head::Branch { name, commit }),
            (Some(name), None) => Ok(Head::Unborn { name }),
            (None, Some(commit)) => Ok(Head::Detached { commit }),
            (None, None) => Err("HEAD does not point to a commit".into()),
        }
    }

    fn operation(&self) -> Option<Operation> {
        let has = |name: &str| self.git_dir.join(name).exists();
        // Some of these are refs, which are not files in a reftable.
        let refers = |name: &str| {
            self.query(&["rev-parse", "--verify", "--quiet", name])
                .is_some()
        };
        if has("rebase-merge") || (has("rebase-apply") && !has("rebase-apply/applying")) {
            Some(Operation::Rebase)
        } else if has("rebase-apply") {
            Some(Operation::ApplyMailbox)
        } else if has("MERGE_HEAD") {
            Some(Operation::Merge)
        } else if refers("CHERRY_PICK_HEAD") {
            Some(Operation::CherryPick)
        } else if refers("REVERT_HEAD") {
            Some(Operation::Revert)
        } else if has("BISECT_LOG") {
            Some(Operation::Bisect)
        } else {
            None
        }
    }

    fn setting(&self, key: &str) -> Option<String> {
        self.values(key).last().map(str::to_owned)
    }

    fn remotes(&self) -> Vec<String> {
        let listed = self.query(&["remote"]).unwrap_or_default();
        listed.lines().map(str::to_owned).collect()
    }

    fn urls(&self, remote: &str) -> Option<(String, String)> {
        let fetch = self.query(&["remote", "get-url", "--", remote])?;
        let push = self.query(&["remote", "get-url", "--push", "--", remote]);
        let push = push.unwrap_or_else(|| fetch.clone());
        Some((fetch, push.lines().next().unwrap_or_default().to_owned()))
    }

    fn tracking(&self, remote: &str, branch: &str) -> Option<String> {
        let source = format!("refs/heads/{branch}");
        self.values(&format!("remote.{remote}.fetch"))
            .find_map(|spec| mapped(spec, &source))
    }

    fn commit_at(&self, reference: &str) -> Option<String> {
        let commit = format!("{reference}^{{commit}}");
        self.query(&["rev-parse", "--verify", "--quiet", &commit])
    }

    fn ahead_behind(&self, here: &str, there: &str) -> (usize, usize) {
        let range = format!("{here}...{there}");
        let counted = self.query(&["rev-list", "--count", "--left-right", &range]);
        let counts = counted.as_deref().and_then(|counts| {
            let (ahead, behind) = counts.split_once('\t')?;
            Some((ahead.parse().ok()?, behind.parse().ok()?))
        });
        counts.unwrap_or_default()
    }

    fn blob(&self, commit: &str, path: &str) -> Blob {
        let words = [
            "--literal-pathspecs",
            "ls-tree",
            "--full-tree",
            commit,
            "--",
            path,
        ];
        match self.git(&words) {
            Err(_) => Blob::Unread,
            Ok(entry) => {
                let mut words = entry.split_whitespace().skip(1);
                match (words.next(), words.next()) {
                    (Some("blob"), Some(id)) => Blob::At(id.to_owned()),
                    _ => Blob::Absent,
                }
            }
        }
    }

    fn points_at(&self, reference: &str) -> Option<String> {
        self.query(&["symbolic-ref", "--quiet", reference])
    }

    fn in_index(&self, path: &str) -> bool {
        self.query(&["--literal-pathspecs", "ls-files", "--", path])
            .is_some()
    }

    fn ignored(&self, path: &str) -> bool {
        self.git(&["check-ignore", "--quiet", "--", path]).is_ok()
    }

    fn written(&self, reference: &str) -> Option<Timestamp> {
        let last = self.query(&[
            "reflog",
            "show",
            "--max-count=1",
            "--date=unix",
            "--format=%gd",
            reference,
            "--",
        ])?;
        let (_, seconds) = last.trim_end_matches('}').rsplit_once("@{")?;
        Timestamp::from_second(seconds.parse().ok()?).ok()
    }
}

/// Maps a ref through a refspec; `None` if it does not match.
fn mapped(spec: &str, source: &str) -> Option<String> {
    let (from, to) = spec.trim_start_matches('+').split_once(':')?;
    match from.split_once('*') {
        None => (from == source).then(|| to.to_owned()),
        Some((before, after)) => {
            let middle = source.strip_prefix(before)?.strip_suffix(after)?;
            Some(to.replacen('*', middle, 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_branch_through_refspec() {
        let source = "refs/heads/feature/x";
        for (spec, kept) in [
            (
                "+refs/heads/*:refs/remotes/origin/*",
                Some("refs/remotes/origin/feature/x"),
            ),
            ("refs/heads/feature/x:refs/kept", Some("refs/kept")),
            ("+refs/heads/main:refs/remotes/origin/main", None),
            ("refs/heads/feature/x", None),
        ] {
            assert_eq!(mapped(spec, source).as_deref(), kept, "{spec}");
        }
    }
}
