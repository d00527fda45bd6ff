//! Checks a cluster's installation and suggests one command per problem. Pure.
//!
//! Independent of any repository: pre-flight checks a launch, doctor checks the cluster.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    Level,
    cluster::{ClusterFacts, ClusterState, Controller, LEASE, Reachability, SecretState, Served},
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::{
    settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP, Settings},
    templates,
};

/// Result of one check of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Stable name for scripts.
    pub id: &'static str,
    #[serde(rename = "verdict")]
    pub level: Level,
    /// One sentence. May contain remote text.
    pub message: String,
    /// Command for the cluster's administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The settings ConfigMap of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFound {
    Text(String),
    /// The ConfigMap or its key is missing, so the defaults apply.
    Absent,
    NotAllowed(String),
}

/// Checks everything, in the order in which problems must be fixed. Skips checks whose prerequisites fail.
#[must_use]
pub fn examine(
    cluster: &ClusterFacts,
    settings: &SettingsFound,
    pull_requests: &PullRequestOptions,
    agent: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut list = List {
        context: cluster.context.as_deref(),
        namespace: &cluster.namespace,
        findings: &mut findings,
    };
    let name = cluster.name();
    match &cluster.reached {
        Reachability::NotRunning => {
            list.good("cluster", format!("{name} starts with the first run"));
        }
        Reachability::Unreachable(why) => {
            let command = list.kubectl("cluster-info");
            list.bad("cluster", format!("{name} is unreachable: {why}"), command);
        }
        Reachability::Reachable(answers) => {
            list.good(
                "cluster",
                format!("{name} is reachable, namespace {}", cluster.namespace),
            );
            list.kinds(answers);
            list.rights(answers);
            list.controller(&answers.controller);
            // The embedded cluster uses the settings of this machine and needs no Secrets.
            if cluster.context.is_some() {
                list.settings(settings, agent);
                list.pull_requests(pull_requests);
                list.secrets(answers);
            }
        }
    }
    findings
}

