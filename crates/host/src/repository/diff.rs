//! The changes a merge would make: counts per file and a unified diff, both bounded.

use std::{collections::BTreeSet, path::Path};

use git2::{
    Commit, Delta, DiffFindOptions, DiffFormat, DiffOptions, Index, MergeOptions, Patch, Repository,
};

use super::named;
use flightdeck_core::text;

/// Maximum size of the diff text, in bytes.
const TEXT_LIMIT: usize = 2 * 1024 * 1024;
/// Maximum number of files.
const FILES_LIMIT: usize = 1_000;
/// Maximum size of a file whose content is compared.
const FILE_LIMIT: i64 = 1024 * 1024;

/// Maximum number of merge bases to merge recursively.
const BASES_LIMIT: usize = 8;

/// The changes that a merge makes to its target branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In git's order, at most 1000.
    pub files: Vec<FileDiff>,
    /// Unified diff as `git diff` prints it, without colours. Untrusted: sanitise before display.
    pub text: String,
    /// Whether files or text were cut off.
    pub cut: bool,
    /// One line, if `git diff into...head` lists other paths: that command compares with the merge base, and so shows
    /// the branch's changes instead of the merge's.
    pub note: Option<String>,
}

impl Diff {
    /// Returns the lines added and removed in all files.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        self.files.iter().fold((0, 0), |(added, removed), file| {
            (added + file.added, removed + file.removed)
        })
    }
}

/// The changes to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// Relative to the root; the old path of a removed file.
    pub path: String,
    pub change: FileChange,
    /// Lines.
    pub added: usize,
    /// Lines.
    pub removed: usize,
}

impl FileDiff {
    /// Returns whether the change writes or removes the file at `path`.
    #[must_use]
    pub(crate) fn touches(&self, path: &str) -> bool {
        self.path == path || matches!(&self.change, FileChange::Renamed(old) if old == path)
    }
}

/// The kind of change to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    Added,
    Removed,
    Modified,
    /// The old path.
    Renamed(String),
}

/// Why branches cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    #[error("{0} not found; fetch it first")]
    Unknown(String),
    #[error("{into} and {head} have no commit in common")]
    Unrelated { into: String, head: String },
    #[error("{into} and {head} have {count} merge bases; merge them manually")]
    Entangled {
        into: String,
        head: String,
        count: usize,
    },
    #[error("cannot compare: {0}")]
    Unreadable(String),
}

impl From<git2::Error> for DiffError {
    fn from(error: git2::Error) -> Self {
        Self::Unreadable(error.message().to_owned())
    }
}

/// Returns the changes that merging `head` into `into` would make, without merging. Both are git2 revisions.
///
/// # Errors
/// If a revision is not found, or the branches have no common history.
pub async fn diff(root: &Path, into: &str, head: &str) -> Result<Diff, DiffError> {
    let (root, into, head) = (root.to_owned(), into.to_owned(), head.to_owned());
    let compared = tokio::task::spawn_blocking(move || compare(&root, &into, &head)).await;
    compared.unwrap_or_else(|error| Err(DiffError::Unreadable(error.to_string())))
}

/// Merges `theirs` into `ours` in memory.
pub(super) fn merged(
    repository: &Repository,
    ours: &Commit<'_>,
    theirs: &Commit<'_>,
) -> Result<Index, git2::Error> {
    let mut options = MergeOptions::new();
    options
        .find_renames(true)
        .recursion_limit(BASES_LIMIT as u32);
    repository.merge_commits(ours, theirs, Some(&options))
}

fn compare(root: &Path, into: &str, head: &str) -> Result<Diff, DiffError> {
    let repository = Repository::open(root)?;
    let commit = |revision: &str| {
        let object = repository.revparse_single(revision);
        object
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| DiffError::Unknown(revision.to_owned()))
    };
    let (ours, theirs) = (commit(into)?, commit(head)?);
    let bases = repository
        .merge_bases(ours.id(), theirs.id())
        .map_err(|_| DiffError::Unrelated {
            into: into.to_owned(),
            head: head.to_owned(),
        })?;
    if bases.len() > BASES_LIMIT {
        return Err(DiffError::Entangled {
            into: into.to_owned(),
            head: head.to_owned(),
            count: bases.len(),
        });
    }
    let (old, new) = (ours.tree()?, theirs.tree()?);
    let mut options = DiffOptions::new();
    // Not those of the user's configuration: the output is parsed.
    options.old_prefix("a").new_prefix("b");
    options.max_size(FILE_LIMIT);
    let base = repository.find_commit(bases[0])?.tree()?;
    let own = repository.diff_tree_to_tree(Some(&base), Some(&new), Some(&mut options))?;
    // A fast-forward, or nothing to merge.
    if *bases == [ours.id()] || *bases == [theirs.id()] {
        return read(own, None);
    }
    let merged = merged(&repository, &ours, &theirs)?;
    if merged.has_conflicts() {
        let note = "The merge has conflicts; this is the diff against the merge base.";
        return read(own, Some(note.to_owned()));
    }
    let result = repository.diff_tree_to_index(Some(&old), Some(&merged), Some(&mut options))?;
    let note = different_paths(&paths(&result), &paths(&own));
    read(result, note)
}

