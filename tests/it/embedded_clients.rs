//! What kube-rs offers, over HTTPS against the embedded cluster: each test is one thing that programs lean on.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt, pin_mut};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Event as CoreEvent, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::runtime::{
    controller::{Action, Controller},
    events::{Event, EventType, Recorder, Reporter},
    finalizer::{self, finalizer},
    wait::{await_condition, conditions},
    watcher,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{
        DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent,
        WatchParams,
    },
    core::PartialObjectMeta,
    discovery::Discovery,
};
use serde_json::json;

use crate::support::served::Served;
use flightdeck_core::resources::DocsRun;
use flightdeck_worker::controller::install_crds;

/// The machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it never came")
}

fn read<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn map(name: &str, n: &str) -> ConfigMap {
    read(json!({ "metadata": { "name": name }, "data": { "n": n } }))
}

fn create() -> PostParams {
    PostParams::default()
}

#[tokio::test]
async fn a_recorder_makes_an_event_and_counts_its_repetition() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let about = maps
        .create(&create(), &map("one", "0"))
        .await
        .unwrap()
        .object_ref(&());
    let reporter = Reporter {
        controller: "tester".into(),
        instance: Some("tester-1".into()),
    };
    let recorder = Recorder::new(served.client.clone(), reporter);
    let event = Event {
        type_: EventType::Normal,
        reason: "Looked".into(),
        note: Some("it was looked at".into()),
        action: "Looking".into(),
        secondary: None,
    };
    for _ in 0..3 {
        recorder.publish(&event, &about).await.unwrap();
    }
    let events =
        Api::<k8s_openapi::api::events::v1::Event>::default_namespaced(served.client.clone());
    let events = events.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].series.as_ref().unwrap().count, 3);
    // The same, as kubectl describes it.
    let core = Api::<CoreEvent>::default_namespaced(served.client.clone());
    let uid = about.uid.unwrap();
    let of_it = ListParams::default().fields(&format!("involvedObject.uid={uid},reason=Looked"));
    let core = core.list(&of_it).await.unwrap().items;
    assert_eq!(core[0].message.as_deref(), Some("it was looked at"));
    served.end().await;
}

#[tokio::test]
async fn a_controller_is_told_of_what_its_objects_own() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let leases = Api::<Lease>::default_namespaced(served.client.clone());
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let reconcile = |map: Arc<ConfigMap>, told: Arc<tokio::sync::mpsc::UnboundedSender<String>>| async move {
        told.send(map.name_any()).unwrap();
        Ok::<_, std::convert::Infallible>(Action::await_change())
    };
    let controller = Controller::new(maps.clone(), watcher::Config::default().labels("app=x"))
        .owns(leases.clone(), watcher::Config::default())
        .run(reconcile, |_, _, _| Action::await_change(), Arc::new(told));
    let running = tokio::spawn(controller.for_each(|_| async {}));
    let mut owner = map("owner", "0");
    owner.labels_mut().insert("app".into(), "x".into());
    let owner = maps.create(&create(), &owner).await.unwrap();
    maps.create(&create(), &map("other", "0")).await.unwrap();
    assert_eq!(soon(heard.recv()).await.unwrap(), "owner");
    let mut lease: Lease = read(json!({ "metadata": { "name": "owned" }, "spec": {} }));
    lease.meta_mut().owner_references = Some(vec![owner.controller_owner_ref(&()).unwrap()]);
    leases.create(&create(), &lease).await.unwrap();
    assert_eq!(soon(heard.recv()).await.unwrap(), "owner");
    running.abort();
    served.end().await;
}

/// Names of a watcher's first list, then of the changes, until `last` is among them.
async fn told(
    api: Api<ConfigMap>,
    config: watcher::Config,
    last: &str,
) -> (Vec<String>, Vec<String>) {
    let events = watcher::watcher(api, config);
    pin_mut!(events);
    let (mut first, mut then) = (Vec::new(), Vec::new());
    while !then.iter().any(|name| name == last) {
        match soon(events.next()).await.unwrap().unwrap() {
            watcher::Event::InitApply(map) => first.push(map.name_any()),
            watcher::Event::Apply(map) => then.push(map.name_any()),
            watcher::Event::Delete(map) => then.push(format!("-{}", map.name_any())),
            watcher::Event::Init | watcher::Event::InitDone => {}
        }
    }
    first.sort();
    (first, then)
}

