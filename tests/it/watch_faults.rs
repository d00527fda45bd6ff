//! The console's list of runs under injected faults.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tower::Layer;

use crate::support::https_cluster::HttpsCluster;
use flightdeck_core::resources::DocsRun;
use flightdeck_host::cluster::{self, Object, WorldDelta};
use flightdeck_worker::controller::install_crds;
use kube_embedded::fault::{Fault, Faults, Plan, Rule, Verb};

/// Upper limit; the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(60);

fn answer(code: u16, retry_after: Option<u32>) -> Fault {
    let code = code.try_into().unwrap();
    Fault::Answer { code, retry_after }
}

fn faults(rule: Rule) -> Faults {
    Faults::new(Plan::of(rule))
}

fn docs_run(name: &str) -> DocsRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": name },
        "spec": { "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "contextVersion": 1 },
    }))
    .unwrap()
}

/// Watches the docs runs as the console does, until their context versions are as wanted.
async fn watch_until(client: Client, wanted: BTreeMap<String, i64>) {
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
async fn watched_runs_are_right_after_every_fault() {
    const WATCHES: &[Verb] = &[Verb::Watch];
    let cluster = HttpsCluster::start().await;
    install_crds(cluster.client.clone()).await.unwrap();
    let runs = Api::<DocsRun>::default_namespaced(cluster.cluster.client());
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
    let watches = futures::future::join_all(plans.iter().map(|faults| {
        let client = Client::new(faults.layer().layer(cluster.cluster.service()), "default");
        watch_until(client, wanted.clone())
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
    let both = futures::future::join(watches, changes);
    tokio::time::timeout(TIMEOUT, both)
        .await
        .expect("a watch did not end");
    for faults in plans {
        assert!(faults.counts()[0].injected > 0, "{:?}", faults.counts());
    }
    cluster.shutdown().await;
}
