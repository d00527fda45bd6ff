//! Operation on a cluster: the controller process with its metrics, health, log and settings; `clean` and `doctor`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, PersistentVolumeClaim},
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    config::Kubeconfig,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{
    git,
    https_cluster::{self, HttpsCluster},
};
use flightdeck_core::{resources::DocsRun, runs::naming};
use flightdeck_worker::controller;

/// Generous, because the machine may be busy.
const TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A secret value that must not be logged.
const PLANTED: &str = "planted-0123456789";

/// A controller process with its address and log.
struct Process {
    child: Child,
    address: String,
    log: std::thread::JoinHandle<String>,
}

impl Process {
    fn start(served: &HttpsCluster) -> Self {
        let kubeconfig = &served.server.endpoint().kubeconfig;
        let context = Kubeconfig::read_from(kubeconfig).unwrap().current_context;
        let mut child = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
            .args(["controller", "--listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--context"])
            .arg(context.unwrap())
            .env("KUBECONFIG", kubeconfig)
            .env("FLIGHTDECK_LOG", "flightdeck=trace,kube=trace,info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("serving http://");
        let address = address.map(str::to_owned).unwrap_or_default();
        Self {
            child,
            address,
            log,
        }
    }

    /// Returns the status code and the body.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (code, body.to_owned())
    }

    /// Waits for a response that satisfies `wanted`, and returns its body.
    async fn until(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (code, body) = self.get(path);
            if wanted(code, &body) {
                return body;
            }
            assert!(begun.elapsed() < TIMEOUT, "{path}: {code}\n{body}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn until_metric(&self, line: &str) {
        self.until("/metrics", |_, text| {
            text.lines().any(|found| found == line)
        })
        .await;
    }

    /// Sends SIGTERM and waits for the end. Returns the log.
    fn end(mut self) -> String {
        let process = Pid::from_raw(self.child.id().try_into().unwrap());
        kill(process, Signal::SIGTERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.log.join().unwrap()
    }
}

fn docs_run(name: &str) -> DocsRun {
    serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": name },
        "spec": {
            "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "agent": "template",
            "env": { "API_KEY": PLANTED },
        },
    }))
    .unwrap()
}

/// Launches a run. Returns the size of the workspace that the controller creates for it.
async fn workspace_size(client: &Client, name: &str) -> String {
    let runs: Api<DocsRun> = Api::default_namespaced(client.clone());
    runs.create(&PostParams::default(), &docs_run(name))
        .await
        .unwrap();
    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    let begun = Instant::now();
    loop {
        let all = claims.list(&ListParams::default()).await.unwrap();
        let all = serde_json::to_value(all.items).unwrap();
        let ours = all
            .as_array()
            .unwrap()
            .iter()
            .find(|claim| claim["metadata"]["ownerReferences"][0]["name"] == name);
        if let Some(claim) = ours {
            let size = &claim["spec"]["resources"]["requests"]["storage"];
            return size.as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < TIMEOUT, "no workspace of {name}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn write_settings(client: &Client, text: &str) {
    write_map(
        client,
        "flightdeck-settings",
        json!({ "config.toml": text }),
    )
    .await;
}

async fn write_map(client: &Client, name: &str, data: Value) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data,
    });
    let apply = PatchParams::apply("operator").force();
    maps.patch(name, &apply, &Patch::Apply(map)).await.unwrap();
}

/// Waits for an Event that settings were refused. Returns the name of the ConfigMap and the reason.
async fn refusal(client: &Client) -> (String, String) {
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let begun = Instant::now();
    loop {
        let all = events.list(&ListParams::default()).await.unwrap();
        let refused = |event: &Event| event.reason.as_deref() == Some("SettingsRefused");
        if let Some(event) = all.items.into_iter().find(refused) {
            let about = event.regarding.unwrap().name;
            return (about.unwrap(), event.note.unwrap());
        }
        assert!(begun.elapsed() < TIMEOUT, "no Event");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test]
async fn a_controller_process_tells_how_it_is_and_ends_when_told() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    let process = Process::start(&served);
    assert_eq!(process.get("/healthz").0, 200);
    // Not ready, because the CRDs are missing.
    process
        .until("/readyz", |code, body| {
            code == 503 && body.contains("DocsRun")
        })
        .await;
    controller::install_crds(client.clone()).await.unwrap();
    process.until("/readyz", |code, _| code == 200).await;

    workspace_size(&client, "docs-1").await;
    process
        .until_metric("flightdeck_runs{kind=\"docs\",phase=\"Pending\"} 1")
        .await;
    for part in [
        "flightdeck_reconciles_total{kind=\"docs\",result=\"ok\"}",
        "flightdeck_api_requests_total{verb=\"create\",resource=\"jobs\",code=\"201\"} 1",
        "flightdeck_api_requests_total{verb=\"patch\",resource=\"docsruns/status\",code=\"200\"}",
        "flightdeck_build_info{version=",
    ] {
        process
            .until("/metrics", |_, text| text.contains(part))
            .await;
    }

    let log = process.end();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(event["level"].is_string(), "{line}");
    }
    assert!(log.contains("shutting down"), "{log}");
    let token = https_cluster::token(served.server.endpoint());
    for secret in [PLANTED, token.as_str()] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    served.shutdown().await;
}

