//! Registry of the kinds served: the built-in ones and those of CustomResourceDefinitions.
//!
//! Holds names and shapes, no behavior.

use std::{collections::HashMap, sync::Arc};

use kube_rules::Rules;

use super::{schema::Schema, table::Column};

/// Storage key of a kind's objects: `configmaps`, `widgets.example.org`. Two kinds may share it.
pub(crate) type ResourceId = Arc<str>;

/// Conversion between a kind and the stored objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Served as stored.
    Stored,
    /// A core/v1 Event served as events.k8s.io/v1.
    EventsV1,
}

/// One kind in one version.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the names of the API")]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: String,
    pub version: String,
    /// `batch/v1`, or `v1` for the core group.
    pub api_version: String,
    /// `Widget`
    pub kind: String,
    /// `widgets`
    pub plural: String,
    pub singular: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub namespaced: bool,
    /// Whether there is a `/status` subresource.
    pub status: bool,
    /// Whether `metadata.generation` counts changes of the spec.
    pub generation: bool,
    pub resource: ResourceId,
    pub view: View,
    /// Schema of a custom resource; built-in kinds are validated by code.
    pub schema: Option<Arc<Schema>>,
    /// Validation rules of a custom resource.
    pub rules: Option<Arc<Rules>>,
    /// Fields that field selectors support besides name and namespace, as dotted paths.
    pub selectable: Vec<String>,
    /// Printer columns of a custom resource; those of built-in kinds are in code.
    pub columns: Vec<Column>,
}

/// `batch/v1`, or `v1` for the core group.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

impl Kind {
    /// Returns `jobs.batch`, as in error messages.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// Returns `Job.batch`, as in validation messages.
    pub fn qualified_kind(&self) -> String {
        if self.group.is_empty() {
            self.kind.clone()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// Returns whether the kind comes from a CustomResourceDefinition.
    pub fn is_custom(&self) -> bool {
        self.schema.is_some()
    }
}

struct Builtin {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    namespaced: bool,
    status: bool,
    generation: bool,
    selectable: &'static [&'static str],
}

/// Resource of pods.
pub(crate) const PODS: &str = "pods";
/// Resource of namespaces.
pub(crate) const NAMESPACES: &str = "namespaces";
/// Resource of CustomResourceDefinitions.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// Resource of jobs.
pub(crate) const JOBS: &str = "jobs.batch";
/// Resource of leases.
pub(crate) const LEASES: &str = "leases.coordination.k8s.io";

const EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

#[rustfmt::skip]
const BUILTIN: &[Builtin] = &[
    Builtin { group: "", version: "v1", kind: "Namespace", plural: "namespaces", short: &["ns"], namespaced: false, status: true, generation: false, selectable: &["status.phase"] },
    Builtin { group: "", version: "v1", kind: "ConfigMap", plural: "configmaps", short: &["cm"], namespaced: true, status: false, generation: false, selectable: &[] },
    Builtin { group: "", version: "v1", kind: "Secret", plural: "secrets", short: &[], namespaced: true, status: false, generation: false, selectable: &["type"] },
    Builtin { group: "", version: "v1", kind: "PersistentVolumeClaim", plural: "persistentvolumeclaims", short: &["pvc"], namespaced: true, status: true, generation: false, selectable: &[] },
    Builtin { group: "", version: "v1", kind: "Pod", plural: "pods", short: &["po"], namespaced: true, status: true, generation: true, selectable: &["spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "status.phase", "status.podIP"] },
    Builtin { group: "", version: "v1", kind: "Event", plural: "events", short: &["ev"], namespaced: true, status: false, generation: false, selectable: EVENT_FIELDS },
    Builtin { group: "events.k8s.io", version: "v1", kind: "Event", plural: "events", short: &["ev"], namespaced: true, status: false, generation: false, selectable: EVENT_FIELDS },
    Builtin { group: "batch", version: "v1", kind: "Job", plural: "jobs", short: &[], namespaced: true, status: true, generation: true, selectable: &["status.successful"] },
    Builtin { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", short: &[], namespaced: true, status: false, generation: false, selectable: &[] },
    Builtin { group: "apiextensions.k8s.io", version: "v1", kind: "CustomResourceDefinition", plural: "customresourcedefinitions", short: &["crd", "crds"], namespaced: false, status: true, generation: true, selectable: &[] },
];

impl Builtin {
    fn kind(&self) -> Kind {
        let events_v1 = self.group == "events.k8s.io";
        let resource = if self.group.is_empty() || events_v1 {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        };
        Kind {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: api_version(self.group, self.version),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
            singular: self.kind.to_lowercase(),
            list_kind: format!("{}List", self.kind),
            short_names: self.short.iter().map(|&name| name.to_owned()).collect(),
            categories: if matches!(self.plural, "pods" | "jobs") {
                vec!["all".to_owned()]
            } else {
                Vec::new()
            },
            namespaced: self.namespaced,
            status: self.status,
            generation: self.generation,
            resource: resource.into(),
            view: if events_v1 {
                View::EventsV1
            } else {
                View::Stored
            },
            schema: None,
            rules: None,
            columns: Vec::new(),
            selectable: self
                .selectable
                .iter()
                .map(|&field| field.to_owned())
                .collect(),
        }
    }
}

/// The kinds served at one point in time.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    kinds: Vec<Arc<Kind>>,
    by_path: HashMap<(String, String, String), Arc<Kind>>,
}

impl Registry {
    /// Returns the built-in kinds and `custom`.
    pub(crate) fn new(custom: impl IntoIterator<Item = Kind>) -> Self {
        let kinds: Vec<Arc<Kind>> = BUILTIN
            .iter()
            .map(Builtin::kind)
            .chain(custom)
            .map(Arc::new)
            .collect();
        let by_path = kinds
            .iter()
            .map(|kind| {
                let path = (
                    kind.group.clone(),
                    kind.version.clone(),
                    kind.plural.clone(),
                );
                (path, Arc::clone(kind))
            })
            .collect();
        Self { kinds, by_path }
    }

    /// Returns the kind served at a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Returns all kinds, built-in ones first.
    pub(crate) fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// Returns a kind that serves `resource` as stored.
    pub(crate) fn of_resource(&self, resource: &str) -> Option<&Arc<Kind>> {
        self.kinds
            .iter()
            .find(|kind| &*kind.resource == resource && kind.view == View::Stored)
    }

    /// Returns the kind that an object or owner reference names.
    pub(crate) fn of_object(&self, api_version: &str, kind: &str) -> Option<&Arc<Kind>> {
        self.kinds
            .iter()
            .find(|known| known.kind == kind && known.api_version == api_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_kinds_share_storage() {
        let registry = Registry::new([]);
        let core = registry.find("", "v1", "events").unwrap();
        let new = registry.find("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(core.resource, new.resource);
        assert_eq!(
            registry.of_resource(&new.resource).unwrap().api_version,
            "v1"
        );
    }
}
