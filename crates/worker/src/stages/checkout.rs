//! The agent's checkout: files laid beside its commit, without touching what is the repository's; its removal.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{error::StageError, remote::local, say};
use flightdeck_core::files::{ReadError, read_bounded};

/// The agent's memory among the run's files.
const MEMORY: &str = "CLAUDE.md";
/// Where it may go in the project, the first that the repository does not use itself winning. Everything else the agent is
/// given it reads from the run's files.
const MEMORY_PLACES: [&str; 2] = ["CLAUDE.md", "CLAUDE.local.md"];

/// Most bytes of the memory an agent gets or leaves.
const MEMORY_LIMIT: u64 = 1 << 20;
/// Most bytes of the list of files that git does not commit.
const EXCLUDE_LIMIT: u64 = 1 << 20;

/// Lays the memory into the checkout, outside the commit; `kept` stands in for the run's own file.
pub async fn lay_memory(
    run_files: &Path,
    checkout: &Path,
    prefix: &str,
    kept: Option<Vec<u8>>,
) -> Result<(), StageError> {
    let source = run_files.join(MEMORY);
    if !source.is_file() {
        return Ok(());
    }
    let content = match kept {
        Some(kept) => kept,
        None => read_bounded(&source, MEMORY_LIMIT)
            .map_err(io::Error::from)
            .map_err(StageError::file("read", source))?,
    };
    for place in MEMORY_PLACES {
        let path = format!("{prefix}{place}");
        if lay_beside(checkout, &path, &content).await? {
            say(format!("Laid {path} outside the commit."));
            return Ok(());
        }
    }
    say(format!(
        "The repository has its own {}: the run's is not laid.",
        MEMORY_PLACES.join(" and ")
    ));
    Ok(())
}

/// Writes a file of the checkout that no commit takes up; false when the repository has something at its place.
pub async fn lay_beside(checkout: &Path, path: &str, content: &[u8]) -> Result<bool, StageError> {
    if tracked(checkout, path).await? || behind_link(checkout, path) {
        return Ok(false);
    }
    write_file(&checkout.join(path), content)?;
    if !excluded(checkout, path) {
        let list = checkout.join(".git/info/exclude");
        let mut lines = match read_bounded(&list, EXCLUDE_LIMIT) {
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read
                .map_err(io::Error::from)
                .map_err(StageError::file("read", &list))?,
        };
        lines.extend_from_slice(exclude_line(path).as_bytes());
        write_file(&list, &lines)?;
    }
    Ok(true)
}

/// Has git take these files of the commit for unchanged, whatever becomes of them.
pub async fn keep_from_commits(checkout: &Path, paths: &[String]) -> Result<(), StageError> {
    if paths.is_empty() {
        return Ok(());
    }
    let list = paths.join("\0") + "\0";
    local(checkout)
        .args(["update-index", "--skip-worktree", "-z", "--stdin"])
        .input(list)
        .run()
        .await?;
    Ok(())
}

/// The memory an earlier attempt left in its checkout: the file laid there, as it is now.
pub fn memory_of(checkout: &Path, prefix: &str) -> Option<Vec<u8>> {
    for place in MEMORY_PLACES {
        let path = format!("{prefix}{place}");
        let file = checkout.join(&path);
        let plain = file.symlink_metadata().is_ok_and(|data| data.is_file());
        if plain && !behind_link(checkout, &path) && excluded(checkout, &path) {
            return match read_bounded(&file, MEMORY_LIMIT) {
                Ok(memory) => Some(memory),
                Err(error) => {
                    say(format!(
                        "The memory of the earlier attempt, {path}, is not kept: {error}."
                    ));
                    None
                }
            };
        }
    }
    None
}

