//! `flightdeck doctor`: what the cluster that is meant lacks, in order, each with the command that helps.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::{DoctorArguments, Format, Session, output, preflight};
use crate::{
    cluster::connect::Target,
    preflight::{
        Level,
        doctor::{Finding, SettingsFound, examine},
    },
    settings::{SETTINGS_KEY, SETTINGS_MAP},
    text,
};

/// Runs the command; 0 when nothing is missing, else 1.
pub(super) async fn doctor(session: &Session, arguments: DoctorArguments) -> anyhow::Result<u8> {
    let agent = arguments
        .agent
        .unwrap_or_else(|| session.settings.defaults.agent.clone());
    let cluster = preflight::cluster(session, &agent, arguments.github_user.as_deref()).await;
    let settings = match (session.target(), cluster.answers()) {
        (Target::Context(_), Some(_)) => settings(session, &cluster.namespace).await,
        _ => SettingsFound::Absent,
    };
    let findings = examine(&cluster, &settings, &agent);
    print(&findings, arguments.output)?;
    let well = findings.iter().all(|finding| finding.level != Level::Fail);
    Ok(u8::from(!well))
}

/// The controller's settings, where one may read them.
async fn settings(session: &Session, namespace: &str) -> SettingsFound {
    let connection = match session.connect().await {
        Ok(connection) => connection,
        Err(error) => return SettingsFound::NotAllowed(error.to_string()),
    };
    let maps: Api<ConfigMap> = Api::namespaced(connection.client, namespace);
    match maps.get_opt(SETTINGS_MAP).await {
        Ok(map) => {
            let data = map.and_then(|map| map.data).unwrap_or_default();
            data.get(SETTINGS_KEY)
                .map_or(SettingsFound::Absent, |text| {
                    SettingsFound::Text(text.clone())
                })
        }
        Err(error) => SettingsFound::NotAllowed(error.to_string()),
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
