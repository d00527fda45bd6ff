//! Setup of a cluster for the rows, and removal of everything that a run created.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    call::{Call, Outcome},
    http::Http,
    runner::{NAMESPACE_PREFIX, Runner},
    shape::Variables,
    table::{DriverName, Need, Step},
};

/// The interval of polling.
const INTERVAL: Duration = Duration::from_millis(100);

/// Returns a unique name for a run.
pub(super) fn run_name() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..8].to_owned()
}

/// Returns the body of the response, or the error message.
async fn send(http: &Http, step: &Step, variables: &Variables) -> Result<Value, String> {
    match http
        .send_call(&Call::from_step(step, variables, ""))
        .await?
    {
        Outcome::Done(response) => Ok(response.body.unwrap_or_default()),
        Outcome::Refused(refusal) => Err(refusal.message),
    }
}

/// Creates the shared definition, and waits until its kind is served.
pub(super) async fn define_widgets(runner: &Runner) -> Result<(), String> {
    let text = include_str!("../../conformance/shared/widget.yaml");
    let definition: Value = serde_saphyr::from_str(text).unwrap();
    let variables = Variables::from([("group".to_owned(), runner.group().into())]);
    let step = Step {
        create: Some(definition),
        ..Step::default()
    };
    send(&runner.admin, &step, &variables).await?;
    let list = Step {
        list: Some("widgets.v1.$group".into()),
        ..Step::default()
    };
    for _ in 0..300 {
        if send(&runner.admin, &list, &variables).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(INTERVAL).await;
    }
    Err("the definition of Widget is not served".into())
}

/// Waits for the default service account of a namespace of a real cluster: pods cannot be created without it.
pub(super) async fn wait_for_service_account(
    runner: &Runner,
    namespace: &str,
) -> Result<(), String> {
    if runner.name != DriverName::Cluster {
        return Ok(());
    }
    let served = Step {
        raw: Some(format!(
            "GET /api/v1/namespaces/{namespace}/serviceaccounts/default"
        )),
        ..Step::default()
    };
    for _ in 0..300 {
        match runner
            .admin
            .send_call(&Call::from_step(&served, &Variables::new(), ""))
            .await?
        {
            Outcome::Done(_) => return Ok(()),
            // The cluster has no service accounts.
            Outcome::Refused(refusal)
                if refusal.message.contains("could not find the requested") =>
            {
                return Ok(());
            }
            Outcome::Refused(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
    Err(format!(
        "namespace {namespace} has no default service account"
    ))
}

/// Reports whether the current user may use a verb on a resource.
async fn allowed(http: &Http, verb: &str, group: &str, resource: &str) -> bool {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource}}});
    let step = Step {
        create: Some(review),
        ..Step::default()
    };
    let response = send(http, &step, &Variables::new()).await;
    response.is_ok_and(|review| review["status"]["allowed"] == true)
}

/// Returns the minor version of Kubernetes 1.
pub(super) async fn version(http: &Http) -> u32 {
    let step = Step {
        raw: Some("GET /version".into()),
        ..Step::default()
    };
    let version = send(http, &step, &Variables::new())
        .await
        .unwrap_or_default();
    // Some providers append a plus: `33+`.
    let minor = version["minor"].as_str().unwrap_or_default();
    minor.trim_end_matches('+').parse().unwrap_or_default()
}

/// Returns the needs of rows for which the user lacks permission. Fails if the user cannot run any row.
pub(super) async fn missing_permissions(http: &Http) -> Result<Vec<(Need, String)>, String> {
    for verb in ["create", "delete", "list"] {
        if !allowed(http, verb, "", "namespaces").await {
            return Err(format!(
                "the user may not {verb} namespaces, and every row needs its own"
            ));
        }
    }
    let mut missing = Vec::new();
    if !allowed(
        http,
        "create",
        "apiextensions.k8s.io",
        "customresourcedefinitions",
    )
    .await
    {
        missing.push((
            Need::Definitions,
            "the user may not create CustomResourceDefinitions".to_owned(),
        ));
    }
    Ok(missing)
}

/// Deletes everything that a run created, also after failures: objects are found by the name of the run.
pub(super) async fn remove_all(runner: &Runner) -> Result<(), String> {
    let none = Variables::new();
    let list = |resource: &str| Step {
        list: Some(resource.to_owned()),
        ..Step::default()
    };
    let prefix = format!("{NAMESPACE_PREFIX}-{}-", runner.run);
    for _ in 0..600 {
        let definitions = list("customresourcedefinitions.v1.apiextensions.k8s.io");
        let definitions = send(&runner.admin, &definitions, &none)
            .await
            .unwrap_or_default();
        let namespaces = send(&runner.admin, &list("namespaces"), &none).await?;
        let group = runner.group();
        let created: Vec<String> = names(&namespaces)
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
        if created.is_empty() {
            return Ok(());
        }
        for name in &created {
            if let Some(namespace) = name.strip_prefix("namespaces/") {
                remove_finalizers(runner, namespace).await;
            }
            let step = Step {
                delete: Some(name.clone()),
                ..Step::default()
            };
            drop(send(&runner.admin, &step, &none).await);
        }
        tokio::time::sleep(INTERVAL * 5).await;
    }
    Err(format!(
        "namespaces {prefix}* or definitions of {} are still there",
        runner.group()
    ))
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    let items = list["items"].as_array().into_iter().flatten();
    items.filter_map(|item| item["metadata"]["name"].as_str())
}

/// Removes the finalizers that a failed row left in its namespace.
async fn remove_finalizers(runner: &Runner, namespace: &str) {
    let none = Variables::new();
    for resource in [
        "configmaps".to_owned(),
        "pods".into(),
        "jobs.v1.batch".into(),
        format!("widgets.v1.{}", runner.group()),
    ] {
        let list = Step {
            list: Some(resource.clone()),
            namespace: Some(namespace.into()),
            ..Step::default()
        };
        let found = send(&runner.admin, &list, &none).await.unwrap_or_default();
        let blocked = found["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| {
                item["metadata"]["deletionTimestamp"].is_string()
                    && item["metadata"]["finalizers"].is_array()
            });
        for item in blocked {
            let step = Step {
                patch: Some(format!(
                    "{resource}/{}",
                    item["metadata"]["name"].as_str().unwrap_or_default()
                )),
                namespace: Some(namespace.into()),
                merge: Some(json!({"metadata": {"finalizers": null}})),
                ..Step::default()
            };
            drop(send(&runner.admin, &step, &none).await);
        }
    }
}
