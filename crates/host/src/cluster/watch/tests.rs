//! Tests the watch against a scripted server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// A scripted server: returns responses in order, records requests, and never answers once the script has ended.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn then(self, status: u16, body: impl Into<String>) -> Self {
        let answer = (status, body.into());
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            let answer: BoxFuture<'static, Result<_, std::convert::Infallible>> =
                Box::pin(async move {
                    let uri = request.uri().to_string();
                    script.requests.lock().unwrap().push(uri);
                    let answer = script.answers.lock().unwrap().pop_front();
                    let Some((status, body)) = answer else {
                        return std::future::pending().await;
                    };
                    drop(request.into_body().collect().await);
                    let response =
                        Response::builder().status(StatusCode::from_u16(status).unwrap());
                    Ok(response.body(Body::from(body.into_bytes())).unwrap())
                });
            answer
        });
        Client::new(service, "default")
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn pod(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "uid": format!("uid-{name}"), "resourceVersion": version},
    })
}

fn list(version: &str, next: &str, items: &[Value]) -> String {
    json!({
        "apiVersion": "v1", "kind": "PodList",
        "metadata": {"resourceVersion": version, "continue": next},
        "items": items,
    })
    .to_string()
}

fn events(events: &[(&str, Value)]) -> String {
    let line =
        |(kind, object): &(&str, Value)| format!("{}\n", json!({"type": kind, "object": object}));
    events.iter().map(line).collect()
}

fn status(code: u16, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": "Any", "code": code,
    })
}

/// Describes the first `count` deltas of pods as text.
async fn first_deltas(script: &Script, count: usize) -> Vec<String> {
    let backoff = Backoff::new(
        std::time::Duration::from_millis(1),
        std::time::Duration::from_millis(1),
    );
    let selection = Selection::default();
    let stream = deltas(
        &script.client(),
        "ns",
        Kind::Pod,
        selection,
        backoff,
        |pod: Pod| Some(Object::Pod(Box::new(pod))),
    );
    let name = |object: &Object| match object {
        Object::Unreadable { name, .. } => format!("unreadable {name}"),
        Object::Pod(pod) => pod.metadata.name.clone().unwrap_or_default(),
        other => format!("{other:?}"),
    };
    let words = stream.take(count).map(|delta| match delta {
        WorldDelta::Listed(_, objects) => {
            let names: Vec<String> = objects.iter().map(name).collect();
            format!("listed {}", names.join(" "))
        }
        WorldDelta::Applied(object) => format!("applied {}", name(&object)),
        WorldDelta::Deleted { uid, .. } => format!("deleted {uid}"),
        WorldDelta::Disconnected { reason, .. } => format!("lost: {reason}"),
        WorldDelta::Connected(_) => "back".into(),
    });
    let all = words.collect();
    tokio::time::timeout(std::time::Duration::from_secs(30), all)
        .await
        .unwrap()
}

#[tokio::test]
async fn joins_pages_into_one_list_then_follows_changes() {
    let script = Script::default()
        .then(200, list("", "more", &[pod("a", "1")]))
        .then(200, list("5", "", &[pod("b", "2")]))
        .then(
            200,
            events(&[
                ("ADDED", pod("c", "6")),
                ("MODIFIED", pod("a", "7")),
                ("DELETED", pod("b", "8")),
            ]),
        );
    assert_eq!(
        first_deltas(&script, 4).await,
        ["listed a b", "applied c", "applied a", "deleted uid-b"]
    );
    let requests = script.requests();
    assert!(requests[1].contains("continue=more"), "{requests:?}");
    assert!(requests[2].contains("resourceVersion=5"), "{requests:?}");
}

#[tokio::test]
async fn unreadable_object_does_not_hide_others() {
    let mut bad = pod("bad", "1");
    bad["spec"] = json!("a word");
    let script = Script::default().then(200, list("5", "", &[bad, pod("good", "2")]));
    assert_eq!(
        first_deltas(&script, 1).await,
        ["listed unreadable bad good"]
    );
}

#[tokio::test]
async fn resumes_from_last_bookmark_after_clean_end() {
    let bookmark = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"resourceVersion": "9"}});
    let script = Script::default()
        .then(200, list("5", "", &[]))
        .then(200, events(&[("BOOKMARK", bookmark)]))
        .then(200, events(&[("ADDED", pod("a", "10"))]));
    assert_eq!(first_deltas(&script, 2).await, ["listed ", "applied a"]);
    assert!(script.requests()[2].contains("resourceVersion=9"));
}

#[tokio::test]
async fn lists_again_when_version_is_too_old() {
    let script = Script::default()
        .then(200, list("5", "", &[pod("a", "1")]))
        .then(200, events(&[("ERROR", status(410, "too old"))]))
        .then(200, list("90", "", &[pod("b", "80")]));
    assert_eq!(first_deltas(&script, 2).await, ["listed a", "listed b"]);
}

#[tokio::test]
async fn reports_outage_and_recovery_once_without_relisting() {
    let script = Script::default()
        .then(200, list("5", "", &[pod("a", "1")]))
        .then(500, status(500, "etcd is away\u{7}").to_string())
        .then(500, status(500, "etcd is away").to_string())
        .then(200, events(&[("ADDED", pod("b", "6"))]));
    assert_eq!(
        first_deltas(&script, 4).await,
        ["listed a", "lost: etcd is away␇ (500)", "back", "applied b"]
    );
    assert!(script.requests()[3].contains("resourceVersion=5"));
}

#[tokio::test]
async fn reports_why_the_first_list_is_refused() {
    let script = Script::default()
        .then(403, status(403, "pods is forbidden").to_string())
        .then(200, list("5", "", &[]));
    assert_eq!(
        first_deltas(&script, 3).await,
        ["lost: pods is forbidden (403)", "back", "listed "]
    );
}

fn docs_run(phase: &str, version: &str) -> Value {
    json!({
        "apiVersion": "orchestrator.io/v1", "kind": "DocsRun",
        "metadata": {"name": "r", "uid": "u", "resourceVersion": version},
        "spec": {"taskIds": ["1"], "repositoryUrl": "/srv/x", "sourceBranch": "main"},
        "status": {"phase": phase},
    })
}

#[tokio::test]
async fn waits_for_run_to_finish() {
    let script = Script::default()
        .then(200, list("5", "", &[docs_run("Running", "1")]))
        .then(200, events(&[("MODIFIED", docs_run("Failed", "6"))]));
    let run = wait_finished(&script.client(), "ns", RunKind::Docs, "r").await;
    assert_eq!(run.unwrap().phase().as_str(), "Failed");
    assert!(script.requests()[0].contains("fieldSelector=metadata.name%3Dr"));

    let gone = Script::default().then(200, list("5", "", &[]));
    assert_eq!(
        wait_finished(&gone.client(), "ns", RunKind::Docs, "r").await,
        None
    );
}

#[test]
fn matches_only_events_about_runs() {
    for (kind, name, concern) in [
        ("DocsRun", "docs-1", true),
        ("Pod", "docs-1-0f2c6c1e-agent-v1-1-x7k2p", true),
        ("Job", "docs-1-0f2c6c1e-publish-v12-3", true),
        ("PersistentVolumeClaim", "docs-1-0f2c6c1e-workspace", true),
        ("Pod", "web-7d9f", false),
        ("Node", "docs-1", false),
    ] {
        let mut event = Event::default();
        event.involved_object.kind = Some(kind.into());
        event.involved_object.name = Some(name.into());
        assert_eq!(is_about_run(&event), concern, "{kind} {name}");
    }
}