#[tokio::test]
async fn a_watcher_begins_with_what_is_there_by_list_or_by_stream() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    let base: Vec<String> = (0..7).map(|n| format!("c{n}")).collect();
    for name in &base {
        maps.create(&create(), &map(name, "0")).await.unwrap();
    }
    let listing = told(maps.clone(), watcher::Config::default().page_size(3), "new");
    let streaming = told(
        maps.clone(),
        watcher::Config::default().streaming_lists(),
        "new",
    );
    let changing = async {
        // The watchers say nothing of their own about when they are through with the list; both orders are right.
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
        () = changing => unreachable!("it goes on for ever"),
    };
    for (first, _) in [listed, streamed] {
        let first: Vec<String> = first.into_iter().filter(|name| name != "new").collect();
        assert_eq!(first, base);
    }
    served.end().await;
}

#[tokio::test]
async fn a_streamed_list_says_where_it_ends() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    maps.create(&create(), &map("one", "0")).await.unwrap();
    let params = WatchParams {
        send_initial_events: true,
        ..WatchParams::default()
    };
    let events = maps.watch(&params, "0").await.unwrap();
    pin_mut!(events);
    let first = soon(events.next()).await.unwrap().unwrap();
    assert!(matches!(first, WatchEvent::Added(map) if map.name_any() == "one"));
    let WatchEvent::Bookmark(end) = soon(events.next()).await.unwrap().unwrap() else {
        panic!("no bookmark")
    };
    assert_eq!(
        end.metadata.annotations["k8s.io/initial-events-end"],
        "true"
    );
    served.end().await;
}

