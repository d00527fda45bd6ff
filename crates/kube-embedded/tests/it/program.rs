//! The program `kube-embedded`: serves a cluster that a client reaches by the printed kubeconfig.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

/// Kills the server after a failed test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn serves_clients_and_runs_pods() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kube-embedded"))
        .arg("serve")
        .arg(directory.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let mut server = Server(child);
    let mut kubeconfig = String::new();
    BufReader::new(stdout).read_line(&mut kubeconfig).unwrap();
    let kubeconfig = Kubeconfig::read_from(kubeconfig.trim_end()).unwrap();
    assert_eq!(kubeconfig.current_context.as_deref(), Some("kube-embedded"));
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options);
    let client = Client::try_from(config.await.unwrap()).unwrap();
    let version = client.apiserver_version().await.unwrap();
    assert!(version.git_version.contains("+kube-embedded-"));
    Api::<Namespace>::all(client.clone())
        .get("default")
        .await
        .unwrap();

    let pods = Api::<Pod>::default_namespaced(client);
    let pod = json!({
        "metadata": {"name": "hello"},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none", "command": ["echo", "hello"]}]},
    });
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let succeeded = |pod: Option<&Pod>| {
        let status = pod.and_then(|pod| pod.status.as_ref());
        status.is_some_and(|status| status.phase.as_deref() == Some("Succeeded"))
    };
    await_condition(pods.clone(), "hello", succeeded)
        .await
        .unwrap();
    let log = pods.logs("hello", &kube::api::LogParams::default()).await;
    assert_eq!(log.unwrap(), "hello\n");

    kill(Pid::from_raw(server.0.id() as i32), Signal::SIGTERM).unwrap();
    assert!(server.0.wait().unwrap().success());
}

#[test]
fn unknown_arguments_print_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_kube-embedded"))
        .arg("sevre")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: kube-embedded serve"));
}
