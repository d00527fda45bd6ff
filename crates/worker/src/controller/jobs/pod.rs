//! The pod of a stage: its containers, volumes, user and scheduling.
//!
//! Its shape is accepted in namespaces with Pod Security's `restricted` profile.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, ProjectedVolumeSource,
    SeccompProfile, SecretProjection, Toleration, Volume, VolumeProjection,
};

use super::{Place, container};
use crate::controller::objects;
use flightdeck_core::runs::{Run, Stage, naming};
use flightdeck_host::{
    settings::{PodSettings, Settings},
    templates::KNOWN_HOSTS,
};

/// Names of the volumes.
pub(super) mod volume {
    pub(crate) const RUN_FILES: &str = "run-files";
    pub(crate) const WORKSPACE: &str = "workspace";
    pub(crate) const HANDOVER: &str = "handover";
    pub(crate) const TEMPORARY: &str = "tmp";
    pub(crate) const SSH: &str = "ssh";
    pub(crate) const REPOSITORIES: &str = "repositories";
}

/// Returns the pod of an attempt, which may run for `deadline` seconds.
pub(super) fn pod(run: &Run, place: Place<'_>, deadline: i64, settings: &Settings) -> PodSpec {
    let (stage, version) = (place.stage, place.version);
    let (init, main) = match stage {
        Stage::Prep => (
            Some(container::git(run, &["prep", "clone"], settings)),
            container::worker(&["prep", "setup"], Some(false), settings),
        ),
        Stage::Agent => (None, container::agent(run, settings)),
        Stage::Publish => (
            Some(container::worker(
                &["publish", "collect"],
                Some(true),
                settings,
            )),
            container::publish(run, place.agent_failure, settings),
        ),
    };
    let pods = &settings.pods;
    let named = |name: &str| Some(name.to_owned()).filter(|name| !name.is_empty());
    let secrets = pods.image_pull_secrets.iter();
    let secrets = secrets.map(|name| LocalObjectReference { name: name.clone() });
    PodSpec {
        init_containers: init.map(|container| vec![container]),
        containers: vec![main],
        volumes: Some(volumes(run, stage, version, settings)),
        restart_policy: Some("Never".into()),
        active_deadline_seconds: Some(deadline),
        service_account_name: named(&pods.service_account),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: some(secrets.collect()),
        node_selector: Some(pods.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: some(pods.tolerations.iter().map(toleration).collect()),
        priority_class_name: named(&pods.priority_class),
        scheduler_name: named(&pods.scheduler),
        security_context: Some(security(pods)),
        ..PodSpec::default()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// Sets the same user and group for every stage: stages read and replace each other's files, and git refuses directories of
/// other users.
fn security(pods: &PodSettings) -> PodSecurityContext {
    let user = Some(i64::from(pods.user)).filter(|user| *user != 0);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        // Otherwise every start would walk all files of the workspace.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

fn toleration(setting: &flightdeck_host::settings::Toleration) -> Toleration {
    Toleration {
        key: setting.key.clone(),
        operator: setting.operator.clone(),
        value: setting.value.clone(),
        effect: setting.effect.clone(),
        toleration_seconds: setting.seconds,
    }
}

fn volumes(run: &Run, stage: Stage, version: i32, settings: &Settings) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![
        Volume {
            name: volume::RUN_FILES.into(),
            config_map: Some(ConfigMapVolumeSource {
                name: naming::config_map_name(run.name(), run.uid(), version),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: volume::WORKSPACE.into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: objects::workspace_name(run),
                read_only: None,
            }),
            ..Volume::default()
        },
        empty(volume::TEMPORARY),
    ];
    if stage != Stage::Agent {
        volumes.push(empty(volume::HANDOVER));
        volumes.extend(run.ssh_user().map(|user| ssh(user, settings)));
        let claim = &settings.workspace.repositories;
        if !claim.is_empty() {
            volumes.push(Volume {
                name: volume::REPOSITORIES.into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.clone(),
                    read_only: None,
                }),
                ..Volume::default()
            });
        }
    }
    volumes
}

/// Returns the volume with the key of `user`, and with the host keys that its Secret may contain.
fn ssh(user: &str, settings: &Settings) -> Volume {
    let (name, key) = container::secret(&settings.secrets.ssh_key, user);
    let file = |key: &str, path: &str| {
        Some(vec![KeyToPath {
            key: key.into(),
            path: path.into(),
            mode: None,
        }])
    };
    let from_secret = |key: &str, path: &str, optional: bool| VolumeProjection {
        secret: Some(SecretProjection {
            name: name.clone(),
            items: file(key, path),
            optional: optional.then_some(true),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name: volume::SSH.into(),
        projected: Some(ProjectedVolumeSource {
            // The kubelet adds group read for fsGroup. ssh accepts that mode because the file is not owned by its user.
            default_mode: Some(0o400),
            sources: Some(vec![
                from_secret(&key, "key", false),
                from_secret(KNOWN_HOSTS, KNOWN_HOSTS, true),
            ]),
        }),
        ..Volume::default()
    }
}
