//! What a controller costs beside its server: memory at thousands of runs, and how soon a burst of launches has its Jobs.
//!
//! `cargo bench --bench controller` prints one line a figure. The controller is a process of its own (this program once more), so
//! that its memory is its own; it speaks HTTPS to an embedded server in the first process. No pod runs: this is the controller's part.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use flightdeck::{
    controller::{self, ControllerConfig},
    embedded::{Cluster, ClusterOptions, Limits, serve::Server},
    resources::DocsRun,
    settings::Settings,
};
use futures::{StreamExt, pin_mut, stream};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    Api, Client, Config, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kube_runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

const FINISHED: usize = 5_000;
const ACTIVE: usize = 500;
const BURST: usize = 200;
/// How this program is told to be the controller.
const AS_CONTROLLER: &str = "--controller";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // Started by the test runner, it has nothing to say.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let told = arguments
        .iter()
        .position(|argument| argument == AS_CONTROLLER);
    match told {
        Some(at) => runtime.block_on(be_the_controller(Path::new(&arguments[at + 1]))),
        None => runtime.block_on(measure()),
    }
}

/// Until standard input ends, as it does when the first process ends.
async fn be_the_controller(kubeconfig: &Path) {
    let config = ControllerConfig::new(Arc::new(Settings::shipped()), "default", "bench");
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    controller::run(client(kubeconfig).await, config, async {
        let _ = ended.await;
    })
    .await;
}

async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn say(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<58} {figure}");
}

fn memory(child: &Child, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib: Option<f64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.map_or_else(
        || "unknown on this system".into(),
        |kib| format!("{:.1} MiB", kib / 1024.0),
    )
}

fn run(name: &str) -> DocsRun {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": {
            "repositoryUrl": "https://github.com/acme/shop.git", "sourceBranch": "feature/checkout",
            "taskIds": ["1", "2", "3"], "agent": "template",
        },
    }))
    .unwrap()
}

/// What a status looks like once three stages have ended well.
fn ended(name: &str) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let attempts = ["prep", "agent", "publish"].map(|stage| {
        json!({
            "stage": stage, "contextVersion": 1, "attempt": 1, "jobName": format!("{name}-0f2c6c1e-{stage}-v1-1"),
            "podName": format!("{name}-0f2c6c1e-{stage}-v1-1-abcde"), "exitCode": 0, "startedAt": time, "finishedAt": time,
        })
    });
    let kinds = [
        "TasksVerified",
        "ConfigReady",
        "WorkspaceReady",
        "Prepared",
        "AgentFinished",
        "PullRequestReady",
        "Finished",
        "Ready",
    ];
    let conditions = kinds.map(|kind| {
        json!({ "type": kind, "status": "True", "reason": "Succeeded", "message": "as it should be", "lastTransitionTime": time })
    });
    json!({ "status": {
        "phase": "Succeeded", "stage": "publish", "reason": "Succeeded", "observedContextVersion": 1, "observedGeneration": 1,
        "attempts": attempts, "conditions": conditions, "startedAt": time, "finishedAt": time, "branch": format!("docs/{name}"),
        "pullRequestUrl": "https://github.com/acme/shop/pull/41", "pullRequestNumber": 41, "workCompleted": true,
    }})
}

async fn create(client: &Client, names: impl Iterator<Item = String>, finished: bool) {
    let runs = Api::<DocsRun>::default_namespaced(client.clone());
    stream::iter(names)
        .for_each_concurrent(16, |name| {
            let runs = runs.clone();
            async move {
                runs.create(&PostParams::default(), &run(&name))
                    .await
                    .unwrap();
                if finished {
                    let status = Patch::Merge(ended(&name));
                    runs.patch_status(&name, &PatchParams::default(), &status)
                        .await
                        .unwrap();
                }
            }
        })
        .await;
}

/// Creates runs and waits for their first Jobs; how long each took, from its own creation.
async fn launch(client: &Client, prefix: &str, count: usize) -> Vec<Duration> {
    let jobs = Api::<Job>::default_namespaced(client.clone());
    let changes = watcher::watcher(jobs, watcher::Config::default());
    let changes = changes.default_backoff().applied_objects();
    pin_mut!(changes);
    let started = Instant::now();
    let mut times: HashMap<String, Duration> = HashMap::new();
    let names = (0..count).map(|n| format!("{prefix}-{n:04}"));
    let seen = async {
        while times.len() < count {
            let job = changes.next().await.unwrap().unwrap();
            let run = job.labels().get("flightdeck.dev/run").cloned();
            if let Some(run) = run.filter(|run| run.starts_with(prefix)) {
                times.entry(run).or_insert_with(|| started.elapsed());
            }
        }
    };
    tokio::join!(create(client, names, false), seen);
    let mut times: Vec<Duration> = times.into_values().collect();
    times.sort();
    times
}

async fn measure() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::open(ClusterOptions {
        directory: directory.path().to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 0,
        limits: Limits::default(),
        environment: BTreeMap::default(),
    })
    .await
    .unwrap();
    controller::install_crds(cluster.client()).await.unwrap();
    let server = Server::start(&cluster, directory.path()).await.unwrap();
    let here = cluster.client();
    create(
        &here,
        (0..FINISHED).map(|n| format!("docs-done-{n:04}")),
        true,
    )
    .await;

    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(AS_CONTROLLER)
        .arg(&server.endpoint().kubeconfig)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    launch(&here, "docs-first", 1).await;
    let what = format!("start at {FINISHED} finished runs, to the first Job of a new one");
    say(&what, format!("{:.2?}", started.elapsed()));
    say("memory of the controller then", memory(&child, "VmRSS"));

    let times = launch(&here, "docs-active", ACTIVE).await;
    say(
        &format!("{ACTIVE} launches, all with their first Job after"),
        format!("{:.2?}", times[times.len() - 1]),
    );
    say("memory of the controller then", memory(&child, "VmRSS"));

    let times = launch(&here, "docs-burst", BURST).await;
    let last = times[times.len() - 1];
    say(
        &format!("a burst of {BURST} more: first Job soonest, p50, last"),
        format!(
            "{:.2?}, {:.2?}, {last:.2?}",
            times[0],
            times[times.len() / 2]
        ),
    );
    say(
        "runs brought to their first Job",
        format!("{:.0} /s", BURST as f64 / last.as_secs_f64()),
    );
    say(
        "most memory the controller ever had",
        memory(&child, "VmHWM"),
    );
    drop(child.stdin.take());
    child.wait().unwrap();
    server.shutdown().await;
    cluster.shutdown().await;
}
