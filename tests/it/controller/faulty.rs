//! Whatever goes wrong between the controller and the cluster, a run comes to the same end, and nothing is made twice.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use flightdeck::{
    embedded::fault::{Count, Fault, Faults, Plan, Rule, Verb},
    resources::DocsRun,
};
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};
use kube_runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use tower::Layer;

use super::{Scene, docs_run, start, until, well};

/// Runs a docs run with these faults between controller and cluster, and holds its end against the one without.
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

/// Of stale reads only the list of Jobs is tried, below: elsewhere the controller leans on what a real cluster promises, that a
/// read which names no version is never stale.
#[tokio::test(flavor = "multi_thread")]
async fn a_docs_run_comes_to_the_same_end_under_every_fault() {
    const WRITES: &[Verb] = &[Verb::Write];
    const WATCHES: &[Verb] = &[Verb::Watch];
    // By chance where every reconciliation asks the same: else the same question would be struck for ever.
    let sometimes = |rule: Rule| Rule {
        chance: 0.3.try_into().unwrap(),
        ..rule
    };
    let rules = [
        Rule::new(answer(409, None))
            .verbs(&[Verb::Update, Verb::Patch])
            .every(2),
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
    ];
    let struck = stream::iter(rules)
        .map(|rule| async {
            let fault = rule.then;
            let faults = Faults::new(Plan::of(rule));
            comes_through(&faults).await;
            (fault, faults.counts()[0].struck)
        })
        .buffer_unordered(24)
        .collect::<Vec<_>>()
        .await;
    for (fault, struck) in struck {
        assert!(struck > 0, "{fault:?} was never met");
    }
}

/// A Job that the run says is under way is lost only when asking for it by name finds none: made again it may cost money.
#[tokio::test]
async fn a_job_that_no_list_shows_is_not_made_again() {
    let stale = Rule::new(Fault::Stale)
        .verbs(&[Verb::List])
        .resources(&["jobs"]);
    let faults = Faults::new(Plan::of(stale));
    comes_through(&faults).await;
    let struck = faults.counts()[0].struck;
    assert!(struck > 3, "{struck} lists of Jobs");
}

/// Everything a stage does happens while its Job is being read: its pod must be read after that, with its report.
#[tokio::test]
async fn a_stage_that_ends_while_its_job_is_read_is_judged_by_its_report() {
    let slow = Rule::new(Fault::DelayMs(500))
        .verbs(&[Verb::List])
        .resources(&["jobs"]);
    let faults = Faults::new(Plan::of(slow));
    comes_through(&faults).await;
    let struck = faults.counts()[0].struck;
    assert!(struck > 3, "{struck} lists of Jobs");
}

/// Every write there is: refused, lost before it was done, or lost after. Of one run every so many-th, so that the run has
/// recovered in between.
#[tokio::test(flavor = "multi_thread")]
async fn each_single_write_may_fail_or_be_lost() {
    const APART: u64 = 6;
    let none = Rule::new(Fault::LoseResponse)
        .verbs(&[Verb::Write])
        .times(0);
    let faults = Faults::new(Plan::of(none));
    comes_through(&faults).await;
    let Count {
        matched: writes, ..
    } = faults.counts()[0];
    assert!(writes >= 12, "{writes} writes");
    let nth = |n: u64| {
        let fault = match (n + n / APART) % 3 {
            0 => answer(500, None),
            1 => Fault::LoseResponse,
            _ => Fault::LoseRequest,
        };
        Rule::new(fault).verbs(&[Verb::Write]).nth(n)
    };
    // What is struck is written again, so that a struck run has more writes.
    let last = writes + writes / APART;
    let each = (0..APART).map(|first| Plan {
        rules: (1..=last).filter(|n| n % APART == first).map(nth).collect(),
        ..Plan::default()
    });
    stream::iter(each)
        .map(|plan| async {
            let faults = Faults::new(plan);
            comes_through(&faults).await;
            let struck: u64 = faults.counts().iter().map(|count| count.struck).sum();
            // How many writes a run has depends on what it sees at once.
            assert!(struck > 0, "{:?}", faults.counts());
        })
        .buffer_unordered(24)
        .collect::<Vec<_>>()
        .await;
}
