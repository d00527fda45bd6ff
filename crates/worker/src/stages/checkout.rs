//! The agent's checkout: adds untracked files beside its commit, and removes it.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{error::StageError, log, remote::local};
use flightdeck_core::files::{ReadError, read_bounded};

/// The memory file among the run's files.
const MEMORY: &str = "CLAUDE.md";
/// Paths for it in the project; the first one the repository does not use itself is taken. The agent reads everything
/// else from the run's files.
const MEMORY_PATHS: [&str; 2] = ["CLAUDE.md", "CLAUDE.local.md"];

/// Maximum size of the memory file, in bytes.
const MEMORY_LIMIT: u64 = 1 << 20;
/// Maximum size of `.git/info/exclude`, in bytes.
const EXCLUDE_LIMIT: u64 = 1 << 20;

/// Adds the memory file to the checkout, untracked. `previous` replaces the run's own content.
pub(crate) async fn add_memory(
    run_files: &Path,
    checkout: &Path,
    prefix: &str,
    previous: Option<Vec<u8>>,
) -> Result<(), StageError> {
    let source = run_files.join(MEMORY);
    if !source.is_file() {
        return Ok(());
    }
    let content = match previous {
        Some(previous) => previous,
        None => read_bounded(&source, MEMORY_LIMIT)
            .map_err(io::Error::from)
            .map_err(StageError::file("read", source))?,
    };
    for name in MEMORY_PATHS {
        let path = format!("{prefix}{name}");
        if add_untracked(checkout, &path, &content).await? {
            log(format!("Added {path} (not committed)."));
            return Ok(());
        }
    }
    log(format!(
        "Kept the repository's own {}; the run's memory is not added.",
        MEMORY_PATHS.join(" and ")
    ));
    Ok(())
}

/// Writes an untracked file to the checkout and excludes it from commits. Returns false if the repository uses the path.
pub(crate) async fn add_untracked(
    checkout: &Path,
    path: &str,
    content: &[u8],
) -> Result<bool, StageError> {
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

/// Makes git ignore changes to these tracked files.
pub(crate) async fn skip_worktree(checkout: &Path, paths: &[String]) -> Result<(), StageError> {
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

/// Returns the memory file that a previous attempt left in its checkout.
pub(crate) fn memory_of(checkout: &Path, prefix: &str) -> Option<Vec<u8>> {
    for name in MEMORY_PATHS {
        let path = format!("{prefix}{name}");
        let file = checkout.join(&path);
        let plain = file.symlink_metadata().is_ok_and(|data| data.is_file());
        if plain && !behind_link(checkout, &path) && excluded(checkout, &path) {
            return match read_bounded(&file, MEMORY_LIMIT) {
                Ok(memory) => Some(memory),
                Err(error) => {
                    log(format!(
                        "Dropped the memory of the previous attempt ({path}): {error}."
                    ));
                    None
                }
            };
        }
    }
    None
}

/// Returns whether [`add_untracked`] wrote the file. Reads the list without git: the agent controls the checkout.
fn excluded(checkout: &Path, path: &str) -> bool {
    let line = exclude_line(path);
    let list = read_bounded(&checkout.join(".git/info/exclude"), EXCLUDE_LIMIT);
    list.is_ok_and(|lines| {
        let mut lines = lines.split(|byte| *byte == b'\n');
        lines.any(|excluded| excluded == line.trim_end_matches('\n').as_bytes())
    })
}

/// Removes a directory, including read-only ones, which package managers like to create.
pub(crate) fn clear(directory: &Path) -> Result<(), StageError> {
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

/// Returns whether the commit has an entry at `path` or below it.
async fn tracked(checkout: &Path, path: &str) -> Result<bool, StageError> {
    let listed = local(checkout)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-files", "-z", "--", path])
        .run()
        .await?;
    Ok(!listed.stdout.is_empty())
}

/// Returns whether a component of `path` is a symbolic link: writing there would leave the checkout.
pub(crate) fn behind_link(checkout: &Path, path: &str) -> bool {
    let mut at = PathBuf::from(checkout);
    Path::new(path).components().any(|part| {
        at.push(part);
        at.symlink_metadata().is_ok_and(|data| data.is_symlink())
    })
}

/// Returns the line of `.git/info/exclude` that matches exactly `path`.
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

/// Writes a file and creates its parent directories.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<(), StageError> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(StageError::file("create", parent))?;
    }
    fs::write(path, content).map_err(StageError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclude_line_matches_only_its_path() {
        assert_eq!(exclude_line("CLAUDE.md"), "/CLAUDE.md\n");
        assert_eq!(exclude_line("a b/[x]*.md"), "/a\\ b/\\[x]\\*.md\n");
    }

    #[test]
    fn keeps_memory_up_to_the_limit() {
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
    async fn does_not_replace_an_unreadable_exclude_list() {
        let root = tempfile::tempdir().unwrap();
        let git = || local(root.path());
        git()
            .args(["init", "-q", "--template="])
            .run()
            .await
            .unwrap();
        let list = root.path().join(".git/info/exclude");
        add_untracked(root.path(), "a", b"x").await.unwrap();
        assert_eq!(fs::read(&list).unwrap(), b"/a\n");
        let long = vec![b'#'; EXCLUDE_LIMIT as usize + 1];
        fs::write(&list, &long).unwrap();
        let error = add_untracked(root.path(), "b", b"x").await.unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        assert_eq!(fs::read(&list).unwrap(), long);
    }

    #[test]
    fn removes_a_read_only_tree() {
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
