//! `flightdeck doctor`: what the cluster that is meant lacks, in order, each with the command that helps.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::{DoctorArguments, Format, Session, output, preflight};
use crate::connect::Target;
use flightdeck_core::text;
use flightdeck_host::settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP};
use flightdeck_preflight::{
    Level,
    doctor::{Finding, SettingsFound, examine},
};

/// Runs the command; 0 when nothing is missing, else 1.
pub(super) async fn doctor(session: &Session, arguments: DoctorArguments) -> anyhow::Result<u8> {
    let agent = arguments
        .agent
        .unwrap_or_else(|| session.settings.defaults.agent.clone());
    let cluster = preflight::cluster(session, &agent, arguments.github_user.as_deref()).await;
    let (settings, pull_requests) = match (session.target(), cluster.answers()) {
        (Target::Context(_), Some(_)) => settings(session, &cluster.namespace).await,
        _ => (SettingsFound::Absent, PullRequestOptions::new()),
    };
    let findings = examine(&cluster, &settings, &pull_requests, &agent);
    print(&findings, arguments.output)?;
    let well = findings.iter().all(|finding| finding.level != Level::Fail);
    Ok(u8::from(!well))
}

/// The controller's settings and what is laid over them, where one may read them.
async fn settings(session: &Session, namespace: &str) -> (SettingsFound, PullRequestOptions) {
    let none = PullRequestOptions::new();
    let connection = match session.connect().await {
        Ok(connection) => connection,
        Err(error) => return (SettingsFound::NotAllowed(error.to_string()), none),
    };
    let maps: Api<ConfigMap> = Api::namespaced(connection.client, namespace);
    let data = async |name: &str| {
        let map = maps.get_opt(name).await;
        map.map(|map| map.and_then(|map| map.data).unwrap_or_default())
    };
    match (data(SETTINGS_MAP).await, data(PULL_REQUEST_MAP).await) {
        (Ok(mut settings), Ok(options)) => {
            let text = settings.remove(SETTINGS_KEY);
            (
                text.map_or(SettingsFound::Absent, SettingsFound::Text),
                options,
            )
        }
        (Err(error), _) | (_, Err(error)) => (SettingsFound::NotAllowed(error.to_string()), none),
    }
}

fn print(findings: &[Finding], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Name => {
            let bad = findings.iter().filter(|found| found.level == Level::Fail);
            for finding in bad {
                output::line(finding.id)?;
            }
        }
        Format::Table => {
            for finding in findings {
                let word = match finding.level {
                    Level::Pass => "ok",
                    Level::Warn => "warn",
                    Level::Fail => "FAIL",
                };
                let message = text::sanitize(&finding.message);
                output::line(&format!("{word:<5} {:<11} {message}", finding.id))?;
                if let Some(command) = &finding.command {
                    output::line(&format!("      $ {}", text::sanitize(command)))?;
                }
            }
        }
        format => output::value(format, &findings)?,
    }
    Ok(())
}
