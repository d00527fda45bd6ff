//! What a branch changed: its files, counted, and the differences as text, both bounded.

use std::path::Path;

use git2::{Delta, DiffFindOptions, DiffFormat, DiffOptions, Patch, Repository};

/// Bytes of difference text that are kept.
const TEXT_LIMIT: usize = 2 * 1024 * 1024;
/// Files that are listed.
const FILES_LIMIT: usize = 1_000;
/// Bytes of a file above which its content is not compared.
const FILE_LIMIT: i64 = 1024 * 1024;

/// What lies between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// In git's order, at most 1000.
    pub files: Vec<FileDiff>,
    /// Unified text as `git diff` writes it, without colours. Remote text: sanitise before showing.
    pub text: String,
    /// Whether files or text were left out.
    pub cut: bool,
}

impl Diff {
    /// Lines added and removed in all files.
    #[must_use]
    pub fn totals(&self) -> (usize, usize) {
        self.files.iter().fold((0, 0), |(added, removed), file| {
            (added + file.added, removed + file.removed)
        })
    }
}

/// One file of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDiff {
    /// From the root; of a removed file the path it had.
    pub path: String,
    pub change: FileChange,
    /// Lines.
    pub added: usize,
    /// Lines.
    pub removed: usize,
}

impl FileDiff {
    /// Whether it writes or removes the file at `path`.
    #[must_use]
    pub fn touches(&self, path: &str) -> bool {
        self.path == path || matches!(&self.change, FileChange::Renamed(old) if old == path)
    }
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    Added,
    Removed,
    Modified,
    /// The path it had.
    Renamed(String),
}

/// Why there is no difference to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    #[error("{0} is not known here; fetch it first")]
    Unknown(String),
    #[error("{base} and {head} have no commit in common")]
    Unrelated { base: String, head: String },
    #[error("the differences cannot be read: {0}")]
    Unreadable(String),
}

/// What `head` changed since it left `base`; both are any revision git2 understands.
///
/// # Errors
/// When one of them is not known here, or they share no history.
pub async fn diff(root: &Path, base: &str, head: &str) -> Result<Diff, DiffError> {
    let (root, base, head) = (root.to_owned(), base.to_owned(), head.to_owned());
    let compared = tokio::task::spawn_blocking(move || compare(&root, &base, &head)).await;
    compared.unwrap_or_else(|error| Err(DiffError::Unreadable(error.to_string())))
}

fn compare(root: &Path, base: &str, head: &str) -> Result<Diff, DiffError> {
    let unreadable = |error: git2::Error| DiffError::Unreadable(error.message().to_owned());
    let repository = Repository::open(root).map_err(unreadable)?;
    let commit = |revision: &str| {
        let object = repository.revparse_single(revision);
        object
            .and_then(|object| object.peel_to_commit())
            .map_err(|_| DiffError::Unknown(revision.to_owned()))
    };
    let (from, to) = (commit(base)?, commit(head)?);
    let shared = repository
        .merge_base(from.id(), to.id())
        .map_err(|_| DiffError::Unrelated {
            base: base.to_owned(),
            head: head.to_owned(),
        })?;
    let tree = |id| {
        repository
            .find_commit(id)
            .and_then(|commit| commit.tree())
            .map_err(unreadable)
    };
    let (old, new) = (tree(shared)?, tree(to.id())?);
    let mut options = DiffOptions::new();
    options.max_size(FILE_LIMIT);
    let mut diff = repository
        .diff_tree_to_tree(Some(&old), Some(&new), Some(&mut options))
        .map_err(unreadable)?;
    diff.find_similar(Some(DiffFindOptions::new().renames(true)))
        .map_err(unreadable)?;

    let mut out = Diff {
        cut: diff.deltas().len() > FILES_LIMIT,
        ..Diff::default()
    };
    for at in 0..diff.deltas().len().min(FILES_LIMIT) {
        out.files.extend(file(&diff, at).map_err(unreadable)?);
    }
    let mut bytes = Vec::new();
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        // A line of content comes without the sign it is printed with.
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
        printed.map_err(unreadable)?;
    }
    out.text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(out)
}

/// One file of a difference; `None` for what is no change of content or place.
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
    async fn a_branch_is_compared_with_where_it_began() {
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

    #[tokio::test]
    async fn a_flood_is_cut_at_a_line() {
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
    async fn what_is_not_here_is_named() {
        let fixture = Fixture::pushed().await;
        let error = diff(&fixture.root, "feature/x", "origin/none")
            .await
            .unwrap_err();
        assert_eq!(error, DiffError::Unknown("origin/none".into()));
    }
}
