//! What a cluster lacks before runs can run on it: an ordered list, each with the one command that helps. Pure.
//!
//! Must not know: any repository. Pre-flight asks about one launch; this asks about the place.

use serde::Serialize;

use super::{
    Level,
    cluster::{Answers, ClusterFacts, Controller, LEASE, Reached, SecretState, Served},
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::{
    settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP, Settings},
    templates,
};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, for scripts.
    pub id: &'static str,
    #[serde(rename = "verdict")]
    pub level: Level,
    /// One sentence. May hold remote text.
    pub message: String,
    /// What to type, for whoever runs the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The settings ConfigMap of the controller, as far as one may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsFound {
    Text(String),
    /// There is none, or it has no such key: the shipped settings hold.
    Absent,
    NotAllowed(String),
}

/// Looks at everything, in the order in which it has to be put right. What rests on something that is missing is left out.
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
        Reached::Asleep => {
            list.good("cluster", format!("{name} starts with the first run"));
        }
        Reached::No(why) => {
            let command = list.kubectl("cluster-info");
            list.bad("cluster", format!("{name} does not answer: {why}"), command);
        }
        Reached::Yes(answers) => {
            list.good(
                "cluster",
                format!("{name} answers, namespace {}", cluster.namespace),
            );
            list.kinds(answers);
            list.rights(answers);
            list.controller(&answers.controller);
            // The embedded cluster has the person's own settings and needs no Secrets.
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

    /// A command on this cluster.
    fn kubectl(&self, words: &str) -> String {
        match self.context {
            Some(context) => format!("kubectl --context {context} {words}"),
            None => "flightdeck embedded stop".into(),
        }
    }

    /// The same in this namespace.
    fn kubectl_here(&self, words: &str) -> String {
        self.kubectl(&format!("--namespace {} {words}", self.namespace))
    }

    /// Applies what `flightdeck manifests` prints.
    fn apply(&self, what: &str) -> String {
        match self.context {
            Some(_) => format!(
                "flightdeck manifests {what} | {}",
                self.kubectl("apply --server-side -f -")
            ),
            None => "flightdeck embedded stop".into(),
        }
    }

    fn kinds(&mut self, answers: &Answers) {
        let command = self.apply("crds");
        let mut good = Vec::new();
        for (kind, served) in &answers.served {
            let resource = format!("{kind}runs");
            match served {
                Served::Yes => good.push(resource),
                Served::No => {
                    let message = format!("{resource} is not known there");
                    self.bad("kinds", message, command.clone());
                }
                Served::Other(versions) => {
                    let message = format!(
                        "{resource} is served as {} only; this version speaks v1",
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

    fn rights(&mut self, answers: &Answers) {
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
            let message = format!("you may not {}: less is seen of a run", words(useful));
            self.doubtful("rights", message, Some(command));
        } else {
            self.good("rights", "you may launch runs and follow them".into());
        }
    }

    fn controller(&mut self, found: &Controller) {
        let install = self.apply(&format!("controller --namespace {}", self.namespace));
        let logs = self.kubectl_here("logs deployment/flightdeck-controller");
        let place = format!("namespace {}", self.namespace);
        match found {
            Controller::Itself => {
                self.good("controller", "the embedded server is the controller".into());
            }
            Controller::Alive { holder } => {
                self.good("controller", format!("{holder} is at work"));
            }
            Controller::Released => {
                let message = format!("the last controller of {place} has ended");
                self.bad("controller", message, install);
            }
            Controller::Stale { holder, seconds } => {
                let age = flightdeck_core::text::age((*seconds).max(0));
                let message = format!("the controller {holder} gave no sign of life for {age}");
                self.bad("controller", message, logs);
            }
            Controller::Absent => {
                let message = format!("no controller is at work in {place}: nothing would start");
                self.bad("controller", message, install);
            }
            Controller::Unknown => {
                let message = format!("you may not read the Lease {LEASE} of {place}");
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
            SettingsFound::Absent => (Settings::shipped(), "as shipped".to_owned()),
            SettingsFound::Text(text) => match Settings::for_controller(text) {
                Ok(settings) => (settings, format!("those of the ConfigMap {SETTINGS_MAP}")),
                Err(refused) => {
                    let message = format!(
                        "the controller refuses the ConfigMap {SETTINGS_MAP}, and older settings hold: {SETTINGS_KEY}: {refused}"
                    );
                    return self.bad("settings", message, edit);
                }
            },
        };
        self.good("settings", of);
        if settings.images.runner == Settings::shipped().images.runner {
            let message = format!(
                "images.runner is {:?}, as shipped: set the image that your nodes can pull",
                settings.images.runner
            );
            self.doubtful("images", message, Some(edit.clone()));
        }
        match settings.agents.get(agent) {
            None => {
                let message = format!("the controller's settings know no agent {agent}");
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

    /// What is laid over the options of docs runs' pull requests.
    fn pull_requests(&mut self, options: &PullRequestOptions) {
        if let Err(refused) =
            templates::validate_pull_request_options(RunKind::Docs, options.clone())
        {
            let message = format!(
                "the controller refuses the ConfigMap {PULL_REQUEST_MAP}, and what held before holds on: {refused}"
            );
            let edit = self.kubectl_here(&format!("edit configmap {PULL_REQUEST_MAP}"));
            self.bad("settings", message, edit);
        } else if !options.is_empty() {
            let message =
                format!("docs runs open pull requests by the ConfigMap {PULL_REQUEST_MAP}");
            self.good("settings", message);
        }
    }

    fn secrets(&mut self, answers: &Answers) {
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
                    let message = format!("there is no Secret {name} with {}", wanted.purpose);
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
                    let message = format!("the Secret {name} has no key {key}, {}", wanted.purpose);
                    let edit = self.kubectl_here(&format!("edit secret {name}"));
                    self.bad("secrets", message, edit);
                }
                SecretState::KeyUnknown => {
                    let message = format!(
                        "the Secret {name} is there; whether it has {key} cannot be seen without its values"
                    );
                    self.doubtful("secrets", message, None);
                }
                SecretState::NotAllowed => {
                    let message = format!("you may not see whether the Secret {name} is there");
                    self.doubtful("secrets", message, None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{SecretFound, SecretWanted};
    use flightdeck_core::runs::RunKind;

    fn cluster(answers: Answers) -> ClusterFacts {
        ClusterFacts {
            context: Some("prod".into()),
            namespace: "agents".into(),
            reached: Reached::Yes(Box::new(answers)),
            settings: None,
            disk: None,
        }
    }

    fn served(how: &Served) -> Vec<(RunKind, Served)> {
        RunKind::ALL.map(|kind| (kind, how.clone())).into()
    }

    fn told(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|finding| format!("{} {:?}", finding.id, finding.level))
            .collect()
    }

    #[test]
    fn an_empty_cluster_is_told_what_to_apply_in_order() {
        let found = examine(
            &cluster(Answers {
                served: served(&Served::No),
                controller: Controller::Absent,
                ..Answers::default()
            }),
            &SettingsFound::Absent,
            &PullRequestOptions::new(),
            "claude",
        );
        assert_eq!(
            told(&found),
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
        // Whatever is not well says what to type.
        for finding in &found {
            assert_eq!(finding.level == Level::Pass, finding.command.is_none());
        }
    }

    #[test]
    fn settings_that_the_controller_refuses_are_named_with_line_and_field() {
        let text = "[images]\nrunner = 3\n".to_owned();
        let alive = Answers {
            served: served(&Served::Yes),
            controller: Controller::Alive {
                holder: "pod-1".into(),
            },
            ..Answers::default()
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
    fn a_missing_secret_comes_with_the_command_that_makes_it() {
        let secret = SecretFound {
            wanted: SecretWanted {
                name: "github-pat-ada".into(),
                key: "token".into(),
                purpose: "the GitHub token of ada".into(),
                required: true,
            },
            state: SecretState::Absent,
        };
        let found = examine(
            &cluster(Answers {
                served: served(&Served::Yes),
                secrets: vec![secret],
                ..Answers::default()
            }),
            &SettingsFound::Text("[images]\nrunner = \"registry.example/flightdeck:1\"\n".into()),
            &PullRequestOptions::from([("draft".into(), "yes".into())]),
            "template",
        );
        assert_eq!(
            told(&found)[3..],
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
    fn a_cluster_that_does_not_answer_is_asked_nothing_more() {
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
        assert_eq!(told(&found), ["cluster Fail"]);
    }
}
