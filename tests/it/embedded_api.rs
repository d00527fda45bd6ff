//! The embedded API as kube-rs meets it: what a controller relies on.

use std::time::Duration;

use flightdeck::{
    embedded::{Cluster, ClusterOptions},
    resources::{DocsRun, DocsRunSpec, RunSpec},
};
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

const PATIENCE: Duration = Duration::from_secs(30);

async fn open(directory: &std::path::Path) -> Cluster {
    let options = ClusterOptions {
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 2,
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
    sent.status = Some(flightdeck::resources::RunStatus::default());
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
