use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::*;

/// What was asked, in order: `GET /path`.
type Asked = Arc<Mutex<Vec<String>>>;

/// A cluster of fixed answers: status, body, and `Date` of each.
fn cluster(
    answer: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> (ClusterQuery, Asked) {
    let asked = Asked::default();
    let heard = asked.clone();
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let (answer, heard) = (answer.clone(), heard.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let accept = request.headers().get(http::header::ACCEPT);
            let accept = accept
                .map_or("", |accept| accept.to_str().unwrap())
                .to_owned();
            let body = http_body_util::BodyExt::collect(request.into_body())
                .await
                .unwrap()
                .to_bytes();
            let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
            heard.lock().unwrap().push(format!("{line} {accept}"));
            let (status, body) = answer(&line, &sent);
            let response = http::Response::builder()
                .status(status)
                .header("Date", "Mon, 04 May 2026 12:00:00 GMT")
                .header("Content-Type", "application/json")
                .body(Full::new(Bytes::from(body.to_string())))
                .unwrap();
            Ok::<_, Infallible>(response)
        }
    });
    let wanted = SecretRequirement {
        name: "github-pat-ada".into(),
        key: "token".into(),
        purpose: "the GitHub token of ada".into(),
        required: true,
    };
    let request = ClusterQuery {
        client: Client::new(service, "agents"),
        context: Some("prod".into()),
        namespace: "agents".into(),
        secrets: vec![wanted],
        settings: None,
        disk: None,
    };
    (request, asked)
}

fn refusal(code: u16, message: &str) -> (u16, Value) {
    let reason = if code == 404 { "NotFound" } else { "Forbidden" };
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code });
    (code, status)
}

fn lease(renewed: &str, holder: &str) -> Value {
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": LEASE },
            "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed } })
}

