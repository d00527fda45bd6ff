//! OpenAPI v3: an index, and a document per group and version. kubectl reads it to learn which parameters are supported
//! (`fieldValidation`, `dryRun`) and to explain fields.
//!
//! Custom resources use the schemas of their definitions; built-in kinds those of the `k8s-openapi` crate. Pure.

mod builtin;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Identity,
    discovery::REVIEWS,
    kinds::{DEFINITIONS, Kind},
    object::{Key, Object, child_mut, list, map_mut},
    store::State,
};

/// Title of the documents, as in Kubernetes.
const TITLE: &str = "Kubernetes";
/// Path of the schemas in a document.
const SCHEMAS: &str = "#/components/schemas/";

/// Key of a document: group (empty for core) and version.
pub(crate) type GroupVersion = (String, String);

/// `/openapi/v3`: the URL of each document, which contains its hash.
pub(crate) fn index(state: &State, identity: &Identity) -> Value {
    let paths: Map<String, Value> = group_versions(state, identity)
        .into_iter()
        .map(|((group, version), hash)| {
            let path = path_of(&group, &version);
            let address = format!("/openapi/v3/{path}?hash={hash}");
            (path, json!({"serverRelativeURL": address}))
        })
        .collect();
    json!({"paths": paths})
}

/// `/openapi/v3/apis/GROUP/VERSION`: the hash and the document.
pub(crate) fn document(
    state: &State,
    identity: &Identity,
    group: &str,
    version: &str,
) -> Option<(String, Value)> {
    let hash = group_versions(state, identity).remove(&(group.to_owned(), version.to_owned()))?;
    let mut paths = Map::new();
    let mut schemas = builtin::schemas(group, version);
    let kinds = state.registry().kinds();
    for kind in kinds
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
    {
        let name = if kind.is_custom() {
            let name = schema_name(kind);
            let schema = definition(state, kind).map(|object| custom_schema(kind, &object.value));
            schemas.insert(name.clone(), schema.unwrap_or_default());
            name
        } else {
            builtin::name_of(kind)
        };
        add_paths(&mut paths, kind, &name);
    }
    let document = json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": identity.git_version()},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    Some((hash, document))
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// Returns each group and version with the hash of its document.
fn group_versions(state: &State, identity: &Identity) -> BTreeMap<GroupVersion, String> {
    let mut sources: BTreeMap<GroupVersion, Sha256> = BTreeMap::new();
    // Documents contain the version, and the schemas of built-in kinds change with this crate.
    let seed =
        || Sha256::new_with_prefix(env!("CARGO_PKG_VERSION")).chain_update(identity.git_version());
    for kind in state.registry().kinds() {
        let source = sources
            .entry((kind.group.clone(), kind.version.clone()))
            .or_insert_with(seed);
        source.update(&kind.kind);
        if let Some(definition) = definition(state, kind) {
            source.update(definition.uid());
            source.update(definition.revision.to_be_bytes());
        }
    }
    for (review, ..) in REVIEWS {
        sources
            .entry((review.to_owned(), "v1".to_owned()))
            .or_insert_with(seed);
    }
    sources
        .into_iter()
        .map(|(key, source)| (key, format!("{:X}", source.finalize())))
        .collect()
}

/// Returns the definition of a custom kind.
fn definition<'a>(state: &'a State, kind: &Kind) -> Option<&'a Object> {
    let key = Key::new("", &*kind.resource);
    let found = kind.is_custom().then(|| state.get(DEFINITIONS, &key))?;
    found.map(AsRef::as_ref)
}

/// Returns the schema name: `org.example.v1.Widget`.
fn schema_name(kind: &Kind) -> String {
    let mut parts: Vec<&str> = kind.group.split('.').rev().collect();
    parts.extend([kind.version.as_str(), kind.kind.as_str()]);
    parts.join(".")
}

/// Returns the `x-kubernetes-group-version-kind` of a kind.
fn identity(kind: &Kind) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

