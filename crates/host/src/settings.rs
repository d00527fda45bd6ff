//! Settings: the documented defaults of `config/console.toml`, overlaid by the person's own file.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use flightdeck_core::{
    remote_url,
    runs::{ForgeTarget, RunKind, health::Thresholds},
};

mod check;
mod paths;
mod pods;
mod policy;
mod publish;
mod shared;

pub use paths::Paths;
pub use pods::{Amount, PodSettings, ProxySettings, Share, Toleration};
pub use policy::NotAllowed;
pub use publish::{PULL_REQUEST_MAP, PullRequestOptions, WORDINGS, check_options};
pub use shared::{Refused, SETTINGS_KEY, SETTINGS_MAP};

/// Agents that are part of the `flightdeck` program and need nothing else installed.
pub const BUILT_IN_AGENTS: [&str; 1] = ["template"];
/// The documented defaults, as shipped.
pub const DEFAULTS: &str = include_str!("../../../config/console.toml");
/// The documented defaults of the table `[health]`, as shipped.
pub const HEALTH: &str = include_str!("../../../config/health.toml");

/// Every setting, resolved.
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
    /// Seconds.
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
    /// Whether its container's own file system is read-only.
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
    /// Hosts, or `*.` and the end of their names.
    pub github_token_hosts: Vec<String>,
    /// The same.
    pub ssh_key_hosts: Vec<String>,
    /// Names of Secrets; a `*` at the end stands for the rest of a name.
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
    /// A claim; empty: none.
    pub repositories: String,
    /// Folders of earlier runs that a code workspace keeps.
    pub keep_runs: u32,
}

/// `[git]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitSettings {
    /// Commits of history that prep clones; 0 is all.
    pub depth: u32,
    /// Lines in the form of ssh's `known_hosts`.
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

/// One place where pull requests are made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeHost {
    /// A host, or the start of a normalised address ([`remote_url::identity`]).
    pub r#match: String,
    pub api_url: String,
    /// `owner/name`, where the address does not end in it.
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
    /// 0: no bound.
    pub used_mib: u64,
    pub idle_seconds: u64,
}

/// `[ledger]`; 0 is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerSettings {
    pub keep_days: u64,
    pub total_mib: u64,
    pub run_mib: u64,
}

/// Why settings could not be read. The message names line and key.
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
    /// The defaults alone.
    ///
    /// # Panics
    /// Never: a test reads the shipped file.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn shipped() -> Self {
        Self::overlaid(&[]).expect("the shipped defaults are read by a test")
    }

    /// The same with the ConfigMap [`PULL_REQUEST_MAP`] laid over the options of docs runs' pull requests.
    #[must_use]
    pub fn with_pull_requests(mut self, laid_over: PullRequestOptions) -> Self {
        self.publish.docs.extend(laid_over);
        self
    }

    /// The defaults with `(file name, text)` layers over them, the last one winning. Tables merge key by key; lists and values are replaced.
    pub fn overlaid(layers: &[(String, String)]) -> Result<Self, SettingsError> {
        let parse = |file: &str, text: &str| {
            text.parse::<toml::Table>()
                .map_err(|error| SettingsError::Parse {
                    file: file.to_owned(),
                    message: shared::in_text(text, &error).to_string(),
                })
        };
        let mut over = toml::Table::new();
        for (file, text) in layers {
            merge(&mut over, parse(file, text)?);
            // Read after each layer, so that an unknown key is blamed on the file that holds it.
            Self::merged(over.clone()).map_err(|error| {
                let (field, message) = shared::blamed(&error);
                let line = shared::line_of(text, &field);
                let refused = Refused {
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

    /// The defaults with one table over them.
    fn merged(over: toml::Table) -> Result<Self, toml::de::Error> {
        let mut merged = defaults()?;
        merge(&mut merged, over);
        Self::deserialize(merged)
    }

    /// The defaults with those of `files` over them that exist.
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
        Self::overlaid(&layers)
    }

    /// Model of a new run.
    #[must_use]
    pub fn model(&self, kind: RunKind) -> &str {
        match kind {
            RunKind::Docs => &self.defaults.docs_model,
            RunKind::Code => &self.defaults.code_model,
        }
    }

    /// Options of the pull requests of a kind.
    #[must_use]
    pub const fn pull_request(&self, kind: RunKind) -> &PullRequestOptions {
        match kind {
            RunKind::Docs => &self.publish.docs,
            RunKind::Code => &self.publish.code,
        }
    }

    /// Where pull requests of the repository at `url` are made; `None` when its remote is no known forge.
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

/// The shipped files as one table.
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
    fn the_shipped_defaults_are_complete() {
        assert_eq!(Settings::shipped().model(RunKind::Docs), "opus");
    }

    #[test]
    fn a_layer_changes_what_it_names_and_nothing_else() {
        let layer = ("mine.toml".to_owned(), "[defaults]\nagent = \"template\"\n[agents.template.env]\nTEMPLATE_AGENT_PACE_MS = \"5\"".to_owned());
        let settings = Settings::overlaid(&[layer]).unwrap();
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
    fn an_unknown_key_is_reported_with_its_file_and_line() {
        let error = Settings::overlaid(&[("mine.toml".into(), "[ui]\nthem = \"x\"".into())])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("mine.toml: line 2: ui.them: unknown field"),
            "{error}"
        );
    }

    #[test]
    fn what_counts_as_unwell_is_set_in_the_same_file_and_misspelt_keys_are_named() {
        let layer = |text: &str| vec![("mine.toml".to_owned(), text.to_owned())];
        let settings = Settings::overlaid(&layer("[health]\nsilent_minutes = 3")).unwrap();
        assert_eq!(settings.health.silent_minutes, 3);
        assert_eq!(settings.health.repeated_calls, 5);
        let error = Settings::overlaid(&layer("[health]\nsilent_minute = 3")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("mine.toml: ") && error.contains("silent_minute"),
            "{error}"
        );
    }

    #[test]
    fn forges_are_found_by_host_or_by_path() {
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
