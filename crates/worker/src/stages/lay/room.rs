//! The workspace as a volume: that it can be written to, and that earlier runs do not fill it.

use std::{fs, path::PathBuf, time::SystemTime};

use nix::unistd::{getgid, getuid};

use crate::stages::{
    checkout,
    error::StageError,
    place::{BASE, Place},
    say,
};

/// Folders that one run looks at.
const LOOKED_AT: usize = 1000;
/// Folders that one run removes.
const REMOVED: usize = 100;

/// Writes to the workspace before anything else is tried: not every volume heeds the group that a pod asks for, and git's own
/// words for it name a folder deep inside.
pub fn check_writable(place: &Place) -> Result<(), StageError> {
    let workspace = place.workspace()?;
    let probe = workspace.join(format!(".writable-{}", place.manifest.uid));
    let written = fs::write(&probe, "").and_then(|()| fs::remove_file(&probe));
    written.map_err(|error| {
        StageError::Setup(format!(
            "the workspace volume at {} cannot be written by user {} of group {} ({error}); volumes of some classes (hostPath) \
             do not take on a pod's group: make the volume's folder writable for that group, or set [pods] user to its owner",
            workspace.display(),
            getuid(),
            getgid(),
        ))
    })
}

/// Removes the folders of the runs that used the workspace longest ago, beyond those that are kept. No run works in them: a
/// workspace has one run at a time. An agent can make folders by the thousand, so one run looks at and removes a bounded number;
/// the next run continues. What stays is logged.
pub fn remove_old(place: &Place) {
    let Ok(own) = place.run_directory() else {
        return;
    };
    // An agent had the volume: what it made a link of is left alone.
    let runs = own.parent().filter(|runs| {
        let data = runs.symlink_metadata();
        data.is_ok_and(|data| data.is_dir())
    });
    let Some(mut entries) = runs.and_then(|runs| fs::read_dir(runs).ok()) else {
        return;
    };
    let mut others: Vec<(SystemTime, PathBuf)> = entries
        .by_ref()
        .take(LOOKED_AT)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .filter(|path| *path != own)
        .map(|path| {
            // Written whenever a run is laid out; a folder without it never got that far.
            let used = fs::metadata(path.join(BASE)).and_then(|data| data.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), path)
        })
        .collect();
    let all_seen = entries.next().is_none();
    others.sort();
    let keep = usize::try_from(place.manifest.layout.keep_runs).unwrap_or(usize::MAX);
    let surplus = others.len().saturating_sub(keep);
    for (_, path) in others.iter().take(surplus.min(REMOVED)) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match checkout::clear(path) {
            Ok(()) => say(format!(
                "Removed the folder {name} of an earlier run from the workspace, which keeps {keep}."
            )),
            Err(error) => say(format!(
                "The folder {name} of an earlier run stays: {error}"
            )),
        }
    }
    let left = surplus.saturating_sub(REMOVED);
    if left > 0 {
        say(format!(
            "{left} more folders of earlier runs stay for now; later runs remove them."
        ));
    }
    if !all_seen {
        say(format!(
            "Only {LOOKED_AT} entries of the workspace's folder of runs were looked at."
        ));
    }
}
