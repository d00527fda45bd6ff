//! Git LFS: files whose commit has only a pointer to their content.
//!
//! prep fetches the content if the image has git-lfs, and replaces the pointers in the checkout for the agent to read. The
//! checkout itself does not use LFS: agent images need no git-lfs, and changes to these files are not committed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    checkout::{behind_link, skip_worktree},
    error::StageError,
    log,
    remote::{Remote, local},
};
use flightdeck_core::{
    files::{open_regular, read_bounded},
    tasks, text,
};

/// First lines of a pointer: of the current specification, and of the one before LFS got its name.
/// <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>
const VERSIONS: [&str; 2] = [
    "version https://git-lfs.github.com/spec/v1",
    "version https://hawser.github.com/spec/v1",
];
/// Exclusive maximum size of a pointer, in bytes.
const POINTER_LIMIT: u64 = 1024;

/// A pointer, which replaces a file's content in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    /// SHA-256 of the content, 64 hex digits.
    oid: String,
    size: u64,
}

impl Pointer {
    /// Parses a pointer; returns `None` for any other content.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() as u64 >= POINTER_LIMIT {
            return None;
        }
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        VERSIONS.contains(&lines.next()?).then_some(())?;
        let (mut oid, mut size) = (None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("oid", value) => oid = value.strip_prefix("sha256:"),
                ("size", value) => size = value.parse().ok(),
                _ => {}
            }
        }
        let oid = oid.filter(|oid| oid.len() == 64 && oid.bytes().all(|b| b.is_ascii_hexdigit()));
        Some(Self {
            oid: oid?.to_owned(),
            size: size?,
        })
    }

    /// Returns the path of the content if `repository` has it completely.
    fn content(&self, repository: &Path) -> Option<PathBuf> {
        let (first, second) = (self.oid.get(..2)?, self.oid.get(2..4)?);
        let path = repository
            .join("lfs/objects")
            .join(first)
            .join(second)
            .join(&self.oid);
        let complete = fs::metadata(&path).is_ok_and(|data| data.len() == self.size);
        complete.then_some(path)
    }

    /// Reads a plan whose content was fetched.
    ///
    /// # Errors
    /// Why the content is not available, as a clause.
    pub(super) fn read_plan(&self, repository: &Path) -> Result<Vec<u8>, String> {
        let content = self.content(repository).ok_or_else(|| {
            "its content is not at the remote; push it with git lfs push".to_owned()
        })?;
        tasks::load(&content).map_err(|error| format!("its content cannot be read: {error}"))
    }
}

/// Returns whether git-lfs is installed.
pub(crate) async fn is_installed(directory: &Path) -> bool {
    local(directory)
        .args(["lfs", "version"])
        .run()
        .await
        .is_ok()
}

