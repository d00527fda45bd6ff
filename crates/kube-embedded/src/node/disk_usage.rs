//! Disk usage of the cluster, and free disk space. Blocking.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::sys::statvfs::statvfs;

use super::Limits;

/// Bytes on disk below a state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The object store.
    pub objects: u64,
    /// Logs of containers, with the other files of their attempts.
    pub logs: u64,
    /// Claims and other volumes.
    pub volumes: u64,
}

/// Measures a state directory. Walks all volumes.
#[must_use]
pub fn usage(state: &Path) -> Usage {
    let mut usage = Usage {
        volumes: tree_size(&state.join("claims")),
        ..Usage::default()
    };
    let pods = state.join("pods");
    for uid in super::entries(&pods) {
        let pod = pods.join(uid);
        let logs = tree_size(&pod.join("containers"));
        usage.logs += logs;
        usage.volumes += tree_size(&pod).saturating_sub(logs);
    }
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            usage.objects += allocated(&metadata);
        }
    }
    usage
}

/// Returns the size of all files below a directory, without following links. Files that disappear meanwhile are not
/// counted.
fn tree_size(directory: &Path) -> u64 {
    let mut total = 0;
    let mut ahead = vec![directory.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            total += allocated(&metadata);
            if metadata.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    total
}

/// Returns the allocated size of a file.
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Returns why no container may be started, if disk space or the cluster's limit is exhausted.
pub(super) fn pressure(state: &Path, limits: &Limits) -> io::Result<Option<String>> {
    let directory = state.display();
    let free = free(state)?;
    if free < limits.min_free_bytes {
        return Ok(Some(format!(
            "{free} bytes are free on the disk of {directory}, {} are required",
            limits.min_free_bytes
        )));
    }
    let Some(max) = limits.max_used_bytes else {
        return Ok(None);
    };
    let usage = usage(state);
    let used = usage.logs + usage.volumes;
    Ok((used > max)
        .then(|| format!("logs and volumes in {directory} use {used} bytes, {max} are allowed")))
}

/// Returns the free space available to unprivileged users.
fn free(directory: &Path) -> io::Result<u64> {
    let found = statvfs(directory)?;
    // The types differ between platforms.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let bytes = found.blocks_available() as u64 * found.fragment_size() as u64;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_objects_logs_and_volumes() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: usize| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; bytes]).unwrap();
        };
        write("objects.redb", 100_000);
        write("pods/u/containers/main/0/log", 200_000);
        write("pods/u/volumes/v/file", 400_000);
        write("claims/c/deep/er/file", 800_000);
        let usage = usage(directory.path());
        let near = |found: u64, wanted: u64| (wanted..wanted + 50_000).contains(&found);
        assert!(near(usage.objects, 100_000), "{usage:?}");
        assert!(near(usage.logs, 200_000), "{usage:?}");
        assert!(near(usage.volumes, 1_200_000), "{usage:?}");
    }

    #[test]
    fn pressure_names_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path();
        let limits = |min_free_bytes, max_used_bytes| Limits {
            min_free_bytes,
            max_used_bytes,
            ..Limits::default()
        };
        assert_eq!(pressure(state, &limits(0, None)).unwrap(), None);
        let full = pressure(state, &limits(u64::MAX, None)).unwrap().unwrap();
        assert!(full.contains(&state.display().to_string()), "{full}");
        assert!(full.contains(&u64::MAX.to_string()), "{full}");
        fs::create_dir_all(state.join("claims/c")).unwrap();
        fs::write(state.join("claims/c/file"), vec![1; 100_000]).unwrap();
        assert_eq!(pressure(state, &limits(0, Some(1_000_000))).unwrap(), None);
        let much = pressure(state, &limits(0, Some(50_000))).unwrap().unwrap();
        assert!(much.contains("50000 are allowed"), "{much}");
    }
}
