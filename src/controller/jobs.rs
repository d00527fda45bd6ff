//! The Job of one attempt of one stage: who gets which volume, which credential and which limits.
//!
//! The contract with what runs inside is the table in [`crate::runs::RunManifest`]'s module. Which container holds what is
//! the whole protection of the Git token: `clone` and `push` have it and never see the workspace; `lay`, `agent` and
//! `collect` see the workspace and never have it.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            Capabilities, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar,
            EnvVarSource, PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec,
            PodTemplateSpec, ResourceRequirements, SeccompProfile, SecretKeySelector,
            SecurityContext, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::objects;
use crate::{
    runs::{Amount, Run, Share, Stage, env, naming},
    settings::{SecretName, Settings},
};

/// Seconds that image, volume, scheduling and the queue of a small cluster may take before a stage's pod starts. Only the
/// Job's own deadline counts them: a pod that never starts has no start time, and its own deadline would never come.
pub const PENDING_ALLOWANCE: i64 = 3600;
/// Seconds that a finished Job is kept, with its pod and log, once its end is in the status.
pub const JOB_TTL: i32 = 24 * 3600;
/// One user and group for every stage: files pass from one to the next.
const USER: i64 = 1000;

const RUN_FILES: &str = "/run-files";
const WORKSPACE: &str = "/workspace";
const HANDOVER: &str = "/handover";
const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// What a container with the Git credential takes from the person's environment on the embedded node.
const GIT_ENVIRONMENT: &str = "SSH_AUTH_SOCK,GITHUB_TOKEN,GH_TOKEN,GIT_ASKPASS,SSH_ASKPASS,XDG_CONFIG_HOME,\
     HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,NO_PROXY,http_proxy,https_proxy,all_proxy,no_proxy";

