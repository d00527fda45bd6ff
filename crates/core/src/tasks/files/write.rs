//! Writes a changed plan atomically, under Task Master's lock.

use std::{
    fs::{self, Metadata},
    io::{self, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    load::{LoadError, load_with_metadata},
    lock::{Lock, LockError},
};
use crate::tasks::{EditError, Status, StatusChange, set_status};

/// Retries when another program changes the plan without the lock.
const ATTEMPTS: usize = 5;

/// Error from writing a plan, which is then unchanged.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Locked(#[from] LockError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}", edit_message(.path, .source))]
    Edit { path: PathBuf, source: EditError },
    #[error("{}: not written, because other programs kept changing the file", .path.display())]
    Contended { path: PathBuf },
    #[error("cannot write {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn edit_message(path: &Path, error: &EditError) -> String {
    match error {
        EditError::Read(error) => error.in_file(path),
        error => format!("{}: {error}", path.display()),
    }
}

/// Sets the status of a task in the plan at `path`. Returns the changes; empty if the task already had the status, in
/// which case nothing is written. Waits up to `timeout` for the lock. Blocks.
///
/// # Errors
/// If the lock times out, or the plan cannot be read, changed or written.
pub fn write_status(
    path: &Path,
    tag: &str,
    id: &str,
    status: &Status,
    timeout: Duration,
) -> Result<Vec<StatusChange>, WriteError> {
    let failed = |source| WriteError::Io {
        path: path.to_owned(),
        source,
    };
    // An unreadable plan can be rejected without the lock.
    load_with_metadata(path)?;
    let lock = Lock::take(path, timeout)?;
    // Replace the target of a symbolic link, not the link.
    let target = path.canonicalize().map_err(failed)?;
    for _ in 0..ATTEMPTS {
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
    Err(WriteError::Contended {
        path: path.to_owned(),
    })
}

/// Replaces `target`, keeping its permissions and owner, if `unchanged` still holds once the new file is on disk.
/// Returns whether it was replaced.
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
        // Only root can change the owner; try to keep at least the group.
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