/// Returns the paths of a diff without rename detection: one per delta.
fn paths(diff: &git2::Diff<'_>) -> BTreeSet<String> {
    let deltas = diff.deltas().filter_map(|delta| {
        let path = delta
            .new_file()
            .path_bytes()
            .or(delta.old_file().path_bytes());
        path.map(|path| String::from_utf8_lossy(path).into_owned())
    });
    deltas.collect()
}

/// Describes the paths that are in only one of two diffs.
fn different_paths(merge: &BTreeSet<String>, branch: &BTreeSet<String>) -> Option<String> {
    let list = |paths: Vec<&String>| {
        let paths: Vec<&str> = paths.into_iter().map(String::as_str).collect();
        (!paths.is_empty()).then(|| text::sanitize(&named(&paths)).into_owned())
    };
    let more = list(merge.difference(branch).collect());
    let less = list(branch.difference(merge).collect());
    let more = more.map(|paths| format!("merging also changes {paths}"));
    let less = less.map(|paths| format!("merging does not change {paths}"));
    let differences: Vec<String> = more.into_iter().chain(less).collect();
    (!differences.is_empty()).then(|| {
        format!(
            "Differs from the three-dot diff: {}.",
            differences.join("; ")
        )
    })
}

/// Converts a diff, within the limits.
fn read(mut diff: git2::Diff<'_>, note: Option<String>) -> Result<Diff, DiffError> {
    diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
    let mut out = Diff {
        cut: diff.deltas().len() > FILES_LIMIT,
        note,
        ..Diff::default()
    };
    for at in 0..diff.deltas().len().min(FILES_LIMIT) {
        out.files.extend(file(&diff, at)?);
    }
    let mut bytes = Vec::new();
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        // Content lines come without their sign.
        if matches!(line.origin(), '+' | '-' | ' ') {
            bytes.push(line.origin() as u8);
        }
        bytes.extend_from_slice(line.content());
        bytes.len() <= TEXT_LIMIT
    });
    if bytes.len() > TEXT_LIMIT {
        out.cut = true;
        bytes.truncate(TEXT_LIMIT);
        let whole_lines = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        bytes.truncate(whole_lines);
    } else {
        printed?;
    }
    out.text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(out)
}