/// The Job of attempt `attempt` (from 1) of `stage` at context version `version`.
#[must_use]
pub fn job(run: &Run, stage: Stage, version: i32, attempt: i32, settings: &Settings) -> Job {
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
                spec: Some(pod(run, stage, version, deadline, settings)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod(run: &Run, stage: Stage, version: i32, deadline: i64, settings: &Settings) -> PodSpec {
    let (init, main) = match stage {
        Stage::Prep => (
            Some(git(run, &["prep", "clone"], settings)),
            worker(&["prep", "lay"], Some(false), settings),
        ),
        Stage::Agent => (None, agent(run, settings)),
        Stage::Publish => (
            Some(worker(&["publish", "collect"], Some(true), settings)),
            git(run, &["publish", "push"], settings),
        ),
    };
    PodSpec {
        init_containers: init.map(|container| vec![container]),
        containers: vec![main],
        volumes: Some(volumes(run, version)),
        restart_policy: Some("Never".into()),
        active_deadline_seconds: Some(deadline),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

fn volumes(run: &Run, version: i32) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    vec![
        Volume {
            name: "run-files".into(),
            config_map: Some(ConfigMapVolumeSource {
                name: naming::config_map_name(run.name(), run.uid(), version),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "workspace".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: objects::workspace_name(run),
                read_only: None,
            }),
            ..Volume::default()
        },
        empty("handover"),
        empty("tmp"),
    ]
}

/// A container of a stage that needs no credential. `workspace`: `None` not mounted, else whether read-only.
fn worker(command: &[&str], workspace: Option<bool>, settings: &Settings) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount("run-files", RUN_FILES, true),
        mount("handover", HANDOVER, false),
        mount("tmp", "/tmp", false),
    ];
    let mut environment = vec![
        value(env::RUN_FILES, RUN_FILES),
        value(env::HANDOVER, HANDOVER),
        value(env::TERMINATION_MESSAGE, TERMINATION_MESSAGE),
    ];
    if let Some(read_only) = workspace {
        mounts.push(mount("workspace", WORKSPACE, read_only));
        environment.push(value(env::WORKSPACE, WORKSPACE));
    }
    Container {
        name: command.last().copied().unwrap_or_default().to_owned(),
        image: Some(settings.images.runner.clone()),
        command: Some(
            ["flightdeck", "stage"]
                .iter()
                .chain(command)
                .map(ToString::to_string)
                .collect(),
        ),
        env: Some(environment),
        volume_mounts: Some(mounts),
        resources: Some(resources(Share::WORKER)),
        termination_message_path: Some(TERMINATION_MESSAGE.into()),
        // Only what the stage wrote itself: a log's tail is not a report, and may hold anything.
        termination_message_policy: Some("File".into()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A container with the Git credential, and without the workspace.
fn git(run: &Run, command: &[&str], settings: &Settings) -> Container {
    let mut container = worker(command, None, settings);
    if let Some(user) = &run.spec.github_user {
        let token = secret(&settings.secrets.github_token, user);
        let environment = container.env.get_or_insert_default();
        environment.push(from_secret("GITHUB_TOKEN", token, false));
    }
    container
}

/// The agent's container: the model credential, the workspace, and the environment that the run asks for.
fn agent(run: &Run, settings: &Settings) -> Container {
    let mut container = worker(&["agent"], Some(false), settings);
    let agent = settings.agents.get(&run.spec.agent);
    if let Some(agent) = agent.filter(|agent| !agent.image.is_empty()) {
        container.image = Some(agent.image.clone());
    }
    let environment = container.env.get_or_insert_default();
    let home = format!("{WORKSPACE}/runs/{}/home", run.name());
    environment.push(value("HOME", &home));
    let anthropic = secret(&settings.secrets.anthropic, "");
    environment.push(from_secret("ANTHROPIC_API_KEY", anthropic, true));
    if let Some(agent) = agent {
        environment.extend(agent.env.iter().map(|(name, text)| value(name, text)));
    }
    environment.extend(run.spec.env.iter().map(|(name, text)| value(name, text)));
    for wanted in &run.spec.env_from_secrets {
        let key = (wanted.secret_name.clone(), wanted.secret_key.clone());
        environment.push(from_secret(&wanted.name, key, false));
    }
    // A later entry wins, as Kubernetes has it; said once, so that the object reads as it acts.
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for (at, variable) in environment.iter().enumerate() {
        last.insert(variable.name.clone(), at);
    }
    let mut at = 0;
    environment.retain(|variable| {
        at += 1;
        last.get(&variable.name) == Some(&(at - 1))
    });
    container.resources = Some(resources(Share::AGENT));
    container
}

fn inherited(run: &Run, stage: Stage, settings: &Settings) -> String {
    match stage {
        Stage::Prep => format!("clone={GIT_ENVIRONMENT}"),
        Stage::Publish => format!("push={GIT_ENVIRONMENT}"),
        Stage::Agent => {
            let agent = settings.agents.get(&run.spec.agent);
            let names = agent.map(|agent| agent.inherit_env.join(","));
            names
                .filter(|names| !names.is_empty())
                .map_or_else(String::new, |names| format!("agent={names}"))
        }
    }
}

/// Why an environment that a run asks for is refused, naming the variable; `None` when it is fine.
///
/// Names that steer programs or that the contract uses would let a run change what its own stage does; a Secret with a Git
/// credential would hand the agent what the split into stages keeps from it.
#[must_use]
pub fn refused_environment(run: &Run, settings: &Settings) -> Option<String> {
    const WORDS: [&str; 6] = [
        "PATH",
        "HOME",
        env::RUN_FILES,
        env::WORKSPACE,
        env::HANDOVER,
        env::TERMINATION_MESSAGE,
    ];
    const PREFIXES: [&str; 4] = ["LD_", "GIT_", "FLIGHTDECK_", "FD_"];
    let secrets = &run.spec.env_from_secrets;
    let names = run
        .spec
        .env
        .keys()
        .chain(secrets.iter().map(|secret| &secret.name));
    for name in names {
        let reserved = WORDS.contains(&name.as_str())
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if reserved {
            return Some(format!(
                "the variable {name} is reserved; take it out of env"
            ));
        }
    }
    let git = [&settings.secrets.github_token, &settings.secrets.ssh_key];
    let is_git = |name: &str| {
        git.iter()
            .any(|secret| match secret.name.split_once("{user}") {
                Some((before, after)) => name.starts_with(before) && name.ends_with(after),
                None => secret.name == name,
            })
    };
    let git = secrets.iter().find(|secret| is_git(&secret.secret_name))?;
    Some(format!(
        "the Secret {} holds a Git credential, which an agent never gets; take {} out of envFromSecrets",
        git.secret_name, git.name
    ))
}

fn secret(secret: &SecretName, user: &str) -> (String, String) {
    (secret.name.replace("{user}", user), secret.key.clone())
}

fn value(name: &str, text: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: Some(text.into()),
        value_from: None,
    }
}

fn from_secret(name: &str, (secret, key): (String, String), optional: bool) -> EnvVar {
    EnvVar {
        name: name.into(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret,
                key,
                optional: optional.then_some(true),
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// Requests and limits of both: a quota may ask for either.
fn resources(share: Share) -> ResourceRequirements {
    let list = |amount: Amount| {
        [("cpu", amount.cpu), ("memory", amount.memory)]
            .map(|(name, quantity)| (name.to_owned(), Quantity(quantity.to_owned())))
            .into()
    };
    ResourceRequirements {
        requests: Some(list(share.requests)),
        limits: Some(list(share.limits)),
        claims: None,
    }
}

#[cfg(test)]
mod tests;
