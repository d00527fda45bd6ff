use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{object::Key, patch::PatchType, store::Store};

const NAMESPACE: &str = "default";

/// A store with the namespace `default` and two custom kinds: `things` with a status subresource, `plains` without.
struct Scene {
    store: Store,
    _directory: TempDir,
}

fn definition(plural: &str, kind: &str, subresources: &Value) -> Value {
    json!({
        "metadata": {"name": format!("{plural}.example.org")},
        "spec": {
            "group": "example.org", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "size": {"type": "integer", "default": 1},
                        "note": {"type": "string", "nullable": true},
                        "blob": {"type": "string"},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    }},
                    "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                }}},
            }],
        },
    })
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let scene = Self {
            store,
            _directory: directory,
        };
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        scene.create("namespaces", namespace).await.unwrap();
        for (plural, kind, subresources) in [
            ("things", "Thing", json!({"status": {}})),
            ("plains", "Plain", json!({})),
        ] {
            let body = definition(plural, kind, &subresources);
            scene.create(DEFINITIONS, body).await.unwrap();
        }
        scene
    }

    async fn on<T: Send + 'static>(
        &self,
        resource: &str,
        act: impl FnOnce(&mut crate::store::Transaction<'_>, &Kind) -> Result<T, StatusError>
        + Send
        + 'static,
    ) -> Result<T, StatusError> {
        let kind = self.store.read().registry().of_resource(resource).cloned();
        let kind = kind.unwrap();
        self.store
            .write(false, move |transaction| act(transaction, &kind))
            .await
    }

    async fn create_as(
        &self,
        resource: &str,
        body: Value,
        options: WriteOptions,
    ) -> Result<WriteResult, StatusError> {
        self.on(resource, move |transaction, kind| {
            let namespace = if kind.namespaced { NAMESPACE } else { "" };
            create(transaction, kind, namespace, body, &options)
        })
        .await
    }

    async fn create(&self, resource: &str, body: Value) -> Result<Value, StatusError> {
        let written = self.create_as(resource, body, options("tester")).await;
        written.map(|written| written.object.value.clone())
    }

    async fn edit_as(
        &self,
        resource: &str,
        name: &str,
        status: bool,
        edit: Edit,
        options: WriteOptions,
    ) -> Result<Value, StatusError> {
        let name = name.to_owned();
        self.on(resource, move |transaction, kind| {
            let key = Key::new(if kind.namespaced { NAMESPACE } else { "" }, name);
            let written = update(transaction, kind, &key, status, edit, &options)?;
            Ok(written.object.value.clone())
        })
        .await
    }

    async fn edit(&self, resource: &str, name: &str, edit: Edit) -> Result<Value, StatusError> {
        self.edit_as(resource, name, false, edit, options("tester"))
            .await
    }

    async fn merge(&self, resource: &str, name: &str, patch: Value) -> Result<Value, StatusError> {
        self.edit(resource, name, Edit::Patch(PatchType::Merge, patch))
            .await
    }

    async fn delete(
        &self,
        resource: &str,
        name: &str,
        body: Value,
    ) -> Result<Deleted, StatusError> {
        let name = name.to_owned();
        self.on(resource, move |transaction, kind| {
            let key = Key::new(if kind.namespaced { NAMESPACE } else { "" }, name);
            delete(transaction, kind, &key, &DeleteOptions::parse(&body)?)
        })
        .await
    }

    fn get(&self, resource: &str, name: &str) -> Option<Value> {
        let key = Key::new(NAMESPACE, name);
        let state = self.store.read();
        state.get(resource, &key).map(|object| object.value.clone())
    }
}

fn options(manager: &str) -> WriteOptions {
    WriteOptions {
        manager: manager.to_owned(),
        field_validation: FieldValidation::Warn,
    }
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "1"}})
}

fn pod_template() -> Value {
    json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}})
}

