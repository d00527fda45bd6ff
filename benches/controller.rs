//! The controller with thousands of runs: memory, time until a burst of launches has its Jobs, and API requests.
//!
//! `cargo bench --bench controller` prints one line per result. The controller is a process (`flightdeck controller`), as on a
//! cluster. It uses an embedded server in this process over HTTPS; the results are from its metrics. No containers run: the pods
//! of active runs only have the status of running ones. `FLIGHTDECK_BENCH_PERCENT=1` reduces the number of runs to one percent,
//! as `cargo test --benches` does, to check that the benchmark works.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

#[path = "shared/process.rs"]
mod process;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::{StreamExt, pin_mut, stream};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
    config::Kubeconfig,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use process::{PROGRAM, memory, open, say};

use flightdeck_core::{resources::DocsRun, runs::naming};
use flightdeck_worker::controller::{self, CONDITIONS};
use kube_embedded::serve::Server;

/// Number of runs.
#[derive(Clone, Copy)]
struct Size {
    finished: usize,
    active: usize,
    burst: usize,
}

impl Size {
    fn new(percent: usize) -> Self {
        let share = |whole: usize| (whole * percent / 100).max(2);
        Self {
            finished: share(5_000),
            active: share(500),
            burst: share(200),
        }
    }
}

fn main() {
    let given = std::env::var("FLIGHTDECK_BENCH_PERCENT").ok();
    let given = given.map(|percent| percent.parse().unwrap());
    // `cargo bench` passes --bench, `cargo test` does not.
    let bench = std::env::args().any(|argument| argument == "--bench");
    let percent = given.unwrap_or(if bench { 100 } else { 1 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure(Size::new(percent)));
}

/// A `flightdeck controller` process, and the address of its metrics.
struct Controller {
    child: Child,
    address: String,
}

impl Controller {
    fn start(server: &Server) -> Self {
        let kubeconfig = &server.endpoint().kubeconfig;
        let context = Kubeconfig::read_from(kubeconfig).unwrap().current_context;
        let mut child = Command::new(PROGRAM)
            .args(["controller", "--listen", "127.0.0.1:0", "--context"])
            .arg(context.unwrap())
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("serving http://").unwrap();
        Self {
            child,
            address: address.to_owned(),
        }
    }

    fn metrics(&self) -> Metrics {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("flightdeck_"));
        let pairs = lines.filter_map(|line| line.rsplit_once(' '));
        Metrics(
            pairs
                .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
                .collect(),
        )
    }

    /// Prints the resident memory, and the part of it that is not mapped from files.
    fn print_memory(&self, when: &str) {
        let process = self.child.id().to_string();
        let [resident, own] = ["VmRSS", "RssAnon"].map(|field| memory(&process, field));
        let what = format!("memory of the controller {when}, of which anonymous");
        say(&what, format!("{resident}, {own}"));
    }

    /// Waits until the controller is idle. Returns its metrics.
    async fn idle(&self) -> Metrics {
        let mut before = self.metrics();
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = self.metrics();
            let busy = now.sum("flightdeck_reconcile_queue_length", &[])
                + now.sum("flightdeck_reconciles_in_progress", &[]);
            if busy < 1.0 && now.reconciles() < before.reconciles() + 1.0 {
                return now;
            }
            before = now;
        }
    }

    fn end(mut self) {
        let process = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(process, Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// Values of `/metrics`, by series.
struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// Returns the sum of the series of a family that have all these labels.
    fn sum(&self, family: &str, labels: &[&str]) -> f64 {
        let wanted = self.0.iter().filter(|(name, _)| {
            name.split('{').next() == Some(family)
                && labels.iter().all(|label| name.contains(label))
        });
        wanted.map(|(_, number)| number).sum()
    }

    fn requests(&self, labels: &[&str]) -> f64 {
        self.sum("flightdeck_api_requests_total", labels)
    }

    fn reconciles(&self) -> f64 {
        self.sum("flightdeck_reconciles_total", &[])
    }
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

/// Returns a status after three successful stages.
fn ended(name: &str) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let attempts = ["prep", "agent", "publish"].map(|stage| {
        json!({
            "stage": stage, "contextVersion": 1, "attempt": 1, "jobName": format!("{name}-0f2c6c1e-{stage}-v1-1"),
            "podName": format!("{name}-0f2c6c1e-{stage}-v1-1-abcde"), "exitCode": 0, "startedAt": time, "finishedAt": time,
        })
    });
    let conditions = CONDITIONS.map(|kind| {
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

/// Simulates the kubelet: creates the pod of a Job, which runs forever.
async fn run_pod(client: &Client, job: &Job) {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let template = job.spec.clone().unwrap().template;
    let name = format!("{}-x", job.name_any());
    let pod = json!({
        "metadata": {
            "name": name, "labels": template.metadata.unwrap().labels,
            "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": job.name_any(), "uid": job.uid(), "controller": true }],
        },
        "spec": template.spec,
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let containers = pod.spec.unwrap().containers.into_iter().map(|container| {
        json!({
            "name": container.name, "image": "x", "imageID": "", "ready": true, "restartCount": 0,
            "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } },
        })
    });
    let status = json!({ "status": {
        "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": containers.collect::<Vec<_>>(),
    } });
    pods.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

/// Creates runs and waits for their first Jobs. Returns the time of each since the start, and the Jobs.
async fn launch(client: &Client, prefix: &str, count: usize) -> (Vec<Duration>, Vec<Job>) {
    let jobs = Api::<Job>::default_namespaced(client.clone());
    let changes = watcher::watcher(jobs, watcher::Config::default());
    let changes = changes.default_backoff().applied_objects();
    pin_mut!(changes);
    let started = Instant::now();
    let mut seen: HashMap<String, (Duration, Job)> = HashMap::new();
    let names = (0..count).map(|n| format!("{prefix}-{n:04}"));
    let watching = async {
        while seen.len() < count {
            let job = changes.next().await.unwrap().unwrap();
            let run = job.labels().get(naming::LABEL_RUN).cloned();
            if let Some(run) = run.filter(|run| run.starts_with(prefix)) {
                seen.entry(run).or_insert_with(|| (started.elapsed(), job));
            }
        }
    };
    tokio::join!(create(client, names, false), watching);
    let (mut times, jobs): (Vec<_>, Vec<_>) = seen.into_values().unzip();
    times.sort();
    (times, jobs)
}

async fn measure(size: Size) {
    let directory = tempfile::tempdir().unwrap();
    let cluster = open(directory.path(), 0).await;
    controller::install_crds(cluster.client()).await.unwrap();
    let server = Server::start(&cluster, directory.path()).await.unwrap();
    let here = cluster.client();
    let names = (0..size.finished).map(|n| format!("docs-done-{n:04}"));
    create(&here, names, true).await;

    let started = Instant::now();
    let controller = Controller::start(&server);
    launch(&here, "docs-first", 1).await;
    let what = format!(
        "start with {} finished runs, to the first Job of a new one",
        size.finished
    );
    say(&what, format!("{:.2?}", started.elapsed()));
    controller.print_memory("after the start");
    let lists = controller.metrics().requests(&["verb=\"list\""]);
    say("lists during the start", lists);

    let (times, jobs) = launch(&here, "docs-active", size.active).await;
    let what = format!("{} launches, to the last first Job", size.active);
    say(&what, format!("{:.2?}", times[times.len() - 1]));
    stream::iter(&jobs)
        .for_each_concurrent(16, |job| run_pod(&here, job))
        .await;
    let running = size.active as f64;
    let labels = ["kind=\"docs\"", "phase=\"Running\""];
    while controller.metrics().sum("flightdeck_runs", &labels) < running {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    controller.print_memory("when they run");

    let before = controller.idle().await;
    let (times, _) = launch(&here, "docs-burst", size.burst).await;
    let at_last = controller.metrics();
    let after = controller.idle().await;
    let (burst, last) = (size.burst as f64, times[times.len() - 1]);
    say(
        &format!(
            "burst of {} launches, time to first Job: min, p50, max",
            size.burst
        ),
        format!(
            "{:.2?}, {:.2?}, {last:.2?}",
            times[0],
            times[times.len() / 2]
        ),
    );
    let rate = |number: f64| format!("{:.0} /s", number / last.as_secs_f64());
    say("runs with a first Job", rate(burst));
    let until_last = at_last.reconciles() - before.reconciles();
    say("reconciliations in that time", rate(until_last));
    let reconciles = after.reconciles() - before.reconciles();
    let each = |labels: &[&str]| {
        let requests = after.requests(labels) - before.requests(labels);
        format!("{:.2}", requests / burst)
    };
    say(
        "reconciliations per launch",
        format!("{:.2}", reconciles / burst),
    );
    say("requests per launch", each(&[]));
    say("of these, lists and gets", {
        let read = |verb: &str| after.requests(&[verb]) - before.requests(&[verb]);
        format!(
            "{:.2}",
            (read("verb=\"list\"") + read("verb=\"get\"")) / burst
        )
    });
    say("of these, writes of the status", each(&["docsruns/status"]));
    let all = size.finished + size.active + size.burst + 1;
    controller.print_memory(&format!("with {all} runs"));
    let peak = memory(&controller.child.id().to_string(), "VmHWM");
    say("peak memory of the controller", peak);
    controller.end();
    server.shutdown().await;
    cluster.shutdown().await;
}
