//! The controller in a cluster: its namespace, its settings, its Deployment.

use serde_json::{Value, json};

use super::{File, Options, document, rbac::metadata};
use flightdeck_host::settings::{SETTINGS_KEY, SETTINGS_MAP};

/// Where metrics, health and readiness are served.
const PORT: u16 = 8080;

/// A namespace of its own, in which no pod gets more than a run needs.
pub(super) fn namespace(namespace: &str) -> anyhow::Result<File> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace,
            "labels": {
                "app.kubernetes.io/part-of": "flightdeck",
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
        },
    });
    Ok(File {
        path: "deploy/namespace.yaml",
        text: document(
            "The namespace of the runs. Their pods comply with the restricted profile.",
            &object,
        )?,
    })
}

/// The settings that name the image and leave everything else as it is.
pub(super) fn settings(options: &Options) -> String {
    // A TOML string of one line is written as a JSON string is.
    let image = Value::from(options.image.as_str());
    let name = &options.name;
    format!(
        "# All keys with their defaults: config/console.toml. The controller watches for changes; if the settings are invalid, the\n\
         # previous ones stay in effect and an Event on this ConfigMap says why.\n\
         [images]\n\
         runner = {image}\n\
         \n\
         # The image of the agent's container. It must contain claude, git and flightdeck:\n\
         # [agents.claude]\n\
         # image = \"registry.example/claude-with-flightdeck:1\"\n\
         \n\
         # The service account of the pods of runs, without permissions.\n\
         [pods]\n\
         service_account = \"{name}-stage\"\n\
         \n\
         # [workspace]\n\
         # size = \"10Gi\"\n\
         # storage_class = \"\"\n"
    )
}

/// ConfigMap, Deployment and disruption budget.
pub(super) fn controller(
    namespace: &str,
    options: &Options,
    settings: &str,
) -> anyhow::Result<File> {
    let name = options.name.as_str();
    let mut map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(namespace, name, "settings"),
        "data": { SETTINGS_KEY: settings },
    });
    map["metadata"]["name"] = SETTINGS_MAP.into();
    let mut documents = vec![
        document("The settings of the controller.", &map)?,
        document(
            "The controller. The pod that holds the Lease works; the others are standbys.",
            &deployment(namespace, options),
        )?,
    ];
    if options.replicas > 1 {
        let budget = json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata(namespace, name, "controller"),
            "spec": { "minAvailable": 1, "selector": { "matchLabels": selector(name) } },
        });
        documents.push(document(
            "Keeps one pod running while nodes are drained.",
            &budget,
        )?);
    }
    Ok(File {
        path: "deploy/controller.yaml",
        text: documents.concat(),
    })
}

fn selector(name: &str) -> Value {
    json!({ "app.kubernetes.io/name": "flightdeck", "app.kubernetes.io/component": "controller", "app.kubernetes.io/instance": name })
}

fn deployment(namespace: &str, options: &Options) -> Value {
    let name = options.name.as_str();
    let probe = |path: &str, period: u32, failures: u32| json!({ "httpGet": { "path": path, "port": "http" }, "periodSeconds": period, "timeoutSeconds": 5, "failureThreshold": failures });
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let container = json!({
        "name": "controller",
        "image": options.image,
        "command": ["flightdeck", "controller"],
        // In its own namespace.
        "args": ["--listen", format!("0.0.0.0:{PORT}"), "--log-format", "json"],
        "env": [
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            // The root is read-only, and nothing is kept.
            { "name": "HOME", "value": "/tmp" },
        ],
        "ports": [{ "name": "http", "containerPort": PORT, "protocol": "TCP" }],
        // It starts within seconds; until then nothing counts as a failure.
        "startupProbe": probe("/healthz", 2, 30),
        "livenessProbe": probe("/healthz", 20, 3),
        "readinessProbe": probe("/readyz", 10, 3),
        "resources": {
            "requests": { "cpu": "50m", "memory": "64Mi" },
            "limits": { "cpu": "1", "memory": "256Mi" },
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(namespace, name, "controller"),
        "spec": {
            "replicas": options.replicas,
            "revisionHistoryLimit": 3,
            "selector": { "matchLabels": selector(name) },
            "template": {
                "metadata": { "labels": selector(name) },
                "spec": {
                    "serviceAccountName": format!("{name}-controller"),
                    "enableServiceLinks": false,
                    // It gives its Lease back first.
                    "terminationGracePeriodSeconds": 30,
                    "securityContext": {
                        // As the image's user, or the one that the cluster gives the namespace.
                        "runAsNonRoot": true,
                        "seccompProfile": { "type": "RuntimeDefault" },
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": selector(name) },
                    }],
                    "containers": [container],
                    "volumes": [{ "name": "tmp", "emptyDir": { "sizeLimit": "64Mi" } }],
                },
            },
        },
    })
}
