//! Servers of another version than the program.

use std::{fs, path::Path};

use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::{find_server, run, stderr};
use crate::support::{https_cluster::client, no_process_stays_below};
use flightdeck_core::resources::DocsRun;
use flightdeck_host::cluster::has_active_runs;
use kube_embedded::endpoint::Endpoint;

/// Changes the version in the endpoint file of the server below `home`.
fn pretend(home: &Path, version: &str) -> Endpoint {
    let mut endpoint = find_server(home).unwrap();
    endpoint.version = version.into();
    let file = home.join("state/embedded/endpoint.json");
    fs::write(file, serde_json::to_vec(&endpoint).unwrap()).unwrap();
    endpoint
}

#[test]
fn idle_older_server_is_restarted() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let older = pretend(home, "0.0.9");
    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let notice = stderr(&output);
    assert!(
        notice.contains("restarted the embedded cluster: version 0.0.9"),
        "{notice}"
    );
    let now = find_server(home).unwrap();
    assert_ne!(now.pid, older.pid);
    assert_eq!(now.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(now.address, older.address, "open consoles can reconnect");
    let again = run(home, &["runs", "list", "-A"]);
    assert!(!stderr(&again).contains("version"), "{}", stderr(&again));
    assert!(run(home, &["embedded", "stop"]).status.success());
    no_process_stays_below(home);
}

#[tokio::test]
async fn older_server_with_an_active_run_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let older = pretend(home, "0.0.9");
    let client = client(&older.kubeconfig).await;
    let runs = Api::<DocsRun>::default_namespaced(client.clone());
    // The run waits for a Secret that does not exist.
    let waiting: DocsRun = serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-waits" },
        "spec": { "repositoryUrl": "https://github.com/acme/shop.git", "sourceBranch": "main", "taskIds": ["1"], "githubUser": "octocat" },
    }))
    .unwrap();
    runs.create(&PostParams::default(), &waiting).await.unwrap();
    assert!(has_active_runs(&client).await);

    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let notice = stderr(&output);
    assert!(notice.contains("still runs version 0.0.9"), "{notice}");
    assert_eq!(find_server(home), Some(older.clone()));

    runs.delete("docs-waits", &DeleteParams::default())
        .await
        .unwrap();
    let gone = kube::runtime::wait::await_condition(runs, "docs-waits", |run: Option<&DocsRun>| {
        run.is_none()
    });
    gone.await.unwrap();
    let output = run(home, &["runs", "list", "-A"]);
    let notice = stderr(&output);
    assert!(
        notice.contains("restarted the embedded cluster"),
        "{notice}"
    );
    assert_ne!(find_server(home).unwrap().pid, older.pid);
    assert!(run(home, &["embedded", "stop"]).status.success());
    no_process_stays_below(home);
}

#[test]
fn newer_server_is_used_with_a_notice() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let newer = pretend(home, "99.1.0");
    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let notice = stderr(&output);
    assert!(
        notice.contains("99.1.0") && notice.contains("newer than this program"),
        "{notice}"
    );
    assert_eq!(find_server(home), Some(newer));
    assert!(run(home, &["embedded", "stop"]).status.success());
}
