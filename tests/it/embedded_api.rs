//! The embedded API as kube-rs meets it: what a controller relies on.

use std::time::Duration;

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

use flightdeck_core::resources::{DocsRun, DocsRunSpec, RunSpec};
use kube_embedded::{Cluster, ClusterOptions, Limits};

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(directory: &std::path::Path) -> Cluster {
    let options = ClusterOptions {
        identity: flightdeck::daemon::identity(),
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 0,
        limits: Limits::default(),
        environment: std::env::vars().collect(),
    };
    Cluster::open(options).await.unwrap()
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"key": value}})).unwrap()
}

async fn apply_definition(client: &Client) -> Api<DocsRun> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions
        .create(&PostParams::default(), &DocsRun::crd())
        .await
        .unwrap();
    Api::default_namespaced(client.clone())
}

fn docs_run(name: &str) -> DocsRun {
    let spec = DocsRunSpec {
        task_ids: vec!["1".into()],
        run: RunSpec {
            repository_url: "https://example.org/a/b".into(),
            source_branch: "main".into(),
            agent: "template".into(),
            model: "none".into(),
            ..RunSpec::default()
        },
    };
    DocsRun::new(name, spec)
}

fn code(error: &kube::Error) -> (u16, &str) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.as_str()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_watcher_sees_what_is_there_and_what_happens() {
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
            let next = tokio::time::timeout(PATIENCE, events.try_next()).await;
            seen.push(next.unwrap().unwrap().unwrap().name_any());
        }
        assert_eq!(seen, ["m0", "m1", "m2"]);
        let patch = Patch::Merge(json!({"data": {"key": uuid::Uuid::new_v4().to_string()}}));
        let changed = maps
            .patch("m1", &PatchParams::default(), &patch)
            .await
            .unwrap();
        let next = tokio::time::timeout(PATIENCE, events.try_next()).await;
        assert_eq!(next.unwrap().unwrap().unwrap(), changed);
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_watch_goes_on_from_any_kept_version_and_says_when_it_cannot() {
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
async fn pages_of_a_list_show_one_moment() {
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
async fn writers_that_read_an_older_version_are_told() {
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
    let refused = maps.replace("a", &PostParams::default(), &old).await;
    assert_eq!(code(&refused.unwrap_err()), (409, "Conflict"));
    let again = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(code(&again.unwrap_err()), (409, "AlreadyExists"));
    let missing = maps.get("b").await;
    assert_eq!(code(&missing.unwrap_err()), (404, "NotFound"));
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_custom_resource_has_defaults_validation_and_a_status_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let mut sent = docs_run("r");
    sent.status = Some(flightdeck_core::resources::RunStatus::default());
    let made = runs.create(&PostParams::default(), &sent).await.unwrap();
    assert!(made.status.is_none(), "a status sent at create is dropped");
    assert_eq!(made.metadata.generation, Some(1));

    let status = Patch::Merge(json!({"status": {"phase": "Running"}, "spec": {"taskIds": ["9"]}}));
    let after = runs
        .patch_status("r", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(after.spec.task_ids, ["1"]);
    assert_eq!(after.metadata.generation, Some(1));
    assert_eq!(
        serde_json::to_value(&after.status).unwrap()["phase"],
        "Running"
    );

    let spec = Patch::Merge(json!({"spec": {"taskIds": ["2"]}, "status": {"phase": "Failed"}}));
    let after = runs
        .patch("r", &PatchParams::default(), &spec)
        .await
        .unwrap();
    assert_eq!(after.metadata.generation, Some(2));
    assert_eq!(
        serde_json::to_value(&after.status).unwrap()["phase"],
        "Running"
    );

    let empty = Patch::Merge(json!({"spec": {"taskIds": []}}));
    let refused = runs.patch("r", &PatchParams::default(), &empty).await;
    let kube::Error::Api(status) = refused.unwrap_err() else {
        panic!("no status");
    };
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    assert_eq!(status.details.unwrap().causes[0].field, "spec.taskIds");
    cluster.shutdown().await;
}

#[tokio::test]
async fn objects_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let made = runs
        .create(&PostParams::default(), &docs_run("r"))
        .await
        .unwrap();
    cluster.shutdown().await;

    let cluster = open(directory.path()).await;
    let runs: Api<DocsRun> = Api::default_namespaced(cluster.client());
    assert_eq!(runs.get("r").await.unwrap(), made);
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_job_gets_the_selector_and_labels_its_pods_are_found_by() {
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
async fn what_discovery_names_is_served() {
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
            .find(|(resource, _)| resource.kind == "DocsRun")
            .unwrap();
        assert_eq!(resource.plural, "docsruns");
        assert!(capabilities.supports_operation("patch"));
    }
    assert_eq!(client.apiserver_version().await.unwrap().major, "1");
    cluster.shutdown().await;
}

#[tokio::test]
async fn nothing_is_made_in_a_namespace_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "nowhere");
    let refused = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await;
    assert_eq!(code(&refused.unwrap_err()), (404, "NotFound"));
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
async fn managers_apply_their_own_fields_and_conditions() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let mut config = serde_json::to_value(docs_run("r")).unwrap();
    let one = PatchParams::apply("one");
    runs.patch("r", &one, &Patch::Apply(&config)).await.unwrap();
    let same = runs.patch("r", &one, &Patch::Apply(&config)).await.unwrap();
    assert_eq!(same.metadata.generation, Some(1));

    config["spec"]["model"] = "other".into();
    let two = PatchParams::apply("two");
    let refused = runs.patch("r", &two, &Patch::Apply(&config)).await;
    assert_eq!(code(&refused.unwrap_err()), (409, "Conflict"));
    let forced = runs
        .patch("r", &two.clone().force(), &Patch::Apply(&config))
        .await
        .unwrap();
    assert_eq!(forced.spec.run.model, "other");

    let phase = |phase: &str| json!({"apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "status": {"phase": phase}});
    let after = runs
        .patch_status("r", &one, &Patch::Apply(phase("Running")))
        .await
        .unwrap();
    let version = after.resource_version();
    let again = runs
        .patch_status("r", &one, &Patch::Apply(phase("Running")))
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        version,
        "nothing changed, nothing is written"
    );
    let missing = runs
        .patch_status("x", &one, &Patch::Apply(phase("Running")))
        .await;
    assert_eq!(code(&missing.unwrap_err()), (404, "NotFound"));
    cluster.shutdown().await;
}

/// Waits until an object is gone.
async fn gone<K>(api: &Api<K>, name: &str)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let waiting = kube::runtime::wait::await_condition(api.clone(), name, |object: Option<&K>| {
        object.is_none()
    });
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it is still there")
        .unwrap();
}

fn owned(name: &str, owner: &DocsRun, blocks: bool) -> ConfigMap {
    let mut map = config_map(name, "a");
    let mut reference = kube::Resource::controller_owner_ref(owner, &()).unwrap();
    reference.block_owner_deletion = Some(blocks);
    map.metadata.owner_references = Some(vec![reference]);
    map
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_are_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();

    let run = runs.create(&post, &docs_run("background")).await.unwrap();
    maps.create(&post, &owned("b", &run, false)).await.unwrap();
    runs.delete("background", &DeleteParams::background())
        .await
        .unwrap();
    gone(&maps, "b").await;

    // An owner that is gone already, of the same name but another uid.
    runs.create(&post, &docs_run("background")).await.unwrap();
    maps.create(&post, &owned("late", &run, false))
        .await
        .unwrap();
    gone(&maps, "late").await;

    let run = runs.create(&post, &docs_run("orphan")).await.unwrap();
    maps.create(&post, &owned("o", &run, false)).await.unwrap();
    runs.delete("orphan", &DeleteParams::orphan())
        .await
        .unwrap();
    gone(&runs, "orphan").await;
    assert_eq!(maps.get("o").await.unwrap().owner_references(), []);

    let run = runs.create(&post, &docs_run("foreground")).await.unwrap();
    let mut held = owned("f", &run, true);
    held.metadata.finalizers = Some(vec!["example.org/hold".into()]);
    maps.create(&post, &held).await.unwrap();
    runs.delete("foreground", &DeleteParams::foreground())
        .await
        .unwrap();
    let deleting =
        kube::runtime::wait::await_condition(maps.clone(), "f", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
        });
    tokio::time::timeout(PATIENCE, deleting)
        .await
        .unwrap()
        .unwrap();
    assert!(runs.get("foreground").await.is_ok(), "it waits");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("f", &PatchParams::default(), &release)
        .await
        .unwrap();
    gone(&runs, "foreground").await;
    gone(&maps, "f").await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_its_controller_is_done() {
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
    let refused = maps.patch("m", &PatchParams::default(), &late).await;
    assert_eq!(code(&refused.unwrap_err()), (422, "Invalid"));
    reconcile("cleanup").await;
    gone(&maps, "m").await;
    cluster.shutdown().await;
}

#[tokio::test]
async fn a_namespace_and_a_definition_take_what_they_hold_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    apply_definition(&cluster.client()).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    let post = PostParams::default();
    namespaces.create(&post, &namespace).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client(), "team");
    let runs: Api<DocsRun> = Api::namespaced(cluster.client(), "team");
    let mut held = config_map("m", "a");
    held.metadata.finalizers = Some(vec!["example.org/hold".into()]);
    maps.create(&post, &held).await.unwrap();
    runs.create(&post, &docs_run("r")).await.unwrap();
    namespaces
        .delete("team", &DeleteParams::default())
        .await
        .unwrap();
    gone(&runs, "r").await;
    let refused = maps.create(&post, &config_map("n", "a")).await;
    assert_eq!(code(&refused.unwrap_err()), (403, "Forbidden"));
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("m", &PatchParams::default(), &release)
        .await
        .unwrap();
    gone(&namespaces, "team").await;

    let runs: Api<DocsRun> = Api::default_namespaced(cluster.client());
    runs.create(&post, &docs_run("r")).await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client());
    let name = DocsRun::crd_name();
    definitions
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    gone(&definitions, name).await;
    assert_eq!(
        code(&runs.list(&ListParams::default()).await.unwrap_err()).0,
        404
    );
    cluster.shutdown().await;
}

