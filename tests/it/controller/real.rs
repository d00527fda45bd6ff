//! The controller on the embedded node: with the real stages as processes, and real pushes.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use super::{ends, phase_is, until};
use flightdeck::demo::Project;
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::naming,
};
use flightdeck_host::{repository::git::Git, settings::Settings};
use flightdeck_worker::controller::{self, ControllerConfig};
use kube_embedded::{Cluster, ClusterOptions, Limits};

/// The sample project, a cluster with a running node, and a controller.
struct Real {
    project: Project,
    cluster: Cluster,
    client: Client,
    settings: Arc<Settings>,
    controller: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    _directory: tempfile::TempDir,
}

impl Real {
    /// `pace`: milliseconds the offline agent waits before each file.
    async fn with(pace: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let project = Project::open(&directory.path().join("demo")).await.unwrap();
        let home = directory.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let environment = [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", home.display().to_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ];
        let cluster = Cluster::open(ClusterOptions {
            identity: flightdeck::daemon::identity(),
            directory: directory.path().join("cluster"),
            program: env!("CARGO_BIN_EXE_flightdeck").into(),
            max_containers: 4,
            limits: Limits::default(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
        })
        .await
        .unwrap();
        let client = cluster.client();
        controller::install_crds(client.clone()).await.unwrap();
        let mut settings = Settings::shipped();
        let agent = settings.agents.get_mut("template").unwrap();
        agent
            .env
            .insert("TEMPLATE_AGENT_PACE_MS".into(), pace.to_string());
        let mut real = Self {
            project,
            cluster,
            client,
            settings: Arc::new(settings),
            controller: None,
            _directory: directory,
        };
        real.start_controller();
        real
    }

    fn start_controller(&mut self) {
        let (stop, stopped) = oneshot::channel::<()>();
        let config = ControllerConfig::new(Arc::clone(&self.settings), "default", "test");
        let controller = controller::run(self.client.clone(), config, async {
            let _ = stopped.await;
        });
        self.controller = Some((stop, tokio::spawn(controller)));
    }

    async fn end(mut self) {
        let (stop, controller) = self.controller.take().unwrap();
        let _ = stop.send(());
        ends(controller).await;
        self.cluster.stop_containers().await;
        self.cluster.shutdown().await;
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn git(&self, words: &[&str]) -> String {
        let git = Git::new(&self.project.origin).isolated().args(words);
        git.run().await.unwrap().text()
    }

    /// Creates a run of the sample's branch; `more` overrides its spec.
    async fn launch<K>(&self, kind: &str, name: &str, more: Value) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let path = ".taskmaster/tasks/tasks.json";
        let branch = "feature/taskboard";
        let mut spec = json!({
            "repositoryUrl": self.project.origin,
            "sourceBranch": branch,
            "agent": "template",
            "tasksRevision": {
                "path": path,
                "blob": self.git(&["rev-parse", &format!("{branch}:{path}")]).await,
                "commit": self.git(&["rev-parse", branch]).await,
            },
        });
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let run = json!({
            "apiVersion": "orchestrator.io/v1", "kind": kind, "metadata": { "name": name }, "spec": spec,
        });
        let api: Api<K> = self.api();
        let run = serde_json::from_value(run).unwrap();
        api.create(&PostParams::default(), &run).await.unwrap();
        api
    }

    async fn change<K>(&self, api: &Api<K>, name: &str, spec: Value)
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "spec": spec }));
        api.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Returns all logs of a run's containers.
    async fn logs(&self, run: &str) -> String {
        let pods: Api<Pod> = self.api();
        let of_run = ListParams::default().labels(&format!("{}={run}", naming::LABEL_RUN));
        let mut text = String::new();
        for pod in pods.list(&of_run).await.unwrap() {
            let spec = pod.spec.clone().unwrap();
            let init = spec.init_containers.unwrap_or_default();
            for container in init.into_iter().chain(spec.containers) {
                let parameters = LogParams {
                    container: Some(container.name.clone()),
                    ..LogParams::default()
                };
                let log = pods
                    .logs(&pod.name_any(), &parameters)
                    .await
                    .unwrap_or_default();
                let name = pod.name_any();
                writeln!(text, "--- {name} {}\n{log}", container.name).unwrap();
            }
        }
        text
    }
}

fn ended(run: &Value) -> bool {
    matches!(
        run["status"]["phase"].as_str(),
        Some("Succeeded" | "Failed" | "Cancelled")
    )
}

fn stages(run: &Value) -> Vec<&str> {
    let attempts = run["status"]["attempts"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| attempt["stage"].as_str().unwrap())
        .collect()
}

