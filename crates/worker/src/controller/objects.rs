//! The objects a run owns, as pure functions of the run: its ConfigMap, its workspace, and its labels and owner.
//!
//! Must not know: what exists already, or when something is made.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        ConfigMap, PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{ObjectMeta, OwnerReference},
    },
};

use flightdeck_core::{
    resources::{GROUP, VERSION},
    runs::{Run, naming},
};
use flightdeck_host::settings::WorkspaceSettings;

/// On a shared workspace: the run that holds it, as `holder_value` writes it.
pub const ANNOTATION_HOLDER: &str = "flightdeck.dev/holder";

/// Name of the workspace a run works in.
#[must_use]
pub fn workspace_name(run: &Run) -> String {
    match &run.code {
        Some(code) => naming::code_workspace_name(&code.service, &run.spec.repository_url),
        None => naming::docs_workspace_name(run.name(), run.uid()),
    }
}

/// What every object of a run is labelled with.
#[must_use]
pub fn labels(run: &Run) -> BTreeMap<String, String> {
    [
        (naming::LABEL_MANAGED_BY, naming::MANAGER.to_owned()),
        ("app.kubernetes.io/name", "flightdeck-run".to_owned()),
        ("app.kubernetes.io/instance", label_of(run.name())),
        (naming::LABEL_RUN, label_of(run.name())),
        (naming::LABEL_RUN_UID, run.uid().to_owned()),
        (naming::LABEL_KIND, run.kind.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// A name as a label's value: itself while it fits.
fn label_of(name: &str) -> String {
    if name.len() <= 63 {
        name.to_owned()
    } else {
        naming::slug(name, 63)
    }
}

/// The run as the controller of what it owns. `blockOwnerDeletion` is left out: it would ask for a right on finalizers.
#[must_use]
pub fn owner(run: &Run) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: run.kind.resource_kind().to_owned(),
        name: run.name().to_owned(),
        uid: run.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Metadata of an object of the run.
#[must_use]
pub fn owned(run: &Run, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(run.namespace().to_owned()),
        labels: Some(labels(run)),
        owner_references: Some(vec![owner(run)]),
        ..ObjectMeta::default()
    }
}

/// Whether the run with this uid controls the object.
#[must_use]
pub fn owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The run's files at one context version.
#[must_use]
pub fn config_map(run: &Run, version: i32, files: BTreeMap<String, String>) -> ConfigMap {
    let mut metadata = owned(run, naming::config_map_name(run.name(), run.uid(), version));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(naming::LABEL_VERSION.into(), version.to_string());
    ConfigMap {
        metadata,
        // What was rendered for this version is what every stage of it gets, whoever may edit ConfigMaps.
        immutable: Some(true),
        data: Some(files),
        ..ConfigMap::default()
    }
}

/// The workspace of the run: its own for docs; for code shared with later runs, so owned by none of them, and made with
/// this run as its holder.
#[must_use]
pub fn workspace(run: &Run, settings: &WorkspaceSettings) -> PersistentVolumeClaim {
    let mut metadata = owned(run, workspace_name(run));
    if run.kind.shares_workspace() {
        metadata.owner_references = None;
        let labels = metadata.labels.get_or_insert_default();
        labels.retain(|key, _| {
            key != naming::LABEL_RUN && key != naming::LABEL_RUN_UID && !key.ends_with("/instance")
        });
        labels.insert(
            naming::LABEL_REPOSITORY.into(),
            naming::repository_label(&run.spec.repository_url),
        );
        metadata.annotations = Some([(ANNOTATION_HOLDER.to_owned(), holder_value(run))].into());
    }
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(settings.size.clone()))].into()),
                limits: None,
            }),
            storage_class_name: Some(settings.storage_class.clone())
                .filter(|class| !class.is_empty()),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// Whether a claim of the right name is one this run may use: its own, or one we made for the same repository.
#[must_use]
pub fn is_ours(claim: &PersistentVolumeClaim, run: &Run) -> bool {
    if !run.kind.shares_workspace() {
        return owned_by(&claim.metadata, run.uid());
    }
    let label = |key: &str| Some(claim.metadata.labels.as_ref()?.get(key)?.as_str());
    label(naming::LABEL_MANAGED_BY) == Some(naming::MANAGER)
        && label(naming::LABEL_REPOSITORY)
            == Some(naming::repository_label(&run.spec.repository_url).as_str())
}

/// Value of [`ANNOTATION_HOLDER`] while the run holds a workspace: `<uid>/<name>`.
#[must_use]
pub fn holder_value(run: &Run) -> String {
    format!("{}/{}", run.uid(), run.name())
}

/// Uid and name of the run that holds the claim.
#[must_use]
pub fn holder(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    let annotations = claim.metadata.annotations.as_ref()?;
    annotations.get(ANNOTATION_HOLDER)?.split_once('/')
}
