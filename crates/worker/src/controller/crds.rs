//! The two CustomResourceDefinitions: generated from the Rust types, installed on request.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::runtime::wait::{await_condition, conditions};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};

use flightdeck_core::{
    resources,
    runs::{RunKind, naming::MANAGER},
};

/// Maximum time until the API server serves a new kind.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the definitions could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("the cluster rejected the CRD {name}: {source}")]
    Refused {
        name: String,
        source: Box<kube::Error>,
    },
    #[error(
        "the cluster accepted the CRD {name} but did not serve it within {} seconds",
        ESTABLISH_TIMEOUT.as_secs()
    )]
    NotServed { name: String },
}

/// Returns the definitions of both kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    RunKind::ALL
        .map(|kind| resources::definition(kind.into()))
        .into()
}

/// Creates or updates both definitions and waits until the API server serves them.
pub async fn install_crds(client: Client) -> Result<(), InstallError> {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let parameters = PatchParams::apply(MANAGER).force();
    for crd in crds() {
        let name = crd.name_any();
        api.patch(&name, &parameters, &Patch::Apply(&crd))
            .await
            .map_err(|source| InstallError::Refused {
                name: name.clone(),
                source: Box::new(source),
            })?;
        let established = await_condition(api.clone(), &name, conditions::is_crd_established());
        match tokio::time::timeout(ESTABLISH_TIMEOUT, established).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Err(InstallError::NotServed { name }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use serde_json::{Value, json};

    use super::*;
    use flightdeck_core::resources::{CodeRun, DocsRun};

    fn schema(kind: &str) -> Value {
        let crd = crds().into_iter().find(|crd| crd.spec.names.kind == kind);
        serde_json::to_value(&crd.unwrap().spec.versions[0]).unwrap()["schema"]["openAPIV3Schema"]
            .clone()
    }

    #[test]
    fn common_fields_are_flattened_into_each_spec() {
        for (kind, own) in [("DocsRun", "taskIds"), ("CodeRun", "service")] {
            let spec = &schema(kind)["properties"]["spec"];
            for field in [own, "repositoryUrl", "contextVersion", "cancelVersion"] {
                assert!(
                    spec["properties"][field].is_object(),
                    "{kind}.{field}: {spec}"
                );
            }
            let required = spec["required"].as_array().unwrap();
            for field in [own, "repositoryUrl", "sourceBranch"] {
                assert!(
                    required.contains(&field.into()),
                    "{kind}.{field}: {required:?}"
                );
            }
            assert!(!required.contains(&"contextVersion".into()));
            assert_eq!(spec["properties"]["contextVersion"]["minimum"], json!(1.0));
            assert_eq!(spec["properties"]["contextVersion"]["default"], json!(1));
        }
    }

    #[test]
    fn conditions_are_a_map_keyed_by_type() {
        for kind in ["DocsRun", "CodeRun"] {
            let conditions = &schema(kind)["properties"]["status"]["properties"]["conditions"];
            assert_eq!(conditions["x-kubernetes-list-type"], "map");
            assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
            let required = conditions["items"]["required"].as_array().unwrap();
            assert!(required.contains(&"type".into()), "{conditions}");
        }
    }

    #[test]
    fn shipped_samples_parse() {
        let read = |file: &str| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../config/samples")
                .join(file);
            fs::read_to_string(file).unwrap()
        };
        let docs: DocsRun = serde_saphyr::from_str(&read("docsrun.yaml")).unwrap();
        assert_eq!(docs.spec.task_ids, ["1", "2"]);
        let code: CodeRun = serde_saphyr::from_str(&read("coderun.yaml")).unwrap();
        assert_eq!(code.spec.run.context_version, 1);
    }

    /// Checks what a real API server would reject, and status enums, which would bind an old CRD to a newer controller's values.
    #[test]
    fn schemas_are_structural_and_free_of_status_enums() {
        fn walk(path: &str, schema: &Value) {
            let Value::Object(fields) = schema else {
                return;
            };
            for word in [
                "allOf",
                "anyOf",
                "oneOf",
                "not",
                "$ref",
                "definitions",
                "const",
            ] {
                assert!(!fields.contains_key(word), "{path} has {word}: {schema}");
            }
            assert!(
                fields.get("additionalProperties") != Some(&json!(false)),
                "{path}"
            );
            assert!(fields.contains_key("type"), "{path} has no type: {schema}");
            assert!(fields["type"].is_string(), "{path}: {schema}");
            let in_status = path.contains(".status.") && !path.ends_with("conditions[].status");
            assert!(
                !(in_status && fields.contains_key("enum")),
                "{path} is an enum"
            );
            if let Some(Value::Object(properties)) = fields.get("properties") {
                for (name, inner) in properties {
                    walk(&format!("{path}.{name}"), inner);
                }
            }
            for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
                if let Some(inner) = fields.get(key) {
                    walk(&format!("{path}{mark}"), inner);
                }
            }
        }
        for kind in ["DocsRun", "CodeRun"] {
            walk(kind, &schema(kind));
        }
    }
}