fn condition<'a>(run: &'a Value, kind: &str) -> &'a Value {
    let all = run["status"]["conditions"].as_array().unwrap();
    all.iter()
        .find(|condition| condition["type"] == kind)
        .unwrap()
}

#[tokio::test]
async fn docs_run_of_the_whole_plan_pushes_its_branch() {
    let real = Real::with(0).await;
    let tasks: Vec<String> = (1..=12).map(|id| id.to_string()).collect();
    let runs: Api<DocsRun> = real
        .launch("DocsRun", "docs-all", json!({ "taskIds": tasks }))
        .await;
    let run = until(&runs, "docs-all", ended).await;
    assert_eq!(
        run["status"]["phase"],
        "Succeeded",
        "{run:#}\n{}",
        real.logs("docs-all").await
    );

    assert_eq!(
        run["status"]["documents"],
        json!({ "expected": 48, "written": 48 })
    );
    let branch = run["status"]["branch"].as_str().unwrap();
    assert_eq!(branch, "docs/docs-all");
    assert_eq!(
        real.git(&["rev-parse", branch]).await,
        run["status"]["commit"]
    );
    assert_eq!(
        real.git(&["rev-parse", "feature/taskboard"]).await,
        run["status"]["baseCommit"]
    );
    let changed = real
        .git(&["diff", "--name-only", "feature/taskboard", branch])
        .await;
    assert_eq!(changed.lines().count(), 48);
    assert_eq!(stages(&run), ["prep", "agent", "publish"]);
    assert_eq!(condition(&run, "TasksVerified")["status"], "True");
    assert_eq!(condition(&run, "PullRequestReady")["reason"], "NoForge");
    assert!(real.logs("docs-all").await.contains("\"type\":\"result\""));
    real.end().await;
}

#[tokio::test]
async fn code_run_pushes_its_branch_and_releases_its_workspace() {
    let real = Real::with(0).await;
    let runs: Api<CodeRun> = real
        .launch(
            "CodeRun",
            "code-1",
            json!({ "taskId": "1", "service": "taskboard" }),
        )
        .await;
    let run = until(&runs, "code-1", |run| {
        ended(run) && run["metadata"].get("finalizers").is_none()
    })
    .await;
    assert_eq!(
        run["status"]["phase"],
        "Succeeded",
        "{run:#}\n{}",
        real.logs("code-1").await
    );
    let branch = run["status"]["branch"].as_str().unwrap();
    assert_eq!(branch, "feature/task-1-code-1");
    assert_eq!(
        real.git(&["rev-parse", branch]).await,
        run["status"]["commit"]
    );

    let name = run["status"]["workspaceName"].as_str().unwrap();
    let claim = real.api::<PersistentVolumeClaim>().get(name).await.unwrap();
    assert_eq!(claim.annotations().get(controller::ANNOTATION_HOLDER), None);
    real.end().await;
}

#[tokio::test]
async fn changed_plan_fails_the_run_before_the_agent() {
    let real = Real::with(0).await;
    let more = json!({ "taskIds": ["1"], "tasksRevision": {
        "path": ".taskmaster/tasks/tasks.json", "blob": "e".repeat(40), "commit": "e".repeat(40),
    }});
    let runs: Api<DocsRun> = real.launch("DocsRun", "docs-other", more).await;
    let run = until(&runs, "docs-other", ended).await;
    assert_eq!(run["status"]["reason"], "TasksMismatch", "{run:#}");
    assert_eq!(stages(&run), ["prep"]);
    assert_eq!(run["status"]["attempts"][0]["exitCode"], 65);
    let message = run["status"]["message"].as_str().unwrap();
    assert!(message.contains("eeeeeee"), "{message}");
    real.end().await;
}

#[tokio::test]
async fn stopped_agent_keeps_its_log_and_pushes_nothing() {
    let real = Real::with(60_000).await;
    let runs: Api<DocsRun> = real
        .launch("DocsRun", "docs-stop", json!({ "taskIds": ["1"] }))
        .await;
    until(&runs, "docs-stop", |run| {
        run["status"]["stage"] == "agent" && run["status"]["phase"] == "Running"
    })
    .await;
    real.change(&runs, "docs-stop", json!({ "cancelVersion": 1 }))
        .await;
    let run = until(&runs, "docs-stop", ended).await;
    assert_eq!(run["status"]["phase"], "Cancelled", "{run:#}");
    // Publish saves what the agent had finished: nothing.
    assert_eq!(stages(&run), ["prep", "agent", "publish"]);
    assert_eq!(run["status"]["attempts"][1]["reason"], "Cancelled");
    assert_eq!(run["status"]["attempts"][2]["reason"], "NoChanges");
    assert!(real.logs("docs-stop").await.contains("agent"));
    let branches = real.git(&["branch", "--format=%(refname:short)"]).await;
    assert!(!branches.contains("docs/docs-stop"), "{branches}");
    real.end().await;
}

