//! Volumes of a pod, as directories.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use k8s_openapi::api::core::v1::{KeyToPath, Pod, Volume};

use super::{
    paths::{is_inside, join},
    sources::{Missing, Source, Sources},
    unsupported,
};

/// Reasons why a volume cannot be filled.
#[derive(Debug, thiserror::Error)]
pub(super) enum VolumeError {
    /// Retried once the missing object exists.
    #[error("volume {0:?}: {1}")]
    Missing(String, #[source] Missing),
    #[error("volume {volume:?} in {directory}: {error}")]
    Disk {
        volume: String,
        directory: String,
        #[source]
        error: io::Error,
    },
}

/// Returns the directory of each volume: that of its claim (in `claims`, by name), or one below `directory`. Omits a volume whose
/// name is not a file name.
#[must_use]
pub(super) fn directories(
    pod: &Pod,
    directory: &Path,
    claims: &BTreeMap<String, PathBuf>,
) -> BTreeMap<String, PathBuf> {
    of(pod)
        .filter_map(|volume| {
            let claim = volume.persistent_volume_claim.as_ref();
            let place = claim.and_then(|claim| claims.get(&claim.claim_name).cloned());
            let own = || join(directory, &volume.name).ok();
            Some((volume.name.clone(), place.or_else(own)?))
        })
        .collect()
}

/// Fills the volumes that are not claims, replacing their content.
pub(super) fn fill(pod: &Pod, directory: &Path, sources: &Sources) -> Result<(), VolumeError> {
    for volume in of(pod).filter(|volume| volume.persistent_volume_claim.is_none()) {
        let entries = entries(volume, sources)
            .map_err(|missing| VolumeError::Missing(volume.name.clone(), missing))?;
        let own = join(directory, &volume.name);
        let written = own.and_then(|own| write(&own, &entries));
        written.map_err(|error| VolumeError::Disk {
            volume: volume.name.clone(),
            directory: directory.display().to_string(),
            error,
        })?;
    }
    Ok(())
}

fn of(pod: &Pod) -> impl Iterator<Item = &Volume> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter());
    volumes.flatten()
}

/// A file in a volume.
struct Entry {
    path: String,
    bytes: Vec<u8>,
    mode: u32,
}

fn entries(volume: &Volume, sources: &Sources) -> Result<Vec<Entry>, Missing> {
    if volume.empty_dir.is_some() {
        return Ok(Vec::new());
    }
    if let Some(map) = &volume.config_map {
        let request = FileRequest {
            source: Source::ConfigMap,
            name: &map.name,
            items: map.items.as_deref(),
            optional: map.optional == Some(true),
            mode: map.default_mode,
        };
        return request.entries(sources);
    }
    if let Some(secret) = &volume.secret {
        let request = FileRequest {
            source: Source::Secret,
            name: secret.secret_name.as_deref().unwrap_or_default(),
            items: secret.items.as_deref(),
            optional: secret.optional == Some(true),
            mode: secret.default_mode,
        };
        return request.entries(sources);
    }
    let Some(projected) = &volume.projected else {
        return Err(Missing::Unsupported(format!(
            "the embedded node does not support volumes of type {}",
            unsupported::volume_type(volume)
        )));
    };
    let mut all = Vec::new();
    for source in projected.sources.iter().flatten() {
        let mode = projected.default_mode;
        let request = match (&source.config_map, &source.secret) {
            (Some(map), _) => FileRequest {
                source: Source::ConfigMap,
                name: &map.name,
                items: map.items.as_deref(),
                optional: map.optional == Some(true),
                mode,
            },
            (None, Some(secret)) => FileRequest {
                source: Source::Secret,
                name: &secret.name,
                items: secret.items.as_deref(),
                optional: secret.optional == Some(true),
                mode,
            },
            (None, None) => {
                return Err(Missing::Unsupported(
                    "the embedded node only projects ConfigMaps and Secrets".to_owned(),
                ));
            }
        };
        all.extend(request.entries(sources)?);
    }
    Ok(all)
}

/// The files requested from a ConfigMap or Secret.
struct FileRequest<'a> {
    source: Source,
    name: &'a str,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
    mode: Option<i32>,
}

impl FileRequest<'_> {
    fn entries(&self, sources: &Sources) -> Result<Vec<Entry>, Missing> {
        let Some(data) = sources.get(self.source, self.name) else {
            return if self.optional {
                Ok(Vec::new())
            } else {
                let name = self.name.to_owned();
                Err(Missing::Object(self.source, name, String::new()))
            };
        };
        let Some(items) = self.items.filter(|items| !items.is_empty()) else {
            let entry = |(key, bytes): (&String, &Vec<u8>)| Entry {
                path: key.clone(),
                bytes: bytes.clone(),
                mode: self.mode(None),
            };
            return Ok(data.entries.iter().map(entry).collect());
        };
        let mut entries = Vec::new();
        for item in items {
            match data.entries.get(&item.key) {
                Some(bytes) => entries.push(Entry {
                    path: item.path.clone(),
                    bytes: bytes.clone(),
                    mode: self.mode(item.mode),
                }),
                None if self.optional => {}
                None => {
                    return Err(Missing::Key(
                        self.source,
                        self.name.to_owned(),
                        item.key.clone(),
                        String::new(),
                    ));
                }
            }
        }
        Ok(entries)
    }

    /// Returns the mode of a file. Secrets are readable by the owner only, whatever the pod asks for.
    fn mode(&self, own: Option<i32>) -> u32 {
        let mode = own.or(self.mode).unwrap_or(0o644) as u32 & 0o777;
        match self.source {
            Source::ConfigMap => mode,
            Source::Secret => (mode | 0o400) & 0o700,
        }
    }
}

