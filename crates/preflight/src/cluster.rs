//! What is known of the cluster a run would be created on: values only. [`ask`] goes and finds out.
//!
//! Of Secrets only names and keys are ever asked for, never a value.

mod ask;
mod quota;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::{SecretName, Settings};

pub use self::ask::{ClusterRequest, ask};
pub use self::quota::Quota;
pub use flightdeck_core::runs::naming::LEASE;

/// A cluster, as it was at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterFacts {
    /// The context of the person's kubeconfig; `None` for the embedded cluster.
    pub context: Option<String>,
    pub namespace: String,
    pub reached: Reached,
    /// The settings of its controller; `None` where they cannot be known.
    pub settings: Option<Arc<Settings>>,
    /// Room on the disk that the embedded node works on.
    pub disk: Option<Disk>,
}

impl ClusterFacts {
    /// For sentences.
    #[must_use]
    pub fn name(&self) -> String {
        self.context.as_ref().map_or_else(
            || "the embedded cluster".into(),
            |context| format!("context {context}"),
        )
    }

    /// The embedded cluster while its server does not run; it will have these settings.
    #[must_use]
    pub fn asleep(directory: &Path, settings: Arc<Settings>) -> Self {
        Self {
            context: None,
            namespace: "default".into(),
            reached: Reached::Asleep,
            settings: Some(settings),
            disk: Disk::of(directory),
        }
    }

    /// A cluster that gives no answer, and why.
    #[must_use]
    pub const fn unreachable(context: Option<String>, namespace: String, why: String) -> Self {
        Self {
            context,
            namespace,
            reached: Reached::No(why),
            settings: None,
            disk: None,
        }
    }

    /// What it said.
    #[must_use]
    pub const fn answers(&self) -> Option<&Answers> {
        match &self.reached {
            Reached::Yes(answers) => Some(answers),
            Reached::Asleep | Reached::No(_) => None,
        }
    }
}

/// Whether it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The embedded one, which the first run starts.
    Asleep,
    No(String),
    Yes(Box<Answers>),
}

/// What a cluster said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How it serves the kinds of runs.
    pub served: Vec<(RunKind, Served)>,
    /// What the person may not do there, of what is needed.
    pub denied: Vec<Permission>,
    pub controller: Controller,
    pub secrets: Vec<SecretFound>,
    /// `None` when one may not look at quotas.
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

/// Something to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// `docsruns`, `pods/log`
    pub resource: &'static str,
    /// The kind of run that cannot be launched without it; `None` when only less is seen of a run.
    pub launches: Option<RunKind>,
}

/// What looks after runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Controller {
    /// The server of the embedded cluster itself.
    Itself,
    /// It renews its Lease.
    Alive { holder: String },
    /// It has given its Lease back, and nobody has taken it.
    Released,
    /// It did not renew its Lease for this long, nor while one waited.
    Stale { holder: String, seconds: i64 },
    /// There is no Lease.
    Absent,
    /// Nobody may say, or nobody was asked.
    #[default]
    Unknown,
}

/// A Secret that a run mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretWanted {
    pub name: String,
    pub key: String,
    /// `the GitHub token of ada`
    pub purpose: String,
    /// Whether the run's pods cannot start without it.
    pub required: bool,
}

/// The same, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFound {
    pub wanted: SecretWanted,
    pub state: SecretState,
}

/// Whether a Secret is there with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    Present,
    NoKey,
    Absent,
    /// It exists; which keys it has cannot be learnt without reading values.
    KeyUnknown,
    /// One may not look.
    NotAllowed,
}

/// The Secrets that a run of this agent and person mounts on a real cluster.
#[must_use]
pub fn secrets_wanted(
    settings: &Settings,
    agent: &str,
    github_user: Option<&str>,
) -> Vec<SecretWanted> {
    let wanted = |secret: &SecretName, user: &str, purpose: String, required| SecretWanted {
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
    // The pods start without it; only the agent that asks for it has a use for it.
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

/// Room on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A folder on it.
    pub place: PathBuf,
    /// Bytes that may still be written by this user.
    pub free: u64,
}

impl Disk {
    /// The disk of a directory, or of the nearest one above it that exists.
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
    fn a_run_wants_the_secrets_of_its_person_and_agent() {
        let settings = Settings::shipped();
        let names = |agent, user| -> Vec<String> {
            secrets_wanted(&settings, agent, user)
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
    fn the_disk_of_a_folder_that_is_yet_to_be_made_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::of(&directory.path().join("not/yet")).unwrap();
        assert_eq!(disk.place, directory.path());
        assert!(disk.free > 0);
    }
}