#[tokio::test]
async fn run_waits_for_a_missing_secret() {
    let real = Real::with(0).await;
    let more = json!({ "taskIds": ["1"], "githubUser": "octocat" });
    let runs: Api<DocsRun> = real.launch("DocsRun", "docs-secret", more).await;
    let run = until(&runs, "docs-secret", |run| {
        run["status"]["reason"] == "CreateContainerConfigError"
    })
    .await;
    assert_eq!(run["status"]["phase"], "Pending");
    let message = run["status"]["message"].as_str().unwrap();
    assert!(
        message.contains("github-pat-octocat") && message.contains("token"),
        "{message}"
    );

    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "github-pat-octocat" }, "stringData": { "token": "x" },
    }))
    .unwrap();
    real.api()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    until(&runs, "docs-secret", phase_is("Succeeded")).await;
    real.end().await;
}

#[tokio::test]
async fn run_continues_without_a_controller() {
    let mut real = Real::with(100).await;
    let runs: Api<DocsRun> = real
        .launch("DocsRun", "docs-alone", json!({ "taskIds": ["1", "2"] }))
        .await;
    until(&runs, "docs-alone", |run| {
        run["status"]["stage"] == "agent" && run["status"]["phase"] == "Running"
    })
    .await;
    let (_, controller) = real.controller.take().unwrap();
    controller.abort();
    let job = runs
        .get("docs-alone")
        .await
        .unwrap()
        .status
        .unwrap()
        .job_name
        .unwrap();
    until(&real.api::<Job>(), &job, |job| {
        job["status"]["succeeded"] == 1
    })
    .await;
    real.start_controller();
    let run = until(&runs, "docs-alone", ended).await;
    assert_eq!(run["status"]["phase"], "Succeeded", "{run:#}");
    assert_eq!(stages(&run), ["prep", "agent", "publish"]);
    real.end().await;
}

#[tokio::test]
async fn refused_push_is_retried_without_the_agent() {
    let real = Real::with(0).await;
    let hook = real.project.origin.join("hooks/pre-receive");
    std::fs::write(
        &hook,
        "#!/bin/sh\necho 'closed for the weekend' >&2\nexit 1\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).unwrap();
    let runs: Api<DocsRun> = real
        .launch("DocsRun", "docs-push", json!({ "taskIds": ["1"] }))
        .await;
    let run = until(&runs, "docs-push", ended).await;
    assert_eq!(run["status"]["reason"], "PushFailed", "{run:#}");

    std::fs::remove_file(&hook).unwrap();
    real.change(&runs, "docs-push", json!({ "contextVersion": 2 }))
        .await;
    let run = until(&runs, "docs-push", |run| {
        run["status"]["observedContextVersion"] == 2 && ended(run)
    })
    .await;
    assert_eq!(
        run["status"]["phase"],
        "Succeeded",
        "{run:#}\n{}",
        real.logs("docs-push").await
    );
    assert_eq!(stages(&run), ["prep", "agent", "publish", "publish"]);
    real.end().await;
}

#[tokio::test]
async fn deleting_an_active_run_ends_its_processes() {
    let real = Real::with(60_000).await;
    let runs: Api<DocsRun> = real
        .launch("DocsRun", "docs-gone", json!({ "taskIds": ["1"] }))
        .await;
    until(&runs, "docs-gone", |run| {
        run["status"]["stage"] == "agent" && run["status"]["phase"] == "Running"
    })
    .await;
    runs.delete("docs-gone", &DeleteParams::background())
        .await
        .unwrap();
    until(&runs, "docs-gone", Value::is_null).await;
    let left = async || -> BTreeMap<&str, usize> {
        let all = ListParams::default().labels(&format!("{}={}", naming::LABEL_RUN, "docs-gone"));
        [
            (
                "jobs",
                real.api::<Job>().list(&all).await.unwrap().items.len(),
            ),
            (
                "pods",
                real.api::<Pod>().list(&all).await.unwrap().items.len(),
            ),
            (
                "files",
                real.api::<ConfigMap>()
                    .list(&all)
                    .await
                    .unwrap()
                    .items
                    .len(),
            ),
            (
                "volumes",
                real.api::<PersistentVolumeClaim>()
                    .list(&all)
                    .await
                    .unwrap()
                    .items
                    .len(),
            ),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect()
    };
    let patience = tokio::time::Instant::now() + super::PATIENCE;
    while !left().await.is_empty() {
        assert!(
            tokio::time::Instant::now() < patience,
            "{:?} are left",
            left().await
        );
        tokio::task::yield_now().await;
    }
    real.end().await;
}
