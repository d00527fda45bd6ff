//! The containers of the stages: their volumes, credentials and limits.
//!
//! The module of [`flightdeck_core::runs::RunManifest`] documents their environment. The Git token is protected by the split
//! into containers: `clone` and `push` have it but never mount the workspace; `setup`, `agent` and `collect` mount the
//! workspace but never have the token.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EnvVar, EnvVarSource, ResourceRequirements, SecretKeySelector,
        SecurityContext, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};

use super::pod::volume;
use flightdeck_core::{
    remote_url::Transport,
    runs::{Run, env, naming},
};
use flightdeck_host::{
    forge,
    settings::{ContainerResources, ProxySettings, ResourceList, SecretName, Settings},
    templates::PASSWD,
};

const RUN_FILES: &str = "/run-files";
const WORKSPACE: &str = "/workspace";
const HANDOVER: &str = "/handover";
const SSH: &str = "/ssh";
const REPOSITORIES: &str = "/repositories";
const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// Returns a container without a credential. `workspace`: `None` if not mounted, else whether read-only.
pub(super) fn worker(command: &[&str], workspace: Option<bool>, settings: &Settings) -> Container {
    let mut container = plain(command, settings);
    add_volume(
        &mut container,
        volume::HANDOVER,
        HANDOVER,
        env::HANDOVER,
        false,
    );
    if let Some(read_only) = workspace {
        add_volume(
            &mut container,
            volume::WORKSPACE,
            WORKSPACE,
            env::WORKSPACE,
            read_only,
        );
    }
    container
}

/// Returns the base of every container.
fn plain(command: &[&str], settings: &Settings) -> Container {
    let mut container = Container {
        name: command.last().copied().unwrap_or_default().to_owned(),
        image: Some(settings.images.runner.clone()),
        command: Some(
            ["flightdeck", "stage"]
                .iter()
                .chain(command)
                .map(ToString::to_string)
                .collect(),
        ),
        env: Some(vec![value(env::TERMINATION_MESSAGE, TERMINATION_MESSAGE)]),
        volume_mounts: Some(vec![mount(volume::TEMPORARY, "/tmp", false)]),
        resources: Some(resources(&settings.pods.worker)),
        termination_message_path: Some(TERMINATION_MESSAGE.into()),
        // Not the log's tail, which is not a report and may contain anything.
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
    };
    add_volume(
        &mut container,
        volume::RUN_FILES,
        RUN_FILES,
        env::RUN_FILES,
        true,
    );
    container
}

/// Returns a container with the Git credential and without the workspace.
pub(super) fn git(run: &Run, command: &[&str], settings: &Settings) -> Container {
    let mut container = worker(command, None, settings);
    let environment = container.env.get_or_insert_default();
    environment.extend(proxied(&settings.pods.proxy));
    if let Some(user) = &run.spec.github_user {
        let token = secret(&settings.secrets.github_token, user);
        // Over SSH, only the pull request needs the token.
        let optional = Transport::of(&run.spec.repository_url) == Some(Transport::Ssh);
        let target = settings.forge_target(&run.spec.repository_url);
        let variable = forge::token_variable(target.as_ref());
        let environment = container.env.get_or_insert_default();
        environment.push(from_secret(variable, token, optional));
    }
    if !settings.workspace.repositories.is_empty() {
        let mounts = container.volume_mounts.get_or_insert_default();
        mounts.push(mount(volume::REPOSITORIES, REPOSITORIES, false));
    }
    if run.ssh_user().is_some() {
        add_volume(&mut container, volume::SSH, SSH, env::SSH_FILES, true);
        if settings.pods.user != 0 {
            // ssh requires a passwd entry for its user, and the image has only its own.
            let mounts = container.volume_mounts.get_or_insert_default();
            mounts.push(VolumeMount {
                sub_path: Some(PASSWD.into()),
                ..mount(volume::RUN_FILES, "/etc/passwd", true)
            });
        }
    }
    container
}