/// Answers like a working cluster.
fn in_order(line: &str, sent: &Value) -> (u16, Value) {
    let kinds = json!({ "kind": "APIResourceList", "groupVersion": "orchestrator.io/v1", "resources": [
        { "name": "docsruns", "singularName": "docsrun", "namespaced": true, "kind": "DocsRun", "verbs": ["get"] },
        { "name": "coderuns", "singularName": "coderun", "namespaced": true, "kind": "CodeRun", "verbs": ["get"] },
    ] });
    match line {
        line if line.contains("/apis/orchestrator.io/v1") => (200, kinds),
        line if line.contains("selfsubjectaccessreviews") => {
            let mut review = sent.clone();
            let resource = &sent["spec"]["resourceAttributes"];
            let allowed = resource["subresource"] != "log" && resource["namespace"] == "agents";
            review["status"] = json!({ "allowed": allowed });
            (201, review)
        }
        line if line.contains("/leases/") => {
            (200, lease("2026-05-04T11:59:55.000000Z", "flightdeck-0"))
        }
        line if line.contains("/secrets/") => (
            200,
            json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "github-pat-ada",
                "managedFields": [{ "manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                    "fieldsV1": { "f:data": { ".": {}, "f:token": {} }, "f:type": {} } }] } }),
        ),
        line if line.contains("/resourcequotas") => (
            200,
            json!({ "apiVersion": "v1", "kind": "ResourceQuotaList", "metadata": {}, "items": [
                { "metadata": { "name": "compute" }, "status": { "hard": { "pods": "10" }, "used": { "pods": "3" } } }] }),
        ),
        line => refusal(404, line),
    }
}

#[tokio::test]
async fn queries_everything_but_secret_values() {
    let (request, asked) = cluster(in_order);
    let facts = query(request).await;
    let answers = facts.state().unwrap();
    assert_eq!(
        answers.served,
        [(RunKind::Docs, Served::Yes), (RunKind::Code, Served::Yes)]
    );
    let denied: Vec<&str> = answers
        .denied
        .iter()
        .map(|denied| denied.resource)
        .collect();
    assert_eq!(denied, ["pods/log"]);
    assert_eq!(
        answers.controller,
        Controller::Alive {
            holder: "flightdeck-0".into()
        }
    );
    assert_eq!(answers.secrets[0].state, SecretState::Present);
    let quota = &answers.quotas.as_ref().unwrap()[0];
    assert_eq!((quota.hard.as_str(), quota.used.as_str()), ("10", "3"));
    let asked = asked.lock().unwrap();
    let secrets: Vec<&String> = asked
        .iter()
        .filter(|line| line.contains("/secrets"))
        .collect();
    assert_eq!(secrets.len(), 1);
    assert!(
        secrets[0].contains("/secrets/github-pat-ada")
            && secrets[0].contains("as=PartialObjectMetadata"),
        "{secrets:?}"
    );
}

#[tokio::test]
async fn reports_missing_and_forbidden_resources() {
    let (request, _) = cluster(|line, sent| match line {
        line if line.contains("/apis/orchestrator.io/v1") => refusal(404, "no"),
        line if line.ends_with("/apis") || line.contains("/apis?") => (
            200,
            json!({ "kind": "APIGroupList", "groups": [{ "name": "orchestrator.io",
                "versions": [{ "groupVersion": "orchestrator.io/v2", "version": "v2" }] }] }),
        ),
        line if line.contains("/leases/") => refusal(403, "leases is forbidden"),
        line if line.contains("/secrets/") => refusal(403, "secrets is forbidden"),
        line if line.contains("/resourcequotas") => refusal(403, "no"),
        line => in_order(line, sent),
    });
    let facts = query(request).await;
    let answers = facts.state().unwrap();
    assert_eq!(answers.served[0].1, Served::Other(vec!["v2".into()]));
    assert_eq!(answers.controller, Controller::Unknown);
    assert_eq!(answers.secrets[0].state, SecretState::NotAllowed);
    assert_eq!(answers.quotas, None);

    let (request, _) = cluster(|_, _| refusal(401, "Unauthorized"));
    assert_eq!(
        query(request).await.reached,
        Reachability::Unreachable("it rejects your credentials".into())
    );
}

#[tokio::test]
async fn ignores_a_lease_over_the_limit() {
    let (request, _) = cluster(|line, sent| match line {
        line if line.contains("/leases/") => {
            let mut lease = lease("2026-05-04T11:59:55.000000Z", "flightdeck-0");
            lease["metadata"]["annotations"] = json!({ "x": "x".repeat(MAX_LEASE_SIZE) });
            (200, lease)
        }
        line => in_order(line, sent),
    });
    let facts = query(request).await;
    assert_eq!(facts.state().unwrap().controller, Controller::Unknown);
}

#[tokio::test]
async fn reads_valid_controller_settings() {
    let said = |map: (u16, Value)| async move {
        let (request, _) = cluster(move |line, sent| {
            if line.contains("/configmaps/flightdeck-settings") {
                map.clone()
            } else {
                in_order(line, sent)
            }
        });
        let settings = query(request).await.settings?;
        Some(settings.allow.github_token_hosts.clone())
    };
    let map = |text: &str| (200, json!({ "data": { SETTINGS_KEY: text } }));
    let own = map("[allow]\ngithub_token_hosts = [\"forge.example\"]");
    assert_eq!(said(own).await, Some(vec!["forge.example".to_owned()]));
    let none = refusal(404, "not found");
    let shipped = Settings::shipped().allow.github_token_hosts;
    assert_eq!(said(none).await, Some(shipped));
    assert_eq!(said(refusal(403, "forbidden")).await, None);
    // With invalid settings, the controller uses others, which are unknown.
    assert_eq!(said(map("nonsense")).await, None);
    assert_eq!(said((200, json!({}))).await, None);

    let (mut request, _) = cluster(in_order);
    request.context = None;
    request.settings = Some(Arc::new(Settings::shipped()));
    assert_eq!(query(request.clone()).await.settings, request.settings);
}

#[tokio::test]
async fn reads_pull_request_options() {
    let said = |embedded: bool, map: (u16, Value)| async move {
        let (mut request, _) = cluster(move |line, sent| {
            if line.contains("/configmaps/docs-pr-config") {
                map.clone()
            } else {
                in_order(line, sent)
            }
        });
        if embedded {
            request.context = None;
            request.settings = Some(Arc::new(Settings::shipped()));
        }
        let settings = query(request).await.settings?;
        settings.publish.docs.get("labels").cloned()
    };
    let map = |data: Value| (200, json!({ "data": data }));
    for embedded in [false, true] {
        let labels = map(json!({ "labels": "docs,agents" }));
        assert_eq!(said(embedded, labels).await.unwrap(), "docs,agents");
        let refused = map(json!({ "labels": "docs", "lables": "docs" }));
        assert_eq!(said(embedded, refused).await, None);
    }
}

#[tokio::test]
async fn distinguishes_missing_and_unknown_keys() {
    for (managed, state) in [
        (
            json!([{ "fieldsV1": { "f:data": { "f:other": {} } } }]),
            SecretState::NoKey,
        ),
        (
            json!([{ "fieldsV1": { "f:metadata": {} } }]),
            SecretState::KeyUnknown,
        ),
        (json!([]), SecretState::KeyUnknown),
    ] {
        let (request, _) = cluster(move |_, _| {
            (
                200,
                json!({ "metadata": { "name": "github-pat-ada", "managedFields": managed } }),
            )
        });
        assert_eq!(secret(&request, &request.secrets[0]).await.state, state);
    }
    let (request, _) = cluster(|_, _| refusal(404, "not found"));
    assert_eq!(
        secret(&request, &request.secrets[0]).await.state,
        SecretState::Absent
    );
}

#[tokio::test]
async fn renewed_lease_outweighs_clock_skew() {
    let quick = Duration::from_millis(1);
    // An hour behind the server, and renewed between two looks.
    let count = Mutex::new(0);
    let (request, _) = cluster(move |_, _| {
        let mut count = count.lock().unwrap();
        *count += 1;
        (
            200,
            lease(
                &format!("2026-05-04T11:00:0{count}.000000Z"),
                "flightdeck-0",
            ),
        )
    });
    let alive = Controller::Alive {
        holder: "flightdeck-0".into(),
    };
    assert_eq!(controller(&request, quick).await, alive);

    let (request, _) = cluster(|_, _| (200, lease("2026-05-04T11:00:00.000000Z", "flightdeck-0")));
    let stale = Controller::Stale {
        holder: "flightdeck-0".into(),
        seconds: 3600,
    };
    assert_eq!(controller(&request, quick).await, stale);
    let (request, _) = cluster(|_, _| (200, lease("2026-05-04T11:00:00.000000Z", "")));
    assert_eq!(controller(&request, quick).await, Controller::Released);
    let (request, _) = cluster(|_, _| refusal(404, "not found"));
    assert_eq!(controller(&request, quick).await, Controller::Absent);
    let (mut request, _) = cluster(|_, _| refusal(500, "broken"));
    assert_eq!(controller(&request, quick).await, Controller::Unknown);
    request.context = None;
    assert_eq!(controller(&request, quick).await, Controller::Embedded);
}
