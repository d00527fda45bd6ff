//! What a controller relies on, called in process through kube-rs.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, Namespace, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, CustomResourceExt, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;

use crate::support::{TIMEOUT, Widget, WidgetStatus, open_cluster, widget};
use kube_embedded::Cluster;

async fn open(directory: &std::path::Path) -> Cluster {
    open_cluster(directory, 0).await
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": value}})).unwrap()
}

async fn apply_definition(client: &Client) -> Api<Widget> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions
        .create(&PostParams::default(), &Widget::crd())
        .await
        .unwrap();
    Api::default_namespaced(client.clone())
}

fn code(error: &kube::Error) -> (u16, &str) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.as_str()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn watcher_lists_then_follows_changes() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    for n in 0..3 {
        maps.create(&PostParams::default(), &config_map(&format!("m{n}"), "a"))
            .await
            .unwrap();
    }
    for config in [
        watcher::Config::default().page_size(2),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut events = watcher(maps.clone(), config).applied_objects().boxed();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let next = tokio::time::timeout(TIMEOUT, events.try_next()).await;
            seen.push(next.unwrap().unwrap().unwrap().name_any());
        }
        assert_eq!(seen, ["m0", "m1", "m2"]);
        let patch = Patch::Merge(json!({"data": {"key": uuid::Uuid::new_v4().to_string()}}));
        let changed = maps
            .patch("m1", &PatchParams::default(), &patch)
            .await
            .unwrap();
        let next = tokio::time::timeout(TIMEOUT, events.try_next()).await;
        assert_eq!(next.unwrap().unwrap().unwrap(), changed);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn watch_resumes_from_a_version_or_fails_with_gone() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let first = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    maps.create(&PostParams::default(), &config_map("b", "1"))
        .await
        .unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let params = WatchParams::default().timeout(1);
    let version = first.resource_version().unwrap();
    let events: Vec<_> = maps
        .watch(&params, &version)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    let names: Vec<_> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(map) => format!("+{}", map.name_any()),
            WatchEvent::Deleted(map) => format!("-{}", map.name_any()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(names, ["+b", "-a"]);

    let future = (version.parse::<u64>().unwrap() + 1000).to_string();
    let events: Vec<_> = maps
        .watch(&params, &future)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert!(
        matches!(&events[..], [WatchEvent::Error(status)] if status.code == 410),
        "{events:?}"
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn pages_of_a_list_are_one_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    for n in 0..5 {
        maps.create(&PostParams::default(), &config_map(&format!("m{n}"), "a"))
            .await
            .unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    maps.delete("m3", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("m2b", "a"))
        .await
        .unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = maps
        .list(&ListParams::default().limit(10).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<_> = rest.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["m2", "m3", "m4"]);
    assert_eq!(
        rest.metadata.resource_version,
        first.metadata.resource_version
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn stale_writes_conflict() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let old = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let mut newer = old.clone();
    newer.data = Some([("key".to_owned(), "2".to_owned())].into());
    maps.replace("a", &PostParams::default(), &newer)
        .await
        .unwrap();
    let error = maps.replace("a", &PostParams::default(), &old).await;
    assert_eq!(code(&error.unwrap_err()), (409, "Conflict"));
    let again = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(code(&again.unwrap_err()), (409, "AlreadyExists"));
    let missing = maps.get("b").await;
    assert_eq!(code(&missing.unwrap_err()), (404, "NotFound"));
    cluster.shutdown().await;
}

#[tokio::test]
async fn custom_resources_have_validation_and_a_status_subresource() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let mut sent = widget("r");
    sent.status = Some(WidgetStatus::default());
    let made = widgets.create(&PostParams::default(), &sent).await.unwrap();
    assert!(made.status.is_none(), "create drops the status");
    assert_eq!(made.metadata.generation, Some(1));

    let status = Patch::Merge(json!({"status": {"phase": "Running"}, "spec": {"parts": ["door"]}}));
    let after = widgets
        .patch_status("r", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(after.spec.parts, ["wheel"]);
    assert_eq!(after.metadata.generation, Some(1));
    assert_eq!(
        serde_json::to_value(&after.status).unwrap()["phase"],
        "Running"
    );

    let spec = Patch::Merge(json!({"spec": {"parts": ["roof"]}, "status": {"phase": "Failed"}}));
    let after = widgets
        .patch("r", &PatchParams::default(), &spec)
        .await
        .unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    assert_eq!(
        serde_json::to_value(&after.status).unwrap()["phase"],
        "Running"
    );

    let empty = Patch::Merge(json!({"spec": {"parts": []}}));
    let error = widgets.patch("r", &PatchParams::default(), &empty).await;
    let kube::Error::Api(status) = error.unwrap_err() else {
        panic!("no status");
    };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(status.details.unwrap().causes[0].field, "spec.parts");
    cluster.shutdown().await;
}

#[tokio::test]
async fn objects_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let made = widgets
        .create(&PostParams::default(), &widget("r"))
        .await
        .unwrap();
    cluster.shutdown().await;

    let cluster = open(directory.path()).await;
    let widgets: Api<Widget> = Api::default_namespaced(cluster.client());
    assert_eq!(widgets.get("r").await.unwrap(), made);
    cluster.shutdown().await;
}

#[tokio::test]
async fn jobs_get_a_selector_and_pod_labels() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let jobs: Api<Job> = Api::default_namespaced(cluster.client());
    let job: Job = serde_json::from_value(json!({
        "metadata": {"generateName": "j-"},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}
    }))
    .unwrap();
    let made = jobs.create(&PostParams::default(), &job).await.unwrap();
    assert!(made.name_any().starts_with("j-"));
    let spec = made.spec.clone().unwrap();
    let uid = made.uid().unwrap();
    let selector = spec.selector.unwrap().match_labels.unwrap();
    assert_eq!(selector["batch.kubernetes.io/controller-uid"], uid);
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["job-name"], made.name_any());
    assert_eq!(spec.backoff_limit, Some(6));
    cluster.shutdown().await;
}