/// Creates each object; the edit then fails with the expected error and changes nothing.
#[tokio::test]
async fn rejects_edits_like_kubernetes() {
    let scene = Scene::new().await;
    let merge = |patch: Value| Edit::Patch(PatchType::Merge, patch);
    let secret = json!({"type": "Opaque", "stringData": {"a": "1"}});
    let claim = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let job = json!({"spec": {"template": pod_template()}});
    let waiting = json!({"spec": {"suspend": true, "template": pod_template()}});
    let image =
        json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "j"}]}}}});
    for (number, (resource, mut object, edit, code, why)) in [
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"name": "other"}})),
            400,
            "does not match the name on the URL",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"namespace": "other"}})),
            400,
            "does not match the namespace",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"uid": "other"}})),
            422,
            "field is immutable",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"resourceVersion": "1"}})),
            409,
            "the object has been modified",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"labels": {"a": "b c"}}})),
            422,
            "a valid label must be",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"metadata": {"labels": {"a": 1}}})),
            400,
            "cannot be handled as a ConfigMap",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"data": {"a/b": "1"}})),
            422,
            "a valid config key",
        ),
        (
            "configmaps",
            map(""),
            merge(json!({"data": {"a": "x".repeat((1 << 20) + 1)}})),
            422,
            "Too long: may not be more than 1048576 bytes",
        ),
        (
            "configmaps",
            json!({"immutable": true, "data": {"a": "1"}}),
            merge(json!({"data": {"a": "2"}})),
            422,
            "field is immutable when `immutable` is set",
        ),
        (
            "configmaps",
            json!({"immutable": true}),
            merge(json!({"immutable": false})),
            422,
            "field is immutable when `immutable` is set",
        ),
        (
            "configmaps",
            map(""),
            Edit::Put(json!({"metadata": {"uid": "other"}})),
            409,
            "Precondition failed: UID in precondition: other",
        ),
        (
            "secrets",
            secret.clone(),
            merge(json!({"type": "other"})),
            422,
            "type: Invalid value: \"other\": field is immutable",
        ),
        (
            "persistentvolumeclaims",
            claim.clone(),
            merge(json!({"spec": {"accessModes": ["ReadWriteMany"]}})),
            422,
            "spec: Forbidden: spec is immutable after creation except",
        ),
        (
            "persistentvolumeclaims",
            claim,
            merge(json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})),
            422,
            "spec is immutable after creation except",
        ),
        (
            "jobs.batch",
            job.clone(),
            Edit::Patch(PatchType::Strategic, image.clone()),
            422,
            "spec.template: Invalid value",
        ),
        (
            "jobs.batch",
            waiting.clone(),
            Edit::Patch(PatchType::Strategic, image),
            422,
            "field is immutable",
        ),
        (
            "jobs.batch",
            job.clone(),
            merge(json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}})),
            422,
            "spec.selector",
        ),
        (
            "jobs.batch",
            job,
            merge(json!({"spec": {"completions": 2}})),
            422,
            "spec.completions",
        ),
        (
            "things.example.org",
            json!({}),
            Edit::Put(json!({})),
            422,
            "must be specified for an update",
        ),
        (
            "things.example.org",
            json!({}),
            merge(json!({"spec": {"size": "big"}})),
            422,
            "spec.size in body must be of type integer",
        ),
        (
            "things.example.org",
            json!({}),
            merge(json!({"metadata": {"labels": {"a": 1}}})),
            400,
            "cannot be handled as a Thing",
        ),
        (
            "things.example.org",
            json!({}),
            merge(json!({"spec": {"blob": "x".repeat(2 << 20)}})),
            413,
            "Request entity too large",
        ),
        (
            "things.example.org",
            json!({}),
            Edit::Patch(
                PatchType::Json,
                json!([{"op": "test", "path": "/spec/size", "value": 7}]),
            ),
            422,
            "the server rejected our request",
        ),
        (
            "things.example.org",
            json!({}),
            Edit::Patch(
                PatchType::Json,
                json!([{"op": "remove", "path": "/spec/absent"}]),
            ),
            422,
            "the server rejected our request",
        ),
        (
            "things.example.org",
            json!({}),
            Edit::Patch(PatchType::Json, json!([{"op": "paint", "path": "/spec"}])),
            400,
            "not a JSON Patch",
        ),
        (
            "things.example.org",
            json!({}),
            Edit::Patch(PatchType::Json, json!({"spec": {}})),
            400,
            "not a JSON Patch",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("o{number}");
        object["metadata"] = json!({"name": name});
        let edit = match edit {
            Edit::Put(mut body) => {
                body["metadata"]["name"] = name.clone().into();
                Edit::Put(body)
            }
            other => other,
        };
        scene.create(resource, object).await.unwrap();
        let before = scene.get(resource, &name);
        let what = format!("{number} {resource} {edit:.200?}");
        let error = scene.edit(resource, &name, edit).await.expect_err(&what);
        assert_eq!(error.code, code, "{what}: {error}");
        assert!(error.message.contains(why), "{what}: {error:.300}");
        assert_eq!(scene.get(resource, &name), before, "{what}");
    }
}

