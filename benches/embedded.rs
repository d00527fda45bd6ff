//! The embedded cluster: latencies of requests and launches, and the cost of an idle server.
//!
//! `cargo bench --bench embedded` prints one line per result. It does not use criterion: most results are about a whole process
//! (memory, wake-ups, start) or a queue, and repeating them in one process would not make them more precise.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "shared/process.rs"]
mod process;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{AsyncBufReadExt, StreamExt, pin_mut, stream};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::runtime::{
    WatchStreamExt,
    wait::await_condition,
    watcher::{self, watcher},
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use process::{PROGRAM, memory, open, say, status};

use flightdeck::demo::Project;
use flightdeck_core::{resources::DocsRun, runs::naming};
use flightdeck_host::settings::Settings;
use flightdeck_worker::controller::{self, ControllerConfig};
use kube_embedded::{
    endpoint::{self, Endpoint},
    serve::Server,
};

const OBJECTS: usize = 5_000;
const QUEUED: usize = 200;
const LAUNCHES: usize = 10;
/// Longer than the ten seconds after which idle threads for blocking work exit.
const SETTLE: Duration = Duration::from_secs(12);
/// How long to measure the idle server.
const IDLE: Duration = Duration::from_secs(10);

fn main() {
    // Do nothing under `cargo test`.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        idle_server().await;
        many_objects().await;
        queued_jobs().await;
        launches().await;
        demo();
    });
}

/// Prints p50 and p99 of `times`.
fn spread(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    say(what, format!("p50 {:.2?}  p99 {:.2?}", at(50), at(99)));
}

/// Returns the number of voluntary context switches of each thread.
fn wake_ups(pid: u32) -> BTreeMap<String, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    threads
        .flatten()
        .filter_map(|thread| {
            let thread = format!("{pid}/task/{}", thread.file_name().display());
            let times = status(&thread, "voluntary_ctxt_switches")?;
            Some((thread, times))
        })
        .collect()
}

async fn client(endpoint: &Endpoint) -> Client {
    let kubeconfig = Kubeconfig::read_from(&endpoint.kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Starts a server process in `home`. Returns it with its endpoint and the time until it was ready.
fn start(home: &Path) -> (Child, Endpoint, Duration) {
    let started = Instant::now();
    let mut child = Command::new(PROGRAM)
        .arg("--home")
        .arg(home)
        .args(["embedded", "serve"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut word = String::new();
    let stdout = child.stdout.as_mut().unwrap();
    BufReader::new(stdout).read_line(&mut word).unwrap();
    let took = started.elapsed();
    let endpoint = endpoint::find(&home.join("state/embedded")).unwrap();
    (child, endpoint, took)
}

async fn idle_server() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let (mut child, _, first) = start(home);
    say("first start to a usable kubeconfig", format!("{first:.0?}"));
    endpoint::stop(&home.join("state/embedded")).await.unwrap();
    child.wait().unwrap();
    let (mut child, endpoint, again) = start(home);
    say("later start to a usable kubeconfig", format!("{again:.0?}"));
    let pid = child.id();
    tokio::time::sleep(SETTLE).await;
    let before = wake_ups(pid);
    tokio::time::sleep(IDLE).await;
    let since: u64 = wake_ups(pid)
        .into_iter()
        .map(|(thread, times)| times - before.get(&thread).copied().unwrap_or_default())
        .sum();
    let per_second = since as f64 / IDLE.as_secs_f64();
    say("wake-ups of the idle server", format!("{per_second:.2} /s"));
    say(
        "memory of the idle server",
        memory(&pid.to_string(), "VmRSS"),
    );
    fill(&client(&endpoint).await).await;
    let with = memory(&pid.to_string(), "VmRSS");
    say(
        &format!("memory of the server with {OBJECTS} objects"),
        with,
    );
    endpoint::stop(&home.join("state/embedded")).await.unwrap();
    child.wait().unwrap();
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "app": "bench" } },
        "data": { "text": "word ".repeat(100) },
    }))
    .unwrap()
}

