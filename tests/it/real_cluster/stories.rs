//! The stories: each launches its own runs and reports what it saw.

use std::{
    fmt::Debug,
    future::Future,
    io::Read,
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
    },
};
use kube::runtime::wait::await_condition;
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::environment::{Environment, POLL_INTERVAL, TIMEOUT, from, make};
use crate::support::{said, skipped};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::naming,
};
use flightdeck_verbs::{Clean, CleanSelection};
use flightdeck_worker::controller;

/// A Secret that a run may use but that does not exist.
pub(super) const MISSING: &str = "fdr-missing";

/// What a story observed, or why it failed.
type Outcome = Result<String, String>;

/// Fails the story with this message if the condition does not hold.
fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Runs all stories. Returns the failures.
pub(super) async fn play(environment: &Environment) -> Vec<String> {
    // The first four are independent.
    let outcomes = tokio::join!(
        story(environment, "a docs run", docs(environment)),
        story(environment, "stop and retry", stop_and_retry(environment)),
        story(
            environment,
            "two code runs of a service",
            queue(environment)
        ),
        story(environment, "a missing Secret", missing_secret(environment)),
    );
    let mut failures: Vec<String> = [outcomes.0, outcomes.1, outcomes.2, outcomes.3]
        .into_iter()
        .flatten()
        .collect();
    failures.extend(story(environment, "clean up", clean(environment)).await);
    failures
}

async fn story(
    environment: &Environment,
    name: &str,
    story: impl Future<Output = Outcome>,
) -> Option<String> {
    let begun = Instant::now();
    let outcome = story.await;
    let took = begun.elapsed().as_secs_f32();
    match outcome {
        Ok(seen) => {
            said(&format!("REAL   {name}: {took:.1} s: {seen}"));
            None
        }
        Err(why) => {
            said(&format!("REAL   {name}: {took:.1} s: FAILED"));
            Some(format!("{name} ({}): {why}", environment.title))
        }
    }
}

/// One of the two kinds, for tests.
trait RunKind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + serde::Serialize
    + serde::de::DeserializeOwned
    + Clone
    + Debug
    + Send
    + 'static
{
}

impl RunKind for DocsRun {}
impl RunKind for CodeRun {}

async fn launch<K: RunKind>(
    environment: &Environment,
    name: &str,
    more: Value,
) -> Result<Api<K>, String> {
    let mut spec = json!({
        "repositoryUrl": environment.remote.url(),
        "sourceBranch": environment.remote.source(),
        "targetBranch": environment.remote.target(name),
        "tasksRevision": environment.remote.revision(),
        "agent": "template",
    });
    if let Some((user, _)) = environment.remote.credential() {
        spec["githubUser"] = json!(user);
    }
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let run: K = from(json!({
        "apiVersion": "orchestrator.io/v1", "kind": K::kind(&()), "metadata": { "name": name }, "spec": spec,
    }));
    let runs: Api<K> = environment.api();
    make(&runs, &run).await?;
    Ok(runs)
}

async fn change<K: RunKind>(runs: &Api<K>, name: &str, spec: Value) -> Result<(), String> {
    let patch = Patch::Merge(json!({ "spec": spec }));
    let changed = runs.patch(name, &PatchParams::default(), &patch).await;
    changed.map(drop).map_err(|error| error.to_string())
}