#[tokio::test]
async fn accepts_edits_like_kubernetes() {
    let scene = Scene::new().await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    scene.create("persistentvolumeclaims", claim).await.unwrap();
    let bind = json!({"spec": {"volumeName": "v"}});
    scene
        .merge("persistentvolumeclaims", "c", bind)
        .await
        .unwrap();
    let bound = Edit::Patch(PatchType::Merge, json!({"status": {"phase": "Bound"}}));
    scene
        .edit_as("persistentvolumeclaims", "c", true, bound, options("node"))
        .await
        .unwrap();
    let grow = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
    scene
        .merge("persistentvolumeclaims", "c", grow)
        .await
        .unwrap();
    let other = json!({"spec": {"volumeName": "w"}});
    let refused = scene.merge("persistentvolumeclaims", "c", other).await;
    assert_eq!(
        refused.unwrap_err().code,
        422,
        "a bound claim stays where it is"
    );

    let job =
        json!({"metadata": {"name": "j"}, "spec": {"suspend": true, "template": pod_template()}});
    scene.create("jobs.batch", job).await.unwrap();
    let place =
        json!({"spec": {"suspend": false, "template": {"spec": {"nodeSelector": {"a": "b"}}}}});
    let job = scene.merge("jobs.batch", "j", place).await.unwrap();
    assert_eq!(job["metadata"]["generation"], 2);
    let ttl = json!({"spec": {"ttlSecondsAfterFinished": 0, "parallelism": 0}});
    scene.merge("jobs.batch", "j", ttl).await.unwrap();
}

