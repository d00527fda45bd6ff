//! `doctor`: checks the installation of a cluster.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Render, Verb, VerbError, View};
use flightdeck_host::settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP};
use flightdeck_preflight::{
    ClusterSource, Level, cause, cluster,
    doctor::{Finding, SettingsFound, examine},
};

/// Checks the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Doctor {
    /// Agent to check, by its name in the settings. Default: `defaults.agent`.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// GitHub account whose Secret to check.
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
}

/// Findings, in the order in which problems must be fixed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Findings(Vec<Finding>);

impl Verb for Doctor {
    const NAME: &'static str = "doctor";
    const ABOUT: &'static str = "Check that the cluster can run agents, and suggest fixes";
    type Output = Findings;

    async fn run(self, context: &Context) -> Result<Findings, VerbError> {
        let agent = self
            .agent
            .unwrap_or_else(|| context.settings.defaults.agent.clone());
        let source = context.access().facts_source().await;
        let user = self.github_user.as_deref();
        let Some(facts) = cluster::facts(&source, Some(&agent), user).await else {
            return Ok(Findings(Vec::new()));
        };
        let (settings, options) = match (&source, facts.state()) {
            (ClusterSource::Live(query), Some(_)) if query.context.is_some() => {
                controller_settings(&query.client, &query.namespace).await
            }
            _ => (SettingsFound::Absent, PullRequestOptions::new()),
        };
        Ok(Findings(examine(&facts, &settings, &options, &agent)))
    }
}

/// Returns the controller's settings and its pull request options, if they may be read.
async fn controller_settings(
    client: &kube::Client,
    namespace: &str,
) -> (SettingsFound, PullRequestOptions) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let data = async |name: &str| {
        let map = maps.get_opt(name).await;
        map.map(|map| map.and_then(|map| map.data).unwrap_or_default())
    };
    match (data(SETTINGS_MAP).await, data(PULL_REQUEST_MAP).await) {
        (Ok(mut settings), Ok(options)) => {
            let text = settings.remove(SETTINGS_KEY);
            let settings = text.map_or(SettingsFound::Absent, SettingsFound::Text);
            (settings, options)
        }
        (Err(error), _) | (_, Err(error)) => (
            SettingsFound::NotAllowed(cause(&error)),
            PullRequestOptions::new(),
        ),
    }
}

impl Findings {
    fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.0.iter().filter(|finding| finding.level == Level::Fail)
    }
}

impl Render for Findings {
    fn names(&self) -> Vec<String> {
        self.failures().map(|found| found.id.to_owned()).collect()
    }

    fn view(&self) -> View {
        let lines = self.0.iter().flat_map(|finding| {
            let level = match finding.level {
                Level::Pass => "ok",
                Level::Warn => "warn",
                Level::Fail => "FAIL",
            };
            let line = format!("{level:<5} {:<11} {}", finding.id, finding.message);
            let command = finding.command.iter();
            std::iter::once(line).chain(command.map(|command| format!("      $ {command}")))
        });
        View::Text(lines.collect())
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.failures().next().is_some())
    }
}
