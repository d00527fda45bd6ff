//! Faults between the embedded cluster and those who watch it or call it from outside.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tower::Layer;

use crate::support::served::Served;
use flightdeck_core::resources::DocsRun;
use flightdeck_host::cluster::{self, Object, WorldDelta};
use flightdeck_worker::controller::install_crds;
use kube_embedded::{
    fault::{Fault, Faults, Plan, Rule, Verb},
    serve::ServerOptions,
};

/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn answer(code: u16, retry_after: Option<u32>) -> Fault {
    let code = code.try_into().unwrap();
    Fault::Answer { code, retry_after }
}

fn faults(rule: Rule) -> Faults {
    Faults::new(Plan::of(rule))
}

async fn served(rule: Rule) -> (Served, Faults) {
    let faults = faults(rule);
    let options = ServerOptions {
        faults: faults.clone(),
        ..ServerOptions::default()
    };
    (Served::with(options).await, faults)
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "n": "0" } })).unwrap()
}

fn docs_run(name: &str) -> DocsRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": name },
        "spec": { "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "contextVersion": 1 },
    }))
    .unwrap()
}

/// What the console would show of the docs runs: their context versions by name.
async fn mirror(client: Client, wanted: BTreeMap<String, i64>) {
    let deltas = cluster::watch_runs(&client, "default");
    pin_mut!(deltas);
    let mut seen = BTreeMap::new();
    while seen != wanted {
        let version = |object: &Object| match object {
            Object::Run(run) => Some((run.name().to_owned(), i64::from(run.spec.context_version))),
            _ => None,
        };
        match deltas.next().await.unwrap() {
            WorldDelta::Listed(cluster::Kind::DocsRun, objects) => {
                seen = objects.iter().filter_map(version).collect();
            }
            WorldDelta::Applied(object) => seen.extend(version(&object)),
            WorldDelta::Deleted {
                kind: cluster::Kind::DocsRun,
                name,
                ..
            } => {
                seen.remove(&name);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_consoles_picture_of_the_runs_comes_right_after_every_fault() {
    const WATCHES: &[Verb] = &[Verb::Watch];
    let served = Served::new().await;
    install_crds(served.cluster.client()).await.unwrap();
    let runs = Api::<DocsRun>::default_namespaced(served.cluster.client());
    let plans = [
        Rule::new(Fault::CutAfterEvents(1)).verbs(WATCHES).times(3),
        Rule::new(Fault::CutAfterBytes(300)).verbs(WATCHES).times(3),
        Rule::new(Fault::EndAfterBytes(300)).verbs(WATCHES).times(3),
        Rule::new(answer(410, None))
            .verbs(WATCHES)
            .every(2)
            .times(3),
        Rule::new(answer(500, None))
            .verbs(&[Verb::Read])
            .every(2)
            .times(3),
        Rule::new(answer(429, Some(1)))
            .verbs(&[Verb::List])
            .times(2),
        Rule::new(Fault::LoseRequest)
            .verbs(&[Verb::Read])
            .every(2)
            .times(3),
        Rule::new(Fault::Stale).verbs(&[Verb::List]).every(2),
        Rule::new(Fault::DuplicateEvents).verbs(WATCHES),
        Rule::new(Fault::SlowEventsMs(20)).verbs(WATCHES),
    ]
    .map(faults);
    for name in ["docs-a", "docs-b", "docs-c"] {
        runs.create(&PostParams::default(), &docs_run(name))
            .await
            .unwrap();
    }
    let wanted = BTreeMap::from([
        ("docs-a".to_owned(), 4),
        ("docs-c".to_owned(), 1),
        ("docs-d".to_owned(), 1),
    ]);
    let pictures = futures::future::join_all(plans.iter().map(|faults| {
        let client = Client::new(faults.layer().layer(served.cluster.service()), "default");
        mirror(client, wanted.clone())
    }));
    let changes = async {
        for version in 2..=4 {
            let patch = Patch::Merge(json!({ "spec": { "contextVersion": version } }));
            runs.patch("docs-a", &PatchParams::default(), &patch)
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
        runs.delete("docs-b", &DeleteParams::default())
            .await
            .unwrap();
        runs.create(&PostParams::default(), &docs_run("docs-d"))
            .await
            .unwrap();
    };
    let both = futures::future::join(pictures, changes);
    tokio::time::timeout(PATIENCE, both)
        .await
        .expect("a picture never came right");
    for faults in plans {
        assert!(faults.counts()[0].injected > 0, "{:?}", faults.counts());
    }
    served.end().await;
}

#[tokio::test]
async fn over_https_a_lost_answer_is_an_error_and_the_write_is_done() {
    for (fault, done) in [(Fault::LoseResponse, true), (Fault::LoseRequest, false)] {
        let (served, faults) = served(Rule::new(fault).verbs(&[Verb::Create]).nth(1)).await;
        let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
        let error = maps
            .create(&PostParams::default(), &map("one"))
            .await
            .unwrap_err();
        assert!(!matches!(error, kube::Error::Api(_)), "{error:?}");
        assert_eq!(
            maps.get_opt("one").await.unwrap().is_some(),
            done,
            "{fault:?}"
        );
        let again = maps.create(&PostParams::default(), &map("one")).await;
        assert_eq!(again.is_err(), done, "{fault:?}");
        assert_eq!(faults.counts()[0].matched, 2);
        served.end().await;
    }
}

#[tokio::test]
async fn over_https_a_client_that_is_told_to_wait_waits_and_gets_through() {
    let rule = Rule::new(answer(429, Some(1)))
        .verbs(&[Verb::Create])
        .nth(1);
    let (served, faults) = served(rule).await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let started = std::time::Instant::now();
    maps.create(&PostParams::default(), &map("one"))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "it did not wait"
    );
    assert_eq!(faults.counts()[0].matched, 2);
    served.end().await;
}

#[tokio::test]
async fn over_https_a_watch_that_is_cut_again_and_again_misses_nothing() {
    let rule = Rule::new(Fault::CutAfterEvents(2))
        .verbs(&[Verb::Watch])
        .times(5);
    let (served, faults) = served(rule).await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let (reader, writer) = reflector::store();
    let changes = watcher::watcher(maps.clone(), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .touched_objects();
    let watching = tokio::spawn(changes.for_each(|_| async {}));
    for n in 0..10 {
        maps.create(&PostParams::default(), &map(&format!("c{n}")))
            .await
            .unwrap();
        faults.wait_for_injected(n / 2).await;
    }
    tokio::time::timeout(PATIENCE, async {
        while reader.state().len() < 10 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let mut names: Vec<String> = reader.state().iter().map(|map| map.name_any()).collect();
    names.sort();
    assert_eq!(names, (0..10).map(|n| format!("c{n}")).collect::<Vec<_>>());
    assert!(faults.counts()[0].injected >= 3, "{:?}", faults.counts());
    watching.abort();
    served.end().await;
}
