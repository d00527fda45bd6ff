//! Settled runs: they are pruned in memory without losing data.

use k8s_openapi::api::batch::v1::Job;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

use super::{Scene, config, docs_run, recorder::Recorder, run_controller, settled, until, well};
use flightdeck_core::{resources::DocsRun, runs::naming};

/// Creates a Job of that run, like a controller that was interrupted long ago and does not know that the run has ended.
pub(super) async fn stray(scene: &Scene, run: &Value) -> String {
    let (run, uid) = (&run["metadata"]["name"], &run["metadata"]["uid"]);
    let name = format!("{}-stray", run.as_str().unwrap());
    let owner = json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "name": run, "uid": uid, "controller": true,
    });
    let labels = json!({
        naming::LABEL_MANAGED_BY: naming::MANAGER, naming::LABEL_KIND: "docs", naming::LABEL_RUN: run,
        naming::LABEL_RUN_UID: uid, naming::LABEL_STAGE: "agent",
    });
    let job = json!({
        "metadata": { "name": name, "labels": labels, "ownerReferences": [owner] },
        "spec": { "template": {
            "metadata": { "labels": labels },
            "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "x" }] },
        } },
    });
    let job = serde_json::from_value(job).unwrap();
    let jobs: Api<Job> = scene.api();
    jobs.create(&PostParams::default(), &job).await.unwrap();
    name
}

#[tokio::test]
async fn late_job_of_an_ended_run_is_deleted() {
    let mut scene = Scene::with(well).await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-over"))
        .await
        .unwrap();
    let before = until(&runs, "docs-over", settled).await;
    assert_eq!(before["status"]["attempts"].as_array().unwrap().len(), 3);
    scene.stop_controller().await;
    // Without a pod it can only be deleted.
    scene.kubelet.abort();
    let job = stray(&scene, &before).await;
    let asked = Recorder::default();
    let client = asked.client(&scene.cluster, None);
    scene.controller = Some(run_controller(&client, config("default")));
    until(&scene.api::<Job>(), &job, Value::is_null).await;
    scene.stop_controller().await;
    assert_ne!(asked.count("GET docsruns"), 0, "it is read whole first");
    let after = runs.get("docs-over").await.unwrap();
    assert_eq!(
        serde_json::to_value(after).unwrap(),
        before,
        "nothing was written"
    );
    scene.end().await;
}
