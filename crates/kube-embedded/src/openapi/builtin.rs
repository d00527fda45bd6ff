//! Schemas of built-in kinds, from the `k8s-openapi` crate.

use k8s_openapi::{
    api::{
        authentication::v1 as authentication, authorization::v1 as authorization,
        batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
        events::v1 as events,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// Adds the schema of `T` and the schemas it refers to.
fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// Returns the schemas of a built-in group and version; for any other, those that custom resources refer to.
pub(super) fn schemas(group: &str, version: &str) -> Map<String, Value> {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let add_all: &[fn(&mut SchemaGenerator)] = match group {
        "" => &[
            add::<core::ConfigMap>,
            add::<core::Event>,
            add::<core::Namespace>,
            add::<core::PersistentVolumeClaim>,
            add::<core::Pod>,
            add::<core::Secret>,
        ],
        "apiextensions.k8s.io" => &[add::<extensions::CustomResourceDefinition>],
        "authentication.k8s.io" => &[add::<authentication::SelfSubjectReview>],
        "authorization.k8s.io" => &[
            add::<authorization::SelfSubjectAccessReview>,
            add::<authorization::SelfSubjectRulesReview>,
        ],
        "batch" => &[add::<batch::Job>],
        "coordination.k8s.io" => &[add::<coordination::Lease>],
        "events.k8s.io" => &[add::<events::Event>],
        _ => &[add::<ObjectMeta>],
    };
    for add in add_all {
        add(&mut generator);
    }
    let mut schemas = generator.take_definitions(true);
    for (name, schema) in &mut schemas {
        // A schema with apiVersion and metadata is an API object.
        let kind = name.rsplit('.').next().unwrap_or_default();
        if schema["properties"].get("apiVersion").is_some()
            && schema["properties"].get("metadata").is_some()
        {
            schema["x-kubernetes-group-version-kind"] =
                json!([{"group": group, "version": version, "kind": kind}]);
        }
    }
    schemas
}

/// Returns the schema name of a built-in kind.
pub(super) fn name_of(kind: &Kind) -> String {
    let (group, version, kind) = (&kind.group, &kind.version, &kind.kind);
    match group.as_str() {
        "" => format!("io.k8s.api.core.{version}.{kind}"),
        "apiextensions.k8s.io" => {
            format!("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}")
        }
        group => {
            let short = group.split('.').next().unwrap_or_default();
            format!("io.k8s.api.{short}.{version}.{kind}")
        }
    }
}

/// Returns the properties of every object, which the schema of a custom resource may omit.
pub(super) fn object_properties() -> [(String, Value); 3] {
    let api_version =
        "APIVersion defines the versioned schema of this representation of an object.";
    let kind = "Kind is a string value representing the REST resource this object represents.";
    let reference = format!("{}{}", super::SCHEMAS, ObjectMeta::schema_name());
    [
        (
            "apiVersion".to_owned(),
            json!({"type": "string", "description": api_version}),
        ),
        (
            "kind".to_owned(),
            json!({"type": "string", "description": kind}),
        ),
        (
            "metadata".to_owned(),
            json!({"description": "Standard object's metadata.", "allOf": [{"$ref": reference}]}),
        ),
    ]
}
