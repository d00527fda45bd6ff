//! CRDs of a newer version: fields that this version does not know are kept.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::https_cluster::HttpsCluster;
use flightdeck_core::{
    resources::{Kind, definition},
    runs::RunKind,
};
use flightdeck_host::settings::Settings;
use flightdeck_verbs::{AddContext, ClusterContext, Context, Retry, Stop, Verb};

/// Returns the CRD of docs runs with additional fields, like that of a newer version.
pub(crate) fn newer_crd() -> Value {
    let mut crd = serde_json::to_value(definition(Kind::Docs)).unwrap();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let text = json!({ "type": "string", "maxLength": 63 });
    schema["spec"]["properties"]["sandbox"] = text.clone();
    schema["spec"]["properties"]["context"]["items"]["properties"]["author"] = text.clone();
    let status = &mut schema["status"]["properties"];
    status["attempts"]["items"]["properties"]["node"] = text.clone();
    status["conditions"]["items"]["properties"]["severity"] = text.clone();
    for inner in ["documents", "usage"] {
        status[inner]["properties"]["source"] = text.clone();
    }
    status["sandboxName"] = text;
    crd
}

/// Installs a CRD.
pub(crate) async fn install(client: &Client, definition: Value) {
    let object: DynamicObject = serde_json::from_value(definition).unwrap();
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let name = object.metadata.name.clone().unwrap();
    let apply = PatchParams::apply("test").force();
    api.patch(&name, &apply, &Patch::Apply(&object))
        .await
        .unwrap();
}

#[tokio::test]
async fn stop_retry_and_added_context_leave_what_a_newer_version_wrote() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    install(&client, newer_crd()).await;
    let code = definition(Kind::Code);
    install(&client, serde_json::to_value(code).unwrap()).await;
    let context = ClusterContext {
        client: client.clone(),
        namespace: "default".into(),
        settings: Arc::new(Settings::shipped()),
        ledger: None,
    };
    let runs = context.api(RunKind::Docs);
    let run: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-new" },
        "spec": {
            "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "sandbox": "gvisor",
            "context": [{ "filename": "context-v1.md", "content": "Old.", "author": "Ada" }],
        },
    }))
    .unwrap();
    runs.create(&PostParams::default(), &run).await.unwrap();
    let status = |phase: &str, seen: i32| json!({ "status": { "phase": phase, "observedContextVersion": seen, "sandboxName": "box-1" } });
    let say = async |body: Value| {
        runs.patch_status("docs-new", &PatchParams::default(), &Patch::Merge(&body))
            .await
            .unwrap()
    };
    let unharmed = async || {
        let run = runs.get("docs-new").await.unwrap().data;
        assert_eq!(run["spec"]["sandbox"], "gvisor");
        assert_eq!(run["spec"]["context"][0]["author"], "Ada", "{run:#}");
        assert_eq!(run["status"]["sandboxName"], "box-1");
        run
    };

    say(status("Running", 1)).await;
    let name = "docs-new".to_owned();
    let nowhere = tempfile::tempdir().unwrap();
    let verbs = Context::connected(nowhere.path().to_owned(), context.clone());
    Stop { name: name.clone() }.run(&verbs).await.unwrap();
    assert_eq!(unharmed().await["spec"]["cancelVersion"], 1);
    say(status("Cancelled", 1)).await;
    Retry::new(name.clone()).run(&verbs).await.unwrap();
    assert_eq!(unharmed().await["spec"]["contextVersion"], 2);
    say(status("Failed", 2)).await;
    let text = "New.".to_owned();
    AddContext::new(name, text).run(&verbs).await.unwrap();
    let run = unharmed().await;
    assert_eq!(run["spec"]["context"][1]["content"], "New.");
    served.shutdown().await;
}