/// Returns whether any `.gitattributes` of the commit uses LFS.
pub(crate) async fn is_used(repository: &Path, commit: &str) -> Result<bool, StageError> {
    let listed = local(repository)
        .args(["ls-tree", "-r", "-z", "--full-tree", commit])
        .run()
        .await?;
    // `<mode> blob <id>\t<path>`
    let entries = listed.stdout.split(|byte| *byte == 0);
    let attributes = entries.filter_map(|entry| {
        let entry = String::from_utf8_lossy(entry);
        let (about, path) = entry.split_once('\t')?;
        let file = path.rsplit('/').next() == Some(".gitattributes");
        file.then(|| about.rsplit(' ').next().unwrap_or_default().to_owned())
    });
    for blob in attributes.collect::<Vec<_>>() {
        let text = local(repository)
            .args(["cat-file", "blob", &blob])
            .run()
            .await?
            .text();
        if text.contains("filter=lfs") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fetches the LFS files of a commit, or only the file `only`.
pub(crate) async fn fetch(
    remote: &Remote,
    repository: &Path,
    commit: &str,
    only: Option<&str>,
) -> Result<(), String> {
    let include = only.map(|path| format!("--include=/{}", pattern(path)));
    let build = |git: flightdeck_host::repository::git::Git| {
        git.config("remote.origin.url", &remote.url)
            .args(["lfs", "fetch"])
            .args(&include)
            .args(["origin", commit])
    };
    remote
        .run_git(repository, build)
        .await
        .map(drop)
        .map_err(|error| error.message)
}

/// Escapes a path as a pattern that matches only itself.
fn pattern(path: &str) -> String {
    let mut pattern = String::new();
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// Replaces the pointers in the checkout by the content in `clone`.
pub(crate) async fn replace_pointers(clone: &Path, checkout: &Path) -> Result<(), StageError> {
    if !clone.join("lfs/objects").is_dir() {
        return Ok(());
    }
    let mut replaced = Vec::new();
    for path in lfs_paths(checkout).await? {
        let file = checkout.join(&path);
        let plain = file
            .symlink_metadata()
            .is_ok_and(|data| data.is_file() && data.len() < POINTER_LIMIT);
        if !plain || behind_link(checkout, &path) {
            continue;
        }
        let bytes = read_bounded(&file, POINTER_LIMIT)
            .map_err(io::Error::from)
            .map_err(StageError::file("read", &file))?;
        let Some(content) = Pointer::parse(&bytes).and_then(|pointer| pointer.content(clone))
        else {
            continue;
        };
        copy_content(&content, &file).map_err(StageError::file("write", &file))?;
        replaced.push(path);
    }
    skip_worktree(checkout, &replaced).await?;
    if !replaced.is_empty() {
        log(format!(
            "Added the content of {} from Git LFS (read-only: changes are not committed).",
            text::count(replaced.len(), "file")
        ));
    }
    Ok(())
}

/// Copies content instead of renaming or linking it: it may be read-only, and the agent's file is not.
fn copy_content(content: &Path, file: &Path) -> io::Result<()> {
    let (mut from, _) = open_regular(content)?;
    let mut to = fs::File::create(file)?;
    io::copy(&mut from, &mut to).map(drop)
}

/// Returns the paths of the checkout that have the attribute `filter=lfs`.
async fn lfs_paths(checkout: &Path) -> Result<Vec<String>, StageError> {
    let files = local(checkout).args(["ls-files", "-z"]).run().await?;
    let checked = local(checkout)
        .args(["check-attr", "--stdin", "-z", "filter"])
        .input(files.stdout)
        .run()
        .await?;
    // Path, attribute, value, each ended by a NUL.
    let words: Vec<&[u8]> = checked.stdout.split(|byte| *byte == 0).collect();
    let in_lfs = words.chunks_exact(3).filter(|entry| entry[2] == b"lfs");
    Ok(in_lfs
        .filter_map(|entry| String::from_utf8(entry[0].to_vec()).ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_pointers_and_rejects_lookalikes() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let good = format!("{}\noid sha256:{oid}\nsize 12345\n", VERSIONS[0]);
        let pointer = Pointer::parse(good.as_bytes()).unwrap();
        assert_eq!((pointer.oid.as_str(), pointer.size), (oid, 12345));
        let extended = format!(
            "{}\next-0-foo sha256:{oid}\noid sha256:{oid}\nsize 1\n",
            VERSIONS[1]
        );
        assert!(Pointer::parse(extended.as_bytes()).is_some());
        for other in [
            String::new(),
            "{\"master\":{\"tasks\":[]}}".into(),
            good.replace("version", "Version"),
            good.replace(oid, "../../../etc/passwd"),
            good.replace(oid, &oid[1..]),
            good.replace("12345", "many"),
            good.replace("size 12345\n", ""),
            format!("{good}{}", "x".repeat(1024)),
        ] {
            assert_eq!(Pointer::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn does_not_read_a_plan_over_the_limit() {
        let repository = tempfile::tempdir().unwrap();
        let pointer = |size: u64| Pointer {
            oid: "0".repeat(64),
            size,
        };
        let missing = pointer(1).read_plan(repository.path()).unwrap_err();
        assert!(missing.contains("not at the remote"), "{missing}");
        let folder = repository.path().join("lfs/objects/00/00");
        fs::create_dir_all(&folder).unwrap();
        let file = fs::File::create(folder.join("0".repeat(64))).unwrap();
        // Sparse: takes no space.
        file.set_len(tasks::MAX_FILE_SIZE + 1).unwrap();
        let large = pointer(tasks::MAX_FILE_SIZE + 1)
            .read_plan(repository.path())
            .unwrap_err();
        assert!(large.contains("the limit is 64 MB"), "{large}");
    }

    #[test]
    fn escapes_paths_in_patterns() {
        assert_eq!(pattern("a b/[x]*.json"), "a b/\\[x]\\*.json");
    }
}
