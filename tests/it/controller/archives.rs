//! Archived logs: as many as the status has attempts.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{Scene, docs_run, settled, until, well};
use flightdeck_core::{resources::DocsRun, runs::naming};

/// Number of attempts in a status.
const LISTED: usize = 20;

/// Creates a run with so many attempts that the next ones drop the oldest. The first four have archives; that of the third
/// belongs to someone else.
pub(super) async fn old_run(scene: &Scene, name: &str) {
    let runs: Api<DocsRun> = scene.api();
    let run = runs
        .create(&PostParams::default(), &docs_run(name))
        .await
        .unwrap();
    let time = "2026-01-01T00:00:00Z";
    let attempt = |n: usize| {
        json!({
            "stage": "agent", "contextVersion": 1, "attempt": n + 1, "jobName": format!("{name}-old-{n}"),
            "exitCode": 1, "reason": "AgentFailed", "startedAt": time, "finishedAt": time,
        })
    };
    let attempts: Vec<Value> = (0..LISTED).map(attempt).collect();
    let status = json!({ "status": {
        "phase": "Failed", "reason": "AgentFailed", "observedContextVersion": 1, "observedGeneration": 1, "attempts": attempts,
    } });
    runs.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
    let maps: Api<ConfigMap> = scene.api();
    for n in 0..4 {
        let owner = json!({
            "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "name": name, "uid": run.uid(), "controller": true,
        });
        let owners = if n == 2 { json!([]) } else { json!([owner]) };
        let kept = naming::log_archive_name(&format!("{name}-old-{n}"));
        let map = json!({ "metadata": { "name": kept, "ownerReferences": owners } });
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
}

/// Starts its next attempt and waits for the end. Returns the remaining archives.
pub(super) async fn retried(scene: &Scene, name: &str) -> Vec<usize> {
    let runs: Api<DocsRun> = scene.api();
    let again = json!({ "spec": { "contextVersion": 2 } });
    runs.patch(name, &PatchParams::default(), &Patch::Merge(&again))
        .await
        .unwrap();
    let run = until(&runs, name, settled).await;
    let attempts = run["status"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), LISTED);
    assert_eq!(attempts[0]["jobName"], format!("{name}-old-3"));
    let maps: Api<ConfigMap> = scene.api();
    let mut left = Vec::new();
    for n in 0..4 {
        let kept = naming::log_archive_name(&format!("{name}-old-{n}"));
        if maps.get_opt(&kept).await.unwrap().is_some() {
            left.push(n);
        }
    }
    left
}

#[tokio::test]
async fn own_log_archives_of_dropped_attempts_are_deleted() {
    let mut scene = Scene::without_controller(well).await;
    old_run(&scene, "docs-old").await;
    scene.controller = Some(super::start(&scene.client));
    assert_eq!(retried(&scene, "docs-old").await, [2, 3]);
    scene.end().await;
}