/// Returns a file of a diff; `None` if neither content nor path changed.
fn file(diff: &git2::Diff<'_>, at: usize) -> Result<Option<FileDiff>, git2::Error> {
    let Some(delta) = diff.get_delta(at) else {
        return Ok(None);
    };
    let path = |file: git2::DiffFile<'_>| {
        let bytes = file.path_bytes().unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let change = match delta.status() {
        Delta::Added | Delta::Copied => FileChange::Added,
        Delta::Deleted => FileChange::Removed,
        Delta::Renamed => FileChange::Renamed(path(delta.old_file())),
        Delta::Modified | Delta::Typechange => FileChange::Modified,
        _ => return Ok(None),
    };
    let path = match change {
        FileChange::Removed => path(delta.old_file()),
        _ => path(delta.new_file()),
    };
    let (_, added, removed) = match Patch::from_diff(diff, at)? {
        Some(lines) => lines.line_stats()?,
        None => (0, 0, 0),
    };
    Ok(Some(FileDiff {
        path,
        change,
        added,
        removed,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::fixture::Fixture;

    #[tokio::test]
    async fn compares_branch_with_its_merge_base() {
        let fixture = Fixture::pushed().await;
        fixture.write("old name.txt", "a\nb\nc\nd\ne\n");
        fixture.write("gone.txt", "x\n");
        fixture.commit("Base").await;
        fixture.git(&["checkout", "-q", "-b", "run"]).await;
        fixture.git(&["mv", "old name.txt", "new name.txt"]).await;
        fixture.git(&["rm", "-q", "gone.txt"]).await;
        fixture.write("docs/task.md", "one\ntwo\n");
        fixture.commit("Work").await;
        fixture.git(&["checkout", "-q", "feature/x"]).await;
        fixture.write("elsewhere.txt", "not the branch's work\n");
        fixture.commit("Meanwhile").await;

        let diff = diff(&fixture.root, "feature/x", "run").await.unwrap();
        let files: Vec<(&str, &FileChange, usize, usize)> = diff
            .files
            .iter()
            .map(|file| (file.path.as_str(), &file.change, file.added, file.removed))
            .collect();
        assert_eq!(
            files,
            [
                ("docs/task.md", &FileChange::Added, 2, 0),
                ("gone.txt", &FileChange::Removed, 0, 1),
                (
                    "new name.txt",
                    &FileChange::Renamed("old name.txt".into()),
                    0,
                    0
                ),
            ]
        );
        assert_eq!((diff.totals(), diff.cut), ((2, 1), false));
        assert!(
            diff.text
                .starts_with("diff --git a/docs/task.md b/docs/task.md\nnew file mode 100644\n"),
            "{}",
            diff.text
        );
        assert!(
            diff.text.contains("@@ -0,0 +1,2 @@\n+one\n+two\n"),
            "{}",
            diff.text
        );
    }

    /// Creates a criss-cross history: `feature/x` ends with the merge of a fix, and `run` has the same parents but
    /// the tree of one of them.
    async fn criss_cross() -> Fixture {
        let fixture = Fixture::pushed().await;
        fixture.git(&["checkout", "-q", "-b", "fix"]).await;
        fixture.write("auth.rs", "the fix\n");
        fixture.commit("Fix").await;
        fixture.git(&["checkout", "-q", "feature/x"]).await;
        fixture.write("mine", "x\n");
        fixture.commit("Meanwhile").await;
        fixture.git(&["checkout", "-q", "-b", "run"]).await;
        fixture
            .git(&["merge", "-q", "--no-ff", "-s", "ours", "-m", "Work", "fix"])
            .await;
        fixture.write("docs/task.md", "one\n");
        fixture.commit("Documents").await;
        fixture.git(&["checkout", "-q", "feature/x"]).await;
        fixture
            .git(&["merge", "-q", "--no-ff", "-m", "Merge fix", "fix"])
            .await;
        fixture
    }

    #[tokio::test]
    async fn shows_what_merging_reverts() {
        let fixture = criss_cross().await;
        let diff = diff(&fixture.root, "feature/x", "run").await.unwrap();
        let files: Vec<_> = diff
            .files
            .iter()
            .map(|file| (file.path.as_str(), &file.change))
            .collect();
        assert_eq!(
            files,
            [
                ("auth.rs", &FileChange::Removed),
                ("docs/task.md", &FileChange::Added)
            ]
        );
        fixture.git(&["merge", "-q", "--no-edit", "run"]).await;
        let merged = fixture
            .git(&["diff", "--name-only", "HEAD^1", "HEAD"])
            .await;
        assert_eq!(merged, "auth.rs\ndocs/task.md", "same as git");
    }

    #[tokio::test]
    async fn diff_settings_of_the_user_do_not_change_it() {
        let fixture = criss_cross().await;
        let plain = diff(&fixture.root, "feature/x", "run").await.unwrap();
        for setting in ["diff.noprefix", "diff.mnemonicPrefix"] {
            fixture.git(&["config", setting, "true"]).await;
            let with_setting = diff(&fixture.root, "feature/x", "run").await.unwrap();
            assert_eq!(with_setting, plain, "{setting}");
        }
    }

    #[tokio::test]
    async fn notes_paths_changed_only_by_the_branch() {
        let fixture = Fixture::pushed().await;
        fixture.git(&["checkout", "-q", "-b", "run"]).await;
        fixture.write("a\nb", "one\n");
        fixture.commit("One").await;
        fixture.write("two", "two\n");
        fixture.commit("Two").await;
        fixture.git(&["checkout", "-q", "feature/x"]).await;
        fixture.write("a\nb", "one\n");
        fixture.commit("The same").await;
        let compared = diff(&fixture.root, "feature/x", "run").await.unwrap();
        assert_eq!(compared.files.len(), 1);
        assert_eq!(
            compared.note.as_deref(),
            Some("Differs from the three-dot diff: merging does not change a⏎b.")
        );
        fixture.write("two", "mine\n");
        fixture.commit("A conflict").await;
        let compared = diff(&fixture.root, "feature/x", "run").await.unwrap();
        assert_eq!(compared.files.len(), 2);
        assert!(compared.note.unwrap().contains("has conflicts"));
    }

    #[test]
    fn note_names_a_few_paths_per_side() {
        let set = |paths: &[&str]| paths.iter().map(ToString::to_string).collect();
        assert_eq!(different_paths(&set(&["a"]), &set(&["a"])), None);
        assert_eq!(
            different_paths(&set(&["a", "b"]), &set(&["b", "c", "d", "e", "f", "g", "h"])),
            Some(
                "Differs from the three-dot diff: merging also changes a; merging does not change c, d, e, f, g and 1 more."
                    .into()
            )
        );
    }

    #[tokio::test]
    async fn cuts_large_diff_at_a_line() {
        let fixture = Fixture::pushed().await;
        fixture.git(&["checkout", "-q", "-b", "run"]).await;
        for file in 0..4 {
            fixture.write(&format!("big{file}.txt"), &"0123456789\n".repeat(80_000));
        }
        fixture.write("huge.txt", &"0123456789\n".repeat(200_000));
        fixture.commit("Flood").await;
        let diff = diff(&fixture.root, "feature/x", "run").await.unwrap();
        assert!(diff.cut && diff.text.len() <= TEXT_LIMIT && diff.text.ends_with('\n'));
        assert_eq!(diff.files.len(), 5);
    }

    #[tokio::test]
    async fn names_unknown_revision() {
        let fixture = Fixture::pushed().await;
        let error = diff(&fixture.root, "feature/x", "origin/none")
            .await
            .unwrap_err();
        assert_eq!(error, DiffError::Unknown("origin/none".into()));
    }
}