/// Waits until the run is as wanted. Reports a run that ends otherwise with its details.
async fn until<K: RunKind>(
    environment: &Environment,
    runs: &Api<K>,
    name: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value, String> {
    let seen = std::cell::RefCell::new(Value::Null);
    let condition = |object: Option<&K>| {
        let value = serde_json::to_value(object).unwrap();
        let done = wanted(&value);
        *seen.borrow_mut() = value;
        done
    };
    let watch = await_condition(runs.clone(), name, condition);
    match tokio::time::timeout(environment.options.patience, watch).await {
        Ok(Ok(_)) => Ok(seen.into_inner()),
        Ok(Err(error)) => Err(format!("{name} cannot be watched: {error}")),
        Err(_) => {
            let status = &seen.borrow()["status"];
            Err(format!(
                "timeout waiting for {name}; its status: {status:#}"
            ))
        }
    }
}

/// Waits until the run has ended with `phase` and released everything.
async fn ended<K: RunKind>(
    environment: &Environment,
    runs: &Api<K>,
    name: &str,
    phase: &str,
) -> Result<Value, String> {
    let run = until(environment, runs, name, |run| {
        let finished = ["Succeeded", "Failed", "Cancelled"].map(Value::from);
        let version = &run["spec"]["contextVersion"];
        finished.contains(&run["status"]["phase"])
            && run["status"]["observedContextVersion"] == *version
            && run["metadata"]["finalizers"]
                .as_array()
                .is_none_or(Vec::is_empty)
    })
    .await?;
    if run["status"]["phase"] == phase {
        return Ok(run);
    }
    let mut logs = String::new();
    for pod in pods_of(environment, name).await {
        logs.push_str(&log_of(environment, &pod).await);
    }
    Err(format!(
        "{name} is not {phase}: {:#}\n{logs}",
        run["status"]
    ))
}

async fn pods_of(environment: &Environment, run: &str) -> Vec<Pod> {
    let of_run = ListParams::default().labels(&format!("{}={run}", naming::LABEL_RUN));
    let pods = environment.api::<Pod>().list(&of_run).await;
    pods.map(|pods| pods.items).unwrap_or_default()
}

/// Returns the logs of all containers of a pod.
async fn log_of(environment: &Environment, pod: &Pod) -> String {
    let name = pod.name_any();
    let spec = pod.spec.clone().unwrap_or_default();
    let mut text = String::new();
    for container in spec
        .init_containers
        .into_iter()
        .flatten()
        .chain(spec.containers)
    {
        let parameters = LogParams {
            container: Some(container.name.clone()),
            ..LogParams::default()
        };
        let log = environment.api::<Pod>().logs(&name, &parameters).await;
        let log = log.unwrap_or_else(|error| error.to_string());
        text += &format!("--- {name} {}\n{log}\n", container.name);
    }
    text
}

fn stages(run: &Value) -> Vec<&str> {
    let attempts = run["status"]["attempts"].as_array().into_iter().flatten();
    attempts
        .filter_map(|attempt| attempt["stage"].as_str())
        .collect()
}

/// Checks that the branch is where the run reports it.
async fn is_pushed(environment: &Environment, run: &Value) -> Result<String, String> {
    let status = &run["status"];
    let branch = status["branch"].as_str().unwrap_or_default().to_owned();
    let found = environment.remote.commit_of(environment, &branch).await?;
    expect(!found.is_empty() && found == status["commit"], || {
        format!(
            "{branch} is at {found:?}, but the run reports {}",
            status["commit"]
        )
    })?;
    Ok(branch)
}

/// Checks that the log of each stage is archived.
async fn is_archived(environment: &Environment, run: &Value, number: usize) -> Result<(), String> {
    let uid = run["metadata"]["uid"].as_str().unwrap_or_default();
    let kept = format!(
        "{}={},{}={uid}",
        naming::LABEL_ARCHIVE,
        naming::ARCHIVED_LOG,
        naming::LABEL_RUN_UID
    );
    let maps: Api<ConfigMap> = environment.api();
    let maps = maps.list(&ListParams::default().labels(&kept)).await;
    let maps = maps.map_err(|error| error.to_string())?.items;
    expect(maps.len() == number, || {
        format!("{} archived logs instead of {number}", maps.len())
    })?;
    for map in maps {
        let name = map.name_any();
        let end = map.data.unwrap_or_default().remove("end.json");
        let end: Value = serde_json::from_str(&end.unwrap_or_default())
            .map_err(|error| format!("{name}: end.json: {error}"))?;
        expect(
            format!("{}-log", end["jobName"].as_str().unwrap_or_default()) == name,
            || format!("{name} is the log of {end}"),
        )?;
        let logs = map.binary_data.unwrap_or_default();
        let mut text = String::new();
        for log in logs.values() {
            let read = GzDecoder::new(log.0.as_slice()).read_to_string(&mut text);
            read.map_err(|error| format!("{name}: {error}"))?;
        }
        expect(text.contains('T') && text.ends_with('\n'), || {
            format!("{name} has no log: {end} {:?} {text:?}", logs.keys())
        })?;
    }
    Ok(())
}

async fn docs(environment: &Environment) -> Outcome {
    let name = "docs";
    let runs: Api<DocsRun> = launch(environment, name, json!({ "taskIds": ["1", "2"] })).await?;
    let run = ended(environment, &runs, name, "Succeeded").await?;
    expect(stages(&run) == ["prep", "agent", "publish"], || {
        format!("its stages were {:?}", stages(&run))
    })?;
    let documents = &run["status"]["documents"];
    expect(*documents == json!({ "expected": 8, "written": 8 }), || {
        format!("its documents are {documents}")
    })?;
    let branch = is_pushed(environment, &run).await?;
    is_archived(environment, &run, 3).await?;
    let of_run = ListParams::default().labels(&format!("{}={name}", naming::LABEL_RUN));
    let jobs = environment.api::<Job>().list(&of_run).await;
    let jobs = jobs.map_err(|error| error.to_string())?;
    let expires = |job: &Job| {
        let spec = job.spec.as_ref();
        spec.is_some_and(|spec| spec.ttl_seconds_after_finished.is_some())
    };
    expect(
        jobs.items.len() == 3 && jobs.items.iter().all(expires),
        || format!("{} Jobs, and not all of them expire", jobs.items.len()),
    )?;
    Ok(format!(
        "8 documents on {branch}, three Jobs that expire, their logs archived"
    ))
}

async fn stop_and_retry(environment: &Environment) -> Outcome {
    let name = "stop";
    let slow = json!({ "taskIds": ["1"], "env": { "TEMPLATE_AGENT_PACE_MS": "600000" } });
    let runs: Api<DocsRun> = launch(environment, name, slow).await?;
    let run = until(environment, &runs, name, |run| {
        run["status"]["stage"] == "agent" && run["status"]["phase"] == "Running"
    })
    .await?;
    change(&runs, name, json!({ "cancelVersion": 1 })).await?;
    ended(environment, &runs, name, "Cancelled").await?;
    let job = run["status"]["jobName"].as_str().unwrap_or_default();
    let pods = pods_of(environment, name).await;
    let agent = pods.iter().find(|pod| pod.name_any().starts_with(job));
    let agent = agent.ok_or("the pod of the stopped agent is gone")?;
    let log = log_of(environment, agent).await;
    expect(log.contains("\"type\""), || {
        format!("the log of a stopped agent is gone: {log}")
    })?;
    is_archived(environment, &run, 3).await?;

    let again = json!({ "contextVersion": 2, "env": { "TEMPLATE_AGENT_PACE_MS": "0" } });
    change(&runs, name, again).await?;
    let run = ended(environment, &runs, name, "Succeeded").await?;
    let attempts = stages(&run);
    expect(
        attempts == ["prep", "agent", "publish", "prep", "agent", "publish"],
        || format!("its stages were {attempts:?}"),
    )?;
    is_pushed(environment, &run).await?;
    Ok("stopped with its log, then retried and published".into())
}

async fn queue(environment: &Environment) -> Outcome {
    let spec = |pace: &str| json!({ "taskId": "1", "service": "taskboard", "env": { "TEMPLATE_AGENT_PACE_MS": pace } });
    let runs: Api<CodeRun> = launch(environment, "first", spec("1500")).await?;
    until(environment, &runs, "first", |run| {
        !run["status"]["jobName"].is_null()
    })
    .await?;
    launch::<CodeRun>(environment, "second", spec("0")).await?;
    let waiting = until(environment, &runs, "second", |run| {
        run["status"]["reason"] == "InUse"
    })
    .await?;
    let message = waiting["status"]["message"].as_str().unwrap_or_default();
    expect(message.contains("first"), || {
        format!("message while waiting: {message}")
    })?;
    let first = ended(environment, &runs, "first", "Succeeded").await?;
    let second = ended(environment, &runs, "second", "Succeeded").await?;
    for run in [&first, &second] {
        is_pushed(environment, run).await?;
    }
    let name = first["status"]["workspaceName"]
        .as_str()
        .unwrap_or_default();
    let claim = environment.api::<PersistentVolumeClaim>().get(name).await;
    let claim = claim.map_err(|error| error.to_string())?;
    expect(
        !claim
            .annotations()
            .contains_key(controller::ANNOTATION_HOLDER),
        || format!("the workspace {name} was not released"),
    )?;
    Ok("the second waited for the first and named it".into())
}

async fn missing_secret(environment: &Environment) -> Outcome {
    let name = "secret";
    let more = json!({ "taskIds": ["1"], "envFromSecrets": [
        { "name": "DATABASE_URL", "secretName": MISSING, "secretKey": "url" },
    ] });
    let runs: Api<DocsRun> = launch(environment, name, more).await?;
    let run = until(environment, &runs, name, |run| {
        run["status"]["reason"] == "CreateContainerConfigError"
    })
    .await?;
    let message = run["status"]["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    expect(message.contains(MISSING) && message.contains("url"), || {
        format!("message: {message}")
    })?;
    change(&runs, name, json!({ "cancelVersion": 1 })).await?;
    ended(environment, &runs, name, "Cancelled").await?;
    Ok(message)
}

