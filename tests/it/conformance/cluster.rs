//! What rows stand on: embedded clusters for the local drivers, and a real one that is left as it was found.

use std::{path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{
    call::{Call, Outcome},
    http::Http,
    play::Stage,
    shape::Variables,
    table::{DriverName, Need, Step},
};
use kube_embedded::{Cluster, ClusterOptions, Limits, serve::Server};

/// Containers an embedded cluster may run at a time.
const CONTAINERS: usize = 8;
const PAUSE: Duration = Duration::from_millis(100);

/// An embedded cluster, served over HTTPS.
pub async fn embedded(directory: &Path) -> (Cluster, Server) {
    let cluster = Cluster::open(ClusterOptions {
        validation_rules: &[],
        identity: flightdeck::daemon::identity(),
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: CONTAINERS,
        environment: std::env::vars().collect(),
        limits: Limits::default(),
    })
    .await
    .unwrap();
    let server = Server::start(&cluster, directory).await.unwrap();
    (cluster, server)
}

/// A client by the words of a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// A name that no other run has.
pub fn run_name() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..8].to_owned()
}

async fn done(http: &Http, step: &Step, variables: &Variables) -> Result<Value, String> {
    match http.play(&Call::of(step, variables, "")).await? {
        Outcome::Done(answer) => Ok(answer.body.unwrap_or_default()),
        Outcome::Refused(refusal) => Err(refusal.message),
    }
}

/// Makes the kind that rows share, and waits until it is served.
pub async fn define_widgets(stage: &Stage) -> Result<(), String> {
    let text = include_str!("../../conformance/shared/widget.yaml");
    let definition: Value = serde_saphyr::from_str(text).unwrap();
    let variables = Variables::from([("group".to_owned(), stage.group().into())]);
    let step = Step {
        create: Some(definition),
        ..Step::default()
    };
    done(&stage.admin, &step, &variables).await?;
    let list = Step {
        list: Some("widgets.v1.$group".into()),
        ..Step::default()
    };
    for _ in 0..300 {
        if done(&stage.admin, &list, &variables).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err("the definition of Widget is not served".into())
}

/// A real cluster makes pods only where the account they run as is there already.
pub async fn wait_for_service_account(stage: &Stage, namespace: &str) -> Result<(), String> {
    if stage.name != DriverName::Cluster {
        return Ok(());
    }
    let served = Step {
        raw: Some(format!(
            "GET /api/v1/namespaces/{namespace}/serviceaccounts/default"
        )),
        ..Step::default()
    };
    for _ in 0..300 {
        match stage
            .admin
            .play(&Call::of(&served, &Variables::new(), ""))
            .await?
        {
            Outcome::Done(_) => return Ok(()),
            // No accounts are served at all, so none is waited for.
            Outcome::Refused(refusal)
                if refusal.message.contains("could not find the requested") =>
            {
                return Ok(());
            }
            Outcome::Refused(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(format!(
        "namespace {namespace} has no default service account"
    ))
}

/// Whether whoever asks may do something.
async fn allowed(http: &Http, verb: &str, group: &str, resource: &str) -> bool {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource}}});
    let step = Step {
        create: Some(review),
        ..Step::default()
    };
    let answer = done(http, &step, &Variables::new()).await;
    answer.is_ok_and(|review| review["status"]["allowed"] == true)
}

/// The minor version of Kubernetes 1 that a real cluster is of.
pub async fn version(http: &Http) -> u32 {
    let step = Step {
        raw: Some("GET /version".into()),
        ..Step::default()
    };
    let version = done(http, &step, &Variables::new())
        .await
        .unwrap_or_default();
    // Some say "33+".
    let minor = version["minor"].as_str().unwrap_or_default();
    minor.trim_end_matches('+').parse().unwrap_or_default()
}

/// What a real cluster does not allow whoever the kubeconfig names. An error: nothing can be played there.
pub async fn lacks(http: &Http) -> Result<Vec<(Need, String)>, String> {
    for verb in ["create", "delete", "list"] {
        if !allowed(http, verb, "", "namespaces").await {
            return Err(format!(
                "its user may not {verb} namespaces, and every row needs one of its own"
            ));
        }
    }
    let mut lacks = Vec::new();
    if !allowed(
        http,
        "create",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
    )
    .await
    {
        lacks.push((
            Need::Definitions,
            "its user may not create CustomResourceDefinitions".to_owned(),
        ));
    }
    Ok(lacks)
}

/// Removes everything a run made: what is left is found by the run's name, so a run that failed is swept as well.
pub async fn sweep(stage: &Stage) -> Result<(), String> {
    let none = Variables::new();
    let list = |of: &str| Step {
        list: Some(of.to_owned()),
        ..Step::default()
    };
    let prefix = format!("fdc-{}-", stage.run);
    for _ in 0..600 {
        let definitions = list("customresourcedefinitions.v1.apiextensions.k8s.io");
        let definitions = done(&stage.admin, &definitions, &none)
            .await
            .unwrap_or_default();
        let namespaces = done(&stage.admin, &list("namespaces"), &none).await?;
        let group = stage.group();
        let mine: Vec<String> = names(&namespaces)
            .filter(|name| name.starts_with(&prefix))
            .map(|name| format!("namespaces/{name}"))
            .chain(
                names(&definitions)
                    .filter(|name| name.ends_with(&group))
                    .map(|name| {
                        format!("customresourcedefinitions.v1.apiextensions.k8s.io/{name}")
                    }),
            )
            .collect();
        if mine.is_empty() {
            return Ok(());
        }
        for name in &mine {
            if let Some(namespace) = name.strip_prefix("namespaces/") {
                release(stage, namespace).await;
            }
            let step = Step {
                delete: Some(name.clone()),
                ..Step::default()
            };
            drop(done(&stage.admin, &step, &none).await);
        }
        tokio::time::sleep(PAUSE * 5).await;
    }
    Err(format!(
        "namespaces {prefix}* or definitions of {} are still there",
        stage.group()
    ))
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    let items = list["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["metadata"]["name"].as_str())
}

/// Lets go of what a row that failed holds by finalizers in its namespace.
async fn release(stage: &Stage, namespace: &str) {
    let none = Variables::new();
    for resource in [
        "configmaps".to_owned(),
        "pods".into(),
        "jobs.v1.batch".into(),
        format!("widgets.v1.{}", stage.group()),
    ] {
        let list = Step {
            list: Some(resource.clone()),
            namespace: Some(namespace.into()),
            ..Step::default()
        };
        let found = done(&stage.admin, &list, &none).await.unwrap_or_default();
        let held = found["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| {
                item["metadata"]["deletionTimestamp"].is_string()
                    && item["metadata"]["finalizers"].is_array()
            });
        for item in held {
            let step = Step {
                patch: Some(format!(
                    "{resource}/{}",
                    item["metadata"]["name"].as_str().unwrap_or_default()
                )),
                namespace: Some(namespace.into()),
                merge: Some(json!({"metadata": {"finalizers": null}})),
                ..Step::default()
            };
            drop(done(&stage.admin, &step, &none).await);
        }
    }
}
