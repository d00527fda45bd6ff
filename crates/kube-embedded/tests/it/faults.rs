//! Injected faults over HTTPS.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::PostParams,
    runtime::{WatchStreamExt, reflector, watcher},
};
use serde_json::json;

use crate::support::TIMEOUT;
use flightdeck_testing::https_cluster::HttpsCluster;
use kube_embedded::{
    fault::{Fault, Faults, Plan, Rule, Verb},
    serve::ServerOptions,
};

/// Starts a cluster whose server injects faults by a rule.
async fn start(rule: Rule) -> (HttpsCluster, Faults) {
    let faults = Faults::new(Plan::of(rule));
    let options = ServerOptions {
        faults: faults.clone(),
        ..ServerOptions::default()
    };
    (HttpsCluster::start_with(options).await, faults)
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({ "metadata": { "name": name }, "data": { "n": "0" } })).unwrap()
}

#[tokio::test]
async fn lost_response_is_an_error_of_a_done_write() {
    for (fault, done) in [(Fault::LoseResponse, true), (Fault::LoseRequest, false)] {
        let (cluster, faults) = start(Rule::new(fault).verbs(&[Verb::Create]).nth(1)).await;
        let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
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
        cluster.shutdown().await;
    }
}

#[tokio::test]
async fn clients_wait_for_retry_after() {
    let answer = Fault::Answer {
        code: 429.try_into().unwrap(),
        retry_after: Some(1),
    };
    let rule = Rule::new(answer).verbs(&[Verb::Create]).nth(1);
    let (cluster, faults) = start(rule).await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    let started = std::time::Instant::now();
    maps.create(&PostParams::default(), &map("one"))
        .await
        .unwrap();
    assert!(
        started.elapsed() >= Duration::from_secs(1),
        "the client did not wait"
    );
    assert_eq!(faults.counts()[0].matched, 2);
    cluster.shutdown().await;
}

#[tokio::test]
async fn repeatedly_cut_watch_misses_nothing() {
    let rule = Rule::new(Fault::CutAfterEvents(2))
        .verbs(&[Verb::Watch])
        .times(5);
    let (cluster, faults) = start(rule).await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
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
    tokio::time::timeout(TIMEOUT, async {
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
    cluster.shutdown().await;
}
