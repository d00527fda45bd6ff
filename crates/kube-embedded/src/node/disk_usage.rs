//! What the cluster takes of the disk, and whether there is room for more. Blocking.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use nix::sys::statvfs::statvfs;

use super::Limits;

/// Bytes on disk below a state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The objects' file.
    pub objects: u64,
    /// Containers' output, with the few small files beside it.
    pub logs: u64,
    /// Claims, and the pods' own volumes.
    pub volumes: u64,
}

/// Measures a state directory, walking what pods and claims hold.
#[must_use]
pub fn usage(state: &Path) -> Usage {
    let mut usage = Usage {
        volumes: below(&state.join("claims")),
        ..Usage::default()
    };
    let pods = state.join("pods");
    for uid in super::entries(&pods) {
        let pod = pods.join(uid);
        let logs = below(&pod.join("containers"));
        usage.logs += logs;
        usage.volumes += below(&pod).saturating_sub(logs);
    }
    for entry in fs::read_dir(state).into_iter().flatten().flatten() {
        if let Ok(metadata) = entry.metadata()
            && metadata.is_file()
        {
            usage.objects += taken(&metadata);
        }
    }
    usage
}

/// Bytes of all files below a directory; links are not followed, and what goes meanwhile is not counted.
fn below(directory: &Path) -> u64 {
    let mut total = 0;
    let mut ahead = vec![directory.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            total += taken(&metadata);
            if metadata.is_dir() {
                ahead.push(entry.path());
            }
        }
    }
    total
}

/// What a file takes, holes left out.
fn taken(metadata: &fs::Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Why nothing more may be started: the disk is as good as full, or the cluster takes all it may.
pub fn pressure(state: &Path, limits: &Limits) -> io::Result<Option<String>> {
    let directory = state.display();
    let free = free(state)?;
    if free < limits.min_free_bytes {
        return Ok(Some(format!(
            "the disk of {directory} has {free} bytes free, {} are needed",
            limits.min_free_bytes
        )));
    }
    let Some(most) = limits.max_used_bytes else {
        return Ok(None);
    };
    let usage = usage(state);
    let used = usage.logs + usage.volumes;
    Ok((used > most)
        .then(|| format!("logs and volumes in {directory} take {used} bytes, {most} are allowed")))
}

/// Bytes an ordinary account may still write.
fn free(directory: &Path) -> io::Result<u64> {
    let found = statvfs(directory)?;
    // The types differ from system to system.
    #[allow(clippy::useless_conversion, clippy::unnecessary_cast)]
    let bytes = found.blocks_available() as u64 * found.fragment_size() as u64;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_logs_and_volumes_are_told_apart() {
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
    fn a_disk_without_room_and_a_cluster_that_takes_too_much_are_told_with_their_bytes() {
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
