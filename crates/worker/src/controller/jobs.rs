//! The Job of an attempt: its name, labels, deadlines and pod.

mod container;
mod pod;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::objects;
use flightdeck_core::runs::{Run, Stage, naming};
use flightdeck_host::{forge, settings::Settings};

/// Seconds for image pulls, volumes, scheduling and admission before a stage's pod starts. Only the Job's deadline includes
/// them: a pod that never starts has no start time, so its own deadline never expires.
pub(crate) const PENDING_ALLOWANCE: i64 = 3600;
/// Seconds that a finished Job, with its pod and log, is kept once its result is in the status.
pub(crate) const JOB_TTL: i32 = 24 * 3600;

/// Variables that containers with the Git credential inherit from the user's environment on the embedded node, besides
/// those with tokens.
const GIT_ENVIRONMENT: &str = "SSH_AUTH_SOCK,GIT_ASKPASS,SSH_ASKPASS,XDG_CONFIG_HOME";
/// Proxy variables, inherited by every container with network access.
const PROXIES: &str =
    "HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,NO_PROXY,http_proxy,https_proxy,all_proxy,no_proxy";

/// Which Job of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub stage: Stage,
    pub version: i32,
    /// Counts from 1.
    pub attempt: i32,
    /// Reason of the agent's failure, if publish saves what the agent had finished.
    pub agent_failure: Option<&'a str>,
}

/// Returns the Job of an attempt.
#[must_use]
pub(crate) fn job(run: &Run, place: Place<'_>, settings: &Settings) -> Job {
    let Place {
        stage,
        version,
        attempt,
        ..
    } = place;
    let name = naming::job_name(run.name(), run.uid(), stage, version, attempt);
    let mut metadata = objects::owned(run, name);
    let labels = metadata.labels.get_or_insert_default();
    labels.extend([
        (naming::LABEL_STAGE.to_owned(), stage.to_string()),
        (naming::LABEL_VERSION.to_owned(), version.to_string()),
        (naming::LABEL_ATTEMPT.to_owned(), attempt.to_string()),
    ]);
    let template = ObjectMeta {
        labels: metadata.labels.clone(),
        annotations: Some(
            [(
                naming::ANNOTATION_INHERIT_ENV.to_owned(),
                inherited(run, stage, settings),
            )]
            .into(),
        )
        .filter(|annotations: &BTreeMap<_, _>| annotations.values().any(|names| !names.is_empty())),
        ..ObjectMeta::default()
    };
    let deadline = run
        .spec
        .deadline_seconds
        .unwrap_or(run.kind.deadline_seconds());
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            active_deadline_seconds: Some(deadline.saturating_add(PENDING_ALLOWANCE)),
            template: PodTemplateSpec {
                metadata: Some(template),
                spec: Some(pod::pod(run, place, deadline, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn inherited(run: &Run, stage: Stage, settings: &Settings) -> String {
    let tokens = forge::token_variables().join(",");
    match stage {
        Stage::Prep => format!("clone={GIT_ENVIRONMENT},{tokens},{PROXIES}"),
        Stage::Publish => format!("push={GIT_ENVIRONMENT},{tokens},{PROXIES}"),
        Stage::Agent => {
            let agent = settings.agents.get(&run.spec.agent);
            let names = agent.map(|agent| agent.inherit_env.join(","));
            names
                .filter(|names| !names.is_empty())
                .map_or_else(String::new, |names| format!("agent={names},{PROXIES}"))
        }
    }
}

#[cfg(test)]
mod tests;