/// Returns the schema of a custom resource, with the properties of every object.
fn custom_schema(kind: &Kind, definition: &Value) -> Value {
    let version = list(definition, "/spec/versions")
        .iter()
        .find(|version| version["name"] == kind.version.as_str());
    let mut schema = version.map_or(Value::Null, |version| {
        version["schema"]["openAPIV3Schema"].clone()
    });
    let properties = child_mut(&mut schema, "properties");
    for (name, own) in builtin::object_properties() {
        properties.insert(name, own);
    }
    let map = map_mut(&mut schema);
    map.insert("type".into(), "object".into());
    map.insert(
        "x-kubernetes-group-version-kind".into(),
        json!([identity(kind)]),
    );
    schema
}

/// Adds the paths and operations of a kind.
fn add_paths(paths: &mut Map<String, Value>, kind: &Kind, schema: &str) {
    let base = format!("/{}", path_of(&kind.group, &kind.version));
    let all = format!("{base}/{}", kind.plural);
    let collection = if kind.namespaced {
        let list =
            json!({"get": operation(kind, "list", schema), "parameters": LIST.map(parameter)});
        paths.insert(all, list);
        format!("{base}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        all
    };
    let in_path: Vec<Value> = kind
        .namespaced
        .then(|| path_parameter("namespace"))
        .into_iter()
        .collect();
    let item = |verbs: &[(&str, &str)]| {
        let mut item: Map<String, Value> = verbs
            .iter()
            .map(|(method, action)| ((*method).to_owned(), operation(kind, action, schema)))
            .collect();
        let mut parameters = in_path.clone();
        parameters.push(path_parameter("name"));
        item.insert("parameters".into(), parameters.into());
        Value::Object(item)
    };
    let verbs = [
        ("get", "get"),
        ("put", "put"),
        ("patch", "patch"),
        ("delete", "delete"),
    ];
    let mut own = json!({
        "get": operation(kind, "list", schema),
        "post": operation(kind, "post", schema),
        "delete": operation(kind, "deletecollection", schema),
    });
    own["parameters"] = in_path.clone().into();
    paths.insert(format!("{collection}/{{name}}"), item(&verbs));
    if kind.status {
        paths.insert(format!("{collection}/{{name}}/status"), item(&verbs[..3]));
    }
    paths.insert(collection, own);
}

/// Name and type of a query parameter.
type Parameter = (&'static str, &'static str);
const READ: [Parameter; 1] = [("resourceVersion", "string")];
const LIST: [Parameter; 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITE: [Parameter; 3] = [
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
];
const FORCE: Parameter = ("force", "boolean");
const DELETE: [Parameter; 4] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

fn parameter((name, kind): Parameter) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

fn path_parameter(name: &str) -> Value {
    json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}})
}

/// Returns an operation. A patch lists no media types for its body: otherwise kubectl would compute strategic merge
/// patches from these schemas, which lack list keys, instead of from its built-in types.
fn operation(kind: &Kind, action: &str, schema: &str) -> Value {
    let parameters: Vec<Parameter> = match action {
        "list" => LIST.to_vec(),
        "get" => READ.to_vec(),
        "patch" => WRITE.into_iter().chain([FORCE]).collect(),
        "post" | "put" => WRITE.to_vec(),
        "deletecollection" => LIST.into_iter().chain(DELETE).collect(),
        _ => DELETE.to_vec(),
    };
    let parameters: Vec<Value> = parameters.into_iter().map(parameter).collect();
    let content = json!({"application/json": {"schema": {"$ref": format!("{SCHEMAS}{schema}")}}});
    let answer = match action {
        "get" | "post" | "put" | "patch" => json!({"description": "OK", "content": content}),
        _ => json!({"description": "OK"}),
    };
    let mut operation = json!({
        "parameters": parameters,
        "responses": {"200": answer},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": identity(kind),
    });
    if matches!(action, "post" | "put") {
        operation["requestBody"] = json!({"content": content, "required": true});
    }
    operation
}
