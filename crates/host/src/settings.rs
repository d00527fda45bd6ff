//! Settings: the defaults of `config/console.toml` with the user's settings merged over them.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Deserializer, de::Error};

use crate::forge;
use flightdeck_core::{
    remote_url::{self, RemoteUrl},
    runs::{ForgeTarget, RunKind, health::Thresholds},
};

mod controller;
mod paths;
mod pods;
mod policy;
mod pull_request;
mod validate;

pub use controller::{InvalidSetting, SETTINGS_KEY, SETTINGS_MAP};
pub use paths::Paths;
pub use pods::{ContainerResources, PodSettings, ProxySettings, ResourceList, Toleration};
pub use policy::NotAllowed;
pub use pull_request::{PULL_REQUEST_MAP, PullRequestOptions};
pub(crate) use pull_request::{TEMPLATE_OPTIONS, check_options};

/// Agents built into the `flightdeck` program; they need nothing else installed.
pub const BUILT_IN_AGENTS: [&str; 1] = ["template"];
/// The default settings.
const DEFAULTS: &str = include_str!("../../../config/console.toml");
/// The default settings of the `[health]` table.
const HEALTH: &str = include_str!("../../../config/health.toml");

/// All settings, resolved.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub defaults: Defaults,
    pub ui: Ui,
    pub images: Images,
    pub agents: BTreeMap<String, AgentSettings>,
    pub secrets: Secrets,
    pub allow: AllowSettings,
    pub workspace: WorkspaceSettings,
    pub pods: PodSettings,
    pub git: GitSettings,
    pub publish: Publish,
    pub forge: ForgeSettings,
    pub embedded: EmbeddedSettings,
    pub ledger: LedgerSettings,
    pub health: Thresholds,
}

/// `[defaults]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    pub agent: String,
    pub docs_model: String,
    pub code_model: String,
    /// Empty for none.
    pub github_user: String,
    /// Spending limit in US dollars, as a decimal number; empty for none.
    pub budget_usd: String,
    /// Automatic retries of the agent stage.
    pub retries: i32,
    /// 0 for the default of the run's kind.
    pub deadline_seconds: i64,
}

impl Defaults {
    /// Returns the GitHub account, if set.
    #[must_use]
    pub fn github_user(&self) -> Option<&str> {
        Some(self.github_user.as_str()).filter(|user| !user.is_empty())
    }

    /// Returns the spending limit, if set.
    #[must_use]
    pub fn budget(&self) -> Option<&str> {
        Some(self.budget_usd.as_str()).filter(|budget| !budget.is_empty())
    }
}

/// `[ui]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ui {
    pub theme: String,
    pub glyphs: String,
    pub mouse: bool,
    /// `auto`, `osc9`, `osc777`, `bell` or `off`.
    pub notify: String,
    /// In seconds.
    pub remote_interval: u64,
}

/// `[images]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    pub runner: String,
}

/// `[agents.<name>]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    #[serde(default)]
    pub image: String,
    pub program: String,
    /// Whether the container's root file system is read-only.
    #[serde(default = "yes")]
    pub read_only_root: bool,
    #[serde(default)]
    pub inherit_env: Vec<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

/// `[secrets]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub github_token: SecretName,
    pub ssh_key: SecretName,
    pub anthropic: SecretName,
}

/// Name (a pattern with `{user}`) and key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    pub name: String,
    pub key: String,
}

/// `[allow]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowSettings {
    /// Hosts; `*.example.com` matches subdomains.
    pub github_token_hosts: Vec<String>,
    /// Like `github_token_hosts`.
    pub ssh_key_hosts: Vec<String>,
    /// Names of Secrets; a trailing `*` matches any suffix.
    pub env_secrets: Vec<String>,
    /// `owner/name`, or `owner/*`.
    pub submodules: Vec<String>,
}

/// `[workspace]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceSettings {
    pub size: String,
    pub storage_class: String,
    /// Name of a PersistentVolumeClaim; empty for none.
    pub repositories: String,
    /// Number of earlier runs whose directories a code workspace keeps.
    pub keep_runs: u32,
}

/// `[git]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitSettings {
    /// Commits that prep clones; 0 for the full history.
    pub depth: u32,
    /// Lines in the format of ssh's `known_hosts`.
    pub known_hosts: String,
}

/// `[publish]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    pub incomplete: bool,
    pub other_changes: OtherChanges,
    pub docs: PullRequestOptions,
    pub code: PullRequestOptions,
}

/// What happens to changes of a docs run beside its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherChanges {
    /// Publish the documents alone, and list the other changes.
    LeaveOut,
    /// Publish nothing.
    Refuse,
}