#[tokio::test]
async fn rejects_creates_like_kubernetes() {
    let scene = Scene::new().await;
    for (resource, body, code, why) in [
        (
            "configmaps",
            json!({"metadata": {"name": "A"}}),
            422,
            "a lowercase RFC 1123 subdomain must consist of",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "a".repeat(254)}}),
            422,
            "no more than 253 characters",
        ),
        (
            "namespaces",
            json!({"metadata": {"name": "a.b"}}),
            422,
            "a lowercase RFC 1123 label must consist of",
        ),
        (
            "namespaces",
            json!({"metadata": {"name": "a".repeat(64)}}),
            422,
            "no more than 63 characters",
        ),
        (
            "configmaps",
            json!({}),
            422,
            "name or generateName is required",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "a", "resourceVersion": "1"}}),
            400,
            "should not be set on objects to be created",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "a", "namespace": "b"}}),
            400,
            "does not match the namespace sent on the request",
        ),
        (
            "configmaps",
            json!({"kind": "Secret", "metadata": {"name": "a"}}),
            400,
            "Secret",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "a"}, "data": {"a": 1}}),
            400,
            "cannot be handled as a ConfigMap",
        ),
        (
            "configmaps",
            json!({"metadata": {"name": "a", "finalizers": ["a b"]}}),
            422,
            "metadata.finalizers",
        ),
        (
            "events",
            json!({"metadata": {"name": "a"}, "involvedObject": {"namespace": "other"}}),
            422,
            "involvedObject.namespace",
        ),
        (
            "secrets",
            json!({"metadata": {"name": "a"}, "data": {"a": "no base64!"}}),
            400,
            "cannot be handled as a Secret",
        ),
        (
            "jobs.batch",
            json!({"metadata": {"name": "a".repeat(64)}, "spec": {"template": pod_template()}}),
            422,
            "no more than 63 characters",
        ),
        (
            "jobs.batch",
            json!({"metadata": {"name": "a"}, "spec": {"template": {"spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}]}}}}),
            422,
            "supported values: \"OnFailure\", \"Never\"",
        ),
        (
            DEFINITIONS,
            definition("wrongs", "Wrong", &json!({})),
            422,
            "wrongs.example.com",
        ),
    ] {
        let mut body = body;
        if resource == DEFINITIONS {
            body["spec"]["group"] = "example.com".into();
            body["metadata"]["name"] = "wrongs.example.com".into();
            body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] =
                Value::Null;
        }
        let error = scene.create(resource, body.clone()).await.expect_err(why);
        assert_eq!(error.code, code, "{why}: {error}");
        assert!(error.message.contains(why), "{why}: {error}");
    }
}

#[tokio::test]
async fn objects_stay_shallow_enough_to_be_read_again() {
    let scene = Scene::new().await;
    let thing = |name: &str, levels: usize| {
        let chain = (0..levels).fold(json!(1), |value, _| json!([value]));
        json!({"metadata": {"name": name}, "spec": {"free": {"chain": chain}}})
    };
    let shallow = scene.create("things.example.org", thing("a", 90)).await;
    let json = shallow.unwrap().to_string();
    serde_json::from_str::<Value>(&json).unwrap();
    let deep = scene.create("things.example.org", thing("b", 100)).await;
    assert_eq!(deep.unwrap_err().code, 422);
    assert_eq!(scene.get("things.example.org", "b"), None);
    let edit = Edit::Put(thing("a", 100));
    let deep = scene.edit("things.example.org", "a", edit).await;
    assert_eq!(deep.unwrap_err().code, 422);
}

#[tokio::test]
async fn generates_unique_names() {
    let scene = Scene::new().await;
    let body = json!({"metadata": {"generateName": "a-"}});
    let one = scene.create("configmaps", body.clone()).await.unwrap();
    let two = scene.create("configmaps", body).await.unwrap();
    let names = [&one, &two].map(|made| text(made, "/metadata/name").to_owned());
    assert_ne!(names[0], names[1]);
    assert!(
        names
            .iter()
            .all(|name| name.len() == 7 && name.starts_with("a-")),
        "{names:?}"
    );
    let long = json!({"metadata": {"generateName": "x".repeat(100)}});
    let long = scene.create("configmaps", long).await.unwrap();
    assert_eq!(text(&long, "/metadata/name").len(), 63);
}

#[tokio::test]
async fn field_validation_of_unknown_fields() {
    let scene = Scene::new().await;
    let pod = json!({"metadata": {"name": "p", "colour": "red"}, "spec": {"containers": [{"name": "c", "image": "i", "imag": "typo"}]}});
    let thing = json!({"metadata": {"name": "t", "colour": "red"}, "spec": {"sise": 1, "free": {"any": 1}}});
    for (resource, body, fields) in [
        ("pods", pod, ["metadata.colour", "spec.containers[0].imag"]),
        (
            "things.example.org",
            thing,
            ["metadata.colour", "spec.sise"],
        ),
    ] {
        let with = |field_validation| WriteOptions {
            field_validation,
            ..options("tester")
        };
        let refused = scene
            .create_as(resource, body.clone(), with(FieldValidation::Strict))
            .await;
        let message = refused.unwrap_err().message;
        assert!(message.contains("cannot be handled as a"), "{message}");
        let list = fields.map(|field| format!("unknown field {field:?}"));
        let expected = format!("strict decoding error: {}", list.join(", "));
        assert!(message.ends_with(&expected), "{message}");
        let told = scene
            .create_as(resource, body.clone(), with(FieldValidation::Warn))
            .await
            .unwrap();
        assert_eq!(told.warnings, list);
        assert!(
            !told.object.value.to_string().contains("red"),
            "{}",
            told.object.value
        );
        let name = told.object.key.name.clone();
        scene
            .delete(resource, &name, json!({"gracePeriodSeconds": 0}))
            .await
            .unwrap();
        let quiet = scene
            .create_as(resource, body, with(FieldValidation::Ignore))
            .await
            .unwrap();
        assert_eq!(quiet.warnings, [""; 0]);
        assert_eq!(
            quiet.object.value["spec"]["free"]["any"].is_null(),
            resource == "pods"
        );
    }
}

#[tokio::test]
async fn equal_times_are_no_change() {
    let scene = Scene::new().await;
    let made = scene.create("configmaps", map("m")).await.unwrap();
    let mut sent = made.clone();
    for place in [
        "/metadata/creationTimestamp",
        "/metadata/managedFields/0/time",
    ] {
        let time = sent.pointer_mut(place).unwrap();
        *time = time.as_str().unwrap().replace('Z', "+00:00").into();
    }
    assert_ne!(sent, made);
    let put = scene.edit("configmaps", "m", Edit::Put(sent)).await;
    assert_eq!(put.unwrap(), made, "nothing changed, nothing is written");
    for (time, taken) in [
        ("2024-01-01T00:00:05.000000Z", true),
        ("2024-01-01T00:00:05Z", false),
    ] {
        let lease = json!({"metadata": {"name": "l"}, "spec": {"renewTime": time}});
        let made = scene.create("leases.coordination.k8s.io", lease).await;
        assert_eq!(made.is_ok(), taken, "{made:?}");
    }
}

/// Returns a definition of `ruleds` with rules on its spec.
fn ruled(rules: &Value) -> Value {
    let mut body = definition("ruleds", "Ruled", &json!({"status": {}}));
    let spec = &mut body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = rules.clone();
    body
}

#[tokio::test]
async fn unsupported_rules_give_warning_and_condition() {
    let scene = Scene::new().await;
    let rules = json!([{"rule": "self.size > 0"}, {"rule": "isURL(self.note)"}]);
    let written = scene
        .create_as(DEFINITIONS, ruled(&rules), options("tester"))
        .await
        .unwrap();
    let named = "properties[spec].x-kubernetes-validations[1].rule: \"isURL(self.note)\" uses the function isURL";
    assert!(
        matches!(&written.warnings[..], [one] if one.contains(named)),
        "{:?}",
        written.warnings
    );
    let made = &written.object.value;
    let kept = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations";
    assert_eq!(made.pointer(kept), Some(&rules));
    let conditions = made["status"]["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|one| one["type"] == "RulesIgnored"
        && one["status"] == "True"
        && one["message"].as_str().unwrap().contains(named)));
    // The other rule is evaluated.
    let thing = |size: i64| json!({"metadata": {"name": "a"}, "spec": {"size": size, "note": "x"}});
    let small = scene.create("ruleds.example.org", thing(0)).await;
    assert_eq!(small.unwrap_err().code, 422);
    scene.create("ruleds.example.org", thing(1)).await.unwrap();
    let gone = json!([{"op": "remove", "path": kept}]);
    let edit = Edit::Patch(PatchType::Json, gone);
    let after = scene.edit(DEFINITIONS, "ruleds.example.org", edit).await;
    assert!(
        !after.unwrap()["status"]
            .to_string()
            .contains("RulesIgnored")
    );
}