async fn clean(environment: &Environment) -> Outcome {
    let context = environment.context();
    let all = context
        .runs(None)
        .await
        .map_err(|error| error.to_string())?;
    if all.is_empty() {
        skipped("real_cluster, clean up", "no run was created");
        return Ok("nothing to clean up".into());
    }
    let clean = Clean {
        finished: true,
        ..Clean::default()
    };
    let candidates = clean.select(&all, jiff::Timestamp::now());
    let selection = CleanSelection {
        candidates: candidates.map_err(|error| error.to_string())?,
        ..CleanSelection::default()
    };
    let number = selection.candidates.len();
    let report = selection.delete(&context, |_| {}).await;
    expect(report.failed.is_empty(), || format!("{:?}", report.failed))?;
    let begun = Instant::now();
    let owned = ListParams::default().labels(&format!(
        "{},{}={}",
        naming::LABEL_RUN,
        naming::LABEL_MANAGED_BY,
        naming::MANAGER
    ));
    loop {
        let left = [
            names::<Job>(environment, &owned).await?,
            names::<Pod>(environment, &owned).await?,
            names::<ConfigMap>(environment, &owned).await?,
            names::<PersistentVolumeClaim>(environment, &owned).await?,
        ]
        .concat();
        if left.is_empty() {
            return Ok(format!("{number} runs deleted with all their objects"));
        }
        expect(begun.elapsed() < TIMEOUT, || {
            format!("still there: {left:?}")
        })?;
        tokio::time::sleep(POLL_INTERVAL + Duration::from_millis(250)).await;
    }
}

async fn names<K: Owned>(
    environment: &Environment,
    of: &ListParams,
) -> Result<Vec<String>, String> {
    let listed = environment.api::<K>().list(of).await;
    let listed = listed.map_err(|error| error.to_string())?;
    Ok(listed.iter().map(ResourceExt::name_any).collect())
}

/// Kinds of objects that runs own.
trait Owned:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + serde::de::DeserializeOwned
{
}

impl Owned for Job {}
impl Owned for Pod {}
impl Owned for ConfigMap {}
impl Owned for PersistentVolumeClaim {}