#[tokio::test]
async fn discovery_finds_custom_kinds() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let client = cluster.client();
    apply_definition(&client).await;
    for aggregated in [false, true] {
        let discovery = kube::Discovery::new(client.clone());
        let discovery = if aggregated {
            discovery.run_aggregated().await.unwrap()
        } else {
            discovery.run().await.unwrap()
        };
        let (resource, capabilities) = discovery
            .groups()
            .flat_map(kube::discovery::ApiGroup::recommended_resources)
            .find(|(resource, _)| resource.kind == "Widget")
            .unwrap();
        assert_eq!(resource.plural, "widgets");
        assert!(capabilities.supports_operation("patch"));
    }
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    cluster.shutdown().await;
}

#[tokio::test]
async fn create_needs_an_existing_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "nowhere");
    let error = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(code(&error.unwrap_err()), (404, "NotFound"));
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    assert_eq!(
        namespaces
            .get("default")
            .await
            .unwrap()
            .status
            .unwrap()
            .phase,
        Some("Active".into())
    );
    let pods: Api<Pod> = Api::all(cluster.client());
    assert!(
        pods.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn apply_tracks_field_managers() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let mut config = serde_json::to_value(widget("r")).unwrap();
    let one = PatchParams::apply("one");
    widgets
        .patch("r", &one, &Patch::Apply(&config))
        .await
        .unwrap();
    let same = widgets
        .patch("r", &one, &Patch::Apply(&config))
        .await
        .unwrap();
    assert_eq!(same.metadata.generation, Some(1));

    config["spec"]["size"] = 2.into();
    let two = PatchParams::apply("two");
    let error = widgets.patch("r", &two, &Patch::Apply(&config)).await;
    assert_eq!(code(&error.unwrap_err()), (409, "Conflict"));
    let forced = widgets
        .patch("r", &two.clone().force(), &Patch::Apply(&config))
        .await
        .unwrap();
    assert_eq!(forced.spec.size, 2);

    let phase = |phase: &str| json!({"apiVersion": "example.org/v1", "kind": "Widget", "status": {"phase": phase}});
    let after = widgets
        .patch_status("r", &one, &Patch::Apply(phase("Running")))
        .await
        .unwrap();
    let version = after.resource_version();
    let again = widgets
        .patch_status("r", &one, &Patch::Apply(phase("Running")))
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        version,
        "an unchanged apply writes nothing"
    );
    let missing = widgets
        .patch_status("x", &one, &Patch::Apply(phase("Running")))
        .await;
    assert_eq!(code(&missing.unwrap_err()), (404, "NotFound"));
    cluster.shutdown().await;
}

