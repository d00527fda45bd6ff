//! Helper pods of the stories: one command and its output.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, LogParams},
};
use serde_json::{Value, json};

use super::environment::{POLL_INTERVAL, TIMEOUT, from, make};

/// Returns a pod that complies with PodSecurity `restricted`. `volumes`: name, source and mount path.
pub(super) fn pod(
    name: &str,
    image: &str,
    command: &[&str],
    volumes: &[(&str, Value, &str)],
) -> Value {
    let sources = volumes.iter().map(|(name, source, _)| {
        let mut volume = source.clone();
        volume["name"] = json!(name);
        volume
    });
    let mounts = volumes
        .iter()
        .map(|(name, _, path)| json!({ "name": name, "mountPath": path }));
    let amount = json!({ "cpu": "100m", "memory": "128Mi" });
    json!({
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000,
                "seccompProfile": { "type": "RuntimeDefault" },
            },
            "volumes": sources.collect::<Vec<_>>(),
            "containers": [{
                "name": "main", "image": image, "command": command,
                "env": [{ "name": "HOME", "value": "/tmp" }],
                "volumeMounts": mounts.collect::<Vec<_>>(),
                "resources": { "requests": amount, "limits": amount },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
}

/// Runs a pod to completion, deletes it, and returns its trimmed output.
pub(super) async fn run(pods: &Api<Pod>, pod: Value) -> Result<(String, Pod), String> {
    let made = make(pods, &from::<Pod>(pod)).await?;
    let name = made.metadata.name.clone().unwrap_or_default();
    let begun = Instant::now();
    let ended = loop {
        let now = pods.get(&name).await.map_err(|error| error.to_string())?;
        let status = now.status.clone().unwrap_or_default();
        match status.phase.as_deref() {
            Some("Succeeded" | "Failed") => break now,
            _ if begun.elapsed() > TIMEOUT => {
                return Err(format!("timeout waiting for the pod {name}: {status:?}"));
            }
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    };
    let log = pods.logs(&name, &LogParams::default()).await;
    let log = log.unwrap_or_else(|error| format!("(no log: {error})"));
    let parameters = DeleteParams::background().grace_period(0);
    drop(pods.delete(&name, &parameters).await);
    let phase = ended
        .status
        .as_ref()
        .and_then(|status| status.phase.clone());
    if phase.as_deref() == Some("Succeeded") {
        Ok((log.trim().to_owned(), ended))
    } else {
        Err(format!("the pod {name} failed: {log}"))
    }
}