async fn fill(client: &Client) {
    let maps = Api::<ConfigMap>::default_namespaced(client.clone());
    stream::iter(0..OBJECTS)
        .for_each_concurrent(16, |n| {
            let maps = maps.clone();
            async move {
                let map = map(&format!("map-{n:05}"));
                maps.create(&PostParams::default(), &map).await.unwrap();
            }
        })
        .await;
}

async fn many_objects() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path(), 0).await;
    let server = Server::start(&cluster, directory.path()).await.unwrap();
    let started = Instant::now();
    fill(&cluster.client()).await;
    let per_second = OBJECTS as f64 / started.elapsed().as_secs_f64();
    say(
        "creates, 16 at a time, in process",
        format!("{per_second:.0} /s"),
    );
    let over_https = client(server.endpoint()).await;
    for (way, client) in [("in process", cluster.client()), ("over HTTPS", over_https)] {
        reads(way, client).await;
    }
    server.shutdown().await;
    cluster.shutdown().await;
}

async fn reads(way: &str, client: Client) {
    let maps = Api::<ConfigMap>::default_namespaced(client);
    let mut times = Vec::new();
    for n in 0..500 {
        let started = Instant::now();
        maps.get(&format!("map-{:05}", n * 7)).await.unwrap();
        times.push(started.elapsed());
    }
    spread(&format!("get, {way}"), times);
    for (what, params, rounds) in [
        ("list of 500", ListParams::default().limit(500), 50),
        ("list of all", ListParams::default(), 10),
    ] {
        let mut times = Vec::new();
        for _ in 0..rounds {
            let started = Instant::now();
            maps.list(&params).await.unwrap();
            times.push(started.elapsed());
        }
        spread(&format!("{what}, {way}"), times);
    }
    let version = maps.list(&ListParams::default().limit(1)).await.unwrap();
    let version = version.metadata.resource_version.unwrap();
    let events = maps.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(events);
    let mut times = Vec::new();
    for n in 0..200 {
        let patch = Patch::Merge(json!({ "data": { "n": n.to_string() } }));
        let started = Instant::now();
        let written = maps
            .patch("map-00001", &PatchParams::default(), &patch)
            .await;
        written.unwrap();
        loop {
            if let WatchEvent::Modified(_) = events.next().await.unwrap().unwrap() {
                break;
            }
        }
        times.push(started.elapsed());
    }
    spread(&format!("patch to its watch event, {way}"), times);
}

