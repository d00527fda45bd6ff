//! Jobs and pods of the embedded cluster as they really run: processes of this machine, seen through the API alone.

mod ending;
mod waiting;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use flightdeck::daemon;
use futures::AsyncReadExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use kube_embedded::{Cluster, ClusterOptions, Limits, attempt::Attempt};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A state directory; when it goes, whatever still runs there is killed, so that a failed test leaves nothing behind.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let entries = |directory: &Path| -> Vec<PathBuf> {
            let entries = std::fs::read_dir(directory).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let pods = entries(&self.path().join("pods"));
        let containers = pods.iter().flat_map(|pod| entries(&pod.join("containers")));
        let attempts = containers.flat_map(|container| entries(&container));
        for attempt in attempts.map(Attempt::new).filter(|one| !one.is_over()) {
            if let Some(started) = attempt.started() {
                let shim = nix::unistd::Pid::from_raw(started.shim);
                let _ = nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGUSR1);
            }
        }
    }
}

struct Scene {
    cluster: Cluster,
    client: Client,
}

async fn open(directory: &Path, max_containers: usize) -> Scene {
    open_with(directory, max_containers, Limits::default()).await
}

async fn open_with(directory: &Path, max_containers: usize, limits: Limits) -> Scene {
    let environment = [
        ("PATH", std::env::var("PATH").unwrap()),
        ("HOME", "/nowhere".to_owned()),
        ("AGENT_KEY", "agent-key".to_owned()),
        ("GITHUB_TOKEN", "hidden".to_owned()),
        ("SSH_AUTH_SOCK", "/hidden".to_owned()),
    ];
    let cluster = Cluster::open(ClusterOptions {
        identity: daemon::identity(),
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers,
        limits,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    })
    .await
    .unwrap();
    let client = cluster.client();
    Scene { cluster, client }
}

impl Scene {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api = self.api::<K>();
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn until<K>(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + Send
            + std::fmt::Debug
            + 'static,
    {
        let api = self.api::<K>();
        let holds = |object: Option<&K>| {
            object.is_some_and(|object| wanted(&serde_json::to_value(object).unwrap()))
        };
        let wait = await_condition(api.clone(), name, holds);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => serde_json::to_value(found.unwrap()).unwrap(),
            Err(_) => {
                let now = serde_json::to_value(api.get_opt(name).await.unwrap()).unwrap();
                panic!("{name} is not {what}: {now:#}")
            }
        }
    }

    async fn until_gone<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + Send
            + std::fmt::Debug
            + 'static,
    {
        let wait = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        let gone = tokio::time::timeout(PATIENCE, wait).await;
        gone.unwrap_or_else(|_| panic!("{name} is still there"))
            .unwrap();
    }

    async fn until_phase(&self, name: &str, phase: &'static str) -> Value {
        self.until::<Pod>(name, phase, |pod| pod["status"]["phase"] == phase)
            .await
    }

    async fn until_condition(&self, name: &str, kind: &'static str) -> Value {
        let holds = |job: &Value| {
            let conditions = job["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|one| one["type"] == kind && one["status"] == "True")
        };
        self.until::<Job>(name, kind, holds).await
    }

    async fn pods_of(&self, job: &str) -> Vec<Pod> {
        let selector = format!("job-name={job}");
        let parameters = ListParams::default().labels(&selector);
        self.api::<Pod>().list(&parameters).await.unwrap().items
    }

    async fn log(&self, pod: &str, container: Option<&str>) -> String {
        let parameters = LogParams {
            container: container.map(str::to_owned),
            ..LogParams::default()
        };
        self.api::<Pod>().logs(pod, &parameters).await.unwrap()
    }
}

fn job(name: &str, script: &str, spec: Value) -> Value {
    let mut job = json!({
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
        }}},
    });
    for (key, value) in spec.as_object().unwrap().clone() {
        job["spec"][key] = value;
    }
    job
}