fn write(directory: &Path, entries: &[Entry]) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(directory)?,
    }
    for entry in entries {
        if !is_inside(Path::new(&entry.path)) {
            return Err(io::Error::other(format!(
                "the path {:?} is outside the volume",
                entry.path
            )));
        }
        let path = directory.join(&entry.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&entry.bytes)?;
        file.set_permissions(fs::Permissions::from_mode(entry.mode))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tempfile::TempDir;

    use super::{super::sources::Data, *};

    fn sources() -> Sources {
        let data = Data {
            version: "1".to_owned(),
            entries: BTreeMap::from([
                ("a.txt".to_owned(), b"A".to_vec()),
                ("b.sh".to_owned(), b"B".to_vec()),
            ]),
        };
        Sources::new([
            ((Source::ConfigMap, "files".to_owned()), data.clone()),
            ((Source::Secret, "keys".to_owned()), data),
        ])
    }

    fn laid_out(volume: &serde_json::Value) -> (TempDir, Result<PathBuf, VolumeError>) {
        let directory = TempDir::new().unwrap();
        let pod: Pod =
            serde_json::from_value(json!({"spec": {"containers": [], "volumes": [volume]}}))
                .unwrap();
        let filled = fill(&pod, directory.path(), &sources());
        let places = directories(&pod, directory.path(), &BTreeMap::new());
        let place = filled.map(|()| places.into_values().next().unwrap());
        (directory, place)
    }

    fn listing(directory: &Path) -> Vec<(String, u32)> {
        let mut all: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                (entry.file_name().into_string().unwrap(), mode)
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn writes_config_maps_and_secrets_with_modes() {
        for (volume, expected) in [
            (
                json!({"name": "v", "configMap": {"name": "files"}}),
                vec![("a.txt", 0o644), ("b.sh", 0o644)],
            ),
            (
                json!({"name": "v", "configMap": {"name": "files", "defaultMode": 0o755, "items": [{"key": "b.sh", "path": "run"}, {"key": "a.txt", "path": "a", "mode": 0o400}]}}),
                vec![("a", 0o400), ("run", 0o755)],
            ),
            (
                json!({"name": "v", "secret": {"secretName": "keys", "defaultMode": 0o644}}),
                vec![("a.txt", 0o600), ("b.sh", 0o600)],
            ),
            (
                json!({"name": "v", "configMap": {"name": "none", "optional": true}}),
                vec![],
            ),
            (json!({"name": "v", "emptyDir": {}}), vec![]),
        ] {
            let (_directory, place) = laid_out(&volume);
            let found = listing(&place.unwrap());
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(name, mode)| (name.to_owned(), mode))
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn volume_whose_name_is_a_path_touches_no_file() {
        let scene = TempDir::new().unwrap();
        let precious = scene.path().join("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("thesis"), "").unwrap();
        let volumes = scene.path().join("volumes");
        for name in ["../precious", precious.to_str().unwrap(), "..", "."] {
            let volume = json!({"name": name, "emptyDir": {}});
            let pod = json!({"spec": {"containers": [], "volumes": [volume]}});
            let pod: Pod = serde_json::from_value(pod).unwrap();
            let refused = fill(&pod, &volumes, &sources()).unwrap_err();
            assert!(
                refused.to_string().ends_with("is not a file name"),
                "{refused}"
            );
            assert_eq!(
                directories(&pod, &volumes, &BTreeMap::new()),
                BTreeMap::new()
            );
            assert!(precious.join("thesis").exists(), "{name}");
        }
    }

    #[test]
    fn errors_name_the_reason() {
        for (volume, part) in [
            (
                json!({"name": "v", "configMap": {"name": "none"}}),
                r#"volume "v": configmap "none" not found"#,
            ),
            (
                json!({"name": "v", "secret": {"secretName": "keys", "items": [{"key": "x", "path": "x"}]}}),
                r#"couldn't find key "x" in secret "keys""#,
            ),
            (
                json!({"name": "v", "configMap": {"name": "files", "items": [{"key": "a.txt", "path": "../a"}]}}),
                "is outside the volume",
            ),
            (
                json!({"name": "v", "hostPath": {"path": "/"}}),
                "does not support volumes of type hostPath",
            ),
        ] {
            let (_directory, place) = laid_out(&volume);
            let sentence = place.unwrap_err().to_string();
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
