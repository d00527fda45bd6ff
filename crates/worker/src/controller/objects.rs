//! The objects a run owns, as pure functions of the run: its ConfigMap and workspace, with labels and owner.

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

/// The run that holds a shared workspace, in the format of `holder_value`.
pub const ANNOTATION_HOLDER: &str = "flightdeck.dev/holder";

/// Returns the name of the run's workspace.
#[must_use]
pub fn workspace_name(run: &Run) -> String {
    match &run.code {
        Some(code) => naming::code_workspace_name(&code.service, &run.spec.repository_url),
        None => naming::docs_workspace_name(run.name(), run.uid()),
    }
}

/// Returns the labels of every object of a run.
#[must_use]
pub(crate) fn labels(run: &Run) -> BTreeMap<String, String> {
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

/// Shortens a name to a valid label value.
fn label_of(name: &str) -> String {
    if name.len() <= 63 {
        name.to_owned()
    } else {
        naming::slug(name, 63)
    }
}

/// Returns the owner reference to the run. Omits `blockOwnerDeletion`, which would require permission to update finalizers.
#[must_use]
pub(crate) fn owner(run: &Run) -> OwnerReference {
    OwnerReference {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: run.kind.resource_kind().to_owned(),
        name: run.name().to_owned(),
        uid: run.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// Returns the metadata of an object owned by the run.
#[must_use]
pub(crate) fn owned(run: &Run, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(run.namespace().to_owned()),
        labels: Some(labels(run)),
        owner_references: Some(vec![owner(run)]),
        ..ObjectMeta::default()
    }
}

/// Returns whether the run with this uid controls the object.
#[must_use]
pub(crate) fn owned_by(meta: &ObjectMeta, uid: &str) -> bool {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Returns the ConfigMap with the run's files at one context version.
#[must_use]
pub(crate) fn config_map(run: &Run, version: i32, files: BTreeMap<String, String>) -> ConfigMap {
    let mut metadata = owned(run, naming::config_map_name(run.name(), run.uid(), version));
    let labels = metadata.labels.get_or_insert_default();
    labels.insert(naming::LABEL_VERSION.into(), version.to_string());
    ConfigMap {
        metadata,
        // Every stage gets the files rendered for this version, even if someone else may edit ConfigMaps.
        immutable: Some(true),
        data: Some(files),
        ..ConfigMap::default()
    }
}

/// Returns the run's workspace. A docs run owns it; a code run shares it with later runs, so it has no owner and starts
/// with this run as its holder.
#[must_use]
pub(crate) fn workspace(run: &Run, settings: &WorkspaceSettings) -> PersistentVolumeClaim {
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

/// Returns whether the run may use a claim of the right name: its own, or one created for the same repository.
#[must_use]
pub(crate) fn is_ours(claim: &PersistentVolumeClaim, run: &Run) -> bool {
    if !run.kind.shares_workspace() {
        return owned_by(&claim.metadata, run.uid());
    }
    let label = |key: &str| Some(claim.metadata.labels.as_ref()?.get(key)?.as_str());
    label(naming::LABEL_MANAGED_BY) == Some(naming::MANAGER)
        && label(naming::LABEL_REPOSITORY)
            == Some(naming::repository_label(&run.spec.repository_url).as_str())
}

/// Returns the value of [`ANNOTATION_HOLDER`] while the run holds a workspace: `<uid>/<name>`.
#[must_use]
pub(crate) fn holder_value(run: &Run) -> String {
    format!("{}/{}", run.uid(), run.name())
}

/// Returns uid and name of the run that holds the claim.
#[must_use]
pub(crate) fn holder(claim: &PersistentVolumeClaim) -> Option<(&str, &str)> {
    let annotations = claim.metadata.annotations.as_ref()?;
    annotations.get(ANNOTATION_HOLDER)?.split_once('/')
}