fn pod(name: &str, script: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_its_containers_with_all_they_were_given() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<ConfigMap>(
            json!({"metadata": {"name": "files"}, "data": {"hello.txt": "from the map"}}),
        )
        .await;
    scene
        .create::<Secret>(
            json!({"metadata": {"name": "keys"}, "stringData": {"token": "from the secret"}}),
        )
        .await;
    scene
        .create::<PersistentVolumeClaim>(json!({"metadata": {"name": "workspace"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    let mounts = json!([
        {"name": "work", "mountPath": "/workspace"},
        {"name": "run", "mountPath": "/run-files"},
        {"name": "hand", "mountPath": "/handover"},
    ]);
    scene
        .create::<Job>(json!({"metadata": {"name": "prep"}, "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": {"embedded.flightdeck.dev/inherit-env": "main=AGENT_KEY"}},
            "spec": {
                "restartPolicy": "Never",
                "volumes": [
                    {"name": "work", "persistentVolumeClaim": {"claimName": "workspace"}},
                    {"name": "run", "configMap": {"name": "files"}},
                    {"name": "hand", "emptyDir": {}},
                ],
                "initContainers": [{
                    "name": "first", "image": "x", "volumeMounts": mounts,
                    "command": ["sh", "-c", "echo \"key=$AGENT_KEY\"; echo handed >\"$HANDOVER/note\""],
                    "env": [{"name": "HANDOVER", "value": "/handover"}],
                }],
                "containers": [{
                    "name": "main", "image": "x", "volumeMounts": mounts,
                    "workingDir": "/workspace/here",
                    "command": ["sh"],
                    "args": ["-c", "cat \"$FILES/hello.txt\" \"$HANDOVER/note\"; echo \" $TOKEN $AGENT_KEY [$GITHUB_TOKEN$SSH_AUTH_SOCK] $HOME $POD\"; flightdeck; echo \"code $?\"; pwd >where; printf done >\"$END\""],
                    "env": [
                        {"name": "FILES", "value": "/run-files"},
                        {"name": "HANDOVER", "value": "/handover"},
                        {"name": "END", "value": "/dev/termination-log"},
                        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    ],
                }],
            },
        }}}))
        .await;
    let job = scene.until_condition("prep", "Complete").await;
    assert_eq!(job["status"]["succeeded"], 1);
    assert_eq!(job["status"]["conditions"][0]["type"], "SuccessCriteriaMet");

    let pods = scene.pods_of("prep").await;
    assert_eq!(pods.len(), 1);
    let pod = serde_json::to_value(&pods[0]).unwrap();
    assert_eq!(pod["status"]["phase"], "Succeeded");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["reason"], "Completed");
    assert_eq!(ended["message"], "done");

    let name = pods[0].name_any();
    assert_eq!(scene.log(&name, Some("first")).await, "key=\n");
    let log = scene.log(&name, Some("main")).await;
    assert!(
        log.contains("from the maphanded\n from the secret agent-key [] /nowhere default\n"),
        "{log}"
    );
    assert!(log.contains("code 2\n"), "flightdeck is in the PATH: {log}");
    let claim = scene.api::<PersistentVolumeClaim>().get("workspace").await;
    let claim = directory
        .path()
        .join("claims")
        .join(claim.unwrap().uid().unwrap());
    let place = std::fs::read_to_string(claim.join("here/where")).unwrap();
    assert!(place.trim_end().ends_with("/here"), "{place}");
    scene.cluster.shutdown().await;
}