/// Whether [`lay_beside`] put the file there. Asks no git: the checkout has been an agent's.
fn excluded(checkout: &Path, path: &str) -> bool {
    let line = exclude_line(path);
    let list = read_bounded(&checkout.join(".git/info/exclude"), EXCLUDE_LIMIT);
    list.is_ok_and(|lines| {
        let mut lines = lines.split(|byte| *byte == b'\n');
        lines.any(|excluded| excluded == line.trim_end_matches('\n').as_bytes())
    })
}

/// Removes a directory whatever its permissions: package managers like to make theirs read-only.
pub fn clear(directory: &Path) -> Result<(), StageError> {
    fn open_up(directory: &Path) -> io::Result<()> {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open_up(&entry.path())?;
            }
        }
        Ok(())
    }
    let removed = match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(directory).and_then(|()| fs::remove_dir_all(directory))
        }
        other => other,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StageError::file("remove", directory)(error))
        }
        _ => Ok(()),
    }
}

/// Whether the commit has something at `path`, or below it.
async fn tracked(checkout: &Path, path: &str) -> Result<bool, StageError> {
    let listed = local(checkout)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-files", "-z", "--", path])
        .run()
        .await?;
    Ok(!listed.stdout.is_empty())
}

/// Whether a link of the repository stands on the way to `path`: writing there would leave the checkout.
pub fn behind_link(checkout: &Path, path: &str) -> bool {
    let mut at = PathBuf::from(checkout);
    Path::new(path).components().any(|part| {
        at.push(part);
        at.symlink_metadata().is_ok_and(|data| data.is_symlink())
    })
}

/// A line of `.git/info/exclude` that matches exactly `path`.
fn exclude_line(path: &str) -> String {
    let mut line = String::from("/");
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\' | ' ') {
            line.push('\\');
        }
        line.push(c);
    }
    line.push('\n');
    line
}

/// Writes a file, and the folders it is in.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), StageError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StageError::file("make", parent))?;
    }
    fs::write(path, content).map_err(StageError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclude_line_means_its_path_and_nothing_else() {
        assert_eq!(exclude_line("CLAUDE.md"), "/CLAUDE.md\n");
        assert_eq!(exclude_line("a b/[x]*.md"), "/a\\ b/\\[x]\\*.md\n");
    }

    #[test]
    fn memory_is_kept_within_its_limit() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| write_file(&root.path().join(path), content);
        let mut list = exclude_line("CLAUDE.md").into_bytes();
        write(".git/info/exclude", &list).unwrap();
        write("CLAUDE.md", b"remember").unwrap();
        assert_eq!(memory_of(root.path(), "").unwrap(), b"remember");
        write("CLAUDE.md", &vec![b'x'; MEMORY_LIMIT as usize + 1]).unwrap();
        assert_eq!(memory_of(root.path(), ""), None);
        write("CLAUDE.md", b"remember").unwrap();
        list.resize(EXCLUDE_LIMIT as usize + 1, b'#');
        write(".git/info/exclude", &list).unwrap();
        assert_eq!(memory_of(root.path(), ""), None);
    }

    #[tokio::test]
    async fn an_exclude_list_that_cannot_be_read_is_not_replaced() {
        let root = tempfile::tempdir().unwrap();
        let git = || local(root.path());
        git()
            .args(["init", "-q", "--template="])
            .run()
            .await
            .unwrap();
        let list = root.path().join(".git/info/exclude");
        lay_beside(root.path(), "a", b"x").await.unwrap();
        assert_eq!(fs::read(&list).unwrap(), b"/a\n");
        let long = vec![b'#'; EXCLUDE_LIMIT as usize + 1];
        fs::write(&list, &long).unwrap();
        let error = lay_beside(root.path(), "b", b"x").await.unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        assert_eq!(fs::read(&list).unwrap(), long);
    }

    #[test]
    fn a_read_only_tree_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        for directory in ["a/b", "a"] {
            fs::set_permissions(tree.join(directory), fs::Permissions::from_mode(0o500)).unwrap();
        }
        clear(&tree).unwrap();
        assert!(!tree.exists());
        clear(&tree).unwrap();
    }
}
