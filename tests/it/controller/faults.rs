//! Whatever fails between the controller and the cluster, a run has the same result, and nothing is created twice.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::Value;
use tower::Layer;

use super::{Scene, code_run, docs_run, settled, start, until, well};
use flightdeck_core::resources::{CodeRun, DocsRun};
use flightdeck_worker::controller::ANNOTATION_HOLDER;
use kube_embedded::fault::{Fault, Faults, Plan, Rule, Verb};

/// Runs a docs run with these faults between controller and cluster, and compares the result with a run without faults.
async fn comes_through(faults: &Faults) {
    let mut scene = Scene::without_controller(well).await;
    let made = Arc::new(Mutex::new(BTreeSet::new()));
    let jobs: Api<Job> = scene.api();
    let seen = Arc::clone(&made);
    let watching = tokio::spawn(async move {
        let jobs = watcher::watcher(jobs, watcher::Config::default()).default_backoff();
        let mut jobs = jobs.applied_objects().boxed();
        while let Some(job) = jobs.next().await {
            seen.lock()
                .unwrap()
                .extend(job.ok().and_then(|job| job.uid()));
        }
    });
    let service = faults.layer().layer(scene.cluster.service());
    scene.controller = Some(start(&Client::new(service, "default")));
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-faulty"))
        .await
        .unwrap();
    let run = until(&runs, "docs-faulty", |run| {
        run["status"]["phase"] == "Succeeded" && run["metadata"].get("finalizers").is_none()
    })
    .await;

    let plan = faults.counts();
    let attempts = run["status"]["attempts"].as_array().unwrap();
    let stages: Vec<&Value> = attempts.iter().map(|attempt| &attempt["stage"]).collect();
    assert_eq!(stages, ["prep", "agent", "publish"], "{plan:?}");
    assert_eq!(run["status"]["commit"], "b".repeat(40), "{plan:?}");
    let all = ListParams::default();
    let jobs = scene.api::<Job>().list(&all).await.unwrap();
    let files = scene.api::<ConfigMap>().list(&all).await.unwrap();
    let claims: Api<PersistentVolumeClaim> = scene.api();
    let claims = claims.list(&all).await.unwrap();
    let ever = made.lock().unwrap().len();
    assert_eq!((ever, jobs.items.len()), (3, 3), "Jobs: {plan:?}");
    assert_eq!(claims.items.len(), 1, "workspaces: {plan:?}");
    let of_attempt = |map: &&ConfigMap| map.name_any().contains("-files-v");
    assert_eq!(
        files.iter().filter(of_attempt).count(),
        1,
        "files: {plan:?}"
    );
    watching.abort();
    scene.end().await;
}

fn answer(code: u16, retry_after: Option<u32>) -> Fault {
    let code = code.try_into().unwrap();
    Fault::Answer { code, retry_after }
}

#[tokio::test(flavor = "multi_thread")]
async fn docs_run_succeeds_under_every_fault() {
    const WRITES: &[Verb] = &[Verb::Write];
    const WATCHES: &[Verb] = &[Verb::Watch];
    // Random if every reconciliation sends the same requests: otherwise the same request would fail forever.
    let sometimes = |rule: Rule| Rule {
        chance: 0.3.try_into().unwrap(),
        ..rule
    };
    let rules = [
        sometimes(Rule::new(answer(409, None)).verbs(&[Verb::Update, Verb::Patch])),
        Rule::new(answer(409, None)).verbs(&[Verb::Create]).every(2),
        Rule::new(answer(429, Some(1))).verbs(WRITES).every(5),
        Rule::new(answer(500, None)).verbs(WRITES).every(3).times(2),
        sometimes(Rule::new(answer(503, None))).times(3),
        sometimes(Rule::new(answer(504, None)).verbs(&[Verb::Get, Verb::List])).times(3),
        Rule::new(answer(410, None)).verbs(WATCHES).every(2),
        Rule::new(Fault::LoseRequest).verbs(WRITES).every(3),
        Rule::new(Fault::LoseResponse).verbs(WRITES).every(2),
        Rule::new(Fault::CutAfterEvents(1)).verbs(WATCHES).times(12),
        Rule::new(Fault::CutAfterBytes(200))
            .verbs(WATCHES)
            .times(12),
        Rule::new(Fault::DuplicateEvents).verbs(WATCHES),
        Rule::new(Fault::SlowEventsMs(50)).verbs(WATCHES),
        Rule::new(Fault::DelayMs(30)),
        Rule::new(Fault::Hang).verbs(WRITES).every(7).times(2),
        Rule::new(Fault::Hang).verbs(&[Verb::List]).times(3),
        Rule::new(Fault::Hang).verbs(WATCHES).times(3),
    ];
    let struck = stream::iter(rules)
        .map(|rule| async {
            let fault = rule.then;
            let faults = Faults::new(Plan::of(rule));
            comes_through(&faults).await;
            (fault, faults.counts()[0].injected)
        })
        .buffer_unordered(24)
        .collect::<Vec<_>>()
        .await;
    for (fault, struck) in struck {
        assert!(struck > 0, "{fault:?} was never met");
    }
}

/// A real API server never returns stale reads, but a cache in between may; no stage may be created twice because of it.
#[tokio::test(flavor = "multi_thread")]
async fn stale_reads_create_no_stage_twice() {
    let struck = stream::iter(0..12)
        .map(|seed| async move {
            let stale = Rule {
                chance: 0.7.try_into().unwrap(),
                ..Rule::new(Fault::Stale).verbs(&[Verb::Get, Verb::List])
            };
            let rules = vec![stale];
            let faults = Faults::new(Plan { seed, rules });
            comes_through(&faults).await;
            faults.counts()[0].injected
        })
        .buffer_unordered(12)
        .collect::<Vec<u64>>()
        .await;
    assert!(struck.iter().any(|&struck| struck > 0), "no read was old");
}

/// A stage ends, and its pod's watch is later than its Job's: the controller waits for its report.
#[tokio::test]
async fn late_pod_events_do_not_lose_the_report() {
    let slow = Rule::new(Fault::SlowEventsMs(400))
        .verbs(&[Verb::Watch])
        .resources(&["pods"]);
    let faults = Faults::new(Plan::of(slow));
    comes_through(&faults).await;
    assert!(faults.counts()[0].injected > 0);
}

/// The watch of workspaces never reports one: the run still uses its workspace, and releases it.
#[tokio::test]
async fn workspace_missing_in_the_cache_is_read() {
    let silent = || {
        let hang = Rule::new(Fault::Hang).verbs(&[Verb::Watch]);
        Faults::new(Plan::of(hang.resources(&["persistentvolumeclaims"])))
    };
    comes_through(&silent()).await;

    let faults = silent();
    let mut scene = Scene::without_controller(well).await;
    let service = faults.layer().layer(scene.cluster.service());
    scene.controller = Some(start(&Client::new(service, "default")));
    let runs: Api<CodeRun> = scene.api();
    runs.create(&PostParams::default(), &code_run("code-blind"))
        .await
        .unwrap();
    until(&runs, "code-blind", settled).await;
    let claims: Api<PersistentVolumeClaim> = scene.api();
    let claims = claims.list(&ListParams::default()).await.unwrap();
    let [claim] = claims.items.as_slice() else {
        panic!("one workspace, not {}", claims.items.len())
    };
    let holder = claim.annotations().get(ANNOTATION_HOLDER);
    assert_eq!(holder, None, "it is free for the next");
    scene.end().await;
}
