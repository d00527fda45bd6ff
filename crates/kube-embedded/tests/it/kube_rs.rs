//! Features of kube-rs and kube-runtime, over HTTPS.

use std::{collections::BTreeMap, sync::Arc};

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event as CoreEvent, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, CustomResourceExt, Resource, ResourceExt,
    api::{
        DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
    core::PartialObjectMeta,
    discovery::Discovery,
    runtime::{
        controller::{Action, Controller},
        events::{Event, EventType, Recorder, Reporter},
        finalizer::{self, finalizer},
        wait::{await_condition, conditions},
        watcher,
    },
};
use serde_json::json;

use crate::support::{PROGRAM, TIMEOUT, Widget};
use flightdeck_testing::https_cluster::HttpsCluster;

/// Awaits a future with a timeout.
async fn timeout<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future)
        .await
        .expect("timed out")
}

fn from_json<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn map(name: &str, n: &str) -> ConfigMap {
    from_json(json!({ "metadata": { "name": name }, "data": { "n": n } }))
}

fn create() -> PostParams {
    PostParams::default()
}

#[tokio::test]
async fn recorder_counts_repeated_events() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    let about = maps
        .create(&create(), &map("one", "0"))
        .await
        .unwrap()
        .object_ref(&());
    let reporter = Reporter {
        controller: "tester".into(),
        instance: Some("tester-1".into()),
    };
    let recorder = Recorder::new(cluster.client.clone(), reporter);
    let event = Event {
        type_: EventType::Normal,
        reason: "Checked".into(),
        note: Some("checked the object".into()),
        action: "Check".into(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &about).await.unwrap();
    }
    let events =
        Api::<k8s_openapi::api::events::v1::Event>::default_namespaced(cluster.client.clone());
    let events = events.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].series.as_ref().unwrap().count, 3);
    // `kubectl describe` reads the core event.
    let core = Api::<CoreEvent>::default_namespaced(cluster.client.clone());
    let uid = about.uid.unwrap();
    let selector =
        ListParams::default().fields(&format!("involvedObject.uid={uid},reason=Checked"));
    let core = core.list(&selector).await.unwrap().items;
    assert_eq!(core[0].message.as_deref(), Some("checked the object"));
    cluster.shutdown().await;
}

#[tokio::test]
async fn controller_reconciles_on_changes_of_owned_objects() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    let leases = Api::<Lease>::default_namespaced(cluster.client.clone());
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let reconcile = |map: Arc<ConfigMap>,
                     sender: Arc<tokio::sync::mpsc::UnboundedSender<String>>| async move {
        sender.send(map.name_any()).unwrap();
        Ok::<_, std::convert::Infallible>(Action::await_change())
    };
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("app=x"))
        .owns(leases.clone(), watcher::Config::default())
        .run(
            reconcile,
            |_, _, _| Action::await_change(),
            Arc::new(sender),
        );
    let running = tokio::spawn(controller.for_each(|_| async {}));
    let mut owner = map("owner", "0");
    owner.labels_mut().insert("app".into(), "x".into());
    let owner = maps.create(&create(), &owner).await.unwrap();
    maps.create(&create(), &map("other", "0")).await.unwrap();
    assert_eq!(timeout(receiver.recv()).await.unwrap(), "owner");
    let mut lease: Lease = from_json(json!({ "metadata": { "name": "owned" }, "spec": {} }));
    lease.meta_mut().owner_references = Some(vec![owner.controller_owner_ref(&()).unwrap()]);
    leases.create(&create(), &lease).await.unwrap();
    assert_eq!(timeout(receiver.recv()).await.unwrap(), "owner");
    running.abort();
    cluster.shutdown().await;
}

