//! Jobs and pods of the embedded cluster as they really run: processes of this machine, seen through the API alone.

use std::{collections::BTreeMap, path::Path, time::Duration};

use flightdeck::embedded::{Cluster, ClusterOptions};
use futures::AsyncReadExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    cluster: Cluster,
    client: Client,
}

async fn open(directory: &Path, max_containers: usize) -> Scene {
    let environment = [
        ("PATH", std::env::var("PATH").unwrap()),
        ("HOME", "/nowhere".to_owned()),
        ("AGENT_KEY", "agent-key".to_owned()),
        ("GITHUB_TOKEN", "hidden".to_owned()),
    ];
    let cluster = Cluster::open(ClusterOptions {
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers,
        environment: environment
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    })
    .await
    .unwrap();
    let client = cluster.client();
    Scene { cluster, client }
}

impl Scene {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        let api = self.api::<K>();
        api.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn until<K>(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + Send
            + std::fmt::Debug
            + 'static,
    {
        let api = self.api::<K>();
        let holds = |object: Option<&K>| {
            object.is_some_and(|object| wanted(&serde_json::to_value(object).unwrap()))
        };
        let wait = await_condition(api.clone(), name, holds);
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(found) => serde_json::to_value(found.unwrap()).unwrap(),
            Err(_) => {
                let now = serde_json::to_value(api.get_opt(name).await.unwrap()).unwrap();
                panic!("{name} is not {what}: {now:#}")
            }
        }
    }

    async fn until_gone<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + Send
            + std::fmt::Debug
            + 'static,
    {
        let wait = await_condition(self.api::<K>(), name, |object: Option<&K>| object.is_none());
        let gone = tokio::time::timeout(PATIENCE, wait).await;
        gone.unwrap_or_else(|_| panic!("{name} is still there"))
            .unwrap();
    }

    async fn until_phase(&self, name: &str, phase: &'static str) -> Value {
        self.until::<Pod>(name, phase, |pod| pod["status"]["phase"] == phase)
            .await
    }

    async fn until_condition(&self, name: &str, kind: &'static str) -> Value {
        let holds = |job: &Value| {
            let conditions = job["status"]["conditions"].as_array();
            conditions
                .into_iter()
                .flatten()
                .any(|one| one["type"] == kind && one["status"] == "True")
        };
        self.until::<Job>(name, kind, holds).await
    }

    async fn pods_of(&self, job: &str) -> Vec<Pod> {
        let selector = format!("job-name={job}");
        let parameters = ListParams::default().labels(&selector);
        self.api::<Pod>().list(&parameters).await.unwrap().items
    }

    async fn log(&self, pod: &str, container: Option<&str>) -> String {
        let parameters = LogParams {
            container: container.map(str::to_owned),
            ..LogParams::default()
        };
        self.api::<Pod>().logs(pod, &parameters).await.unwrap()
    }
}

fn job(name: &str, script: &str, spec: Value) -> Value {
    let mut job = json!({
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
        }}},
    });
    for (key, value) in spec.as_object().unwrap().clone() {
        job["spec"][key] = value;
    }
    job
}

fn pod(name: &str, script: &str) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": "x", "command": ["sh", "-c", script]}],
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_its_containers_with_all_they_were_given() {
    let directory = TempDir::new().unwrap();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<ConfigMap>(
            json!({"metadata": {"name": "files"}, "data": {"hello.txt": "from the map"}}),
        )
        .await;
    scene
        .create::<Secret>(
            json!({"metadata": {"name": "keys"}, "stringData": {"token": "from the secret"}}),
        )
        .await;
    scene
        .create::<PersistentVolumeClaim>(json!({"metadata": {"name": "workspace"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    let mounts = json!([
        {"name": "work", "mountPath": "/workspace"},
        {"name": "run", "mountPath": "/run-files"},
        {"name": "hand", "mountPath": "/handover"},
    ]);
    scene
        .create::<Job>(json!({"metadata": {"name": "prep"}, "spec": {"backoffLimit": 0, "template": {
            "metadata": {"annotations": {"embedded.flightdeck.dev/inherit-env": "main=AGENT_KEY"}},
            "spec": {
                "restartPolicy": "Never",
                "volumes": [
                    {"name": "work", "persistentVolumeClaim": {"claimName": "workspace"}},
                    {"name": "run", "configMap": {"name": "files"}},
                    {"name": "hand", "emptyDir": {}},
                ],
                "initContainers": [{
                    "name": "first", "image": "x", "volumeMounts": mounts,
                    "command": ["sh", "-c", "echo \"key=$AGENT_KEY\"; echo handed >\"$HANDOVER/note\""],
                    "env": [{"name": "HANDOVER", "value": "/handover"}],
                }],
                "containers": [{
                    "name": "main", "image": "x", "volumeMounts": mounts,
                    "workingDir": "/workspace/here",
                    "command": ["sh"],
                    "args": ["-c", "cat \"$FILES/hello.txt\" \"$HANDOVER/note\"; echo \" $TOKEN $AGENT_KEY [$GITHUB_TOKEN] $HOME $POD\"; flightdeck; echo \"code $?\"; pwd >where; printf done >\"$END\""],
                    "env": [
                        {"name": "FILES", "value": "/run-files"},
                        {"name": "HANDOVER", "value": "/handover"},
                        {"name": "END", "value": "/dev/termination-log"},
                        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
                        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
                    ],
                }],
            },
        }}}))
        .await;
    let job = scene.until_condition("prep", "Complete").await;
    assert_eq!(job["status"]["succeeded"], 1);
    assert_eq!(job["status"]["conditions"][0]["type"], "SuccessCriteriaMet");

    let pods = scene.pods_of("prep").await;
    assert_eq!(pods.len(), 1);
    let pod = serde_json::to_value(&pods[0]).unwrap();
    assert_eq!(pod["status"]["phase"], "Succeeded");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["reason"], "Completed");
    assert_eq!(ended["message"], "done");

    let name = pods[0].name_any();
    assert_eq!(scene.log(&name, Some("first")).await, "key=\n");
    let log = scene.log(&name, Some("main")).await;
    assert!(
        log.contains("from the maphanded\n from the secret agent-key [] /nowhere default\n"),
        "{log}"
    );
    assert!(log.contains("code 2\n"), "flightdeck is in the PATH: {log}");
    let claim = scene.api::<PersistentVolumeClaim>().get("workspace").await;
    let claim = directory
        .path()
        .join("claims")
        .join(claim.unwrap().uid().unwrap());
    let place = std::fs::read_to_string(claim.join("here/where")).unwrap();
    assert!(place.trim_end().ends_with("/here"), "{place}");
    scene.cluster.shutdown().await;
}