/// Waits until an object is deleted.
async fn wait_for_deletion<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let waiting = kube::runtime::wait::await_condition(api.clone(), name, |object: Option<&K>| {
        object.is_none()
    });
    tokio::time::timeout(TIMEOUT, waiting)
        .await
        .expect("the object still exists")
        .unwrap();
}

fn owned(name: &str, owner: &Widget, blocks: bool) -> ConfigMap {
    let mut map = config_map(name, "a");
    let mut reference = kube::Resource::controller_owner_ref(owner, &()).unwrap();
    reference.block_owner_deletion = Some(blocks);
    map.metadata.owner_references = Some(vec![reference]);
    map
}

#[tokio::test]
async fn deletion_collects_or_orphans_dependents() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();

    let owner = widgets.create(&post, &widget("background")).await.unwrap();
    maps.create(&post, &owned("b", &owner, false))
        .await
        .unwrap();
    widgets
        .delete("background", &DeleteParams::background())
        .await
        .unwrap();
    wait_for_deletion(&maps, "b").await;

    // The owner reference has the uid of the deleted owner; another object has its name now.
    widgets.create(&post, &widget("background")).await.unwrap();
    maps.create(&post, &owned("late", &owner, false))
        .await
        .unwrap();
    wait_for_deletion(&maps, "late").await;

    let owner = widgets.create(&post, &widget("orphan")).await.unwrap();
    maps.create(&post, &owned("o", &owner, false))
        .await
        .unwrap();
    widgets
        .delete("orphan", &DeleteParams::orphan())
        .await
        .unwrap();
    wait_for_deletion(&widgets, "orphan").await;
    assert_eq!(maps.get("o").await.unwrap().owner_references(), []);

    let owner = widgets.create(&post, &widget("foreground")).await.unwrap();
    let mut held = owned("f", &owner, true);
    held.metadata.finalizers = Some(vec!["example.org/hold".into()]);
    maps.create(&post, &held).await.unwrap();
    widgets
        .delete("foreground", &DeleteParams::foreground())
        .await
        .unwrap();
    let deleting =
        kube::runtime::wait::await_condition(maps.clone(), "f", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
        });
    tokio::time::timeout(TIMEOUT, deleting)
        .await
        .unwrap()
        .unwrap();
    assert!(
        widgets.get("foreground").await.is_ok(),
        "the owner waits for its dependent"
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("f", &PatchParams::default(), &release)
        .await
        .unwrap();
    wait_for_deletion(&widgets, "foreground").await;
    wait_for_deletion(&maps, "f").await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn finalizer_blocks_deletion_until_removed() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    maps.create(&PostParams::default(), &config_map("m", "a"))
        .await
        .unwrap();
    let reconcile = async |expected: &str| {
        let map = std::sync::Arc::new(maps.get("m").await.unwrap());
        kube::runtime::finalizer(&maps, "example.org/f", map, async |event| {
            let seen = match event {
                kube::runtime::finalizer::Event::Apply(_) => "apply",
                kube::runtime::finalizer::Event::Cleanup(_) => "cleanup",
            };
            assert_eq!(seen, expected);
            Ok::<_, std::io::Error>(kube::runtime::controller::Action::await_change())
        })
        .await
        .unwrap();
    };
    reconcile("apply").await;
    assert_eq!(maps.get("m").await.unwrap().finalizers(), ["example.org/f"]);
    reconcile("apply").await;
    maps.delete("m", &DeleteParams::default()).await.unwrap();
    let late =
        Patch::Merge(json!({"metadata": {"finalizers": ["example.org/f", "example.org/late"]}}));
    let error = maps.patch("m", &PatchParams::default(), &late).await;
    assert_eq!(code(&error.unwrap_err()), (422, "Invalid"));
    reconcile("cleanup").await;
    wait_for_deletion(&maps, "m").await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn deleting_a_namespace_or_definition_deletes_its_objects() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    apply_definition(&cluster.client()).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    let post = PostParams::default();
    namespaces.create(&post, &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "team");
    let widgets: Api<Widget> = Api::namespaced(cluster.client(), "team");
    let mut held = config_map("m", "a");
    held.metadata.finalizers = Some(vec!["example.org/hold".into()]);
    maps.create(&post, &held).await.unwrap();
    widgets.create(&post, &widget("r")).await.unwrap();
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    wait_for_deletion(&widgets, "r").await;
    let error = maps.create(&post, &config_map("n", "a")).await;
    assert_eq!(code(&error.unwrap_err()), (403, "Forbidden"));
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("m", &PatchParams::default(), &release)
        .await
        .unwrap();
    wait_for_deletion(&namespaces, "team").await;

    let widgets: Api<Widget> = Api::default_namespaced(cluster.client());
    widgets.create(&post, &widget("r")).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let name = Widget::crd_name();
    definitions
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    wait_for_deletion(&definitions, name).await;
    assert_eq!(
        code(&widgets.list(&ListParams::default()).await.unwrap_err()).0,
        404
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn deleting_a_job_orphans_dependents_by_default() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let jobs: Api<Job> = Api::default_namespaced(cluster.client());
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "j"},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}
    }))
    .unwrap();
    let post = PostParams::default();
    for (params, orphans) in [
        (DeleteParams::default(), true),
        (DeleteParams::background(), false),
    ] {
        let made = jobs.create(&post, &job).await.unwrap();
        let mut child = config_map("child", "a");
        child.metadata.owner_references = Some(vec![
            kube::Resource::controller_owner_ref(&made, &()).unwrap(),
        ]);
        maps.create(&post, &child).await.unwrap();
        jobs.delete("j", &params).await.unwrap();
        wait_for_deletion(&jobs, "j").await;
        if orphans {
            assert_eq!(maps.get("child").await.unwrap().owner_references(), []);
            maps.delete("child", &DeleteParams::default())
                .await
                .unwrap();
        } else {
            wait_for_deletion(&maps, "child").await;
        }
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn cluster_scoped_objects_ignore_namespaced_owners() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();
    let owner = widgets.create(&post, &widget("r")).await.unwrap();
    let mut namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespace.metadata.owner_references = Some(vec![
        kube::Resource::controller_owner_ref(&owner, &()).unwrap(),
    ]);
    namespaces.create(&post, &namespace).await.unwrap();
    maps.create(&post, &owned("m", &owner, false))
        .await
        .unwrap();
    widgets
        .delete("r", &DeleteParams::background())
        .await
        .unwrap();
    wait_for_deletion(&maps, "m").await;
    let kept = namespaces.get("team").await.unwrap();
    assert_eq!(kept.metadata.deletion_timestamp, None);
    cluster.shutdown().await;
}

#[tokio::test]
async fn objects_stay_while_an_owner_exists() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let widgets = apply_definition(&cluster.client()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();
    let one = widgets.create(&post, &widget("one")).await.unwrap();
    let two = widgets.create(&post, &widget("two")).await.unwrap();
    let mut map = owned("m", &one, false);
    let second = kube::Resource::owner_ref(&two, &()).unwrap();
    map.metadata.owner_references.as_mut().unwrap().push(second);
    maps.create(&post, &map).await.unwrap();
    widgets
        .delete("one", &DeleteParams::background())
        .await
        .unwrap();
    let alone =
        kube::runtime::wait::await_condition(maps.clone(), "m", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.owner_references().len() == 1)
        });
    let map = tokio::time::timeout(TIMEOUT, alone).await.unwrap().unwrap();
    assert_eq!(map.unwrap().owner_references()[0].name, "two");
    widgets
        .delete("two", &DeleteParams::background())
        .await
        .unwrap();
    wait_for_deletion(&maps, "m").await;
    cluster.shutdown().await;
}
