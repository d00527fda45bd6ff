//! A controller may stop after any write, or lose its response: the result is the same, and nothing is created twice.
//!
//! The pods are simulated; the writes are those of a complete run of each kind.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    Scene, code_run, docs_run, ends,
    recorder::{Cut, Recorder},
    settled, start_in, until, well,
};
use crate::support;
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::naming,
};

/// Runs to completion in its own namespace. Returns what is left, and the number of writes.
async fn life(scene: &Scene, kind: &str, namespace: &str, cut: Option<Cut>) -> (Value, usize) {
    let object = json!({ "metadata": { "name": namespace } });
    let object: Namespace = serde_json::from_value(object).unwrap();
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let asked = Recorder::default();
    let (stop, controller) = start_in(&asked.client(&scene.cluster, cut), namespace);
    let end = async {
        if kind == "docs" {
            let runs: Api<DocsRun> = Api::namespaced(scene.client.clone(), namespace);
            runs.create(&PostParams::default(), &docs_run("docs-life"))
                .await
                .unwrap();
            until(&runs, "docs-life", settled).await
        } else {
            let runs: Api<CodeRun> = Api::namespaced(scene.client.clone(), namespace);
            runs.create(&PostParams::default(), &code_run("code-life"))
                .await
                .unwrap();
            until(&runs, "code-life", settled).await
        }
    };
    tokio::pin!(end);
    let run = tokio::select! {
        run = &mut end => {
            let _ = stop.send(());
            ends(controller).await;
            run
        }
        () = asked.dead.notified() => {
            controller.abort();
            let (stop, controller) = start_in(&asked.client(&scene.cluster, None), namespace);
            let run = end.await;
            let _ = stop.send(());
            ends(controller).await;
            run
        }
    };
    let made = asked.jobs_made.load(Ordering::SeqCst);
    let left = what_is_left(scene, namespace, &run, made).await;
    (left, asked.writes().len())
}

/// Returns the run's status and everything it owns, without what differs between runs.
async fn what_is_left(scene: &Scene, namespace: &str, run: &Value, made: usize) -> Value {
    async fn all<K>(scene: &Scene, namespace: &str) -> Vec<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let ours = format!("{}={}", naming::LABEL_MANAGED_BY, naming::MANAGER);
        let api: Api<K> = Api::namespaced(scene.client.clone(), namespace);
        let list = api.list(&ListParams::default().labels(&ours)).await;
        list.unwrap().items
    }
    let uid = run["metadata"]["uid"].as_str().unwrap();
    let mut owned: BTreeMap<String, Value> = BTreeMap::new();
    let mut orphans = Vec::new();
    let mut note = |(name, owner): (String, Option<String>), what: Value| {
        if owner.is_some_and(|owner| owner != uid) {
            orphans.push(name.clone());
        }
        owned.insert(name, what);
    };
    for job in all::<Job>(scene, namespace).await {
        let ttl = job.spec.as_ref().unwrap().ttl_seconds_after_finished;
        note(named(&job), json!({ "ttl": ttl }));
    }
    for map in all::<ConfigMap>(scene, namespace).await {
        let files: Vec<_> = map.data.clone().unwrap_or_default().into_keys().collect();
        note(named(&map), json!(files));
    }
    for claim in all::<PersistentVolumeClaim>(scene, namespace).await {
        note(named(&claim), json!(claim.annotations()));
    }
    let pods = all::<Pod>(scene, namespace).await.len();
    let text = json!({
        "status": run["status"], "owned": owned, "orphans": orphans, "jobs made": made, "pods": pods,
    });
    let text = text.to_string();
    let text = text.replace(uid, "UID").replace(&uid[..8], "UID8");
    without_times(serde_json::from_str(&text).unwrap())
}

/// Returns the name of an object and the uid of its owner.
fn named(object: &impl ResourceExt) -> (String, Option<String>) {
    let owner = object.owner_references().first();
    (object.name_any(), owner.map(|owner| owner.uid.clone()))
}

fn without_times(value: Value) -> Value {
    match value {
        Value::String(text) if text.parse::<jiff::Timestamp>().is_ok() => json!("a time"),
        Value::Array(items) => items.into_iter().map(without_times).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, without_times(value)))
            .collect(),
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupting_any_write_gives_the_same_result() {
    let scene = Scene::without_controller(well).await;
    for kind in ["docs", "code"] {
        let (smooth, writes) = life(&scene, kind, &format!("{kind}-smooth"), None).await;
        assert!(writes >= 20, "{writes} writes of a {kind} run");
        assert_eq!(smooth["jobs made"], 3, "{smooth:#}");
        assert_eq!(smooth["orphans"], json!([]), "{smooth:#}");
        let dead = (1..=writes).map(Cut::Dead);
        let cuts = dead.chain((1..=writes).map(Cut::Unanswered));
        let (scene, smooth) = (&scene, &smooth);
        let points = stream::iter(cuts)
            .map(|cut| async move {
                let name = format!("{kind}-{cut:?}").to_lowercase();
                let namespace = name.replace('(', "-").replace(')', "");
                let (left, _) = life(scene, kind, &namespace, Some(cut)).await;
                assert_eq!(&left, smooth, "{kind}, {cut:?}");
            })
            .buffer_unordered(10)
            .count()
            .await;
        support::said(&format!(
            "a {kind} run: stopped at, and lost the answer of, {writes} writes: {points} lives"
        ));
    }
    scene.end().await;
}