struct List<'a> {
    context: Option<&'a str>,
    namespace: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl List<'_> {
    fn push(&mut self, id: &'static str, level: Level, message: String, command: Option<String>) {
        self.findings.push(Finding {
            id,
            level,
            message,
            command,
        });
    }

    fn good(&mut self, id: &'static str, message: String) {
        self.push(id, Level::Pass, message, None);
    }

    fn bad(&mut self, id: &'static str, message: String, command: String) {
        self.push(id, Level::Fail, message, Some(command));
    }

    fn doubtful(&mut self, id: &'static str, message: String, command: Option<String>) {
        self.push(id, Level::Warn, message, command);
    }

    /// A kubectl command line for this cluster.
    fn kubectl(&self, words: &str) -> String {
        match self.context {
            Some(context) => format!("kubectl --context {context} {words}"),
            None => "flightdeck embedded stop".into(),
        }
    }

    /// A kubectl command line for this namespace.
    fn kubectl_here(&self, words: &str) -> String {
        self.kubectl(&format!("--namespace {} {words}", self.namespace))
    }

    /// A command line that applies the output of `flightdeck manifests`.
    fn apply(&self, what: &str) -> String {
        match self.context {
            Some(_) => format!(
                "flightdeck manifests {what} | {}",
                self.kubectl("apply --server-side -f -")
            ),
            None => "flightdeck embedded stop".into(),
        }
    }

    fn kinds(&mut self, answers: &ClusterState) {
        let command = self.apply("crds");
        let mut good = Vec::new();
        for (kind, served) in &answers.served {
            let resource = format!("{kind}runs");
            match served {
                Served::Yes => good.push(resource),
                Served::No => {
                    let message = format!("{resource} is not installed");
                    self.bad("kinds", message, command.clone());
                }
                Served::Other(versions) => {
                    let message = format!(
                        "{resource} is served only as {}; this version requires v1",
                        versions.join(", ")
                    );
                    self.bad("kinds", message, command.clone());
                }
            }
        }
        if !good.is_empty() {
            self.good("kinds", format!("{} served", good.join(", ")));
        }
    }

    fn rights(&mut self, answers: &ClusterState) {
        let (needed, useful): (Vec<_>, Vec<_>) = answers
            .denied
            .iter()
            .partition(|permission| permission.launches.is_some());
        let words = |permissions: Vec<&super::cluster::Permission>| {
            let words = permissions
                .iter()
                .map(|permission| format!("{} {}", permission.verb, permission.resource));
            words.collect::<Vec<_>>().join(", ")
        };
        let command = self.apply(&format!("rbac --namespace {}", self.namespace));
        if !needed.is_empty() {
            self.bad("rights", format!("you may not {}", words(needed)), command);
        } else if !useful.is_empty() {
            let message = format!(
                "you may not {}, so runs cannot be observed fully",
                words(useful)
            );
            self.doubtful("rights", message, Some(command));
        } else {
            self.good("rights", "you may launch and observe runs".into());
        }
    }

    fn controller(&mut self, found: &Controller) {
        let install = self.apply(&format!("controller --namespace {}", self.namespace));
        let logs = self.kubectl_here("logs deployment/flightdeck-controller");
        let place = format!("namespace {}", self.namespace);
        match found {
            Controller::Embedded => {
                self.good("controller", "the embedded server is the controller".into());
            }
            Controller::Alive { holder } => {
                self.good("controller", format!("{holder} is running"));
            }
            Controller::Released => {
                let message = format!("the last controller in {place} exited");
                self.bad("controller", message, install);
            }
            Controller::Stale { holder, seconds } => {
                let age = flightdeck_core::text::age((*seconds).max(0));
                let message = format!("no heartbeat from the controller {holder} for {age}");
                self.bad("controller", message, logs);
            }
            Controller::Absent => {
                let message = format!("no controller is running in {place}, so runs stay Pending");
                self.bad("controller", message, install);
            }
            Controller::Unknown => {
                let message = format!("you may not read the Lease {LEASE} in {place}");
                self.doubtful("controller", message, None);
            }
        }
    }

    fn settings(&mut self, found: &SettingsFound, agent: &str) {
        let edit = self.kubectl_here(&format!("edit configmap {SETTINGS_MAP}"));
        let (settings, of) = match found {
            SettingsFound::NotAllowed(why) => {
                let message = format!("the ConfigMap {SETTINGS_MAP} cannot be read: {why}");
                return self.doubtful("settings", message, None);
            }
            SettingsFound::Absent => (Settings::shipped(), "defaults".to_owned()),
            SettingsFound::Text(text) => match Settings::for_controller(text) {
                Ok(settings) => (settings, format!("from the ConfigMap {SETTINGS_MAP}")),
                Err(refused) => {
                    let message = format!(
                        "the controller rejects the ConfigMap {SETTINGS_MAP} and keeps its previous settings: {SETTINGS_KEY}: {refused}"
                    );
                    return self.bad("settings", message, edit);
                }
            },
        };
        self.good("settings", of);
        if settings.images.runner == Settings::shipped().images.runner {
            let message = format!(
                "images.runner is the default {:?}; set an image that your nodes can pull",
                settings.images.runner
            );
            self.doubtful("images", message, Some(edit.clone()));
        }
        match settings.agents.get(agent) {
            None => {
                let message = format!("agent {agent} is not in the controller's settings");
                self.bad("agent", message, edit);
            }
            Some(known) if known.image.is_empty() && known.program != "flightdeck" => {
                let message = format!("agents.{agent}.image is not set");
                self.bad("agent", message, edit);
            }
            Some(known) => {
                let image = if known.image.is_empty() {
                    &settings.images.runner
                } else {
                    &known.image
                };
                self.good("agent", format!("{agent} runs in {image}"));
            }
        }
    }

    /// Checks the pull request options of docs runs.
    fn pull_requests(&mut self, options: &PullRequestOptions) {
        if let Err(refused) =
            templates::validate_pull_request_options(RunKind::Docs, options.clone())
        {
            let message = format!(
                "the controller rejects the ConfigMap {PULL_REQUEST_MAP} and keeps the previous options: {refused}"
            );
            let edit = self.kubectl_here(&format!("edit configmap {PULL_REQUEST_MAP}"));
            self.bad("settings", message, edit);
        } else if !options.is_empty() {
            let message = format!(
                "docs runs use the pull request options of the ConfigMap {PULL_REQUEST_MAP}"
            );
            self.good("settings", message);
        }
    }

    fn secrets(&mut self, answers: &ClusterState) {
        for found in &answers.secrets {
            let wanted = &found.wanted;
            let (name, key) = (&wanted.name, &wanted.key);
            let create = self.kubectl_here(&format!(
                "create secret generic {name} --from-file={key}=FILE"
            ));
            match found.state {
                SecretState::Present => {
                    self.good("secrets", format!("{name} has {}", wanted.purpose));
                }
                SecretState::Absent => {
                    let message = format!("the Secret {name} ({}) does not exist", wanted.purpose);
                    self.push(
                        "secrets",
                        if wanted.required {
                            Level::Fail
                        } else {
                            Level::Warn
                        },
                        message,
                        Some(create),
                    );
                }
                SecretState::NoKey => {
                    let message =
                        format!("the Secret {name} has no key {key} ({})", wanted.purpose);
                    let edit = self.kubectl_here(&format!("edit secret {name}"));
                    self.bad("secrets", message, edit);
                }
                SecretState::KeyUnknown => {
                    let message = format!(
                        "the Secret {name} exists; whether it has the key {key} is unknown"
                    );
                    self.doubtful("secrets", message, None);
                }
                SecretState::NotAllowed => {
                    let message = format!("you may not read the Secret {name}");
                    self.doubtful("secrets", message, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{SecretFact, SecretRequirement};
    use flightdeck_core::runs::RunKind;

    fn cluster(answers: ClusterState) -> ClusterFacts {
        ClusterFacts {
            context: Some("prod".into()),
            namespace: "agents".into(),
            reached: Reachability::Reachable(Box::new(answers)),
            settings: None,
            disk: None,
        }
    }

    fn served(how: &Served) -> Vec<(RunKind, Served)> {
        RunKind::ALL.map(|kind| (kind, how.clone())).into()
    }

    fn summary(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|finding| format!("{} {:?}", finding.id, finding.level))
            .collect()
    }

    #[test]
    fn empty_cluster_needs_manifests_in_order() {
        let found = examine(
            &cluster(ClusterState {
                served: served(&Served::No),
                controller: Controller::Absent,
                ..ClusterState::default()
            }),
            &SettingsFound::Absent,
            &PullRequestOptions::new(),
            "claude",
        );
        assert_eq!(
            summary(&found),
            [
                "cluster Pass",
                "kinds Fail",
                "kinds Fail",
                "rights Pass",
                "controller Fail",
                "settings Pass",
                "images Warn",
                "agent Fail"
            ]
        );
        let commands: Vec<_> = found
            .iter()
            .filter_map(|found| found.command.as_deref())
            .collect();
        assert_eq!(
            commands[0],
            "flightdeck manifests crds | kubectl --context prod apply --server-side -f -"
        );
        assert_eq!(
            commands[2],
            "flightdeck manifests controller --namespace agents | kubectl --context prod apply --server-side -f -"
        );
        // Every problem has a command.
        for finding in &found {
            assert_eq!(finding.level == Level::Pass, finding.command.is_none());
        }
    }

    #[test]
    fn invalid_settings_name_line_and_field() {
        let text = "[images]\nrunner = 3\n".to_owned();
        let alive = ClusterState {
            served: served(&Served::Yes),
            controller: Controller::Alive {
                holder: "pod-1".into(),
            },
            ..ClusterState::default()
        };
        let found = examine(
            &cluster(alive),
            &SettingsFound::Text(text),
            &PullRequestOptions::new(),
            "claude",
        );
        let settings = found.last().unwrap();
        assert_eq!((settings.id, settings.level), ("settings", Level::Fail));
        assert!(
            settings.message.contains("line 2: images.runner: "),
            "{}",
            settings.message
        );
        assert_eq!(
            settings.command.as_deref(),
            Some("kubectl --context prod --namespace agents edit configmap flightdeck-settings")
        );
    }

    #[test]
    fn missing_secret_suggests_create_command() {
        let secret = SecretFact {
            wanted: SecretRequirement {
                name: "github-pat-ada".into(),
                key: "token".into(),
                purpose: "the GitHub token of ada".into(),
                required: true,
            },
            state: SecretState::Absent,
        };
        let found = examine(
            &cluster(ClusterState {
                served: served(&Served::Yes),
                secrets: vec![secret],
                ..ClusterState::default()
            }),
            &SettingsFound::Text("[images]\nrunner = \"registry.example/flightdeck:1\"\n".into()),
            &PullRequestOptions::from([("draft".into(), "yes".into())]),
            "template",
        );
        assert_eq!(
            summary(&found)[3..],
            [
                "controller Warn",
                "settings Pass",
                "agent Pass",
                "settings Fail",
                "secrets Fail"
            ]
        );
        assert_eq!(
            found.last().unwrap().command.as_deref(),
            Some(
                "kubectl --context prod --namespace agents create secret generic github-pat-ada --from-file=token=FILE"
            )
        );
    }

    #[test]
    fn unreachable_cluster_skips_other_checks() {
        let gone = ClusterFacts::unreachable(
            Some("prod".into()),
            "agents".into(),
            "connection refused".into(),
        );
        let found = examine(
            &gone,
            &SettingsFound::Absent,
            &PullRequestOptions::new(),
            "claude",
        );
        assert_eq!(summary(&found), ["cluster Fail"]);
    }
}
