//! The two CustomResourceDefinitions: made from the Rust types, installed where a person asks.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use kube_runtime::wait::{await_condition, conditions};

use flightdeck_core::{
    resources,
    runs::{RunKind, naming::MANAGER},
};

/// How long an API server may take to serve a new kind.
const ESTABLISH: Duration = Duration::from_secs(30);

/// Why the kinds could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("the cluster refused the definition {name}: {source}")]
    Refused {
        name: String,
        source: Box<kube::Error>,
    },
    #[error(
        "the cluster accepted the definition {name} but does not serve it after {} seconds",
        ESTABLISH.as_secs()
    )]
    NotServed { name: String },
}

/// The definitions of both kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    RunKind::ALL
        .map(|kind| resources::definition(kind.into()))
        .into()
}

/// Puts both definitions into the cluster (or brings them up to date) and waits until their kinds are served.
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
        match tokio::time::timeout(ESTABLISH, established).await {
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
    fn what_every_run_has_lies_flat_beside_what_one_kind_has() {
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
    fn shipped_samples_are_runs() {
        let read = |file: &str| {
            let file = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../config/samples")
                .join(file);
            fs::read_to_string(file).unwrap()
        };
        let docs: DocsRun = serde_yaml::from_str(&read("docsrun.yaml")).unwrap();
        assert_eq!(docs.spec.task_ids, ["1", "2"]);
        let code: CodeRun = serde_yaml::from_str(&read("coderun.yaml")).unwrap();
        assert_eq!(code.spec.run.context_version, 1);
    }

    /// What a real API server would refuse, or what would bind an older definition to the words of a newer controller.
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