#[tokio::test]
async fn deleting_a_job_without_a_word_about_its_pods_orphans_them() {
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
        gone(&jobs, "j").await;
        if orphans {
            assert_eq!(maps.get("child").await.unwrap().owner_references(), []);
            maps.delete("child", &DeleteParams::default())
                .await
                .unwrap();
        } else {
            gone(&maps, "child").await;
        }
    }
    cluster.shutdown().await;
}

#[tokio::test]
async fn what_has_no_namespace_is_not_collected_for_an_owner_in_one() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();
    let run = runs.create(&post, &docs_run("r")).await.unwrap();
    let mut namespace: Namespace =
        serde_json::from_value(json!({"metadata": {"name": "team"}})).unwrap();
    namespace.metadata.owner_references = Some(vec![
        kube::Resource::controller_owner_ref(&run, &()).unwrap(),
    ]);
    namespaces.create(&post, &namespace).await.unwrap();
    maps.create(&post, &owned("m", &run, false)).await.unwrap();
    runs.delete("r", &DeleteParams::background()).await.unwrap();
    gone(&maps, "m").await;
    let kept = namespaces.get("team").await.unwrap();
    assert_eq!(kept.metadata.deletion_timestamp, None);
    cluster.shutdown().await;
}

#[tokio::test]
async fn an_object_stays_while_one_of_its_owners_does() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path()).await;
    let runs = apply_definition(&cluster.client()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client());
    let post = PostParams::default();
    let one = runs.create(&post, &docs_run("one")).await.unwrap();
    let two = runs.create(&post, &docs_run("two")).await.unwrap();
    let mut map = owned("m", &one, false);
    let second = kube::Resource::owner_ref(&two, &()).unwrap();
    map.metadata.owner_references.as_mut().unwrap().push(second);
    maps.create(&post, &map).await.unwrap();
    runs.delete("one", &DeleteParams::background())
        .await
        .unwrap();
    let alone =
        kube::runtime::wait::await_condition(maps.clone(), "m", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.owner_references().len() == 1)
        });
    let map = tokio::time::timeout(PATIENCE, alone)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(map.unwrap().owner_references()[0].name, "two");
    runs.delete("two", &DeleteParams::background())
        .await
        .unwrap();
    gone(&maps, "m").await;
    cluster.shutdown().await;
}