#[tokio::test]
async fn invalid_rules_are_refused_with_the_definition() {
    let scene = Scene::new().await;
    for (rule, message) in [
        (
            json!({}),
            "x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            json!({"rule": "self.size >"}),
            "x-kubernetes-validations[0].rule: Invalid value: \"self.size >\": compilation failed: ERROR: <input>:1:",
        ),
        (json!({"rule": "self.sise > 0"}), "undefined field 'sise'"),
    ] {
        let refused = scene.create(DEFINITIONS, ruled(&json!([rule]))).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code, 422);
        assert!(refused.message.contains(message), "{}", refused.message);
    }
}

#[tokio::test]
async fn validation_rules_reject_violations() {
    let scene = Scene::new().await;
    let rules = json!([
        {"rule": "self.size > 0", "message": "too small", "fieldPath": ".size"},
        {"rule": "self.size >= oldSelf.size", "messageExpression": "'less than ' + string(oldSelf.size)"},
        {"rule": "self.size != 9", "reason": "FieldValueForbidden", "message": "not nine"},
    ]);
    let written = scene
        .create_as(DEFINITIONS, ruled(&rules), options("tester"))
        .await
        .unwrap();
    assert_eq!(written.warnings, [""; 0]);
    assert!(
        !written.object.value["status"]
            .to_string()
            .contains("RulesIgnored")
    );
    let resource = "ruleds.example.org";
    let thing = |size: Value| json!({"metadata": {"name": "a"}, "spec": {"size": size}});
    for (size, message) in [
        (json!(0), "spec.size: Invalid value: \"object\": too small"),
        (json!(9), "spec: Forbidden: not nine"),
        (
            json!("0"),
            "<nil>: Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]",
        ),
    ] {
        let refused = scene.create(resource, thing(size)).await.unwrap_err();
        assert_eq!(refused.code, 422);
        assert!(refused.message.ends_with(message), "{}", refused.message);
    }
    scene.create(resource, thing(json!(5))).await.unwrap();
    let merge = |patch: Value| Edit::Patch(PatchType::Merge, patch);
    for (patch, message) in [
        (
            json!({"spec": {"size": 4}}),
            "spec: Invalid value: \"object\": less than 5",
        ),
        (json!({"metadata": {"labels": {"a": "b"}}}), ""),
        (json!({"spec": {"size": 6}}), ""),
    ] {
        let edited = scene.edit(resource, "a", merge(patch.clone())).await;
        let refused = edited.err().map(|error| error.message).unwrap_or_default();
        assert_eq!(refused.is_empty(), message.is_empty(), "{patch}: {refused}");
        assert!(refused.ends_with(message), "{patch}: {refused}");
    }
}