/// Queues Jobs on a node that runs four at a time.
async fn queued_jobs() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path(), 4).await;
    let jobs = Api::<Job>::default_namespaced(cluster.client());
    let mut creates = Vec::new();
    let started = Instant::now();
    for n in 0..QUEUED {
        let job: Job = serde_json::from_value(json!({
            "metadata": { "name": format!("job-{n:03}") },
            "spec": { "template": { "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "c", "image": "i", "command": ["true"] }],
            } } },
        }))
        .unwrap();
        let asked = Instant::now();
        jobs.create(&PostParams::default(), &job).await.unwrap();
        creates.push(asked.elapsed());
    }
    let queued = started.elapsed();
    spread("create of a Job while others run", creates);
    let all = async {
        loop {
            let list = jobs.list(&ListParams::default()).await.unwrap();
            let done = |job: &&Job| {
                job.status
                    .as_ref()
                    .is_some_and(|status| status.succeeded == Some(1))
            };
            if list.iter().filter(done).count() == QUEUED {
                return list;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let Ok(list) = tokio::time::timeout(Duration::from_secs(300), all).await else {
        return say(&format!("{QUEUED} queued Jobs"), "not finished after 300 s");
    };
    let took = started.elapsed();
    say(
        &format!("{QUEUED} queued Jobs, four at a time"),
        format!("queued in {queued:.2?}, finished in {took:.2?}"),
    );
    let mut by_end: Vec<(_, String)> = list
        .iter()
        .filter_map(|job| {
            let end = job.status.as_ref()?.completion_time.as_ref()?.0;
            Some((end, job.metadata.name.clone()?))
        })
        .collect();
    by_end.sort();
    // Times are in seconds and equal ones are ordered by name, so this counts only Jobs that finished in an earlier second.
    let out_of_turn = by_end.windows(2).filter(|pair| pair[0].1 > pair[1].1);
    say(
        "of these, finished before an earlier one",
        out_of_turn.count(),
    );
    say("peak memory of this process", memory("self", "VmHWM"));
    cluster.stop_containers().await;
    cluster.shutdown().await;
}

/// Launches docs runs of one task with the offline agent, one after the other.
async fn launches() {
    let directory = tempfile::tempdir().unwrap();
    let project = Project::open(&directory.path().join("demo")).await.unwrap();
    let cluster = open(&directory.path().join("cluster"), 4).await;
    let client = cluster.client();
    controller::install_crds(client.clone()).await.unwrap();
    let config = ControllerConfig::new(Arc::new(Settings::shipped()), "default", "bench");
    let controller = controller::run(client.clone(), config, std::future::pending());
    let controller = tokio::spawn(controller);
    let (mut first_lines, mut ends) = (Vec::new(), Vec::new());
    for n in 0..LAUNCHES {
        let name = format!("docs-{n}");
        let run: DocsRun = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "repositoryUrl": project.origin,
                "sourceBranch": "feature/taskboard",
                "taskIds": ["1"],
                "agent": "template",
            },
        }))
        .unwrap();
        let runs = Api::<DocsRun>::default_namespaced(client.clone());
        let started = Instant::now();
        runs.create(&PostParams::default(), &run).await.unwrap();
        let first_line = async {
            first_agent_line(&client, &name).await;
            started.elapsed()
        };
        let end = async {
            let succeeded = |run: Option<&DocsRun>| {
                let phase = run.and_then(|run| run.status.as_ref()?.phase.as_deref());
                phase == Some("Succeeded")
            };
            await_condition(runs, &name, succeeded).await.unwrap();
            started.elapsed()
        };
        let both = async { tokio::join!(first_line, end) };
        let Ok((first_line, end)) = tokio::time::timeout(Duration::from_secs(60), both).await
        else {
            return say("launch of a docs run of 1 task", "not finished after 60 s");
        };
        first_lines.push(first_line);
        ends.push(end);
    }
    spread("launch to the agent's first line", first_lines);
    spread("launch to Succeeded", ends);
    controller.abort();
    cluster.stop_containers().await;
    cluster.shutdown().await;
}

/// Waits until the agent's log has a line.
async fn first_agent_line(client: &Client, run: &str) {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let agent = format!("{}={run},{}=agent", naming::LABEL_RUN, naming::LABEL_STAGE);
    let changes = watcher(pods.clone(), watcher::Config::default().labels(&agent));
    let changes = changes.default_backoff().applied_objects();
    pin_mut!(changes);
    let parameters = LogParams {
        container: Some("agent".into()),
        follow: true,
        ..LogParams::default()
    };
    while let Some(pod) = changes.next().await {
        // Fails until the container has started, which changes the pod.
        let Ok(log) = pods.log_stream(&pod.unwrap().name_any(), &parameters).await else {
            continue;
        };
        if let Some(line) = log.lines().next().await {
            line.unwrap();
            return;
        }
    }
}

/// Runs the demo: a docs run of twelve tasks with the offline agent, with all stages and git.
fn demo() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM)
        .arg("--home")
        .arg(directory.path().join("home"))
        .args(["demo", "--headless", "-o", "json", "--dir"])
        .arg(directory.path().join("demo"))
        .env_remove("GITHUB_TOKEN")
        .env_remove("GH_TOKEN")
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let figure = format!("{} s, {}", summary["seconds"], summary["phase"]);
    say("docs run of 12 tasks, launch to end", figure);
}