/// Returns the container that pushes. It saves unfinished work if the agent failed for the reason `agent_failure`.
pub(super) fn publish(run: &Run, agent_failure: Option<&str>, settings: &Settings) -> Container {
    let mut container = git(run, &["publish", "push"], settings);
    if let Some(reason) = agent_failure {
        let environment = container.env.get_or_insert_default();
        environment.push(value(env::AGENT_FAILURE, reason));
    }
    container
}

/// Returns the agent's container: with the model credential, the workspace and the run's environment.
pub(super) fn agent(run: &Run, settings: &Settings) -> Container {
    let mut container = plain(&["agent"], settings);
    add_volume(
        &mut container,
        volume::WORKSPACE,
        WORKSPACE,
        env::WORKSPACE,
        false,
    );
    let agent = settings.agents.get(&run.spec.agent);
    if let Some(agent) = agent.filter(|agent| !agent.image.is_empty()) {
        container.image = Some(agent.image.clone());
    }
    if let Some(security) = &mut container.security_context {
        security.read_only_root_filesystem = Some(agent.is_none_or(|agent| agent.read_only_root));
    }
    let environment = container.env.get_or_insert_default();
    let home = format!("{WORKSPACE}/{}/home", naming::run_directory(run.uid()));
    environment.push(value("HOME", &home));
    environment.extend(proxied(&settings.pods.proxy));
    let anthropic = secret(&settings.secrets.anthropic, "");
    environment.push(from_secret("ANTHROPIC_API_KEY", anthropic, true));
    if let Some(agent) = agent {
        environment.extend(agent.env.iter().map(|(name, text)| value(name, text)));
    }
    environment.extend(run.spec.env.iter().map(|(name, text)| value(name, text)));
    for variable in &run.spec.env_from_secrets {
        let key = (variable.secret_name.clone(), variable.secret_key.clone());
        environment.push(from_secret(&variable.name, key, false));
    }
    // In Kubernetes the last entry of a name wins; remove the others to make the object unambiguous.
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for (at, variable) in environment.iter().enumerate() {
        last.insert(variable.name.clone(), at);
    }
    let mut at = 0;
    environment.retain(|variable| {
        at += 1;
        last.get(&variable.name) == Some(&(at - 1))
    });
    container.resources = Some(resources(&settings.pods.agent));
    container
}

/// Returns the proxy variables in both spellings: for plain HTTP, git reads only the lower-case one.
fn proxied(proxy: &ProxySettings) -> Vec<EnvVar> {
    [
        ("HTTP_PROXY", &proxy.http),
        ("HTTPS_PROXY", &proxy.https),
        ("NO_PROXY", &proxy.no),
    ]
    .into_iter()
    .flat_map(|(name, text)| {
        [name.to_owned(), name.to_lowercase()].map(|spelling| (spelling, name, text))
    })
    .filter_map(|(spelling, name, text)| {
        if !proxy.secret.is_empty() {
            let key = (proxy.secret.clone(), name.to_owned());
            return Some(from_secret(&spelling, key, true));
        }
        (!text.is_empty()).then(|| value(&spelling, text))
    })
    .collect()
}

/// Mounts a volume and sets the variable with its path, so that programs in the container need no fixed paths.
fn add_volume(container: &mut Container, name: &str, path: &str, variable: &str, read_only: bool) {
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.push(mount(name, path, read_only));
    let environment = container.env.get_or_insert_default();
    environment.push(value(variable, path));
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

/// Returns name and key of a Secret of `user`.
pub(super) fn secret(secret: &SecretName, user: &str) -> (String, String) {
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

/// Sets requests and limits for both CPU and memory, since a quota may require them.
fn resources(share: &ContainerResources) -> ResourceRequirements {
    let list = |amount: &ResourceList| -> Option<BTreeMap<String, Quantity>> {
        let list: BTreeMap<_, _> = [("cpu", &amount.cpu), ("memory", &amount.memory)]
            .into_iter()
            .filter(|(_, quantity)| !quantity.is_empty())
            .map(|(name, quantity)| (name.to_owned(), Quantity(quantity.clone())))
            .collect();
        Some(list).filter(|list| !list.is_empty())
    };
    ResourceRequirements {
        requests: list(&share.requests),
        limits: list(&share.limits),
        claims: None,
    }
}
