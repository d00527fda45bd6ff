//! Programs of different versions that meet one server.

use std::{fs, path::Path};

use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::{found, run, said};
use crate::support::{no_process_stays_below, served::client};
use flightdeck_core::resources::DocsRun;
use flightdeck_host::cluster::has_active_runs;
use kube_embedded::endpoint::Endpoint;

/// Makes the server below `home` one of another version, to whoever looks.
fn pretend(home: &Path, version: &str) -> Endpoint {
    let mut endpoint = found(home).unwrap();
    endpoint.version = version.into();
    let file = home.join("state/embedded/endpoint.json");
    fs::write(file, serde_json::to_vec(&endpoint).unwrap()).unwrap();
    endpoint
}

#[test]
fn an_older_server_with_nothing_to_do_is_started_anew() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let older = pretend(home, "0.0.9");
    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", said(&output));
    let notice = said(&output);
    assert!(
        notice.contains("0.0.9") && notice.contains("anew"),
        "{notice}"
    );
    let now = found(home).unwrap();
    assert_ne!(now.pid, older.pid);
    assert_eq!(now.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(now.address, older.address, "open consoles find it again");
    let again = run(home, &["runs", "list", "-A"]);
    assert!(!said(&again).contains("version"), "{}", said(&again));
    assert!(run(home, &["embedded", "stop"]).status.success());
    no_process_stays_below(home);
}

#[tokio::test]
async fn an_older_server_with_an_active_run_goes_on_and_everybody_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let older = pretend(home, "0.0.9");
    let client = client(&older).await;
    let runs = Api::<DocsRun>::default_namespaced(client.clone());
    // It waits for a Secret that nobody makes.
    let waiting: DocsRun = serde_json::from_value(json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-waits" },
        "spec": { "repositoryUrl": "https://github.com/acme/shop.git", "sourceBranch": "main", "taskIds": ["1"], "githubUser": "octocat" },
    }))
    .unwrap();
    runs.create(&PostParams::default(), &waiting).await.unwrap();
    assert!(has_active_runs(&client).await);

    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", said(&output));
    let notice = said(&output);
    assert!(notice.contains("still runs version 0.0.9"), "{notice}");
    assert_eq!(found(home), Some(older.clone()));

    runs.delete("docs-waits", &DeleteParams::default())
        .await
        .unwrap();
    let gone = kube::runtime::wait::await_condition(runs, "docs-waits", |run: Option<&DocsRun>| {
        run.is_none()
    });
    gone.await.unwrap();
    let output = run(home, &["runs", "list", "-A"]);
    assert!(said(&output).contains("anew"), "{}", said(&output));
    assert_ne!(found(home).unwrap().pid, older.pid);
    assert!(run(home, &["embedded", "stop"]).status.success());
    no_process_stays_below(home);
}

#[test]
fn a_newer_server_is_used_and_the_older_program_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    assert!(run(home, &["embedded", "kubeconfig"]).status.success());
    let newer = pretend(home, "99.1.0");
    let output = run(home, &["runs", "list", "-A"]);
    assert!(output.status.success(), "{}", said(&output));
    let notice = said(&output);
    assert!(
        notice.contains("99.1.0") && notice.contains("newer than this program"),
        "{notice}"
    );
    assert_eq!(found(home), Some(newer));
    assert!(run(home, &["embedded", "stop"]).status.success());
}