/// Returns the names in a watcher's initial list, and those of its changes up to the first of `last`.
async fn watch_names(
    api: Api<ConfigMap>,
    config: watcher::Config,
    last: &str,
) -> (Vec<String>, Vec<String>) {
    let events = watcher::watcher(api, config);
    pin_mut!(events);
    let (mut first, mut changed) = (Vec::new(), Vec::new());
    while !changed.iter().any(|name| name == last) {
        match timeout(events.next()).await.unwrap().unwrap() {
            watcher::Event::InitApply(map) => first.push(map.name_any()),
            watcher::Event::Apply(map) => changed.push(map.name_any()),
            watcher::Event::Delete(map) => changed.push(format!("-{}", map.name_any())),
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }
    first.sort();
    (first, changed)
}

#[tokio::test]
async fn watcher_starts_with_a_paged_or_streamed_list() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    let base: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
    for name in &base {
        maps.create(&create(), &map(name, "0")).await.unwrap();
    }
    let listing = watch_names(maps.clone(), watcher::Config::default().page_size(3), "new");
    let streaming = watch_names(
        maps.clone(),
        watcher::Config::default().streaming_lists(),
        "new",
    );
    let changing = async {
        // A watcher may list before or after the create, so keep changing the object until both have seen a change.
        maps.create(&create(), &map("new", "0")).await.unwrap();
        for n in 0.. {
            let patch = Patch::Merge(json!({ "data": { "n": n.to_string() } }));
            maps.patch("new", &PatchParams::default(), &patch)
                .await
                .unwrap();
        }
    };
    let both = futures::future::join(listing, streaming);
    let (listed, streamed) = tokio::select! {
        both = both => both,
        () = changing => unreachable!("the loop is endless"),
    };
    for (first, _) in [listed, streamed] {
        let first: Vec<String> = first.into_iter().filter(|name| name != "new").collect();
        assert_eq!(first, base);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn streamed_list_ends_with_a_bookmark() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    maps.create(&create(), &map("one", "0")).await.unwrap();
    let params = WatchParams {
        send_initial_events: true,
        ..WatchParams::default()
    };
    let events = maps.watch(&params, "0").await.unwrap();
    pin_mut!(events);
    let first = timeout(events.next()).await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Added(map) if map.name_any() == "one"));
    let WatchEvent::Bookmark(end) = timeout(events.next()).await.unwrap().unwrap() else {
        panic!("no bookmark")
    };
    assert_eq!(
        end.metadata.annotations["k8s.io/initial-events-end"],
        "true"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn conditions_can_be_awaited() {
    let cluster = HttpsCluster::start().await;
    let jobs = Api::<Job>::default_namespaced(cluster.client.clone());
    let job: Job = from_json(
        json!({ "metadata": { "name": "one" }, "spec": { "template": { "spec": {
        "restartPolicy": "Never", "containers": [{ "name": "c", "image": "i" }],
    } } } }),
    );
    let job = jobs.create(&create(), &job).await.unwrap();
    let completed = await_condition(jobs.clone(), "one", conditions::is_job_completed());
    let completing = async {
        let status =
            json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } });
        jobs.patch_status("one", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    };
    timeout(futures::future::join(completed, completing))
        .await
        .0
        .unwrap();
    let uid = job.uid().unwrap();
    let deleted = await_condition(jobs.clone(), "one", conditions::is_deleted(&uid));
    let background = DeleteParams::background();
    let deleting = jobs.delete("one", &background);
    timeout(futures::future::join(deleted, deleting))
        .await
        .0
        .unwrap();

    let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    crds.create(&create(), &Widget::crd()).await.unwrap();
    let name = Widget::crd_name();
    timeout(await_condition(
        crds,
        name,
        conditions::is_crd_established(),
    ))
    .await
    .unwrap();
    cluster.shutdown().await;
}

#[tokio::test]
async fn finalizer_runs_apply_then_cleanup() {
    const NAME: &str = "example.org/held";
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    let one = maps.create(&create(), &map("one", "0")).await.unwrap();
    let step = async |map: ConfigMap| {
        let seen = std::sync::Mutex::new("");
        let action = finalizer(&maps, NAME, Arc::new(map), |event| {
            *seen.lock().unwrap() = match event {
                finalizer::Event::Apply(_) => "apply",
                finalizer::Event::Cleanup(_) => "cleanup",
            };
            async { Ok::<_, std::convert::Infallible>(Action::await_change()) }
        });
        action.await.unwrap();
        seen.into_inner().unwrap()
    };
    assert_eq!(
        step(one).await,
        "",
        "the first call only adds the finalizer"
    );
    let held = maps.get("one").await.unwrap();
    assert_eq!(held.finalizers(), [NAME]);
    assert_eq!(step(held).await, "apply");
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let deleting = maps.get("one").await.unwrap();
    assert!(deleting.meta().deletion_timestamp.is_some());
    assert_eq!(step(deleting).await, "cleanup");
    assert!(maps.get_opt("one").await.unwrap().is_none());
    cluster.shutdown().await;
}

