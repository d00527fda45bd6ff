//! The CRDs: schemas derived from the types, plus the validation [rules](super::rules).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};
use kube::CustomResourceExt;
use serde_json::Value;

use super::{CodeRun, DocsRun, Kind, rules::RULES};

/// Returns the CRD of a kind.
#[must_use]
pub fn definition(kind: Kind) -> CustomResourceDefinition {
    let mut definition = match kind {
        Kind::Docs => DocsRun::crd(),
        Kind::Code => CodeRun::crd(),
    };
    let schemas = definition.spec.versions.iter_mut();
    for schema in schemas.filter_map(|version| version.schema.as_mut()) {
        let spec = schema
            .open_api_v3_schema
            .as_mut()
            .and_then(|schema| below(schema, "spec"));
        if let Some(spec) = spec {
            add_rules(kind, spec);
        }
    }
    definition
}

/// Returns the schema of `spec` as JSON.
pub(super) fn spec(kind: Kind) -> Value {
    let definition = serde_json::to_value(definition(kind)).unwrap_or_default();
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    definition.pointer(path).cloned().unwrap_or_default()
}

fn add_rules(kind: Kind, spec: &mut JSONSchemaProps) {
    for rule in RULES {
        if rule.kind.is_some_and(|only| only != kind) {
            continue;
        }
        let mut path = rule.at.split('.').filter(|part| !part.is_empty());
        if let Some(schema) = path.try_fold(&mut *spec, below) {
            let rules = schema.x_kubernetes_validations.get_or_insert_default();
            rules.push(ValidationRule {
                rule: rule.cel(),
                message: Some(rule.message.to_owned()),
                // For rules on a field the path is implied.
                field_path: rule.at.is_empty().then(|| format!(".{}", rule.field)),
                ..ValidationRule::default()
            });
        }
    }
}

/// Returns the schema of a field, or with the suffix `[]` that of its items.
fn below<'a>(schema: &'a mut JSONSchemaProps, part: &str) -> Option<&'a mut JSONSchemaProps> {
    let properties = schema.properties.as_mut()?;
    let Some(list) = part.strip_suffix("[]") else {
        return properties.get_mut(part);
    };
    match properties.get_mut(list)?.items.as_mut()? {
        JSONSchemaPropsOrArray::Schema(items) => Some(items),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}