#[tokio::test]
async fn settings_are_taken_up_as_they_change_and_bad_ones_are_refused() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    write_settings(&client, "[workspace]\nsize = \"3Gi\"\n").await;
    let process = Process::start(&served);
    process.until("/readyz", |code, _| code == 200).await;
    assert_eq!(workspace_size(&client, "docs-1").await, "3Gi");

    write_settings(&client, "[workspace]\nsize = 4\n").await;
    process.until_metric("flightdeck_settings_valid 0").await;
    assert_eq!(workspace_size(&client, "docs-2").await, "3Gi");
    let (about, note) = refusal(&client).await;
    assert_eq!(about, "flightdeck-settings");
    assert!(
        note.starts_with("config.toml: line 2: workspace.size: "),
        "{note}"
    );

    write_settings(&client, "[workspace]\nsize = \"5Gi\"\n").await;
    process.until_metric("flightdeck_settings_valid 1").await;
    assert_eq!(workspace_size(&client, "docs-3").await, "5Gi");
    process.end();
    served.shutdown().await;
}

/// Launches a run. Returns the title template and the labels of its pull request.
async fn pull_request(client: &Client, name: &str) -> (String, String) {
    workspace_size(client, name).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let all = maps.list(&ListParams::default()).await.unwrap();
    let ours = all.items.into_iter().find(|map| {
        let owners = map.metadata.owner_references.as_deref();
        owners.unwrap_or_default().iter().any(|it| it.name == name)
    });
    let files = ours.unwrap().data.unwrap();
    let manifest: Value = serde_json::from_str(&files["run.json"]).unwrap();
    let labels = manifest["pullRequest"]["labels"].as_str().unwrap();
    (files["pr-title"].clone(), labels.to_owned())
}

#[tokio::test]
async fn docs_pr_config_is_laid_over_the_settings_and_a_bad_key_is_named() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    write_settings(&client, "[publish.docs]\nlabels = \"settings\"\n").await;
    let options = json!({ "pr_title_template": "docs: {{ task_info }} of ours" });
    write_map(&client, "docs-pr-config", options).await;
    let process = Process::start(&served);
    process.until("/readyz", |code, _| code == 200).await;
    let both = ("docs: task 1 of ours".to_owned(), "settings".to_owned());
    assert_eq!(pull_request(&client, "docs-1").await, both);

    write_map(&client, "docs-pr-config", json!({ "label": "typo" })).await;
    process.until_metric("flightdeck_settings_valid 0").await;
    let (about, note) = refusal(&client).await;
    assert_eq!(about, "docs-pr-config");
    assert!(
        note.starts_with("label: unknown pull request option"),
        "{note}"
    );
    assert_eq!(pull_request(&client, "docs-2").await, both);

    // A change of the settings does not undo it.
    write_settings(&client, "[publish.docs]\nlabels = \"changed\"\n").await;
    let loads = "flightdeck_settings_loads_total{result=\"taken\"} 3";
    process.until_metric(loads).await;
    let changed = (both.0, "changed".to_owned());
    assert_eq!(pull_request(&client, "docs-3").await, changed);

    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let gone = kube::api::DeleteParams::default();
    maps.delete("docs-pr-config", &gone).await.unwrap();
    process.until_metric("flightdeck_settings_valid 1").await;
    let (title, _) = pull_request(&client, "docs-4").await;
    assert_eq!(title, "docs: Task Master documents of task 1");
    process.end();
    served.shutdown().await;
}

#[tokio::test]
async fn nothing_is_done_by_other_settings_than_those_that_were_meant() {
    let served = HttpsCluster::start().await;
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    write_settings(&client, "[workspace]\nsize = 4\n").await;
    let process = Process::start(&served);
    process
        .until("/readyz", |code, text| {
            code == 503 && text.contains("line 2: workspace.size")
        })
        .await;
    refusal(&client).await;
    let fixed = jiff::Timestamp::now();
    write_settings(&client, "[workspace]\nsize = \"3Gi\"\n").await;
    process.until("/readyz", |code, _| code == 200).await;
    assert_eq!(workspace_size(&client, "docs-1").await, "3Gi");
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let lease = leases.get("flightdeck-controller").await.unwrap();
    let begun = lease.spec.unwrap().acquire_time.unwrap().0;
    assert!(
        begun > fixed,
        "the controller started with invalid settings"
    );
    process.end();
    served.shutdown().await;
}

