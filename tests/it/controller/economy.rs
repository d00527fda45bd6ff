//! What a run costs the API: so many writes, and no read that a watch makes needless.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tower::Layer;

use super::{Scene, asked::Asked, config, docs_run, end, run_controller, settled, until, well};
use flightdeck_core::{resources::DocsRun, runs::Stage};
use flightdeck_worker::controller::ControllerConfig;
use kube_embedded::fault::{Fault, Faults, Plan, Rule, Verb};

/// With a kubelet that does each step only when the one before has been reported, every count is exact.
#[tokio::test]
async fn a_docs_run_takes_so_many_writes_and_no_read() {
    let mut scene = Scene::without_controller(|_, _| None).await;
    let asked = Asked::default();
    let config = ControllerConfig {
        // Nothing goes wrong here, however busy the machine is.
        patience: Duration::from_secs(600),
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
        // Whatever changes in a pod and means nothing costs nothing.
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
        // Each stage is recorded before its Job is made, and said to run; then the end.
        ("PATCH docsruns/status", 7),
        // The finalizer comes and goes.
        ("PATCH docsruns", 2),
        ("POST jobs", 3),
        // Each may expire.
        ("PATCH jobs", 3),
        // The files; and the end of each stage's log.
        ("POST configmaps", 4),
        ("POST persistentvolumeclaims", 1),
        // Each stage begins and is done; the run succeeded.
        ("POST events", 7),
    ];
    let expected = expected.map(|(what, times)| (what.to_owned(), times));
    assert_eq!(writes, expected.into());
    // One list for each watch; one more for a stage whose pod's end was told later than its Job's.
    let lists = asked.count("LIST");
    assert!((6..=9).contains(&lists), "{lists} lists");
    // Of each container, once.
    let logs = asked.count("GET pods/log");
    assert_eq!((asked.count("GET"), logs), (5, 5));
    scene.end().await;
}

/// A window of three seconds: what always fails is tried six or seven times in it, each time after twice the wait.
#[tokio::test]
async fn what_always_fails_is_tried_ever_more_seldom() {
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
        config.retry_delays.most = Duration::from_secs(60);
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

/// What a person has to see to is said once in the status, and not again with every try.
#[tokio::test]
async fn a_refusal_is_written_once_and_the_run_goes_on_when_it_is_lifted() {
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
