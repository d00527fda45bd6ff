//! The environment of a stage: its manifest and directories.

use std::{
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::error::StageError;
use flightdeck_core::{
    files::read_bounded,
    runs::{MANIFEST_FILE, RunManifest, env, naming},
};

/// The commit the checkout was created from, in the run's folder.
pub(crate) const BASE: &str = "base.json";

/// Maximum size of a JSON file in the handover, the run's files or the run's folder, in bytes.
const JSON_LIMIT: u64 = 4 << 20;

/// The environment of a stage's container.
#[derive(Clone, Debug)]
pub(crate) struct StageEnv {
    pub manifest: RunManifest,
    /// The run's files, read-only.
    pub run_files: PathBuf,
    workspace: Option<PathBuf>,
    handover: Option<PathBuf>,
    /// Reason of the agent's failure, if publish saves what the agent had finished.
    pub agent_failure: Option<String>,
}

impl StageEnv {
    /// Reads the variables of `runs::env` and the manifest they point to.
    pub(super) fn from_environment() -> Result<Self, StageError> {
        let path = |name| {
            std::env::var_os(name)
                .filter(|value: &OsString| !value.is_empty())
                .map(PathBuf::from)
        };
        let run_files = path(env::RUN_FILES).ok_or_else(|| missing(env::RUN_FILES))?;
        let manifest: RunManifest = read_json(&run_files.join(MANIFEST_FILE))?;
        // The uid names the run's folder, which is cleared.
        if !is_uid(&manifest.uid) {
            return Err(StageError::Setup(format!(
                "{:?} is not a valid run uid",
                manifest.uid
            )));
        }
        for directory in [
            manifest.working_directory.as_str(),
            manifest.plan_directory(),
        ] {
            if !stays_inside(directory) {
                return Err(StageError::Setup(format!(
                    "the working directory {directory} is outside the repository"
                )));
            }
        }
        Ok(Self {
            manifest,
            run_files,
            workspace: path(env::WORKSPACE),
            handover: path(env::HANDOVER),
            agent_failure: std::env::var(env::AGENT_FAILURE)
                .ok()
                .filter(|reason| !reason.is_empty()),
        })
    }

    /// The volume that passes data between the pod's containers.
    pub(super) fn handover(&self) -> Result<&Path, StageError> {
        self.handover
            .as_deref()
            .ok_or_else(|| missing(env::HANDOVER))
    }

    /// The workspace volume.
    pub(super) fn workspace(&self) -> Result<&Path, StageError> {
        self.workspace
            .as_deref()
            .ok_or_else(|| missing(env::WORKSPACE))
    }

    /// The run's own folder on the workspace.
    pub(super) fn run_directory(&self) -> Result<PathBuf, StageError> {
        Ok(self.workspace()?.join(self.manifest.run_directory()))
    }

    /// The agent's checkout.
    pub(super) fn checkout(&self) -> Result<PathBuf, StageError> {
        Ok(self.run_directory()?.join("repo"))
    }

    /// Returns the commit the agent's checkout was created from, if recorded. The agent can write the file, so anything but an
    /// object id is ignored.
    pub(super) fn base(&self) -> Option<String> {
        let base: String = read_json(&self.run_directory().ok()?.join(BASE)).ok()?;
        let hex = base.len() >= 40 && base.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then_some(base)
    }

    /// Records the commit the agent's checkout was created from.
    pub(super) fn set_base(&self, commit: &str) -> Result<(), StageError> {
        write_json(&self.run_directory()?.join(BASE), &commit)
    }

    /// The agent's `HOME`, outside its checkout, so that a later attempt can continue its session.
    pub(super) fn home(&self) -> Result<PathBuf, StageError> {
        Ok(self.run_directory()?.join("home"))
    }

    /// Returns the agent's working directory. Fails if a symlink in the repository leads outside the checkout.
    pub(super) fn project(&self) -> Result<PathBuf, StageError> {
        let checkout = self.checkout()?;
        let project = checkout.join(naming::directory_prefix(&self.manifest.working_directory));
        let real = |path: &Path| {
            path.canonicalize()
                .map_err(StageError::file("open", path.to_owned()))
        };
        if real(&project)?.starts_with(real(&checkout)?) {
            Ok(project)
        } else {
            Err(StageError::Setup(format!(
                "the working directory {} is a symlink out of the repository",
                self.manifest.working_directory
            )))
        }
    }
}

fn missing(name: &str) -> StageError {
    StageError::Setup(format!(
        "{name} is not set: stages run only inside a pod of a run"
    ))
}

/// Returns whether `uid` has only characters of a uid, so that it is safe as a folder name.
fn is_uid(uid: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=64).contains(&uid.len()) && uid.bytes().all(plain)
}

/// Returns whether a path is relative and has no `..`.
fn stays_inside(path: &str) -> bool {
    Path::new(path)
        .components()
        .all(|part| matches!(part, Component::CurDir | Component::Normal(_)))
}

/// Reads a small JSON file that another container or the agent may have written.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StageError> {
    let bytes = read_bounded(path, JSON_LIMIT)
        .map_err(io::Error::from)
        .map_err(StageError::file("read", path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| StageError::Setup(format!("{}: {error}", path.display())))
}

/// Writes a small JSON file for another container.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StageError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| StageError::Setup(format!("{}: {error}", path.display())))?;
    fs::write(path, bytes).map_err(StageError::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_uids_that_are_not_folder_names() {
        for (uid, expected) in [
            ("0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f", true),
            ("", false),
            ("..", false),
            ("a/b", false),
        ] {
            assert_eq!(is_uid(uid), expected, "{uid}");
        }
        assert!(!is_uid(&"a".repeat(65)));
    }

    #[test]
    fn rejects_working_directories_outside_the_repository() {
        for (path, inside) in [
            (".", true),
            ("apps/web", true),
            ("./apps", true),
            ("../etc", false),
            ("apps/../../etc", false),
            ("/etc", false),
        ] {
            assert_eq!(stays_inside(path), inside, "{path}");
        }
    }
}
