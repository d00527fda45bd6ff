//! Changes that requeue a waiting run, and requests that are too large.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, StatusCode};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    client::Body,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tower::ServiceExt;

use super::{
    PATIENCE, Scene, config, docs_run, phase_is, roles::refusal, run_controller, settled, until,
    well,
};
use flightdeck_core::{resources::DocsRun, runs::naming};
use flightdeck_host::settings::Settings;
use flightdeck_verbs::{AddContext, ClusterContext, Context, Verb, VerbError};
use flightdeck_worker::controller::{ControllerConfig, SettingsWatcher};

/// Returns a client that may create Jobs only while `open`, and counts the refusals in `refused`.
fn gated(scene: &Scene, open: &Arc<AtomicBool>, refused: &watch::Sender<usize>) -> Client {
    let (service, open, refused) = (scene.cluster.service(), Arc::clone(open), refused.clone());
    let service = tower::service_fn(move |request: Request<Body>| {
        let (service, open, refused) = (service.clone(), Arc::clone(&open), refused.clone());
        async move {
            let makes_a_job = *request.method() == Method::POST
                && request.uri().path().ends_with("/namespaces/default/jobs");
            if makes_a_job && !open.load(Ordering::SeqCst) {
                refused.send_modify(|times| *times += 1);
                return Ok(refusal(StatusCode::FORBIDDEN, "no Jobs for now"));
            }
            let Ok(answer) = service.oneshot(request).await;
            Ok::<_, tower::BoxError>(answer.map(super::roles::boxed))
        }
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn settings_change_requeues_a_refused_run() {
    let scene = Scene::without_controller(well).await;
    let watched = SettingsWatcher {
        client: scene.client.clone(),
        namespace: "default".into(),
        metrics: flightdeck_worker::controller::Metrics::default(),
        health: flightdeck_worker::controller::Health::default(),
    }
    .watch();
    let valid = watched.valid();
    let settings_task = tokio::spawn(watched.task);
    valid.await;
    let (open, refused) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(0));
    let mut config = ControllerConfig {
        settings: watched.settings,
        ..config("default")
    };
    // Only a change requeues it.
    let never = Duration::from_secs(3600);
    config.retry_delays.refused = never;
    config.retry_delays.max = never;
    let controller = run_controller(&gated(&scene, &open, &refused), config);
    let runs: Api<DocsRun> = scene.api();
    let run = runs
        .create(&PostParams::default(), &docs_run("docs-waits"))
        .await
        .unwrap();
    until(&runs, "docs-waits", |run| {
        run["status"]["reason"] == "ClusterRefused"
    })
    .await;
    // Once each watch has reported a later change, no earlier one can still requeue the run.
    let labels = json!({
        naming::LABEL_MANAGED_BY: naming::MANAGER, naming::LABEL_KIND: "docs",
        naming::LABEL_RUN: "docs-waits", naming::LABEL_RUN_UID: run.metadata.uid,
    });
    let metadata = json!({ "name": "later", "labels": labels });
    let map: ConfigMap = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    let claim = json!({ "metadata": metadata, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
    } });
    let claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    let mut tried = refused.subscribe();
    let mut before = *tried.borrow_and_update();
    for later in 0..2 {
        let parameters = PostParams::default();
        if later == 0 {
            scene.api().create(&parameters, &map).await.map(drop)
        } else {
            scene.api().create(&parameters, &claim).await.map(drop)
        }
        .unwrap();
        let again = tried.wait_for(|times| *times > before);
        before = *tokio::time::timeout(PATIENCE, again)
            .await
            .unwrap()
            .unwrap();
    }

    open.store(true, Ordering::SeqCst);
    let settings = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "flightdeck-settings" },
        "data": { "config.toml": "[workspace]\nsize = \"3Gi\"\n" },
    });
    let maps: Api<ConfigMap> = scene.api();
    let apply = PatchParams::apply("operator");
    maps.patch("flightdeck-settings", &apply, &Patch::Apply(settings))
        .await
        .unwrap();
    until(&runs, "docs-waits", settled).await;
    let _ = controller.0.send(());
    super::ends(controller.1).await;
    settings_task.abort();
    scene.end().await;
}

/// The CRD allows more than fits into a ConfigMap.
fn context(files: usize) -> Vec<Value> {
    let file =
        |n: usize| json!({ "filename": format!("notes-{n}.md"), "content": "x".repeat(16_384) });
    (1..=files).map(file).collect()
}

#[tokio::test]
async fn too_large_context_is_refused_before_a_retry() {
    let scene = Scene::with(well).await;
    let runs: Api<DocsRun> = scene.api();
    let mut run = serde_json::to_value(docs_run("docs-grows")).unwrap();
    run["spec"]["context"] = json!(context(30));
    let run = serde_json::from_value(run).unwrap();
    runs.create(&PostParams::default(), &run).await.unwrap();
    until(&runs, "docs-grows", settled).await;

    // The verb does not even write it.
    let verbs = ClusterContext {
        client: scene.client.clone(),
        namespace: "default".into(),
        settings: Arc::new(Settings::shipped()),
        ledger: None,
    };
    let add = AddContext::new("docs-grows".into(), "y".repeat(16_384));
    let refused = add
        .run(&Context::connected("/".into(), verbs))
        .await
        .unwrap_err();
    assert!(matches!(refused, VerbError::Usage(_)), "{refused}");
    assert!(
        refused.to_string().contains("over the ConfigMap limit"),
        "{refused}"
    );
    let now = runs.get("docs-grows").await.unwrap().spec.run;
    assert_eq!((now.context_version, now.context.len()), (1, 30));

    // If it is written anyway, the run reports it and creates nothing.
    let raised = json!({ "spec": { "contextVersion": 2, "context": context(32) } });
    runs.patch(
        "docs-grows",
        &PatchParams::default(),
        &Patch::Merge(&raised),
    )
    .await
    .unwrap();
    let run = until(&runs, "docs-grows", |run| {
        phase_is("Failed")(run) && run["status"]["observedContextVersion"] == 2
    })
    .await;
    assert_eq!(run["status"]["reason"], "ConfigInvalid");
    let message = run["status"]["message"].as_str().unwrap();
    assert!(message.contains("the largest is prompt.md"), "{message}");
    let jobs: Api<Job> = scene.api();
    let jobs = jobs.list(&ListParams::default()).await.unwrap();
    assert_eq!(jobs.items.len(), 3, "those of the first attempt");
    scene.end().await;
}
