//! Settings: the defaults of `config/console.toml` with the user's settings merged over them.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use flightdeck_core::{
    remote_url,
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
    pub docs: PullRequestOptions,
    pub code: PullRequestOptions,
}

/// `[forge]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeSettings {
    pub hosts: Vec<ForgeHost>,
}

/// A forge: a host where pull requests are created.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeHost {
    /// A host, or the start of a normalised URL ([`remote_url::identity`]).
    pub r#match: String,
    pub api_url: String,
    /// `owner/name`, if the URL does not end in it.
    #[serde(default)]
    pub repository: Option<String>,
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

    /// Returns the forge of the repository at `url`; `None` if no configured forge matches.
    #[must_use]
    pub fn forge_target(&self, url: &str) -> Option<ForgeTarget> {
        let address = remote_url::identity(url);
        let host = self.forge.hosts.iter().find(|host| {
            address
                .strip_prefix(remote_url::identity(&host.r#match).as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })?;
        let full = host.repository.clone().unwrap_or(address);
        let mut parts = full.rsplit('/');
        let (repository, owner) = (parts.next()?, parts.next()?);
        Some(ForgeTarget {
            api_url: host.api_url.clone(),
            owner: owner.to_owned(),
            repository: repository.to_owned(),
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
    fn finds_forge_by_host_or_path() {
        let mut settings = Settings::shipped();
        let target = settings
            .forge_target("git@github.com:acme/shop.git")
            .unwrap();
        assert_eq!(
            (target.owner.as_str(), target.repository.as_str()),
            ("acme", "shop")
        );
        assert_eq!(settings.forge_target("/srv/origin.git"), None);
        assert_eq!(
            settings.forge_target("https://github.com.evil.example/acme/shop"),
            None
        );
        settings.forge.hosts.push(ForgeHost {
            r#match: "/srv/origin.git".into(),
            api_url: "http://127.0.0.1:1".into(),
            repository: Some("acme/shop".into()),
        });
        assert_eq!(
            settings.forge_target("/srv/origin.git").unwrap().owner,
            "acme"
        );
    }
}
