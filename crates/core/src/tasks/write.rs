//! Writes a changed plan: under Task Master's lock, over what is there at that moment, whole or not at all.

use std::{
    fs::{self, Metadata},
    io::{self, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Status, StatusChange,
    edit::{EditError, set_status},
    load::{LoadError, load_with_metadata},
    lock::{Lock, LockError},
};

/// How often a plan that others change without the lock is read again.
const TRIES: usize = 5;

/// Why a plan was not written. It is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Locked(#[from] LockError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}", edit_sentence(.path, .source))]
    Edit { path: PathBuf, source: EditError },
    #[error("{}: other programs kept changing it, or took its lock over; it was not written", .path.display())]
    Restless { path: PathBuf },
    #[error("{} could not be written: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn edit_sentence(path: &Path, error: &EditError) -> String {
    match error {
        EditError::Read(error) => error.in_file(path),
        error => format!("{}: {error}", path.display()),
    }
}

/// Gives a task of the plan at `path` another status; what changed, empty when it had it already (then nothing is written). Waits up to
/// `patience` for other programs that are writing. Blocks.
///
/// # Errors
/// When the lock is held by another program for longer, or the plan cannot be read, changed or written.
pub fn write_status(
    path: &Path,
    tag: &str,
    id: &str,
    status: &Status,
    patience: Duration,
) -> Result<Vec<StatusChange>, WriteError> {
    let failed = |source| WriteError::Io {
        path: path.to_owned(),
        source,
    };
    // What cannot be read needs no lock to be refused.
    load_with_metadata(path)?;
    let lock = Lock::take(path, patience)?;
    // Behind a symbolic link stands the file that is replaced; the link stays.
    let target = path.canonicalize().map_err(failed)?;
    for _ in 0..TRIES {
        let (bytes, before) = load_with_metadata(&target)?;
        let edit = set_status(&bytes, tag, id, status).map_err(|source| WriteError::Edit {
            path: path.to_owned(),
            source,
        })?;
        if edit.changes.is_empty() {
            return Ok(edit.changes);
        }
        let unchanged = || {
            let now = fs::symlink_metadata(&target);
            lock.is_ours() && now.is_ok_and(|now| same(&now, &before))
        };
        if replace(&target, &before, &edit.bytes, unchanged).map_err(failed)? {
            return Ok(edit.changes);
        }
        if !lock.is_ours() {
            break;
        }
    }
    Err(WriteError::Restless {
        path: path.to_owned(),
    })
}

/// Puts `bytes` in the place of `target`, with its permissions and owner, if it is still `unchanged` when they are on disk; whether it did.
fn replace(
    target: &Path,
    before: &Metadata,
    bytes: &[u8],
    unchanged: impl FnOnce() -> bool,
) -> io::Result<bool> {
    let directory = target.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".tasks.json.")
        .suffix(".tmp")
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    let handle = file.as_file();
    let new = handle.metadata()?;
    if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
        // Only an administrator may give a file away; others may at least keep the group.
        if fchown(handle, Some(before.uid()), Some(before.gid())).is_err() {
            drop(fchown(handle, None, Some(before.gid())));
        }
    }
    handle.set_permissions(before.permissions())?;
    handle.sync_all()?;
    if !unchanged() {
        return Ok(false);
    }
    file.persist(target).map_err(|error| error.error)?;
    Ok(true)
}

fn same(now: &Metadata, before: &Metadata) -> bool {
    let identity = |of: &Metadata| {
        (
            of.dev(),
            of.ino(),
            of.len(),
            of.mtime(),
            of.mtime_nsec(),
            of.ctime_nsec(),
        )
    };
    identity(now) == identity(before)
}

#[cfg(test)]
mod tests;
