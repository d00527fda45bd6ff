//! The pod of a stage: its containers in their order, its volumes, whom it runs as, and where it may run.
//!
//! The shape is the one that was seen to run in a namespace that enforces Pod Security's `restricted` profile.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, ProjectedVolumeSource,
    SeccompProfile, SecretProjection, Toleration, Volume, VolumeProjection,
};

use super::container;
use crate::controller::objects;
use flightdeck_core::runs::{Run, Stage, naming};
use flightdeck_host::{
    settings::{PodSettings, Settings},
    templates::KNOWN_HOSTS,
};

/// Names of the volumes.
pub(super) mod volume {
    pub const RUN_FILES: &str = "run-files";
    pub const WORKSPACE: &str = "workspace";
    pub const HANDOVER: &str = "handover";
    pub const TEMPORARY: &str = "tmp";
    pub const SSH: &str = "ssh";
    pub const REPOSITORIES: &str = "repositories";
}

/// The pod of `stage`; it may run for `deadline` seconds.
pub(super) fn pod(
    run: &Run,
    stage: Stage,
    version: i32,
    deadline: i64,
    settings: &Settings,
) -> PodSpec {
    let (init, main) = match stage {
        Stage::Prep => (
            Some(container::git(run, &["prep", "clone"], settings)),
            container::worker(&["prep", "lay"], Some(false), settings),
        ),
        Stage::Agent => (None, container::agent(run, settings)),
        Stage::Publish => (
            Some(container::worker(
                &["publish", "collect"],
                Some(true),
                settings,
            )),
            container::git(run, &["publish", "push"], settings),
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

/// One user and group for every stage: what one has written, another has to read and to replace, and git works only in
/// directories of its own user.
fn security(pods: &PodSettings) -> PodSecurityContext {
    let user = Some(i64::from(pods.user)).filter(|user| *user != 0);
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user,
        run_as_group: user,
        fs_group: user,
        // A workspace of many files would else be gone through at every start.
        fs_group_change_policy: Some("OnRootMismatch".into()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

fn toleration(wanted: &flightdeck_host::settings::Toleration) -> Toleration {
    Toleration {
        key: wanted.key.clone(),
        operator: wanted.operator.clone(),
        value: wanted.value.clone(),
        effect: wanted.effect.clone(),
        toleration_seconds: wanted.seconds,
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

/// The key of `user`, and beside it the host keys that the Secret may hold.
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
            // The group of the pod is given the right to read; ssh takes a key of that mode, since it is not its user's own.
            default_mode: Some(0o400),
            sources: Some(vec![
                from_secret(&key, "key", false),
                from_secret(KNOWN_HOSTS, KNOWN_HOSTS, true),
            ]),
        }),
        ..Volume::default()
    }
}