#[tokio::test]
async fn second_of_two_lease_holders_conflicts() {
    let cluster = HttpsCluster::start().await;
    let leases = Api::<Lease>::default_namespaced(cluster.client.clone());
    let lease: Lease = from_json(json!({ "metadata": { "name": "leader" }, "spec": {
        "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.123456Z",
    } }));
    leases.create(&create(), &lease).await.unwrap();
    let seen = leases.get("leader").await.unwrap();
    let take = |holder: &str| {
        let mut lease = seen.clone();
        lease.spec.as_mut().unwrap().holder_identity = Some(holder.into());
        lease
    };
    let first = leases
        .replace("leader", &create(), &take("b"))
        .await
        .unwrap();
    assert_ne!(first.resource_version(), seen.resource_version());
    let error = leases
        .replace("leader", &create(), &take("c"))
        .await
        .unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error:?}")
    };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let now = leases.get("leader").await.unwrap().spec.unwrap();
    assert_eq!(now.holder_identity.as_deref(), Some("b"));
    assert_eq!(
        serde_json::to_value(&now.renew_time).unwrap(),
        "2026-01-01T00:00:00.123456Z"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn both_forms_of_discovery_agree() {
    let cluster = HttpsCluster::start().await;
    let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    crds.create(&create(), &Widget::crd()).await.unwrap();
    let of = |discovery: &Discovery| -> BTreeMap<String, (String, Vec<String>)> {
        let all = discovery
            .groups()
            .flat_map(kube::discovery::ApiGroup::recommended_resources);
        all.map(|(resource, abilities)| {
            let mut verbs = abilities.operations.clone();
            verbs.sort();
            (
                format!("{}/{}", resource.api_version, resource.kind),
                (resource.plural, verbs),
            )
        })
        .collect()
    };
    let old = of(&Discovery::new(cluster.client.clone()).run().await.unwrap());
    let new = of(&Discovery::new(cluster.client.clone())
        .run_aggregated()
        .await
        .unwrap());
    assert_eq!(old, new);
    for kind in [
        "v1/Pod",
        "v1/ConfigMap",
        "batch/v1/Job",
        "example.org/v1/Widget",
        "coordination.k8s.io/v1/Lease",
    ] {
        let (_, verbs) = old
            .get(kind)
            .unwrap_or_else(|| panic!("{kind} is not in {old:?}"));
        for verb in [
            "create", "delete", "get", "list", "patch", "update", "watch",
        ] {
            assert!(verbs.iter().any(|known| known == verb), "{kind} {verb}");
        }
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn metadata_requests_omit_data() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    maps.create(&create(), &map("one", "secret words"))
        .await
        .unwrap();
    let list = maps.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items[0].name_any(), "one");
    let metadata = Api::<PartialObjectMeta<ConfigMap>>::default_namespaced(cluster.client.clone());
    let events = watcher::watcher(metadata, watcher::Config::default());
    pin_mut!(events);
    let mut names = Vec::new();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    loop {
        match timeout(events.next()).await.unwrap().unwrap() {
            watcher::Event::InitApply(map) => names.push(map.name_any()),
            watcher::Event::InitDone => {
                maps.patch("one", &PatchParams::default(), &patch)
                    .await
                    .unwrap();
            }
            watcher::Event::Apply(map) => {
                assert_eq!(map.labels()["a"], "b");
                break;
            }
            _ => {}
        }
    }
    assert_eq!(names, ["one"]);
    let uri = "/api/v1/namespaces/default/configmaps/one";
    let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let request = http::Request::get(uri)
        .header("accept", accept)
        .body(Vec::new())
        .unwrap();
    let text = cluster.client.request_text(request).await.unwrap();
    assert!(
        text.contains("PartialObjectMetadata") && !text.contains("secret words"),
        "{text}"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn entry_inserts_then_modifies() {
    let cluster = HttpsCluster::start().await;
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client.clone());
    assert!(maps.get_opt("one").await.unwrap().is_none());
    for expected in ["0", "1", "2"] {
        let entry = maps.entry("one").await.unwrap();
        let mut entry = entry
            .and_modify(|map| {
                let n = map.data.as_mut().unwrap().get_mut("n").unwrap();
                *n = (n.parse::<u32>().unwrap() + 1).to_string();
            })
            .or_insert(|| map("one", "0"));
        entry.commit(&create()).await.unwrap();
        let now = maps.get_opt("one").await.unwrap().unwrap();
        assert_eq!(now.data.unwrap()["n"], expected);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn apply_conflict_names_the_owner_until_forced() {
    let cluster = HttpsCluster::start().await;
    let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
    crds.create(&create(), &Widget::crd()).await.unwrap();
    let widgets = Api::<Widget>::default_namespaced(cluster.client.clone());
    let apply = async |manager: &str, size: u32, force: bool| {
        let body = json!({ "apiVersion": "example.org/v1", "kind": "Widget", "metadata": { "name": "one" },
            "spec": { "parts": ["wheel"], "size": size } });
        let mut params = PatchParams::apply(manager);
        params.force = force;
        widgets.patch("one", &params, &Patch::Apply(body)).await
    };
    apply("ada", 1, false).await.unwrap();
    let error = apply("bob", 2, false).await.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error:?}")
    };
    assert_eq!(status.code, 409);
    assert!(
        status.message.contains("ada") && status.message.contains(".spec.size"),
        "{}",
        status.message
    );
    let forced = apply("bob", 2, true).await.unwrap();
    assert_eq!(forced.spec.size, 2);
    let error = apply("ada", 1, false).await.unwrap_err();
    assert!(error.to_string().contains("bob"), "{error}");
    cluster.shutdown().await;
}

#[tokio::test]
async fn log_of_a_pending_container_is_refused() {
    let cluster = HttpsCluster::start().await;
    let pods = Api::<Pod>::default_namespaced(cluster.client.clone());
    let pod: Pod = from_json(
        json!({ "metadata": { "name": "one" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }),
    );
    pods.create(&create(), &pod).await.unwrap();
    let opened = pods.log_stream("one", &LogParams::default()).await;
    let kube::Error::Api(status) = opened.err().unwrap() else {
        panic!("no Status")
    };
    assert_eq!(status.code, 400);
    assert!(
        status.message.contains("ContainerCreating"),
        "{}",
        status.message
    );
    let missing = pods.log_stream("two", &LogParams::default()).await;
    assert!(matches!(missing.err().unwrap(), kube::Error::Api(status) if status.code == 404));
    cluster.shutdown().await;
}

#[tokio::test]
async fn log_is_followed_to_its_end() {
    let cluster = HttpsCluster::start_with_node(PROGRAM).await;
    let pods = Api::<Pod>::default_namespaced(cluster.client.clone());
    let pod: Pod = from_json(json!({ "metadata": { "name": "one" }, "spec": {
        "restartPolicy": "Never",
        "containers": [{ "name": "c", "image": "i", "command": ["sh", "-c", "for n in 1 2 3; do echo line $n; done; printf last"] }],
    } }));
    pods.create(&create(), &pod).await.unwrap();
    let started = |pod: Option<&Pod>| {
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        matches!(phase, Some("Running" | "Succeeded"))
    };
    timeout(await_condition(pods.clone(), "one", started))
        .await
        .unwrap();
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let log = pods.log_stream("one", &follow).await.unwrap();
    let lines: Vec<String> = timeout(log.lines().try_collect()).await.unwrap();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "last"]);
    cluster.shutdown().await;
}
