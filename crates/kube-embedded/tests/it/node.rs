//! Jobs and pods that run as processes of this machine, observed through the API.

mod pending;
mod termination;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

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

use crate::support::{PROGRAM, TIMEOUT};
use kube_embedded::{Cluster, ClusterOptions, Limits, attempt::Attempt};

/// A state directory. On drop, the containers that still run there are killed, so that a failed test leaves no process.
struct StateDirectory(TempDir);

impl StateDirectory {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for StateDirectory {
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

/// A cluster with a node, and a client of it.
struct TestCluster {
    cluster: Cluster,
    client: Client,
}

async fn open(directory: &Path, max_containers: usize) -> TestCluster {
    open_with(directory, max_containers, Limits::default()).await
}

async fn open_with(directory: &Path, max_containers: usize, limits: Limits) -> TestCluster {
    let environment = [
        ("PATH", std::env::var("PATH").unwrap()),
        ("HOME", "/nowhere".to_owned()),
        ("AGENT_KEY", "agent-key".to_owned()),
        ("GITHUB_TOKEN", "hidden".to_owned()),
        ("SSH_AUTH_SOCK", "/hidden".to_owned()),
    ];
    let cluster = Cluster::open(ClusterOptions {
        program: PROGRAM.into(),
        max_containers,
        limits,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        ..ClusterOptions::new(directory)
    })
    .await
    .unwrap();
    let client = cluster.client();
    TestCluster { cluster, client }
}

impl TestCluster {
    async fn shutdown(self) {
        self.cluster.shutdown().await;
    }

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
        if let Ok(found) = tokio::time::timeout(TIMEOUT, wait).await {
            return serde_json::to_value(found.unwrap()).unwrap();
        }
        let now = serde_json::to_value(api.get_opt(name).await.unwrap()).unwrap();
        panic!("{name} is not {what}: {now:#}")
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
        let gone = tokio::time::timeout(TIMEOUT, wait).await;
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
async fn job_gets_files_volumes_and_environment() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<ConfigMap>(
            json!({"metadata": {"name": "files"}, "data": {"hello.txt": "from the map"}}),
        )
        .await;
    cluster
        .create::<Secret>(
            json!({"metadata": {"name": "keys"}, "stringData": {"token": "from the secret"}}),
        )
        .await;
    cluster
        .create::<PersistentVolumeClaim>(json!({"metadata": {"name": "workspace"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    let mounts = json!([
        {"name": "work", "mountPath": "/workspace"},
        {"name": "run", "mountPath": "/run-files"},
        {"name": "hand", "mountPath": "/handover"},
    ]);
    cluster
        .create::<Job>(json!({"metadata": {"name": "prep"}, "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": {"kube-embedded/inherit-env": "main=AGENT_KEY"}},
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
                    "args": ["-c", "cat \"$FILES/hello.txt\" \"$HANDOVER/note\"; echo \" $TOKEN $AGENT_KEY [$GITHUB_TOKEN$SSH_AUTH_SOCK] $HOME $POD\"; kube-embedded; echo \"code $?\"; pwd >where; printf done >\"$END\""],
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
    let job = cluster.until_condition("prep", "Complete").await;
    assert_eq!(job["status"]["succeeded"], 1);
    assert_eq!(job["status"]["conditions"][0]["type"], "SuccessCriteriaMet");

    let pods = cluster.pods_of("prep").await;
    assert_eq!(pods.len(), 1);
    let pod = serde_json::to_value(&pods[0]).unwrap();
    assert_eq!(pod["status"]["phase"], "Succeeded");
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["reason"], "Completed");
    assert_eq!(terminated["message"], "done");

    let name = pods[0].name_any();
    assert_eq!(cluster.log(&name, Some("first")).await, "key=\n");
    let log = cluster.log(&name, Some("main")).await;
    assert!(
        log.contains("from the maphanded\n from the secret agent-key [] /nowhere default\n"),
        "{log}"
    );
    assert!(
        log.contains("code 2\n"),
        "kube-embedded is in the PATH: {log}"
    );
    let claim = cluster
        .api::<PersistentVolumeClaim>()
        .get("workspace")
        .await;
    let claim = directory
        .path()
        .join("claims")
        .join(claim.unwrap().uid().unwrap());
    let working_directory = std::fs::read_to_string(claim.join("here/where")).unwrap();
    assert!(
        working_directory.trim_end().ends_with("/here"),
        "{working_directory}"
    );
    cluster.shutdown().await;
}

/// Reports whether a process runs. A zombie does not.
fn is_alive(process: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}

/// Follows the log of a pod up to the line `WORD NUMBER` and returns the number. (Scripts write `$$` as `$$$$`, because
/// Kubernetes expands it once.)
async fn number_in_log(cluster: &TestCluster, pod: &str, word: &str) -> String {
    cluster.until_phase(pod, "Running").await;
    let parameters = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let api = cluster.api::<Pod>();
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
    tokio::time::timeout(TIMEOUT, read).await.unwrap()
}

fn waiting_reason(pod: &Value) -> &str {
    let state = &pod["status"]["containerStatuses"][0]["state"];
    state["waiting"]["reason"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn shortened_deadline_ends_pod_and_keeps_log_and_message() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let script =
        "trap 'echo bye; printf stopped >\"$END\"; exit 9' TERM; echo pid $$$$; sleep 600 & wait";
    let mut stopped = job("stopped", script, json!({}));
    stopped["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "END", "value": "/dev/termination-log"}]);
    stopped["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(600);
    cluster.create::<Job>(stopped).await;
    cluster
        .until::<Job>("stopped", "active", |job| job["status"]["active"] == 1)
        .await;
    let pod = cluster.pods_of("stopped").await[0].name_any();
    let process = number_in_log(&cluster, &pod, "pid").await;
    let patch = json!({"spec": {"activeDeadlineSeconds": 1}});
    cluster
        .api::<Pod>()
        .patch(&pod, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    cluster.until_condition("stopped", "Failed").await;
    let ended = cluster.until_phase(&pod, "Failed").await;
    assert_eq!(ended["status"]["reason"], "DeadlineExceeded");
    let terminated = &ended["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 9);
    assert_eq!(terminated["message"], "stopped");
    assert_eq!(
        cluster.log(&pod, None).await,
        format!("pid {process}\nbye\n")
    );
    assert!(!is_alive(&process));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_pod_is_killed_after_its_grace_period() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut deaf = pod(
        "deaf",
        "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
    );
    deaf["spec"]["terminationGracePeriodSeconds"] = json!(1);
    cluster.create::<Pod>(deaf).await;
    let process = number_in_log(&cluster, "deaf", "pid").await;
    let uid = cluster
        .api::<Pod>()
        .get("deaf")
        .await
        .unwrap()
        .uid()
        .unwrap();
    cluster
        .api::<Pod>()
        .delete("deaf", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until_gone::<Pod>("deaf").await;
    assert!(!is_alive(&process));
    let left = directory.path().join("pods").join(uid);
    eventually("the directory is removed", || !left.exists()).await;
    cluster.shutdown().await;
}

/// Polls `check` until it holds, for conditions that cannot be watched.
async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let until = tokio::time::Instant::now() + TIMEOUT;
    while !check() {
        assert!(tokio::time::Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn force_deleted_pod_leaves_no_process() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<Pod>(pod(
            "forced",
            "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&cluster, "forced", "pid").await;
    let parameters = DeleteParams::default().grace_period(0);
    cluster
        .api::<Pod>()
        .delete("forced", &parameters)
        .await
        .unwrap();
    cluster.until_gone::<Pod>("forced").await;
    eventually("the process is gone", || !is_alive(&process)).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_names_the_missing_secret_and_starts_once_it_exists() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 1).await;
    let mut waiting = pod("waiting", "echo got $TOKEN");
    waiting["spec"]["containers"][0]["env"] = json!([{"name": "TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "pat", "key": "token"}}}]);
    cluster.create::<Pod>(waiting).await;
    let seen = cluster
        .until::<Pod>("waiting", "waiting", |pod| {
            waiting_reason(pod) == "CreateContainerConfigError"
        })
        .await;
    let message = &seen["status"]["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(
        message,
        r#"secret "pat" not found: TOKEN is its key "token""#
    );
    // Other pods run meanwhile.
    cluster.create::<Pod>(pod("other", "echo other")).await;
    cluster.until_phase("other", "Succeeded").await;
    cluster
        .create::<Secret>(json!({"metadata": {"name": "pat"}, "stringData": {"token": "t"}}))
        .await;
    cluster.until_phase("waiting", "Succeeded").await;
    assert_eq!(cluster.log("waiting", None).await, "got t\n");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_containers_are_limited() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 1).await;
    cluster
        .create::<Pod>(pod("first", "echo pid $$$$; sleep 600 & wait"))
        .await;
    number_in_log(&cluster, "first", "pid").await;
    cluster.create::<Pod>(pod("second", "echo ran")).await;
    let queued = cluster
        .until::<Pod>("second", "unscheduled", |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
        .await;
    let status = &queued["status"];
    assert_eq!(status["phase"], "Pending");
    assert!(
        status.get("startTime").is_none(),
        "the deadline has not started"
    );
    cluster
        .api::<Pod>()
        .delete("first", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until_phase("second", "Succeeded").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_survive_a_restart_of_the_server() {
    let directory = StateDirectory::new();
    let go = directory.path().join("go");
    let cluster = open(directory.path(), 2).await;
    let script = format!(
        "echo pid $$$$; echo \"run\" >>{0}.count; while [ ! -e {0} ]; do sleep 0.01; done; echo end; exit 4",
        go.display()
    );
    cluster
        .create::<Job>(job("survivor", &script, json!({})))
        .await;
    let quick = format!(
        "echo pid $$$$; while [ ! -e {}.quick ]; do sleep 0.01; done",
        go.display()
    );
    cluster.create::<Pod>(pod("quick", &quick)).await;
    cluster
        .until::<Job>("survivor", "active", |job| job["status"]["active"] == 1)
        .await;
    let name = cluster.pods_of("survivor").await[0].name_any();
    let process = number_in_log(&cluster, &name, "pid").await;
    let quick = number_in_log(&cluster, "quick", "pid").await;
    cluster.shutdown().await;
    for process in [&process, &quick] {
        assert!(is_alive(process), "{process} ended with its server");
    }
    // One container ends while no server runs.
    std::fs::write(format!("{}.quick", go.display()), "").unwrap();
    eventually("the quick container has ended", || !is_alive(&quick)).await;

    let cluster = open(directory.path(), 2).await;
    cluster.until_phase("quick", "Succeeded").await;
    let pod = cluster.api::<Pod>().get(&name).await.unwrap();
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    assert!(is_alive(&process));
    std::fs::write(&go, "").unwrap();
    cluster.until_condition("survivor", "Failed").await;
    let pod = cluster.until_phase(&name, "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 4);
    let log = cluster.log(&name, None).await;
    assert_eq!(log, format!("pid {process}\nend\n"));
    let count = std::fs::read_to_string(format!("{}.count", go.display())).unwrap();
    assert_eq!(count, "run\n", "the container ran once");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_shim_fails_the_container_and_leaves_no_process() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<Pod>(pod(
            "orphan",
            "echo pid $$$$; echo shim $PPID; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&cluster, "orphan", "pid").await;
    let shim: i32 = number_in_log(&cluster, "orphan", "shim")
        .await
        .parse()
        .unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(shim),
        nix::sys::signal::Signal::SIGKILL,
    )
    .unwrap();
    let pod = cluster.until_phase("orphan", "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["exitCode"], 137);
    assert!(terminated["message"].as_str().unwrap().contains("is gone"));
    eventually("the process is gone", || !is_alive(&process)).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_program_is_a_start_error() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut missing = pod("missing", "");
    missing["spec"]["containers"][0]["command"] = json!(["no-such-agent"]);
    cluster.create::<Pod>(missing).await;
    let pod = cluster.until_phase("missing", "Failed").await;
    let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(terminated["reason"], "StartError");
    assert!(
        terminated["message"]
            .as_str()
            .unwrap()
            .contains("no-such-agent")
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_container_restarts_and_keeps_both_logs() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut again = pod(
        "again",
        "if [ -e \"$SEEN\" ]; then echo second; else echo first; : >\"$SEEN\"; exit 1; fi",
    );
    again["spec"]["restartPolicy"] = json!("OnFailure");
    again["spec"]["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    again["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    again["spec"]["containers"][0]["env"] = json!([{"name": "SEEN", "value": "/v/seen"}]);
    cluster.create::<Pod>(again).await;
    let pod = cluster.until_phase("again", "Succeeded").await;
    let status = &pod["status"]["containerStatuses"][0];
    assert_eq!(status["restartCount"], 1);
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(cluster.log("again", None).await, "second\n");
    let parameters = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let previous = cluster
        .api::<Pod>()
        .logs("again", &parameters)
        .await
        .unwrap();
    assert_eq!(previous, "first\n");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_suspend_resume_and_expire() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let go = directory.path().join("go");
    let script = format!("echo pid $$$$; [ -e {} ] || sleep 600", go.display());
    cluster
        .create::<Job>(job("paused", &script, json!({})))
        .await;
    cluster
        .until::<Job>("paused", "active", |job| job["status"]["active"] == 1)
        .await;
    let pod = cluster.pods_of("paused").await[0].name_any();
    number_in_log(&cluster, &pod, "pid").await;
    let patch = async |spec: Value| {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let api = cluster.api::<Job>();
        api.patch("paused", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    patch(json!({"suspend": true})).await;
    cluster.until_condition("paused", "Suspended").await;
    cluster.until_gone::<Pod>(&pod).await;
    cluster
        .until::<Job>("paused", "at rest", |job| job["status"]["terminating"] == 0)
        .await;
    std::fs::write(&go, "").unwrap();
    patch(json!({"suspend": false})).await;
    let done = cluster.until_condition("paused", "Complete").await;
    assert!(done["status"].get("failed").is_none());
    patch(json!({"ttlSecondsAfterFinished": 0})).await;
    cluster.until_gone::<Job>("paused").await;
    cluster.until_gone::<Pod>(&pod).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_deadline_deletes_the_pod() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let late = job(
        "late",
        "sleep 600 & wait",
        json!({"activeDeadlineSeconds": 1}),
    );
    cluster.create::<Job>(late).await;
    let late = cluster.until_condition("late", "Failed").await;
    let reasons: Vec<&Value> = late["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["reason"])
        .collect();
    assert_eq!(reasons, ["DeadlineExceeded", "DeadlineExceeded"]);
    for pod in cluster.pods_of("late").await {
        cluster.until_gone::<Pod>(&pod.name_any()).await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claim_in_use_outlives_its_deletion() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut user = pod(
        "user",
        "echo pid $$$$; echo kept >\"$WORK/file\"; sleep 600 & wait",
    );
    user["spec"]["volumes"] =
        json!([{"name": "v", "persistentVolumeClaim": {"claimName": "claim"}}]);
    user["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    user["spec"]["containers"][0]["env"] = json!([{"name": "WORK", "value": "/v"}]);
    cluster.create::<Pod>(user).await;
    cluster
        .until::<Pod>("user", "unscheduled", |pod| {
            let message = pod["status"]["conditions"][0]["message"].as_str();
            message == Some("0/1 nodes are available: persistentvolumeclaim \"claim\" not found.")
        })
        .await;
    let claim: PersistentVolumeClaim = cluster
        .create(json!({"metadata": {"name": "claim"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    let process = number_in_log(&cluster, "user", "pid").await;
    let directory = directory.path().join("claims").join(claim.uid().unwrap());
    eventually("the file is there", || directory.join("file").exists()).await;
    let claims = cluster.api::<PersistentVolumeClaim>();
    claims
        .delete("claim", &DeleteParams::default())
        .await
        .unwrap();
    cluster
        .until::<PersistentVolumeClaim>("claim", "held", |claim| {
            claim["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    cluster
        .api::<Pod>()
        .delete("user", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until_gone::<PersistentVolumeClaim>("claim").await;
    assert!(
        !is_alive(&process),
        "the claim was deleted before its user ended"
    );
    eventually("the directory is removed", || !directory.exists()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_containers_leaves_no_process() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<Pod>(pod(
            "busy",
            "trap '' TERM; echo pid $$$$; while :; do sleep 600; done",
        ))
        .await;
    let process = number_in_log(&cluster, "busy", "pid").await;
    cluster.cluster.stop_containers().await;
    assert!(!is_alive(&process));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_errors_name_the_reason() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut two = pod("two", "echo one");
    let other = json!({"name": "side", "image": "x", "command": ["true"]});
    two["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(other);
    two["spec"]["containers"][0]["env"] = json!([{"name": "X",
        "valueFrom": {"configMapKeyRef": {"name": "none", "key": "k"}}}]);
    cluster.create::<Pod>(two).await;
    cluster
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
        let error = cluster
            .api::<Pod>()
            .logs(pod, &parameters)
            .await
            .unwrap_err();
        let kube::Error::Api(status) = error else {
            panic!("{error}")
        };
        assert_eq!(status.code, code, "{status:?}");
        assert!(status.message.contains(part), "{status:?}");
    }
    let both =
        "/api/v1/namespaces/default/pods/two/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z";
    let request = http::Request::get(both).body(Vec::new()).unwrap();
    let Err(kube::Error::Api(status)) = cluster.client.request_text(request).await else {
        panic!("both parameters were accepted")
    };
    assert_eq!(status.code, 422, "{status:?}");
    cluster.shutdown().await;
}