/// `[forge]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeSettings {
    /// Kind of the hosts that do not have one: a [`forge::ForgeKind`], [`forge::AUTO`] or [`forge::NONE`].
    #[serde(deserialize_with = "forge_kind")]
    pub kind: String,
    pub hosts: Vec<ForgeHost>,
}

/// A Git host: the token may be used for it, and pull requests are created there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeHost {
    /// A host, or the start of a normalised URL ([`remote_url::identity`]).
    pub r#match: String,
    pub api_url: String,
    /// Its kind, if it differs from that of the table.
    #[serde(default, deserialize_with = "some_forge_kind")]
    pub kind: Option<String>,
    /// Path of the project, if it differs from that of the URL.
    #[serde(default)]
    pub repository: Option<String>,
}

fn forge_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if forge::is_known(&name) {
        return Ok(name);
    }
    let known = forge::KINDS.iter().map(|kind| kind.name);
    let known: Vec<&str> = [forge::AUTO, forge::NONE]
        .into_iter()
        .chain(known)
        .collect();
    Err(D::Error::custom(format!(
        "unknown kind of Git host `{name}`: use one of {}",
        known.join(", ")
    )))
}

fn some_forge_kind<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    forge_kind(deserializer).map(Some)
}

/// `[embedded]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedSettings {
    pub max_containers: usize,
    pub log_file_mib: u64,
    pub log_files: u32,
    pub free_mib: u64,
    /// 0 for no limit.
    pub used_mib: u64,
    pub idle_seconds: u64,
}

/// `[ledger]`; 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSettings {
    pub keep_days: u64,
    pub total_mib: u64,
    pub run_mib: u64,
}

/// Why settings could not be read. The message has line and key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{file}: {source}")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("{file}: {message}")]
    Parse { file: String, message: String },
}

