//! An older controller takes over from a newer one: unknown fields stay.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{Scene, docs_run, end, start, until, well};
use crate::manifests::newer_crds::{install, newer_crd};
use flightdeck_core::{
    resources::{DocsRun, Usage},
    runs::{Stage, StageReport, naming},
};

/// Unknown fields at every level.
fn unknown(run: &Value) -> Value {
    let status = &run["status"];
    let of = |list: &str, field: &str| -> Vec<&Value> {
        let list = status[list].as_array().unwrap().iter();
        list.filter_map(|item| item.get(field)).collect()
    };
    json!({
        "label": run["metadata"]["labels"]["example.com/team"],
        "finalizer": run["metadata"]["finalizers"][0],
        "spec": run["spec"]["sandbox"],
        "status": status["sandboxName"],
        "attempts": of("attempts", "node"),
        "conditions": of("conditions", "severity").len(),
        "documents": status["documents"]["source"],
        "usage": status["usage"]["source"],
    })
}

#[tokio::test]
async fn unknown_fields_survive_every_write() {
    let mut scene = Scene::without_controller(|stage, job| match stage {
        Stage::Publish if job.metadata.labels.as_ref()?[naming::LABEL_VERSION] == "1" => None,
        Stage::Agent => Some((
            0,
            StageReport {
                usage: Some(Usage {
                    turns: 3,
                    ..Usage::default()
                }),
                ..StageReport::default()
            },
        )),
        _ => well(stage, job),
    })
    .await;
    install(&scene.client, newer_crd()).await;
    scene.controller = Some(start(&scene.client));
    let resource = ApiResource::erase::<DocsRun>(&());
    let runs: Api<DynamicObject> = Api::namespaced_with(scene.client.clone(), "default", &resource);
    let mut run = serde_json::to_value(docs_run("docs-new")).unwrap();
    run["spec"]["sandbox"] = json!("gvisor");
    run["metadata"]["labels"] = json!({ "example.com/team": "shop" });
    run["metadata"]["finalizers"] = json!(["example.com/other"]);
    let run = serde_json::from_value(run).unwrap();
    runs.create(&PostParams::default(), &run).await.unwrap();
    let typed: Api<DocsRun> = scene.api();
    until(&typed, "docs-new", |run| {
        run["status"]["phase"] == "Running" && run["status"]["stage"] == "publish"
    })
    .await;

    // Like the newer one: the complete status, with the common field manager.
    scene.stop_controller().await;
    let read = async || serde_json::to_value(runs.get("docs-new").await.unwrap()).unwrap();
    let mut run = read().await;
    let status = &mut run["status"];
    status["sandboxName"] = json!("box-1");
    for attempt in status["attempts"].as_array_mut().unwrap() {
        attempt["node"] = attempt["stage"].clone();
    }
    for condition in status["conditions"].as_array_mut().unwrap() {
        condition["severity"] = json!("Info");
    }
    for inner in ["documents", "usage"] {
        status[inner]["source"] = json!("measured");
    }
    let written = json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-new" }, "status": status,
    });
    let apply = PatchParams::apply(naming::MANAGER).force();
    runs.patch_status("docs-new", &apply, &Patch::Apply(&written))
        .await
        .unwrap();
    let run = read().await;
    let before = unknown(&run);
    let expected = json!({
        "label": "shop", "finalizer": "example.com/other", "spec": "gvisor", "status": "box-1",
        "attempts": ["prep", "agent", "publish"], "conditions": 8, "documents": "measured", "usage": "measured",
    });
    assert_eq!(before, expected);

    // The older one records the end of the stage and of the run, and removes its finalizer.
    scene.controller = Some(start(&scene.client));
    let job = run["status"]["jobName"].as_str().unwrap();
    end(&scene, Stage::Publish, job).await;
    let ours = |run: &Value| {
        let finalizers = run["metadata"]["finalizers"].as_array().unwrap();
        finalizers.contains(&json!(naming::FINALIZER))
    };
    let ended = |run: &Value| run["status"]["phase"] == "Succeeded" && !ours(run);
    until(&typed, "docs-new", ended).await;
    assert_eq!(unknown(&read().await), expected);

    // It starts a new attempt, with stages that the newer one never saw.
    let again = json!({ "spec": { "contextVersion": 2 } });
    runs.patch("docs-new", &PatchParams::default(), &Patch::Merge(&again))
        .await
        .unwrap();
    until(&typed, "docs-new", |run| {
        ended(run) && run["status"]["observedContextVersion"] == 2
    })
    .await;
    let run = read().await;
    assert_eq!(unknown(&run), expected);
    assert_eq!(run["status"]["usage"]["turns"], 6);
    scene.end().await;
}
