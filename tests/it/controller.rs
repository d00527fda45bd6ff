//! Runs on the embedded API with the real controller and a simulated kubelet.

mod api_calls;
mod archives;
mod every_write;
mod faults;
mod leaders;
mod pull_requests;
mod real;
mod recorder;
mod requeue;
mod roles;
mod settled_runs;
mod unknown_fields;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod},
};
use kube::runtime::{WatchStreamExt, wait::await_condition, watcher};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinHandle};
use tower::ServiceExt;

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Stage, StageReport, naming},
};
use flightdeck_host::settings::Settings;
use flightdeck_worker::controller::{self, ControllerConfig};
use kube_embedded::{Cluster, ClusterOptions, Limits};

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// A cluster with installed CRDs, a controller, and a kubelet.
struct Scene {
    client: Client,
    cluster: Cluster,
    controller: Option<Running>,
    kubelet: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// A controller and what stops it.
type Running = (tokio::sync::oneshot::Sender<()>, JoinHandle<()>);

/// The behaviour of a stage's pod: its exit code and report, or `None` to keep running.
type Play = fn(Stage, &Job) -> Option<(i32, StageReport)>;

impl Scene {
    async fn with(play: Play) -> Self {
        let mut scene = Self::without_controller(play).await;
        scene.controller = Some(start(&scene.client));
        scene
    }

    async fn without_controller(play: Play) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = Cluster::open(ClusterOptions {
            identity: flightdeck::daemon::identity(),
            directory: directory.path().to_owned(),
            program: env!("CARGO_BIN_EXE_flightdeck").into(),
            max_containers: 0,
            limits: Limits::default(),
            environment: BTreeMap::default(),
        })
        .await
        .unwrap();
        let client = cluster.client();
        controller::install_crds(client.clone()).await.unwrap();
        let kubelet = tokio::spawn(kubelet(client.clone(), play));
        Self {
            client,
            cluster,
            controller: None,
            kubelet,
            _directory: directory,
        }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn stop_controller(&mut self) {
        if let Some((stop, controller)) = self.controller.take() {
            let _ = stop.send(());
            ends(controller).await;
        }
    }

    async fn end(mut self) {
        self.stop_controller().await;
        self.kubelet.abort();
        self.cluster.shutdown().await;
    }
}

/// Returns a client whose process seems to die after a number of writes: all further writes hang.
fn dying_client(cluster: &Cluster, writes: usize) -> (Client, Arc<Notify>) {
    let (done, dead) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (service, notify) = (cluster.service(), Arc::clone(&dead));
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (service, done, notify) = (service.clone(), Arc::clone(&done), Arc::clone(&notify));
        async move {
            let is_write = request.method() != http::Method::GET;
            if is_write && done.fetch_add(1, Ordering::SeqCst) >= writes {
                notify.notify_one();
                return std::future::pending().await;
            }
            service.oneshot(request).await
        }
    });
    (Client::new(service, "default"), dead)
}

/// Stops the controller and waits for it.
async fn ends(controller: JoinHandle<()>) {
    let ended = tokio::time::timeout(PATIENCE, controller).await;
    ended.expect("the controller did not stop").unwrap();
}

/// Returns the configuration of a controller with short delays.
fn config(namespace: &str) -> ControllerConfig {
    let mut config = ControllerConfig::new(Arc::new(Settings::shipped()), namespace, "test");
    let short = Duration::from_millis(50);
    config.retry_delays.unavailable = short;
    config.retry_delays.watch = short;
    config.retry_delays.max = Duration::from_secs(1);
    config.call_timeout = Duration::from_secs(2);
    config
}

fn start(client: &Client) -> Running {
    start_in(client, "default")
}

fn start_in(client: &Client, namespace: &str) -> Running {
    run_controller(client, config(namespace))
}

fn run_controller(client: &Client, config: ControllerConfig) -> Running {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let controller = controller::run(client.clone(), config, async {
        let _ = stopped.await;
    });
    (stop, tokio::spawn(controller))
}