/// Whether a process of this id runs; one that only waits to be reaped does not.
fn is_alive(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

/// The number that follows `word` in a pod's log, once it is there. (`$$` is written `$$$$`: Kubernetes halves it.)
async fn number_in_log(scene: &Scene, pod: &str, word: &str) -> String {
    scene.until_phase(pod, "Running").await;
    let parameters = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let api = scene.api::<Pod>();
    let mut log = api.log_stream(pod, &parameters).await.unwrap();
    let mut text = Vec::new();
    let wanted = format!("{word} ");
    let read = async {
        let mut byte = [0];
        while log.read(&mut byte).await.unwrap() == 1 {
            text.push(byte[0]);
            let so_far = String::from_utf8_lossy(&text);
            let found = so_far.lines().find_map(|line| line.strip_prefix(&wanted));
            if byte[0] == b'\n'
                && let Some(found) = found
            {
                return found.to_owned();
            }
        }
        panic!("{word:?} is not in {:?}", String::from_utf8_lossy(&text));
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

fn waiting_reason(pod: &Value) -> &str {
    let state = &pod["status"]["containerStatuses"][0]["state"];
    state["waiting"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_whose_time_is_cut_short_ends_and_keeps_its_log_and_last_words() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let script =
        "trap 'echo bye; printf stopped >\"$END\"; exit 9' TERM; echo pid $$$$; sleep 600 & wait";
    let mut stopped = job("stopped", script, json!({}));
    stopped["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "END", "value": "/dev/termination-log"}]);
    stopped["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(600);
    scene.create::<Job>(stopped).await;
    scene
        .until::<Job>("stopped", "active", |job| job["status"]["active"] == 1)
        .await;
    let pod = scene.pods_of("stopped").await[0].name_any();
    let process = number_in_log(&scene, &pod, "pid").await;
    let patch = json!({"spec": {"activeDeadlineSeconds": 1}});
    scene
        .api::<Pod>()
        .patch(&pod, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    scene.until_condition("stopped", "Failed").await;
    let ended = scene.until_phase(&pod, "Failed").await;
    assert_eq!(ended["status"]["reason"], "DeadlineExceeded");
    let terminated = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 9);
    assert_eq!(terminated["message"], "stopped");
    assert_eq!(scene.log(&pod, None).await, format!("pid {process}\nbye\n"));
    assert!(!is_alive(&process));
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_is_asked_to_stop_and_then_is_gone_with_all_it_had() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut deaf = pod(
        "deaf",
        "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
    );
    deaf["spec"]["terminationGracePeriodSeconds"] = json!(1);
    scene.create::<Pod>(deaf).await;
    let process = number_in_log(&scene, "deaf", "pid").await;
    let uid = scene.api::<Pod>().get("deaf").await.unwrap().uid().unwrap();
    scene
        .api::<Pod>()
        .delete("deaf", &DeleteParams::default())
        .await
        .unwrap();
    scene.until_gone::<Pod>("deaf").await;
    assert!(!is_alive(&process));
    let left = directory.path().join("pods").join(uid);
    eventually("its directory is gone", || !left.exists()).await;
    scene.cluster.shutdown().await;
}

/// `look` until it says yes: for what no notice can be had of.
async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !look() {
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_deleted_by_force_leaves_no_process() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<Pod>(pod(
            "forced",
            "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&scene, "forced", "pid").await;
    let parameters = DeleteParams::default().grace_period(0);
    scene
        .api::<Pod>()
        .delete("forced", &parameters)
        .await
        .unwrap();
    scene.until_gone::<Pod>("forced").await;
    eventually("the process is gone", || !is_alive(&process)).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_waits_for_a_secret_says_which_and_goes_on_once_it_is_there() {
    let directory = Home::new();
    let scene = open(directory.path(), 1).await;
    let mut waiting = pod("waiting", "echo got $TOKEN");
    waiting["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "pat", "key": "token"}}}]);
    scene.create::<Pod>(waiting).await;
    let seen = scene
        .until::<Pod>("waiting", "waiting", |pod| {
            waiting_reason(pod) == "CreateContainerConfigError"
        })
        .await;
    let message = &seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(
        message,
        r#"secret "pat" not found: TOKEN is its key "token""#
    );
    // It waits without keeping others from running.
    scene.create::<Pod>(pod("other", "echo other")).await;
    scene.until_phase("other", "Succeeded").await;
    scene
        .create::<Secret>(json!({"metadata": {"name": "pat"}, "stringData": {"token": "t"}}))
        .await;
    scene.until_phase("waiting", "Succeeded").await;
    assert_eq!(scene.log("waiting", None).await, "got t\n");
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_containers_run_than_there_are_places_for() {
    let directory = Home::new();
    let scene = open(directory.path(), 1).await;
    scene
        .create::<Pod>(pod("first", "echo pid $$$$; sleep 600 & wait"))
        .await;
    number_in_log(&scene, "first", "pid").await;
    scene.create::<Pod>(pod("second", "echo ran")).await;
    let queued = scene
        .until::<Pod>("second", "unscheduled", |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
        .await;
    let status = &queued["status"];
    assert_eq!(status["phase"], "Pending");
    assert!(
        status.get("startTime").is_none(),
        "its deadline does not run yet"
    );
    scene
        .api::<Pod>()
        .delete("first", &DeleteParams::default())
        .await
        .unwrap();
    scene.until_phase("second", "Succeeded").await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_the_server_and_are_judged_by_the_next() {
    let directory = Home::new();
    let go = directory.path().join("go");
    let scene = open(directory.path(), 2).await;
    let script = format!(
        "echo pid $$$$; echo \"run\" >>{0}.count; while [ ! -e {0} ]; do sleep 0.01; done; echo end; exit 4",
        go.display()
    );
    scene
        .create::<Job>(job("survivor", &script, json!({})))
        .await;
    let quick = format!(
        "echo pid $$$$; while [ ! -e {}.quick ]; do sleep 0.01; done",
        go.display()
    );
    scene.create::<Pod>(pod("quick", &quick)).await;
    scene
        .until::<Job>("survivor", "active", |job| job["status"]["active"] == 1)
        .await;
    let name = scene.pods_of("survivor").await[0].name_any();
    let process = number_in_log(&scene, &name, "pid").await;
    let quick = number_in_log(&scene, "quick", "pid").await;
    scene.cluster.shutdown().await;
    for process in [&process, &quick] {
        assert!(is_alive(process), "{process} ended with its server");
    }
    // One ends while nobody looks.
    std::fs::write(format!("{}.quick", go.display()), "").unwrap();
    eventually("the quick one has ended", || !is_alive(&quick)).await;

    let scene = open(directory.path(), 2).await;
    scene.until_phase("quick", "Succeeded").await;
    let pod = scene.api::<Pod>().get(&name).await.unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    assert!(is_alive(&process));
    std::fs::write(&go, "").unwrap();
    scene.until_condition("survivor", "Failed").await;
    let pod = scene.until_phase(&name, "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 4);
    let log = scene.log(&name, None).await;
    assert_eq!(log, format!("pid {process}\nend\n"));
    let count = std::fs::read_to_string(format!("{}.count", go.display())).unwrap();
    assert_eq!(count, "run\n", "nothing runs twice");
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_shim_is_killed_is_an_error_and_leaves_nothing() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<Pod>(pod(
            "orphan",
            "echo pid $$$$; echo shim $PPID; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&scene, "orphan", "pid").await;
    let shim: i32 = number_in_log(&scene, "orphan", "shim")
        .await
        .parse()
        .unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(shim),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let pod = scene.until_phase("orphan", "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 137);
    assert!(terminated["message"].as_str().unwrap().contains("is gone"));
    eventually("the process is gone", || !is_alive(&process)).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_named() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut missing = pod("missing", "");
    missing["spec"]["containers"][0]["command"] = json!(["no-such-agent"]);
    scene.create::<Pod>(missing).await;
    let pod = scene.until_phase("missing", "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["reason"], "StartError");
    assert!(
        terminated["message"]
            .as_str()
            .unwrap()
            .contains("no-such-agent")
    );
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_fails_is_started_again_in_its_pod_and_both_logs_are_kept() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut again = pod(
        "again",
        "if [ -e \"$SEEN\" ]; then echo second; else echo first; : >\"$SEEN\"; exit 1; fi",
    );
    again["spec"]["restartPolicy"] = json!("OnFailure");
    again["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    again["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    again["spec"]["containers"][0]["env"] = json!([{"name": "SEEN", "value": "/v/seen"}]);
    scene.create::<Pod>(again).await;
    let pod = scene.until_phase("again", "Succeeded").await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(scene.log("again", None).await, "second\n");
    let parameters = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let previous = scene.api::<Pod>().logs("again", &parameters).await.unwrap();
    assert_eq!(previous, "first\n");
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_suspended_resumed_and_live_no_longer_than_they_may() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let go = directory.path().join("go");
    let script = format!("echo pid $$$$; [ -e {} ] || sleep 600", go.display());
    scene.create::<Job>(job("paused", &script, json!({}))).await;
    scene
        .until::<Job>("paused", "active", |job| job["status"]["active"] == 1)
        .await;
    let pod = scene.pods_of("paused").await[0].name_any();
    number_in_log(&scene, &pod, "pid").await;
    let patch = async |spec: Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let api = scene.api::<Job>();
        api.patch("paused", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    patch(json!({"suspend": true})).await;
    scene.until_condition("paused", "Suspended").await;
    scene.until_gone::<Pod>(&pod).await;
    scene
        .until::<Job>("paused", "at rest", |job| job["status"]["terminating"] == 0)
        .await;
    std::fs::write(&go, "").unwrap();
    patch(json!({"suspend": false})).await;
    let done = scene.until_condition("paused", "Complete").await;
    assert!(done["status"].get("failed").is_none());
    patch(json!({"ttlSecondsAfterFinished": 0})).await;
    scene.until_gone::<Job>("paused").await;
    scene.until_gone::<Pod>(&pod).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_own_deadline_takes_the_pod_with_it() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let late = job(
        "late",
        "sleep 600 & wait",
        json!({"activeDeadlineSeconds": 1}),
    );
    scene.create::<Job>(late).await;
    let late = scene.until_condition("late", "Failed").await;
    let reasons: Vec<&Value> = late["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason"])
        .collect();
    assert_eq!(reasons, ["DeadlineExceeded", "DeadlineExceeded"]);
    for pod in scene.pods_of("late").await {
        scene.until_gone::<Pod>(&pod.name_any()).await;
    }
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_stays_while_a_pod_uses_it_and_its_files_go_with_it() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut user = pod(
        "user",
        "echo pid $$$$; echo kept >\"$WORK/file\"; sleep 600 & wait",
    );
    user["spec"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]);
    user["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    user["spec"]["containers"][0]["env"] = json!([{"name": "WORK", "value": "/v"}]);
    scene.create::<Pod>(user).await;
    scene
        .until::<Pod>("user", "unscheduled", |pod| {
            let message = pod["status"]["conditions"][0]["message"].as_str();
            message == Some("0/1 nodes are available: persistentvolumeclaim \"claim\" not found.")
        })
        .await;
    let claim: PersistentVolumeClaim = scene
        .create(json!({"metadata": {"name": "claim"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    let process = number_in_log(&scene, "user", "pid").await;
    let place = directory.path().join("claims").join(claim.uid().unwrap());
    eventually("the file is there", || place.join("file").exists()).await;
    let claims = scene.api::<PersistentVolumeClaim>();
    claims
        .delete("claim", &DeleteParams::default())
        .await
        .unwrap();
    scene
        .until::<PersistentVolumeClaim>("claim", "held", |claim| {
            claim["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    scene
        .api::<Pod>()
        .delete("user", &DeleteParams::default())
        .await
        .unwrap();
    scene.until_gone::<PersistentVolumeClaim>("claim").await;
    assert!(!is_alive(&process), "the claim went before its user");
    eventually("its directory is gone", || !place.exists()).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_told_to_leaves_no_process() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<Pod>(pod(
            "busy",
            "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&scene, "busy", "pid").await;
    scene.cluster.stop_containers().await;
    assert!(!is_alive(&process));
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_had_says_why() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut two = pod("two", "echo one");
    let other = json!({"name": "side", "image": "x", "command": ["true"]});
    two["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(other);
    two["spec"]["containers"][0]["env"] = json!([{"name": "X",
        "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]);
    scene.create::<Pod>(two).await;
    scene
        .until::<Pod>("two", "waiting", |pod| !waiting_reason(pod).is_empty())
        .await;
    for (pod, container, code, part) in [
        ("two", None, 400, "choose one of: [main side]"),
        (
            "two",
            Some("other"),
            400,
            "container other is not valid for pod two",
        ),
        ("two", Some("main"), 400, "is waiting to start"),
        ("none", None, 404, "not found"),
    ] {
        let parameters = LogParams {
            container: container.map(str::to_owned),
            ..LogParams::default()
        };
        let error = scene.api::<Pod>().logs(pod, &parameters).await.unwrap_err();
        let kube::Error::Api(status) = error else {
            panic!("{error}")
        };
        assert_eq!(status.code, code, "{status:?}");
        assert!(status.message.contains(part), "{status:?}");
    }
    let both =
        "/api/v1/namespaces/default/pods/two/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z";
    let request = http::Request::get(both).body(Vec::new()).unwrap();
    let Err(kube::Error::Api(status)) = scene.client.request_text(request).await else {
        panic!("two moments are one too many")
    };
    assert_eq!(status.code, 422, "{status:?}");
    scene.cluster.shutdown().await;
}

#[test]
fn the_node_and_the_runs_mean_the_same_annotation() {
    use flightdeck_core::runs::naming;
    assert_eq!(
        daemon::identity().inherit_env_annotation,
        naming::ANNOTATION_INHERIT_ENV
    );
}