impl Settings {
    /// Returns the default settings.
    ///
    /// # Panics
    /// Never: a test parses the shipped file.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn shipped() -> Self {
        Self::from_layers(&[]).expect("a test parses the shipped defaults")
    }

    /// Merges the ConfigMap [`PULL_REQUEST_MAP`] over the pull request options of docs runs.
    #[must_use]
    pub fn with_pull_request_options(mut self, overrides: PullRequestOptions) -> Self {
        self.publish.docs.extend(overrides);
        self
    }

    /// Merges `(file name, text)` layers over the defaults; later layers win. Tables are merged by key; lists and
    /// values are replaced.
    pub fn from_layers(layers: &[(String, String)]) -> Result<Self, SettingsError> {
        let parse = |file: &str, text: &str| {
            text.parse::<toml::Table>()
                .map_err(|error| SettingsError::Parse {
                    file: file.to_owned(),
                    message: controller::syntax_error(text, &error).to_string(),
                })
        };
        let mut over = toml::Table::new();
        for (file, text) in layers {
            merge(&mut over, parse(file, text)?);
            // Parse after each layer, to report an unknown key with its file.
            Self::merged(over.clone()).map_err(|error| {
                let (field, message) = controller::field_and_message(&error);
                let line = controller::line_of(text, &field);
                let refused = InvalidSetting {
                    line,
                    field,
                    message,
                };
                SettingsError::Parse {
                    file: file.clone(),
                    message: refused.to_string(),
                }
            })?;
        }
        Self::merged(over).map_err(|error| SettingsError::Parse {
            file: "config/console.toml".into(),
            message: error.message().to_owned(),
        })
    }

    /// Merges a table over the defaults.
    fn merged(over: toml::Table) -> Result<Self, toml::de::Error> {
        let mut merged = defaults()?;
        merge(&mut merged, over);
        Self::deserialize(merged)
    }

    /// Merges those of `files` that exist over the defaults.
    pub fn load<P: AsRef<Path>>(files: &[P]) -> Result<Self, SettingsError> {
        let mut layers = Vec::new();
        for file in files {
            let name = file.as_ref().display().to_string();
            match std::fs::read_to_string(file) {
                Ok(text) => layers.push((name, text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(SettingsError::Read { file: name, source }),
            }
        }
        Self::from_layers(&layers)
    }

    /// Returns the default model for a kind of run.
    #[must_use]
    pub fn model(&self, kind: RunKind) -> &str {
        match kind {
            RunKind::Docs => &self.defaults.docs_model,
            RunKind::Code => &self.defaults.code_model,
        }
    }

    /// Returns the pull request options for a kind of run.
    #[must_use]
    pub const fn pull_request(&self, kind: RunKind) -> &PullRequestOptions {
        match kind {
            RunKind::Docs => &self.publish.docs,
            RunKind::Code => &self.publish.code,
        }
    }

    /// Returns the project of the repository at `url` on its Git host; `None` if the settings do not list the host.
    #[must_use]
    pub fn forge_target(&self, url: &str) -> Option<ForgeTarget> {
        let remote = RemoteUrl::parse(url.trim()).ok()?;
        let address = remote.identity();
        let host = self.forge.hosts.iter().find(|host| {
            address
                .strip_prefix(remote_url::identity(&host.r#match).as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        let kind = match host.kind.as_ref().unwrap_or(&self.forge.kind).as_str() {
            forge::AUTO => forge::recognize(&host.api_url),
            kind => kind,
        };
        Some(ForgeTarget {
            kind: kind.to_owned(),
            api_url: host.api_url.clone(),
            project: host
                .repository
                .clone()
                .unwrap_or_else(|| remote.path().to_owned()),
        })
    }
}

/// Parses the shipped files into one table.
fn defaults() -> Result<toml::Table, toml::de::Error> {
    let mut all: toml::Table = DEFAULTS.parse()?;
    let health: toml::Table = HEALTH.parse()?;
    all.insert("health".into(), health.into());
    Ok(all)
}

fn merge(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_complete() {
        assert_eq!(Settings::shipped().model(RunKind::Docs), "opus");
    }

    #[test]
    fn layer_changes_only_what_it_sets() {
        let layer = ("mine.toml".to_owned(), "[defaults]\nagent = \"template\"\n[agents.template.env]\nTEMPLATE_AGENT_PACE_MS = \"5\"".to_owned());
        let settings = Settings::from_layers(&[layer]).unwrap();
        assert_eq!(settings.defaults.agent, "template");
        assert_eq!(
            settings.agents["template"].env["TEMPLATE_AGENT_PACE_MS"],
            "5"
        );
        assert_eq!(
            settings.agents["claude"],
            Settings::shipped().agents["claude"]
        );
    }

    #[test]
    fn unknown_key_is_reported_with_file_and_line() {
        let error = Settings::from_layers(&[("mine.toml".into(), "[ui]\nthem = \"x\"".into())])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("mine.toml: line 2: ui.them: unknown field"),
            "{error}"
        );
    }

    #[test]
    fn health_thresholds_are_part_of_the_settings() {
        let layer = |text: &str| vec![("mine.toml".to_owned(), text.to_owned())];
        let settings = Settings::from_layers(&layer("[health]\nsilent_minutes = 3")).unwrap();
        assert_eq!(settings.health.silent_minutes, 3);
        assert_eq!(settings.health.repeated_calls, 5);
        let error = Settings::from_layers(&layer("[health]\nsilent_minute = 3")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("mine.toml: ") && error.contains("silent_minute"),
            "{error}"
        );
    }

    #[test]
    fn finds_project_of_a_listed_host() {
        let mut settings = Settings::shipped();
        let project = |settings: &Settings, url: &str| {
            let target = settings.forge_target(url)?;
            Some(format!("{} {}", target.kind, target.project))
        };
        let found = |url: &str| project(&settings, url);
        assert_eq!(
            found("git@github.com:acme/shop.git").as_deref(),
            Some("github acme/shop")
        );
        // Groups are kept; the forge decides whether it has them.
        assert_eq!(
            found("https://github.com/group/sub/project.git").as_deref(),
            Some("github group/sub/project")
        );
        for url in [
            "/srv/origin.git",
            "https://github.com.evil.example/acme/shop",
            "https://evil.example\\@github.com/acme/shop",
        ] {
            assert_eq!(found(url), None, "{url}");
        }
        settings.forge.hosts.push(ForgeHost {
            r#match: "/srv/origin.git".into(),
            api_url: "http://127.0.0.1:1".into(),
            kind: Some("stand-in".into()),
            repository: Some("acme/shop".into()),
        });
        assert_eq!(
            project(&settings, "/srv/origin.git").as_deref(),
            Some("stand-in acme/shop")
        );
    }

    #[test]
    fn kind_of_a_host_is_its_own_or_that_of_the_table() {
        let kinds = |text: &str| {
            let settings = Settings::from_layers(&[("mine.toml".into(), text.into())])?;
            let kind = |url: &str| settings.forge_target(url).unwrap().kind;
            Ok::<_, SettingsError>([kind("https://a.example/x/y"), kind("https://b.example/x/y")])
        };
        let hosts = "hosts = [{ match = \"a.example\", api_url = \"https://a.example/api/v3\" }, { match = \"b.example\", api_url = \"https://b.example\", kind = \"none\" }]";
        assert_eq!(
            kinds(&format!("[forge]\n{hosts}")).unwrap(),
            ["github", "none"]
        );
        assert_eq!(
            kinds(&format!("[forge]\nkind = \"none\"\n{hosts}")).unwrap(),
            ["none", "none"]
        );
        let error = kinds("[forge]\nkind = \"gitlub\"").unwrap_err().to_string();
        assert!(
            error.contains("unknown kind of Git host `gitlub`: use one of auto, none, github"),
            "{error}"
        );
    }
}
