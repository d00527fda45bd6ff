//! Discovery of groups, versions and kinds, in the legacy and the aggregated format. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::kinds::{Kind, Registry, api_version};

const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const STATUS_VERBS: [&str; 3] = ["get", "patch", "update"];
/// Group, plural and kind of the reviews: resources that are created but never stored.
pub(crate) const REVIEWS: [(&str, &str, &str); 3] = [
    (
        "authorization.k8s.io",
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
    ),
    (
        "authorization.k8s.io",
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
    ),
    (
        "authentication.k8s.io",
        "selfsubjectreviews",
        "SelfSubjectReview",
    ),
];

/// Returns each group's versions in the order they are served. The core group is "".
fn groups(registry: &Registry) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for kind in registry.kinds() {
        let versions = groups.entry(kind.group.clone()).or_default();
        if !versions.contains(&kind.version) {
            versions.push(kind.version.clone());
        }
    }
    for (group, ..) in REVIEWS {
        groups.insert(group.to_owned(), vec!["v1".to_owned()]);
    }
    groups
}

fn group_entry(group: &str, versions: &[String]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}))
        .collect();
    json!({"name": group, "versions": versions, "preferredVersion": versions[0]})
}

/// `/api`
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(crate) fn group_list(registry: &Registry) -> Value {
    let groups: Vec<Value> = groups(registry)
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_entry(group, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`
pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = groups(registry);
    let mut entry = group_entry(name, groups.get(name).filter(|_| !name.is_empty())?);
    entry["kind"] = "APIGroup".into();
    entry["apiVersion"] = "v1".into();
    Some(entry)
}

fn subresources(kind: &Kind) -> Vec<(&'static str, &'static [&'static str])> {
    let mut all: Vec<(&str, &[&str])> = Vec::new();
    if kind.status {
        all.push(("status", &STATUS_VERBS));
    }
    if &*kind.resource == super::kinds::PODS {
        all.push(("log", &["get"]));
    }
    all
}

/// `/api/v1`, `/apis/GROUP/VERSION`
pub(crate) fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in in_version(registry, group, version) {
        resources.push(json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind,
            "verbs": VERBS, "shortNames": kind.short_names, "categories": kind.categories,
        }));
        for (name, verbs) in subresources(kind) {
            resources.push(json!({
                "name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced,
                "kind": kind.kind, "verbs": verbs,
            }));
        }
    }
    for (_, plural, kind) in reviews(group, version) {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": false, "kind": kind, "verbs": ["create"],
        }));
    }
    let group_version = api_version(group, version);
    (!resources.is_empty()).then(|| {
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
    })
}

fn in_version<'a>(
    registry: &'a Registry,
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = &'a Kind> {
    registry
        .kinds()
        .iter()
        .map(AsRef::as_ref)
        .filter(move |kind: &&Kind| kind.group == group && kind.version == version)
}

fn reviews<'a>(
    group: &'a str,
    version: &'a str,
) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    REVIEWS
        .into_iter()
        .filter(move |(own, ..)| *own == group && version == "v1")
}

/// Returns the media type of an aggregated response, if `accept` asks for one.
pub(crate) fn aggregated_type(accept: &str) -> Option<&'static str> {
    let part = accept
        .split(',')
        .map(str::trim)
        .find(|part| !part.contains("protobuf"))?;
    let has = |text: &str| part.contains(text);
    if !has("as=APIGroupDiscoveryList") || !has("g=apidiscovery.k8s.io") {
        None
    } else if has("v=v2beta1") {
        Some("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
    } else {
        Some("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    }
}

/// `/api` (if `core`) or `/apis`, aggregated.
pub(crate) fn aggregated(registry: &Registry, core: bool, media_type: &str) -> Value {
    let version = if media_type.contains("v2beta1") {
        "v2beta1"
    } else {
        "v2"
    };
    let items: Vec<Value> = groups(registry)
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let mut resources: Vec<Value> =
                        in_version(registry, group, version).map(aggregated_kind).collect();
                    resources.extend(reviews(group, version).map(|(_, plural, kind)| {
                        json!({
                            "resource": plural, "singularResource": kind.to_lowercase(), "scope": "Cluster", "verbs": ["create"],
                            "responseKind": {"group": group, "version": version, "kind": kind},
                        })
                    }));
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_kind(kind: &Kind) -> Value {
    let response = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let subresources: Vec<Value> = subresources(kind)
        .into_iter()
        .map(|(name, verbs)| json!({"subresource": name, "verbs": verbs, "responseKind": response}))
        .collect();
    json!({
        "resource": kind.plural,
        "singularResource": kind.singular,
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "verbs": VERBS,
        "shortNames": kind.short_names,
        "categories": kind.categories,
        "responseKind": response,
        "subresources": subresources,
    })
}