#[test]
fn controller_outside_a_cluster_requires_a_context() {
    let output = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
        .arg("controller")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("--context"), "{stderr}");
}

/// Runs a command on the cluster. Returns the exit code, stdout and stderr.
fn flightdeck(
    served: &HttpsCluster,
    home: &std::path::Path,
    arguments: &[&str],
) -> (i32, String, String) {
    let kubeconfig = &served.server.endpoint().kubeconfig;
    let context = Kubeconfig::read_from(kubeconfig).unwrap().current_context;
    let output = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
        .args(arguments)
        .args(["--context", &context.unwrap(), "--home"])
        .arg(home)
        .current_dir(home)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_controller_is_gone_is_let_go_by_hand_and_no_other_is_touched() {
    let served = HttpsCluster::start().await;
    let home = tempfile::tempdir().unwrap();
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    let runs: Api<DocsRun> = Api::default_namespaced(client.clone());
    for (name, finalizers) in [
        ("docs-stays", json!(["flightdeck.dev/run"])),
        (
            "docs-goes",
            json!(["example.com/other", "flightdeck.dev/run"]),
        ),
    ] {
        let mut run = docs_run(name);
        run.metadata.finalizers = serde_json::from_value(finalizers).unwrap();
        runs.create(&PostParams::default(), &run).await.unwrap();
    }
    let gone = kube::api::DeleteParams::background();
    runs.delete("docs-goes", &gone).await.unwrap();

    // Nothing is changed without confirmation.
    let (code, listed, stderr) = flightdeck(&served, home.path(), &["clean", "--finalizers"]);
    assert_eq!(code, 0, "{stderr}");
    let uid = runs.get("docs-goes").await.unwrap().metadata.uid.unwrap();
    assert!(
        listed.contains("DocsRun/docs-goes") && listed.contains(&uid),
        "{listed}"
    );
    assert!(!listed.contains("docs-stays"), "{listed}");
    assert!(stderr.contains("Nothing was changed"), "{stderr}");

    // Nothing is changed while a controller is running.
    let leases: Api<Lease> = Api::default_namespaced(client.clone());
    let now = format!("{:.6}", jiff::Timestamp::now());
    let lease = json!({
        "metadata": { "name": "flightdeck-controller" },
        "spec": { "holderIdentity": "pod-1", "leaseDurationSeconds": 15, "renewTime": now },
    });
    let lease = serde_json::from_value(lease).unwrap();
    leases.create(&PostParams::default(), &lease).await.unwrap();
    let (code, _, stderr) = flightdeck(&served, home.path(), &["clean", "--finalizers", "--yes"]);
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("pod-1"), "{stderr}");
    leases.delete("flightdeck-controller", &gone).await.unwrap();

    let (code, _, stderr) = flightdeck(&served, home.path(), &["clean", "--finalizers", "--yes"]);
    assert_eq!(code, 0, "{stderr}");
    let left = runs.get("docs-goes").await.unwrap().metadata.finalizers;
    assert_eq!(
        left.unwrap(),
        ["example.com/other"],
        "only our finalizer is removed"
    );
    let other = runs.get("docs-stays").await.unwrap().metadata.finalizers;
    assert_eq!(other.unwrap(), ["flightdeck.dev/run"]);
    served.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_takes_only_runs_of_this_repository() {
    let served = HttpsCluster::start().await;
    let directory = tempfile::tempdir().unwrap();
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    let runs: Api<DocsRun> = Api::default_namespaced(client.clone());
    let here = directory.path().join("here");
    std::fs::create_dir(&here).unwrap();
    git(&here, &["init", "-q"]);
    let url = "https://example.invalid/acme/here.git";
    for (name, url) in [
        ("docs-here", url),
        ("docs-there", "https://example.invalid/acme/there.git"),
    ] {
        let mut run = docs_run(name);
        let label = (
            naming::LABEL_REPOSITORY.to_owned(),
            naming::repository_label(url),
        );
        run.metadata.labels = Some([label].into());
        runs.create(&PostParams::default(), &run).await.unwrap();
        let status =
            json!({ "status": { "phase": "Failed", "finishedAt": "2026-01-01T00:00:00Z" } });
        runs.patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }
    let home = directory.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let on = |repository: &std::path::Path, words: &[&str]| {
        let option = ["--repo", repository.to_str().unwrap()];
        flightdeck(&served, &home, &[&option[..], words].concat())
    };
    let clean = ["clean", "--finished", "--yes"];
    let list = ["runs", "list", "-o", "name"];

    // Outside a repository, and in one without a remote.
    for place in [directory.path(), here.as_path()] {
        let (code, deleted, stderr) = on(place, &clean);
        assert_eq!((code, deleted.as_str()), (0, ""), "{stderr}");
        assert!(stderr.contains("-A cleans"), "{stderr}");
        let (_, listed, stderr) = on(place, &list);
        assert_eq!(listed.lines().count(), 2, "{listed}");
        assert!(stderr.contains("runs of all repositories"), "{stderr}");
    }

    git(&here, &["remote", "add", "origin", url]);
    let (code, _, stderr) = on(&here, &clean);
    assert_eq!(code, 0, "{stderr}");
    let (_, left, stderr) = on(&here, &[&list[..], &["-A"]].concat());
    assert_eq!((left.trim(), stderr.as_str()), ("docs-there", ""));
    let (code, _, stderr) = on(&here, &[&clean[..], &["-A"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(
        runs.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    served.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_listed_with_their_uid_and_deleted_only_after_a_yes() {
    let served = HttpsCluster::start().await;
    let home = tempfile::tempdir().unwrap();
    let client = served.client.clone();
    controller::install_crds(client.clone()).await.unwrap();
    let runs: Api<DocsRun> = Api::default_namespaced(client.clone());
    let run = runs
        .create(&PostParams::default(), &docs_run("docs-1"))
        .await
        .unwrap();
    let uid = run.metadata.uid.unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    for (name, uid) in [("lost", "gone"), ("used", uid.as_str())] {
        let map = json!({ "metadata": { "name": name, "labels": {
            "app.kubernetes.io/managed-by": "flightdeck", "flightdeck.dev/run": "docs-0", "flightdeck.dev/run-uid": uid,
        } } });
        let map = serde_json::from_value(map).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let words = ["clean", "--rule", "orphan"];
    let (code, listed, stderr) = flightdeck(&served, home.path(), &words);
    let lost = maps.get("lost").await.unwrap().metadata.uid.unwrap();
    assert_eq!(code, 0, "{stderr}");
    assert!(
        listed.contains("ConfigMap/lost") && listed.contains(&lost),
        "{listed}"
    );
    assert!(!listed.contains("used"), "{listed}");
    let (code, _, stderr) = flightdeck(&served, home.path(), &[&words[..], &["--yes"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(maps.get_opt("lost").await.unwrap().is_none());
    assert!(maps.get_opt("used").await.unwrap().is_some());
    served.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_missing_and_nothing_once_it_is_there() {
    let served = HttpsCluster::start().await;
    let home = tempfile::tempdir().unwrap();
    let words = ["doctor", "--agent", "template", "--github-user", "ada"];
    let (code, stdout, _) = flightdeck(&served, home.path(), &words);
    assert_eq!(code, 1, "{stdout}");
    for part in [
        "flightdeck manifests crds |",
        "flightdeck manifests controller",
        "github-pat-ada",
    ] {
        assert!(stdout.contains(part), "{part} in\n{stdout}");
    }

    controller::install_crds(served.client.clone())
        .await
        .unwrap();
    let image = "[images]\nrunner = \"registry.example/flightdeck:1\"\n";
    write_settings(&served.client, &format!("{image}runer = 1\n")).await;
    let (_, stdout, _) = flightdeck(&served, home.path(), &words);
    assert!(stdout.contains("line 3: images.runer"), "{stdout}");

    write_settings(&served.client, image).await;
    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::default_namespaced(served.client.clone());
    let secret =
        json!({ "metadata": { "name": "github-pat-ada" }, "stringData": { "token": "x" } });
    let secret = serde_json::from_value(secret).unwrap();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let leases: Api<Lease> = Api::default_namespaced(served.client.clone());
    let now = format!("{:.6}", jiff::Timestamp::now());
    let lease = json!({
        "metadata": { "name": "flightdeck-controller" },
        "spec": { "holderIdentity": "pod-1", "leaseDurationSeconds": 3600, "renewTime": now },
    });
    let lease = serde_json::from_value(lease).unwrap();
    leases.create(&PostParams::default(), &lease).await.unwrap();
    let (code, said, _) = flightdeck(&served, home.path(), &words);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("pod-1 is running"), "{said}");
    served.shutdown().await;
}
