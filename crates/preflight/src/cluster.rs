//! Facts about the cluster to launch on, and the [`query`] that gathers them.
//!
//! Only names and keys of Secrets are requested, never values.

mod ask;
mod quota;
mod runs;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::{SecretName, Settings};

pub use self::ask::{ClusterQuery, facts, query};
pub use self::quota::Quota;
pub use self::runs::{api_resource, list_runs, parse_run};
pub use flightdeck_core::runs::naming::LEASE;

/// A snapshot of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterFacts {
    /// Context of the user's kubeconfig; `None` for the embedded cluster.
    pub context: Option<String>,
    pub namespace: String,
    pub reached: Reachability,
    /// Settings of its controller, if they can be determined.
    pub settings: Option<Arc<Settings>>,
    /// Disk of the embedded node.
    pub disk: Option<Disk>,
}

impl ClusterFacts {
    /// Name for use in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.context.as_ref().map_or_else(
            || "the embedded cluster".into(),
            |context| format!("context {context}"),
        )
    }

    /// The embedded cluster while its server is stopped; the server will use these settings.
    #[must_use]
    pub fn not_running(directory: &Path, settings: Arc<Settings>) -> Self {
        Self {
            context: None,
            namespace: "default".into(),
            reached: Reachability::NotRunning,
            settings: Some(settings),
            disk: Disk::of(directory),
        }
    }

    /// A cluster that cannot be reached, and why.
    #[must_use]
    pub const fn unreachable(context: Option<String>, namespace: String, why: String) -> Self {
        Self {
            context,
            namespace,
            reached: Reachability::Unreachable(why),
            settings: None,
            disk: None,
        }
    }

    /// State of the cluster, if it responded.
    #[must_use]
    pub const fn state(&self) -> Option<&ClusterState> {
        match &self.reached {
            Reachability::Reachable(state) => Some(state),
            Reachability::NotRunning | Reachability::Unreachable(_) => None,
        }
    }
}

/// Whether the cluster responded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// The embedded cluster, which the first run starts.
    NotRunning,
    Unreachable(String),
    Reachable(Box<ClusterState>),
}

/// State of a reachable cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterState {
    /// How the kinds of runs are served.
    pub served: Vec<(RunKind, Served)>,
    /// Needed permissions that the user lacks.
    pub denied: Vec<Permission>,
    pub controller: Controller,
    pub secrets: Vec<SecretFact>,
    /// `None` if quotas may not be listed.
    pub quotas: Option<Vec<Quota>>,
}

/// How a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// In the version this program speaks.
    Yes,
    /// Only in these versions of its group.
    Other(Vec<String>),
    No,
}

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// `docsruns`, `pods/log`
    pub resource: &'static str,
    /// Kind of run that cannot be launched without it; `None` if it is only needed to observe runs.
    pub launches: Option<RunKind>,
}

/// State of the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Controller {
    /// Part of the embedded cluster's server.
    Embedded,
    /// Renews its Lease.
    Alive { holder: String },
    /// The Lease was released and has no holder.
    Released,
    /// The Lease was not renewed for this long.
    Stale { holder: String, seconds: i64 },
    /// There is no Lease.
    Absent,
    /// The Lease may not be read, or was not.
    #[default]
    Unknown,
}

/// A Secret that a run mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRequirement {
    pub name: String,
    pub key: String,
    /// `the GitHub token of ada`
    pub purpose: String,
    /// Whether the run's pods cannot start without it.
    pub required: bool,
}

/// A Secret that a run mounts, and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFact {
    pub wanted: SecretRequirement,
    pub state: SecretState,
}

/// Whether a Secret and its key exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    Present,
    NoKey,
    Absent,
    /// The Secret exists; its keys cannot be listed without reading values.
    KeyUnknown,
    /// The Secret may not be read.
    NotAllowed,
}

/// Returns the Secrets that a run of this agent and GitHub account mounts on a real cluster.
#[must_use]
pub fn required_secrets(
    settings: &Settings,
    agent: &str,
    github_user: Option<&str>,
) -> Vec<SecretRequirement> {
    let wanted = |secret: &SecretName, user: &str, purpose: String, required| SecretRequirement {
        name: secret.name.replace("{user}", user),
        key: secret.key.clone(),
        purpose,
        required,
    };
    let mut secrets = Vec::new();
    if let Some(user) = github_user {
        let purpose = format!("the GitHub token of {user}");
        secrets.push(wanted(&settings.secrets.github_token, user, purpose, true));
    }
    // Optional: only an agent that inherits the variable uses the key.
    let asks = settings.agents.get(agent).is_some_and(|agent| {
        let names = &agent.inherit_env;
        names.iter().any(|name| name == "ANTHROPIC_API_KEY")
    });
    if asks {
        let purpose = format!("the model key of {agent}");
        secrets.push(wanted(&settings.secrets.anthropic, "", purpose, false));
    }
    secrets
}

/// Free space of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A directory on it.
    pub place: PathBuf,
    /// Bytes available to this user.
    pub free: u64,
}

impl Disk {
    /// Returns the disk of a directory, or of its nearest existing parent.
    #[must_use]
    pub fn of(directory: &Path) -> Option<Self> {
        let place = directory.ancestors().find(|place| place.is_dir())?;
        let room = nix::sys::statvfs::statvfs(place).ok()?;
        Some(Self {
            place: place.to_owned(),
            free: room.blocks_available().saturating_mul(room.fragment_size()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requires_secrets_of_user_and_agent() {
        let settings = Settings::shipped();
        let names = |agent, user| -> Vec<String> {
            required_secrets(&settings, agent, user)
                .iter()
                .map(|secret| format!("{}/{} {}", secret.name, secret.key, secret.required))
                .collect()
        };
        assert_eq!(
            names("claude", Some("ada")),
            [
                "github-pat-ada/token true",
                "anthropic-api-key/api-key false"
            ]
        );
        assert!(names("template", None).is_empty());
    }

    #[test]
    fn finds_disk_of_missing_directory() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::of(&directory.path().join("not/yet")).unwrap();
        assert_eq!(disk.place, directory.path());
        assert!(disk.free > 0);
    }
}