/// Creates a pod for each Job and ends it as `play` says, in the order of writes of a real cluster.
async fn kubelet(client: Client, play: Play) {
    let everywhere: Api<Job> = Api::all(client.clone());
    let mut changes = watcher::watcher(everywhere, watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    while let Some(job) = changes.next().await {
        let Ok(job) = job else { continue };
        let (name, namespace) = (job.name_any(), job.namespace().unwrap());
        let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        if job.metadata.deletion_timestamp.is_some() {
            continue;
        }
        if let Some(pod) = pods.get_opt(&format!("{name}-x")).await.unwrap() {
            let owners = pod.owner_references();
            if owners
                .iter()
                .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
            {
                continue;
            }
            // Of a deleted Job of the same name, which the garbage collector has not reached yet.
            let now = DeleteParams::default().grace_period(0);
            let _ = pods.delete(&pod.name_any(), &now).await;
        }
        let stage = Stage::parse(&job.labels()[naming::LABEL_STAGE]).unwrap();
        let template = job.spec.clone().unwrap().template;
        let pod = json!({
            "metadata": {
                "name": format!("{name}-x"),
                "labels": template.metadata.clone().unwrap().labels,
                "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.uid(), "controller": true }],
            },
            "spec": template.spec,
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let containers = pod.spec.clone().unwrap().containers;
        if pods.create(&PostParams::default(), &pod).await.is_err() {
            continue;
        }
        let status = |state: Value, phase: &str| {
            let each = containers.iter().map(|container| {
                json!({ "name": container.name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state })
            });
            json!({ "status": {
                "phase": phase,
                "startTime": "2026-01-01T00:00:00Z",
                "containerStatuses": each.collect::<Vec<_>>(),
            }})
        };
        let write = async |state: Value, phase: &str| {
            let body = status(state, phase);
            let _ = pods
                .patch_status(
                    &format!("{name}-x"),
                    &PatchParams::default(),
                    &Patch::Merge(&body),
                )
                .await;
        };
        write(json!({ "running": {} }), "Running").await;
        let Some((code, report)) = play(stage, &job) else {
            continue;
        };
        let ended = json!({ "terminated": { "exitCode": code, "message": report.to_message() } });
        let (phase, condition) = if code == 0 {
            ("Succeeded", "Complete")
        } else {
            ("Failed", "Failed")
        };
        write(ended, phase).await;
        let now = jiff::Timestamp::now();
        let body = json!({ "status": { "conditions": [
            { "type": condition, "status": "True", "lastTransitionTime": now.strftime("%FT%TZ").to_string() },
        ] } });
        let _ = jobs
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&body))
            .await;
    }
}

#[allow(clippy::unnecessary_wraps)] // It is a `Play`.
fn well(stage: Stage, _: &Job) -> Option<(i32, StageReport)> {
    let commit = match stage {
        Stage::Prep => Some("a".repeat(40)),
        Stage::Agent => None,
        Stage::Publish => Some("b".repeat(40)),
    };
    Some((
        0,
        StageReport {
            commit,
            tasks_verified: (stage == Stage::Prep).then(|| "Verified".into()),
            pull_request_reason: (stage == Stage::Publish).then(|| "NoForge".into()),
            ..StageReport::default()
        },
    ))
}

fn docs_run(name: &str) -> DocsRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1",
        "kind": "DocsRun",
        "metadata": { "name": name },
        "spec": {
            "repositoryUrl": "/srv/shop.git",
            "sourceBranch": "feature/checkout",
            "taskIds": ["1", "2"],
            "agent": "template",
        },
    }))
    .unwrap()
}

fn code_run(name: &str) -> CodeRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1",
        "kind": "CodeRun",
        "metadata": { "name": name },
        "spec": {
            "repositoryUrl": "/srv/shop.git",
            "sourceBranch": "feature/checkout",
            "taskId": "1",
            "service": "shop",
            "agent": "template",
        },
    }))
    .unwrap()
}

