//! The number of API calls of a run: writes, and no reads that a watch makes unnecessary.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tower::Layer;

use super::{
    Scene, config, docs_run, end, recorder::Recorder, run_controller, settled, until, well,
};
use flightdeck_core::{resources::DocsRun, runs::Stage};
use flightdeck_worker::controller::ControllerConfig;
use kube_embedded::fault::{Fault, Faults, Plan, Rule, Verb};

/// The kubelet takes each step only after the previous one was reported, so every count is exact.
#[tokio::test]
async fn docs_run_has_a_fixed_number_of_writes_and_no_reads() {
    let mut scene = Scene::without_controller(|_, _| None).await;
    let asked = Recorder::default();
    let config = ControllerConfig {
        // Avoid timeouts on a busy machine.
        call_timeout: Duration::from_secs(600),
        ..config("default")
    };
    scene.controller = Some(run_controller(&asked.client(&scene.cluster, None), config));
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-cost"))
        .await
        .unwrap();
    for stage in Stage::ALL {
        let run = until(&runs, "docs-cost", |run| {
            run["status"]["phase"] == "Running" && run["status"]["stage"] == stage.as_str()
        })
        .await;
        let name = run["status"]["jobName"].as_str().unwrap();
        let pods: Api<Pod> = scene.api();
        // Irrelevant changes of a pod cost nothing.
        for n in 0..5 {
            let body = json!({ "metadata": { "annotations": { "example.com/n": n.to_string() } } });
            let patch = Patch::Merge(&body);
            pods.patch(&format!("{name}-x"), &PatchParams::default(), &patch)
                .await
                .unwrap();
        }
        end(&scene, stage, name).await;
    }
    until(&runs, "docs-cost", settled).await;
    scene.stop_controller().await;

    let mut writes: BTreeMap<String, usize> = BTreeMap::new();
    for write in asked.writes() {
        *writes.entry(write).or_default() += 1;
    }
    let expected = [
        // Each stage is recorded before its Job is created, and reported as running; then the end.
        ("PATCH docsruns/status", 7),
        // Adding and removing the finalizer.
        ("PATCH docsruns", 2),
        ("POST jobs", 3),
        // Setting the TTL of each Job.
        ("PATCH jobs", 3),
        // The files, and the archived log of each stage.
        ("POST configmaps", 4),
        ("POST persistentvolumeclaims", 1),
        // Each stage starts and finishes; the run succeeds.
        ("POST events", 7),
    ];
    let expected = expected.map(|(what, times)| (what.to_owned(), times));
    assert_eq!(writes, expected.into());
    // One list per watch, and one for a stage whose pod ended after its Job.
    let lists = asked.count("LIST");
    assert!((6..=9).contains(&lists), "{lists} lists");
    // One per container.
    let logs = asked.count("GET pods/log");
    assert_eq!((asked.count("GET"), logs), (5, 5));
    scene.end().await;
}

/// In three seconds a permanent failure is retried six or seven times, with doubling delays.
#[tokio::test]
async fn permanent_failures_back_off() {
    for (code, verb, resource) in [
        (409, Verb::Patch, "docsruns/status"),
        (500, Verb::Create, "jobs"),
        (403, Verb::Create, "configmaps"),
    ] {
        let code = code.try_into().unwrap();
        let fault = Fault::Answer {
            code,
            retry_after: None,
        };
        let rule = Rule::new(fault).verbs(&[verb]).resources(&[resource]);
        let faults = Faults::new(Plan::of(rule));
        let mut scene = Scene::without_controller(well).await;
        let client = Client::new(faults.layer().layer(scene.cluster.service()), "default");
        let mut config = config("default");
        config.retry_delays.refused = Duration::from_millis(50);
        config.retry_delays.max = Duration::from_secs(60);
        scene.controller = Some(run_controller(&client, config));
        let runs: Api<DocsRun> = scene.api();
        runs.create(&PostParams::default(), &docs_run("docs-fails"))
            .await
            .unwrap();
        faults.wait_for_injected(3).await;
        let window = tokio::time::timeout(Duration::from_secs(3), faults.wait_for_injected(12));
        assert!(window.await.is_err(), "{:?}", faults.counts());
        scene.end().await;
    }
}

/// A refusal is written to the status once, not with every retry.
#[tokio::test]
async fn refusal_is_written_once_and_the_run_recovers() {
    let code = 403.try_into().unwrap();
    let fault = Fault::Answer {
        code,
        retry_after: None,
    };
    let refused = Rule::new(fault)
        .verbs(&[Verb::Create])
        .resources(&["jobs"])
        .times(5);
    let faults = Faults::new(Plan::of(refused));
    let mut scene = Scene::without_controller(well).await;
    let client = Client::new(faults.layer().layer(scene.cluster.service()), "default");
    let mut config = config("default");
    config.retry_delays.refused = Duration::from_millis(20);
    scene.controller = Some(run_controller(&client, config));
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-refused"))
        .await
        .unwrap();
    let run = until(&runs, "docs-refused", |run| {
        run["status"]["reason"] == "ClusterRefused"
    })
    .await;
    assert_eq!(run["status"]["phase"], "Pending");
    let message = run["status"]["message"].as_str().unwrap();
    assert!(message.contains("cannot create the Job"), "{message}");
    until(&runs, "docs-refused", settled).await;
    assert_eq!(faults.counts()[0].injected, 5);
    scene.end().await;
}
