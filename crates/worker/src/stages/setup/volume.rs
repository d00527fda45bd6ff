//! The workspace volume: checks that it is writable, and removes folders of old runs.

use std::{fs, path::PathBuf, time::SystemTime};

use nix::unistd::{getgid, getuid};

use crate::stages::{
    checkout,
    environment::{BASE, StageEnv},
    error::StageError,
    log,
};

/// Maximum number of folders scanned per run.
const SCAN_LIMIT: usize = 1000;
/// Maximum number of folders removed per run.
const REMOVE_LIMIT: usize = 100;

/// Checks that the workspace is writable, with a clear error: some volumes ignore the pod's group, and git's own error
/// would only name a folder deep inside.
pub(crate) fn check_writable(stage: &StageEnv) -> Result<(), StageError> {
    let workspace = stage.workspace()?;
    let probe = workspace.join(format!(".writable-{}", stage.manifest.uid));
    let written = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| {
        StageError::Setup(format!(
            "the workspace volume at {} is not writable for user {}, group {} ({error}); volumes of some classes (hostPath) ignore \
             a pod's fsGroup: make the folder of the volume writable for that group, or set [pods] user to its owner",
            workspace.display(),
            getuid(),
            getgid(),
        ))
    })
}

/// Removes the run folders that were used longest ago, beyond the number to keep. No other run is active here: a workspace
/// has one run at a time. An agent can create thousands of folders, so both scan and removal are bounded; the next run
/// continues. Logs what remains.
pub(crate) fn remove_old(stage: &StageEnv) {
    let Ok(own) = stage.run_directory() else {
        return;
    };
    // The volume is untrusted: do not follow a symlink.
    let runs = own.parent().filter(|runs| {
        let data = runs.symlink_metadata();
        data.is_ok_and(|data| data.is_dir())
    });
    let Some(mut entries) = runs.and_then(|runs| fs::read_dir(runs).ok()) else {
        return;
    };
    let mut others: Vec<(SystemTime, PathBuf)> = entries
        .by_ref()
        .take(SCAN_LIMIT)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| *path != own)
        .map(|path| {
            // Written by every run at setup; a folder without it was never set up.
            let used = fs::metadata(path.join(BASE)).and_then(|data| data.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), path)
        })
        .collect();
    let all_seen = entries.next().is_none();
    others.sort();
    let keep = usize::try_from(stage.manifest.layout.keep_runs).unwrap_or(usize::MAX);
    let surplus = others.len().saturating_sub(keep);
    for (_, path) in others.iter().take(surplus.min(REMOVE_LIMIT)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match checkout::clear(path) {
            Ok(()) => log(format!(
                "Removed the folder {name} of an earlier run from the workspace (keeps {keep})."
            )),
            Err(error) => log(format!(
                "Could not remove the folder {name} of an earlier run: {error}"
            )),
        }
    }
    let left = surplus.saturating_sub(REMOVE_LIMIT);
    if left > 0 {
        log(format!(
            "{left} more folders of earlier runs remain; later runs remove them."
        ));
    }
    if !all_seen {
        log(format!(
            "Scanned only the first {SCAN_LIMIT} run folders of the workspace."
        ));
    }
}