#[tokio::test]
async fn a_condition_is_awaited_until_it_holds() {
    let served = Served::new().await;
    let jobs = Api::<Job>::default_namespaced(served.client.clone());
    let job: Job = read(
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
    soon(futures::future::join(completed, completing))
        .await
        .0
        .unwrap();
    let uid = job.uid().unwrap();
    let deleted = await_condition(jobs.clone(), "one", conditions::is_deleted(&uid));
    let background = DeleteParams::background();
    let deleting = jobs.delete("one", &background);
    soon(futures::future::join(deleted, deleting))
        .await
        .0
        .unwrap();

    let crds = Api::<CustomResourceDefinition>::all(served.client.clone());
    install_crds(served.cluster.client()).await.unwrap();
    let name = "docsruns.orchestrator.io";
    soon(await_condition(
        crds,
        name,
        conditions::is_crd_established(),
    ))
    .await
    .unwrap();
    served.end().await;
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_its_cleanup_is_done() {
    const NAME: &str = "tests.flightdeck.dev/held";
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
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
    assert_eq!(step(one).await, "", "first it is held");
    let held = maps.get("one").await.unwrap();
    assert_eq!(held.finalizers(), [NAME]);
    assert_eq!(step(held).await, "apply");
    maps.delete("one", &DeleteParams::default()).await.unwrap();
    let going = maps.get("one").await.unwrap();
    assert!(going.meta().deletion_timestamp.is_some());
    assert_eq!(step(going).await, "cleanup");
    assert!(maps.get_opt("one").await.unwrap().is_none());
    served.end().await;
}

#[tokio::test]
async fn of_two_that_take_a_lease_at_once_one_is_told_of_a_conflict() {
    let served = Served::new().await;
    let leases = Api::<Lease>::default_namespaced(served.client.clone());
    let lease: Lease = read(json!({ "metadata": { "name": "leader" }, "spec": {
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
    served.end().await;
}

#[tokio::test]
async fn discovery_finds_every_kind_the_old_way_and_the_new() {
    let served = Served::new().await;
    install_crds(served.cluster.client()).await.unwrap();
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
    let old = of(&Discovery::new(served.client.clone()).run().await.unwrap());
    let new = of(&Discovery::new(served.client.clone())
        .run_aggregated()
        .await
        .unwrap());
    assert_eq!(old, new);
    for kind in [
        "v1/Pod",
        "v1/ConfigMap",
        "batch/v1/Job",
        "orchestrator.io/v1/DocsRun",
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
    served.end().await;
}

#[tokio::test]
async fn who_wants_metadata_alone_gets_metadata_alone() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
    maps.create(&create(), &map("one", "secret words"))
        .await
        .unwrap();
    let list = maps.list_metadata(&ListParams::default()).await.unwrap();
    assert_eq!(list.items[0].name_any(), "one");
    let metadata = Api::<PartialObjectMeta<ConfigMap>>::default_namespaced(served.client.clone());
    let events = watcher::watcher(metadata, watcher::Config::default());
    pin_mut!(events);
    let mut names = Vec::new();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    loop {
        match soon(events.next()).await.unwrap().unwrap() {
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
    let text = served.client.request_text(request).await.unwrap();
    assert!(
        text.contains("PartialObjectMetadata") && !text.contains("secret words"),
        "{text}"
    );
    served.end().await;
}

#[tokio::test]
async fn an_entry_is_made_when_it_is_not_there_and_changed_when_it_is() {
    let served = Served::new().await;
    let maps = Api::<ConfigMap>::default_namespaced(served.client.clone());
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
    served.end().await;
}

#[tokio::test]
async fn an_apply_meets_the_owner_of_a_field_and_takes_it_only_by_force() {
    let served = Served::new().await;
    install_crds(served.cluster.client()).await.unwrap();
    let runs = Api::<DocsRun>::default_namespaced(served.client.clone());
    let body = |version: u32| {
        json!({ "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-a" }, "spec": {
            "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "contextVersion": version,
        } })
    };
    let apply = async |manager: &str, version, force: bool| {
        let mut params = PatchParams::apply(manager);
        params.force = force;
        runs.patch("docs-a", &params, &Patch::Apply(body(version)))
            .await
    };
    apply("ada", 1, false).await.unwrap();
    let error = apply("bob", 2, false).await.unwrap_err();
    let kube::Error::Api(status) = error else {
        panic!("{error:?}")
    };
    assert_eq!(status.code, 409);
    assert!(
        status.message.contains("ada") && status.message.contains(".spec.contextVersion"),
        "{}",
        status.message
    );
    let forced = apply("bob", 2, true).await.unwrap();
    assert_eq!(forced.spec.run.context_version, 2);
    let error = apply("ada", 1, false).await.unwrap_err();
    assert!(error.to_string().contains("bob"), "{error}");
    served.end().await;
}

#[tokio::test]
async fn a_log_that_is_not_there_yet_is_refused_as_kubernetes_words_it() {
    let served = Served::new().await;
    let pods = Api::<Pod>::default_namespaced(served.client.clone());
    let pod: Pod = read(
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
    served.end().await;
}

#[tokio::test]
async fn a_log_is_followed_line_by_line_to_its_end() {
    let served = Served::with_node().await;
    let pods = Api::<Pod>::default_namespaced(served.client.clone());
    let pod: Pod = read(json!({ "metadata": { "name": "one" }, "spec": {
        "restartPolicy": "Never",
        "containers": [{ "name": "c", "image": "i", "command": ["sh", "-c", "for n in 1 2 3; do echo line $n; done; printf last"] }],
    } }));
    pods.create(&create(), &pod).await.unwrap();
    let started = |pod: Option<&Pod>| {
        let phase = pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref());
        matches!(phase, Some("Running" | "Succeeded"))
    };
    soon(await_condition(pods.clone(), "one", started))
        .await
        .unwrap();
    let follow = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let log = pods.log_stream("one", &follow).await.unwrap();
    let lines: Vec<String> = soon(log.lines().try_collect()).await.unwrap();
    assert_eq!(lines, ["line 1", "line 2", "line 3", "last"]);
    served.cluster.stop_containers().await;
    served.end().await;
}
