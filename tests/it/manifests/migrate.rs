//! Migration of the TaskRuns of an older platform to suspended runs.

use std::sync::Arc;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::https_cluster::HttpsCluster;
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Settings;
use flightdeck_verbs::{ClusterContext, Context, Migrate, MigrateOutcome, Verb};
use flightdeck_worker::controller;

/// Returns the CRD of the older platform, as far as it is known.
fn definition() -> CustomResourceDefinition {
    let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    serde_json::from_value(json!({
        "metadata": { "name": "taskruns.orchestrator.io" },
        "spec": {
            "group": "orchestrator.io", "scope": "Namespaced",
            "names": { "kind": "TaskRun", "plural": "taskruns", "singular": "taskrun", "shortNames": ["tr"] },
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": open, "status": open } } },
            }],
        },
    }))
    .unwrap()
}

fn task_runs(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("orchestrator.io", "v1", "TaskRun");
    let resource = ApiResource::from_gvk_with_plural(&kind, "taskruns");
    Api::namespaced_with(client.clone(), "default", &resource)
}

async fn add(client: &Client, name: &str, spec: Value) {
    let object = json!({ "apiVersion": "orchestrator.io/v1", "kind": "TaskRun", "metadata": { "name": name }, "spec": spec });
    let object = serde_json::from_value(object).unwrap();
    task_runs(client)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

#[tokio::test]
async fn task_runs_become_suspended_runs_once_and_are_left_as_they_are() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    let context = ClusterContext {
        client: client.clone(),
        namespace: "default".into(),
        settings: Arc::new(Settings::shipped()),
        ledger: None,
    };
    let nowhere = tempfile::tempdir().unwrap();
    let verbs = Context::connected(nowhere.path().to_owned(), context.clone());
    let migrate = Migrate {
        tasks: vec!["1".into(), "4".into()],
        dry_run: false,
    };
    let nothing = migrate.clone().run(&verbs).await.unwrap_err();
    assert_eq!(nothing.exit_code(), 3, "{nothing}");

    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    api.create(&PostParams::default(), &definition())
        .await
        .unwrap();
    let repository = json!({ "url": "https://github.com/acme/shop", "branch": "dev", "githubUser": "ada", "token": "s3cret" });
    add(&client, "docs-gen-1", json!({ "taskId": 999_999, "serviceName": "docs-generator", "agentName": "claude-docs-opus", "contextVersion": 1, "repository": repository })).await;
    add(&client, "task-3", json!({ "taskId": 3, "serviceName": "shop", "agentName": "claude-agent-1", "contextVersion": 2, "repository": repository })).await;
    add(&client, "task-4", json!({ "taskId": 4, "serviceName": "shop", "agentName": "claude", "repository": { "url": "https://a:s3cret@github.com/acme/shop" } })).await;
    let runs = async |kind| {
        context
            .api(kind)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
    };

    let dry = Migrate {
        dry_run: true,
        ..migrate.clone()
    };
    let foreseen = dry.run(&verbs).await.unwrap();
    assert!(runs(RunKind::Docs).await.is_empty() && runs(RunKind::Code).await.is_empty());

    let report = migrate.clone().run(&verbs).await.unwrap();
    assert_eq!(report.task_runs, foreseen.task_runs);
    assert!(!report.is_complete());
    let outcomes: Vec<&MigrateOutcome> = report.task_runs.iter().map(|run| &run.outcome).collect();
    let [
        MigrateOutcome::Created,
        MigrateOutcome::Created,
        MigrateOutcome::Failed(why),
    ] = outcomes.as_slice()
    else {
        panic!("{report:?}");
    };
    assert!(
        why.contains("spec.repositoryUrl must not contain a user name"),
        "{why}"
    );
    assert!(!serde_json::to_string(&report).unwrap().contains("s3cret"));

    let docs = runs(RunKind::Docs).await;
    assert_eq!((docs.len(), docs[0].name_any().as_str()), (1, "docs-gen-1"));
    assert_eq!(docs[0].data["spec"]["taskIds"], json!(["1", "4"]));
    let code = runs(RunKind::Code).await;
    assert_eq!(
        (code.len(), &code[0].data["spec"]["taskId"]),
        (1, &json!("3"))
    );
    for run in docs.iter().chain(&code) {
        assert_eq!(run.data["spec"]["suspend"], true);
        assert_eq!(run.data["spec"]["sourceBranch"], "dev");
        assert!(!serde_json::to_string(run).unwrap().contains("s3cret"));
    }

    let again = migrate.clone().run(&verbs).await.unwrap();
    let there = again
        .task_runs
        .iter()
        .filter(|run| run.outcome == MigrateOutcome::AlreadyMigrated);
    assert_eq!(there.count(), 2);
    assert_eq!(runs(RunKind::Code).await.len(), 1);
    assert_eq!(
        task_runs(&client)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        3
    );
    served.shutdown().await;
}
