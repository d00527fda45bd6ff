//! The embedded cluster rejects what an API server rejects by the CEL rules of the CRDs.

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use flightdeck_core::resources::CodeRun;
use flightdeck_worker::controller;
use kube_embedded::{Cluster, ClusterOptions, node::Limits};

fn run(name: &str, changes: &[(&str, Value)]) -> CodeRun {
    let mut run = json!({
        "apiVersion": "orchestrator.io/v1", "kind": "CodeRun", "metadata": {"name": name},
        "spec": {
            "repositoryUrl": "https://github.com/acme/shop.git", "sourceBranch": "feature/plan",
            "taskId": "1", "service": "shop", "contextVersion": 2,
        },
    });
    for (field, value) in changes {
        run["spec"][*field] = value.clone();
    }
    serde_json::from_value(run).unwrap()
}

#[tokio::test]
async fn embedded_cluster_applies_the_crd_rules() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(ClusterOptions {
        directory: directory.path().to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 0,
        environment: BTreeMap::new(),
        limits: Limits::default(),
        identity: flightdeck::daemon::identity(),
    })
    .await
    .unwrap();
    controller::install_crds(cluster.client()).await.unwrap();
    let runs: Api<CodeRun> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();

    let secret = json!("https://ada:hunter2@github.com/acme/docs.git");
    for (changes, field) in [
        (
            vec![("docsRepositoryUrl", secret)],
            "spec.docsRepositoryUrl",
        ),
        (vec![("sourceBranch", json!("a..b"))], "spec.sourceBranch"),
        (vec![("env", json!({"LD_PRELOAD": "x"}))], "spec.env"),
    ] {
        let refused = runs.create(&post, &run("a", &changes)).await.unwrap_err();
        let message = refused.to_string();
        assert!(message.contains(field), "{field}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    runs.create(&post, &run("a", &[])).await.unwrap();
    let change = async |spec: Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        runs.patch("a", &PatchParams::default(), &patch).await
    };
    for (spec, accepted) in [
        (json!({"taskId": "2"}), false),
        (json!({"targetBranch": "main"}), false),
        (json!({"contextVersion": 1}), false),
        (json!({"contextVersion": 3}), true),
    ] {
        let text = spec.to_string();
        assert_eq!(change(spec).await.is_ok(), accepted, "{text}");
    }
    cluster.shutdown().await;
}