/// Simulates the kubelet: the stage's container succeeds, then its Job.
async fn end(scene: &Scene, stage: Stage, job: &str) {
    let jobs: Api<Job> = scene.api();
    let (code, report) = well(stage, &jobs.get(job).await.unwrap()).unwrap();
    let ended = json!({ "terminated": { "exitCode": code, "message": report.to_message() } });
    let container = json!({ "name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": ended });
    let body = json!({ "status": { "phase": "Succeeded", "containerStatuses": [container] } });
    let pods: Api<Pod> = scene.api();
    pods.patch_status(
        &format!("{job}-x"),
        &PatchParams::default(),
        &Patch::Merge(&body),
    )
    .await
    .unwrap();
    let body = json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } });
    jobs.patch_status(job, &PatchParams::default(), &Patch::Merge(&body))
        .await
        .unwrap();
}

/// Waits until the run is as `wanted` and returns it.
async fn until<K>(api: &Api<K>, name: &str, wanted: impl Fn(&Value) -> bool) -> Value
where
    K: kube::Resource
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + serde::Serialize
        + Send
        + 'static,
{
    let seen = std::cell::RefCell::new(Value::Null);
    let condition = |object: Option<&K>| {
        let value = serde_json::to_value(object).unwrap();
        let done = wanted(&value);
        *seen.borrow_mut() = value;
        done
    };
    let outcome =
        tokio::time::timeout(PATIENCE, await_condition(api.clone(), name, condition)).await;
    assert!(
        outcome.is_ok(),
        "timeout waiting for {name}; it is {:#}",
        seen.borrow()
    );
    outcome.unwrap().unwrap();
    seen.into_inner()
}

/// Asserts that it succeeded and released everything.
fn settled(run: &Value) -> bool {
    run["status"]["phase"] == "Succeeded" && run["metadata"].get("finalizers").is_none()
}

fn phase_is(phase: &'static str) -> impl Fn(&Value) -> bool {
    move |run| run["status"]["phase"] == phase
}

