//! `docs-pr-config` on the embedded cluster, and the pull requests of docs runs it configures.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{PATIENCE, phase_is, until};
use crate::support::{no_process_stays_below, sample_project};
use flightdeck::daemon::{Engine, Options, StandInFile};
use flightdeck_core::resources::DocsRun;
use flightdeck_host::settings::{Paths, Settings};

const LOOK_AGAIN: Duration = Duration::from_millis(50);

async fn write(client: &Client, options: &[(&str, &str)]) {
    let data: BTreeMap<_, _> = options.iter().copied().collect();
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "docs-pr-config" }, "data": data,
    });
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let apply = PatchParams::apply("person").force();
    maps.patch("docs-pr-config", &apply, &Patch::Apply(map))
        .await
        .unwrap();
}

/// Waits for the Event that the ConfigMap is invalid, and returns the reason.
async fn refusal(client: &Client) -> String {
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let refused = async {
        loop {
            let all = events.list(&ListParams::default()).await.unwrap();
            let mut all = all.items.into_iter();
            let refused = all.find(|event| event.reason.as_deref() == Some("SettingsRefused"));
            if let Some(event) = refused {
                let about = event.regarding.unwrap().name;
                assert_eq!(about.as_deref(), Some("docs-pr-config"));
                return event.note.unwrap();
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("an Event about docs-pr-config")
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_request_uses_the_current_docs_pr_config() {
    let directory = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(directory.path()).unwrap();
    let project = root.join("project");
    sample_project(&project);
    let paths = Paths::below(&root.join("home"));
    let program = PathBuf::from(env!("CARGO_BIN_EXE_flightdeck"));
    let start = async || {
        let options = Options::of_this_process(&paths, &Settings::shipped(), &program);
        Engine::start(options).await.unwrap()
    };
    let run = async |engine: &Engine, name: &str| -> Value {
        let docs: DocsRun = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "repositoryUrl": project.with_extension("git"), "sourceBranch": "feature/plan",
                "taskIds": ["1"], "agent": "template",
            },
        }))
        .unwrap();
        let runs: Api<DocsRun> = Api::default_namespaced(engine.client());
        runs.create(&PostParams::default(), &docs).await.unwrap();
        let ended = until(&runs, name, phase_is("Succeeded")).await;
        let number = ended["status"]["pullRequestNumber"].as_u64().unwrap();
        let kept = fs::read(paths.state.join("stand-in-forge-state.json")).unwrap();
        let kept: Vec<Value> = serde_json::from_slice(&kept).unwrap();
        let mut kept = kept.into_iter();
        kept.find(|pull| pull["number"] == number).unwrap()
    };

    // Exists before the controller starts.
    let engine = start().await;
    let wording = [
        (
            "pr_title_template",
            "docs: written for {{ task_info }} by {{agent_name}}",
        ),
        ("labels", "documentation, ours"),
        ("reviewers", "ann,acme/writers"),
        ("draft", "true"),
    ];
    write(&engine.client(), &wording).await;
    engine.stop().await;
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let forge = StandInFile {
        address: listener.local_addr().unwrap(),
        bare_repository: project.with_extension("git"),
        repository: "acme/project".into(),
    };
    forge.write(&paths).unwrap();
    drop(listener);
    let engine = start().await;
    let pull = run(&engine, "docs-first").await;
    assert_eq!(pull["title"], "docs: written for task 1 by template");
    assert_eq!(pull["labels"], json!(["documentation", "ours"]));
    assert_eq!(
        (&pull["reviewers"], &pull["teams"]),
        (&json!(["ann"]), &json!(["writers"]))
    );
    assert_eq!(pull["draft"], true);

    // Changed at run time, then broken: the last valid options stay in effect.
    write(&engine.client(), &[("pr_title_template", "docs: {{run}}")]).await;
    write(&engine.client(), &[("auto_merge", "maybe")]).await;
    let why = refusal(&engine.client()).await;
    assert!(why.starts_with("auto_merge: \"maybe\" must be"), "{why}");
    let pull = run(&engine, "docs-second").await;
    assert_eq!(pull["title"], "docs: docs-second");
    // Other options come from the settings.
    assert_eq!(pull["labels"], json!(["documentation", "auto-generated"]));
    assert_eq!(pull["draft"], false);
    engine.stop_all().await;
    no_process_stays_below(directory.path());
}