#[tokio::test]
async fn docs_run_completes_and_releases_everything() {
    let scene = Scene::with(well).await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-shop-1"))
        .await
        .unwrap();

    let run = until(&runs, "docs-shop-1", |run| {
        run["status"]["phase"] == "Succeeded"
            && run["metadata"]
                .get("finalizers")
                .is_none_or(|list| list == &json!([]))
    })
    .await;
    assert_eq!(run["status"]["baseCommit"], "a".repeat(40));
    assert_eq!(run["status"]["commit"], "b".repeat(40));
    assert_eq!(run["status"]["documents"]["expected"], 8);
    let attempts = run["status"]["attempts"].as_array().unwrap();
    assert_eq!(
        attempts
            .iter()
            .map(|attempt| attempt["stage"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["prep", "agent", "publish"]
    );
    let ready = run["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == "PullRequestReady");
    assert_eq!(ready.unwrap()["reason"], "NoForge");

    let jobs = scene
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(jobs.items.len(), 3);
    assert!(jobs.iter().all(|job| {
        job.spec
            .as_ref()
            .unwrap()
            .ttl_seconds_after_finished
            .is_some()
    }));
    let maps = scene
        .api::<ConfigMap>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let has_prompt = |map: &ConfigMap| {
        let files = map.data.as_ref();
        files.is_some_and(|files| files.contains_key("prompt.md"))
    };
    assert!(maps.iter().any(has_prompt));

    let events = scene
        .api::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.reason.as_deref() == Some("Succeeded"))
    );
    scene.end().await;
}

#[tokio::test]
async fn code_runs_of_a_service_run_one_at_a_time() {
    let scene = Scene::with(well).await;
    let runs: Api<CodeRun> = scene.api();
    for name in ["code-1-a", "code-1-b", "code-1-c"] {
        runs.create(&PostParams::default(), &code_run(name))
            .await
            .unwrap();
    }
    for name in ["code-1-a", "code-1-b", "code-1-c"] {
        until(&runs, name, phase_is("Succeeded")).await;
    }
    let claims: Api<PersistentVolumeClaim> = scene.api();
    let claims = claims.list(&ListParams::default()).await.unwrap();
    assert_eq!(claims.items.len(), 1, "one workspace for the three");
    scene.end().await;
}

/// Someone removed its finalizer before it released its workspace.
#[tokio::test]
async fn ended_holder_does_not_block_the_queue() {
    let scene = Scene::with(well).await;
    let runs: Api<CodeRun> = scene.api();
    let create = async |name: &str| {
        let made = runs.create(&PostParams::default(), &code_run(name)).await;
        made.unwrap()
    };
    let ended = create("code-1-ended").await;
    until(&runs, "code-1-ended", settled).await;
    let claims: Api<PersistentVolumeClaim> = scene.api();
    let claim = claims
        .list(&ListParams::default())
        .await
        .unwrap()
        .items
        .remove(0)
        .name_any();
    let holder = format!("{}/code-1-ended", ended.uid().unwrap());
    let held = json!({ "metadata": { "annotations": { controller::ANNOTATION_HOLDER: holder } } });
    claims
        .patch(&claim, &PatchParams::default(), &Patch::Merge(&held))
        .await
        .unwrap();
    create("code-1-next").await;
    until(&runs, "code-1-next", settled).await;
    scene.end().await;
}

#[tokio::test]
async fn stopped_run_is_cancelled_and_can_be_retried() {
    let scene = Scene::with(|stage, job| match stage {
        Stage::Agent if job.labels()[naming::LABEL_VERSION] == "1" => None,
        _ => well(stage, job),
    })
    .await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-shop-2"))
        .await
        .unwrap();
    until(&runs, "docs-shop-2", |run| {
        run["status"]["phase"] == "Running" && run["status"]["stage"] == "agent"
    })
    .await;

    let stop = json!({ "spec": { "cancelVersion": 1 } });
    runs.patch("docs-shop-2", &PatchParams::default(), &Patch::Merge(&stop))
        .await
        .unwrap();
    // Simulates the kubelet: the moved deadline ends the pod, and the Job fails.
    let run = until(&runs, "docs-shop-2", |run| {
        run["status"]["reason"] == "Stopping"
    })
    .await;
    let job = run["status"]["jobName"].as_str().unwrap().to_owned();
    let pods: Api<Pod> = scene.api();
    let pod = pods.get(&format!("{job}-x")).await.unwrap();
    assert_eq!(pod.spec.unwrap().active_deadline_seconds, Some(1));
    let body = json!({ "status": { "phase": "Failed", "reason": "DeadlineExceeded" } });
    pods.patch_status(
        &format!("{job}-x"),
        &PatchParams::default(),
        &Patch::Merge(&body),
    )
    .await
    .unwrap();
    let body = json!({ "status": { "conditions": [{ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" }] } });
    scene
        .api::<Job>()
        .patch_status(&job, &PatchParams::default(), &Patch::Merge(&body))
        .await
        .unwrap();
    until(&runs, "docs-shop-2", phase_is("Cancelled")).await;

    let again = json!({ "spec": { "contextVersion": 2 } });
    runs.patch(
        "docs-shop-2",
        &PatchParams::default(),
        &Patch::Merge(&again),
    )
    .await
    .unwrap();
    let run = until(&runs, "docs-shop-2", phase_is("Succeeded")).await;
    assert_eq!(run["status"]["observedContextVersion"], 2);
    scene.end().await;
}

#[tokio::test]
async fn deleting_a_run_deletes_its_jobs() {
    let scene = Scene::with(|_, _| None).await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-shop-3"))
        .await
        .unwrap();
    until(&runs, "docs-shop-3", phase_is("Running")).await;
    runs.delete("docs-shop-3", &DeleteParams::default())
        .await
        .unwrap();
    // Simulates the garbage collector, since no node runs here: deletes the pods of a deleted Job.
    let jobs: Api<Job> = scene.api();
    let pods: Api<Pod> = scene.api();
    tokio::time::timeout(PATIENCE, async {
        while !jobs
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
        for pod in pods.list(&ListParams::default()).await.unwrap() {
            let _ = pods
                .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await;
        }
    })
    .await
    .unwrap();
    until(&runs, "docs-shop-3", Value::is_null).await;
    scene.end().await;
}

#[tokio::test]
async fn new_controller_continues_an_active_run() {
    let mut scene = Scene::with(|stage, job| match stage {
        Stage::Publish => None,
        _ => well(stage, job),
    })
    .await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-shop-4"))
        .await
        .unwrap();
    until(&runs, "docs-shop-4", |run| {
        run["status"]["stage"] == "publish" && run["status"]["phase"] == "Running"
    })
    .await;

    let (_, controller) = scene.controller.take().unwrap();
    controller.abort();
    let run = runs.get("docs-shop-4").await.unwrap();
    let job = run.status.unwrap().job_name.unwrap();
    let body = json!({ "status": { "conditions": [{ "type": "Complete", "status": "True" }] } });
    scene
        .api::<Job>()
        .patch_status(&job, &PatchParams::default(), &Patch::Merge(&body))
        .await
        .unwrap();
    scene.controller = Some(start(&scene.client));

    let run = until(&runs, "docs-shop-4", phase_is("Succeeded")).await;
    assert_eq!(
        run["status"]["attempts"].as_array().unwrap().len(),
        3,
        "nothing was made twice"
    );
    scene.end().await;
}

#[tokio::test]
async fn foreign_job_of_the_same_name_is_reported() {
    let mut scene = Scene::without_controller(|_, _| None).await;
    let runs: Api<DocsRun> = scene.api();
    let run = runs
        .create(&PostParams::default(), &docs_run("docs-taken"))
        .await
        .unwrap();
    let name = naming::job_name("docs-taken", &run.uid().unwrap(), Stage::Prep, 1, 1);
    let other: Job = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { naming::LABEL_STAGE: "prep" } },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "x" }] } } },
    }))
    .unwrap();
    let jobs: Api<Job> = scene.api();
    let other = jobs.create(&PostParams::default(), &other).await.unwrap();
    scene.controller = Some(start(&scene.client));
    let run = until(&runs, "docs-taken", |run| {
        run["status"]["reason"] == "ClusterRefused"
    })
    .await;
    let message = run["status"]["message"].as_str().unwrap();
    assert!(
        message.contains(&name) && message.contains("belongs to something else"),
        "{message}"
    );
    assert_eq!(jobs.get(&name).await.unwrap().uid(), other.uid());

    // It continues once the name is free.
    jobs.delete(&name, &DeleteParams::background())
        .await
        .unwrap();
    until(&runs, "docs-taken", phase_is("Running")).await;
    scene.end().await;
}

/// Each controller lives for three writes: with fewer none would create a Job, because it first verifies that it holds the
/// workspace and that the run is unchanged.
#[tokio::test]
async fn controllers_killed_every_third_write_finish_a_run() {
    let scene = Scene::without_controller(well).await;
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-dies"))
        .await
        .unwrap();
    let end = until(&runs, "docs-dies", settled);
    let deaths = AtomicUsize::new(0);
    let dying = async {
        loop {
            let (client, dead) = dying_client(&scene.cluster, 3);
            let (_stop, controller) = start(&client);
            dead.notified().await;
            controller.abort();
            deaths.fetch_add(1, Ordering::SeqCst);
        }
    };
    let run = tokio::select! {
        run = end => run,
        () = dying => unreachable!("a controller does not end by itself"),
    };
    assert!(deaths.load(Ordering::SeqCst) >= 4, "{deaths:?} deaths");
    let attempts = run["status"]["attempts"].as_array().unwrap();
    let stages: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["prep", "agent", "publish"]);
    let jobs = scene
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(jobs.items.len(), 3);
    scene.end().await;
}
