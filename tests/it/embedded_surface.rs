//! The face of the embedded API as HTTP shows it: forms of answers, lists, OpenAPI, bodies that clients really send.

use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use kube::CustomResourceExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use flightdeck_core::resources::DocsRun;
use kube_embedded::{Cluster, ClusterOptions, node::Limits};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Api {
    cluster: Cluster,
    _directory: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The events of a watch.
    fn events(&self) -> Vec<Value> {
        self.body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn code(&self) -> u16 {
        self.status.as_u16()
    }
}

impl Api {
    async fn open() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = Cluster::open(ClusterOptions {
            identity: flightdeck::daemon::identity(),
            directory: directory.path().to_owned(),
            program: env!("CARGO_BIN_EXE_flightdeck").into(),
            max_containers: 0,
            environment: std::collections::BTreeMap::new(),
            limits: Limits::default(),
        })
        .await
        .unwrap();
        Self {
            cluster,
            _directory: directory,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = http_body_util::Full::<hyper::body::Bytes>::from(body.into());
        let response = self
            .cluster
            .service()
            .oneshot(request.body(body).unwrap())
            .await
            .unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    async fn get(&self, path: &str, accept: &str) -> Answer {
        self.send("GET", path, &[("accept", accept)], "").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[], body.to_string()).await
    }

    async fn map(&self, name: &str) -> Value {
        let answer = self
            .post(
                MAPS,
                json!({"metadata": {"name": name, "labels": {"n": name}}, "data": {"a": "1"}}),
            )
            .await;
        assert_eq!(answer.code(), 201, "{}", answer.body);
        answer.json()
    }
}

#[tokio::test]
async fn a_table_is_sent_to_who_asks_for_one() {
    let api = Api::open().await;
    api.map("one").await;
    let second = api.map("two").await;

    let list = api.get(&format!("{MAPS}?limit=1"), TABLE).await.json();
    assert_eq!(list["kind"], "Table");
    assert_eq!(list["apiVersion"], "meta.k8s.io/v1");
    assert_eq!(list["columnDefinitions"][1]["name"], "Data");
    assert_eq!(list["rows"][0]["cells"][0], "one");
    assert_eq!(list["rows"][0]["cells"][1], 1);
    assert_eq!(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    assert_eq!(list["rows"][0]["object"]["data"], Value::Null);
    assert_eq!(
        list["metadata"]["resourceVersion"],
        second["metadata"]["resourceVersion"]
    );
    assert!(list["metadata"]["continue"].is_string());

    let including = async |what: &str| {
        let path = format!("{MAPS}/two?includeObject={what}");
        api.get(&path, TABLE).await
    };
    let whole = including("Object").await.json();
    assert_eq!(whole["rows"][0]["object"]["data"]["a"], "1");
    let none = including("None").await.json();
    assert_eq!(none["rows"][0]["object"], Value::Null);
    assert_eq!(including("All").await.code(), 400);

    let watch = format!("{MAPS}?watch=true&timeoutSeconds=0&resourceVersion=0");
    let events = api.get(&watch, TABLE).await.events();
    assert_eq!(events[1]["object"]["kind"], "Table");
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "two");

    let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = api.get(MAPS, metadata).await.json();
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["metadata"]["name"], "one");
    assert_eq!(list["items"][0].get("data"), None);

    let refused = api.get(MAPS, "text/html").await;
    assert_eq!(refused.code(), 406);
    assert_eq!(refused.json()["reason"], "NotAcceptable");
}

/// Every `$ref` below `value`.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_kind_that_is_served_is_described_by_openapi() {
    let api = Api::open().await;
    let before = api.get("/openapi/v3", "application/json").await.json();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let definition = serde_json::to_value(DocsRun::crd()).unwrap();
    assert_eq!(api.post(definitions, definition).await.code(), 201);
    let index = api.get("/openapi/v3", "application/json").await.json();
    assert_eq!(index["paths"]["api/v1"], before["paths"]["api/v1"]);
    assert_eq!(before["paths"].get("apis/orchestrator.io/v1"), None);

    let groups = index["paths"].as_object().unwrap();
    for (group, entry) in groups {
        let address = entry["serverRelativeURL"].as_str().unwrap();
        let answer = api.get(address, "application/json").await;
        assert_eq!(answer.code(), 200, "{address}");
        assert_eq!(answer.headers["cache-control"], "public, immutable");
        let document = answer.json();
        let mut all = Vec::new();
        references(&document, &mut all);
        for reference in &all {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{group}: {reference}");
        }
        let resources = api.get(&format!("/{group}"), "").await.json();
        for resource in resources["resources"].as_array().unwrap() {
            let name = resource["name"].as_str().unwrap();
            if name.contains('/') || resource["verbs"] == json!(["create"]) {
                continue;
            }
            let namespace = if resource["namespaced"] == true {
                "namespaces/{namespace}/"
            } else {
                ""
            };
            let item = format!("/{group}/{namespace}{name}/{{name}}");
            let patch = &document["paths"][item.as_str()]["patch"];
            let identity = &patch["x-kubernetes-group-version-kind"];
            assert_eq!(identity["kind"], resource["kind"], "{item}");
            for parameter in ["fieldValidation", "dryRun", "fieldManager"] {
                let named = patch["parameters"].as_array().unwrap().iter();
                assert!(named.clone().any(|known| known["name"] == parameter));
            }
            let schemas = document["components"]["schemas"].as_object().unwrap();
            let described = schemas.values().any(|schema| {
                let known = schema["x-kubernetes-group-version-kind"].as_array();
                known.is_some_and(|known| known.contains(identity))
                    && schema["properties"]["metadata"].is_object()
            });
            assert!(described, "{group} {name}");
        }
    }
    let run = groups["apis/orchestrator.io/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let answer = api.get(run, "").await;
    let schema =
        "/components/schemas/io.orchestrator.v1.DocsRun/properties/spec/properties/taskIds/type";
    assert_eq!(answer.json().pointer(schema), Some(&json!("array")));
    let tag = answer.headers["etag"].to_str().unwrap();
    let again = api.send("GET", run, &[("if-none-match", tag)], "").await;
    assert_eq!((again.code(), again.body.as_str()), (304, ""));
}

#[tokio::test]
async fn a_list_shows_the_version_it_is_asked_for() {
    let api = Api::open().await;
    let first = api.map("a").await;
    for name in ["b", "c", "d"] {
        api.map(name).await;
    }
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let then = version(&first);
    let list = async |query: &str| api.get(&format!("{MAPS}?{query}"), "").await;
    let names = |list: &Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    };

    let exact = list(&format!(
        "resourceVersion={then}&resourceVersionMatch=Exact"
    ))
    .await
    .json();
    assert_eq!(
        (names(&exact), version(&exact)),
        (vec!["a".to_owned()], then.clone())
    );
    let newer = list(&format!(
        "resourceVersion={then}&resourceVersionMatch=NotOlderThan"
    ))
    .await;
    assert_eq!(names(&newer.json()).len(), 4);

    let page = list("limit=1").await.json();
    assert_eq!(page["metadata"]["remainingItemCount"], 3);
    let token = page["metadata"]["continue"].as_str().unwrap().to_owned();
    let next = list(&format!("limit=2&continue={token}")).await.json();
    assert_eq!(names(&next), ["b", "c"]);
    assert_eq!(next["metadata"]["remainingItemCount"], 1);
    let selected = list("limit=1&labelSelector=n%20in%20(a,b)").await.json();
    assert!(selected["metadata"]["continue"].is_string());
    assert_eq!(selected["metadata"].get("remainingItemCount"), None);

    for (query, code, part) in [
        ("resourceVersion=999999", 504, "Too large resource version"),
        ("continue=nonsense", 400, "continue key is not valid"),
        (
            "resourceVersionMatch=Exact",
            422,
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden",
        ),
        (
            "fieldSelector=data.a%3D1",
            400,
            "field label not supported: data.a",
        ),
        ("labelSelector=a%20b", 400, "unable to parse requirement"),
    ] {
        let refused = list(query).await;
        assert_eq!(refused.code(), code, "{query}: {}", refused.body);
        assert!(
            refused.json()["message"].as_str().unwrap().contains(part),
            "{}",
            refused.body
        );
    }
    let one = api
        .get(&format!("{MAPS}/a?resourceVersion=999999"), "")
        .await;
    assert_eq!(one.code(), 504);
}

#[tokio::test]
async fn a_watch_tells_what_is_there_when_it_is_asked_to() {
    let api = Api::open().await;
    api.map("a").await;
    let watch = async |query: &str| {
        let answer = api
            .get(&format!("{MAPS}?watch=true&timeoutSeconds=0&{query}"), "")
            .await;
        assert_eq!(answer.code(), 200, "{}", answer.body);
        let types = answer.events().into_iter();
        types
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let streaming = "resourceVersionMatch=NotOlderThan&sendInitialEvents";
    assert_eq!(watch("").await, ["ADDED"]);
    assert_eq!(watch(&format!("{streaming}=false")).await, [""; 0]);
    assert_eq!(
        watch(&format!("{streaming}=true&allowWatchBookmarks=true")).await,
        ["ADDED", "BOOKMARK"],
        "what there is, and that this was it"
    );
    assert_eq!(watch("resourceVersion=999999").await, ["ERROR"]);
    let refused = api
        .get(&format!("{MAPS}?watch=true&sendInitialEvents=true"), "")
        .await;
    assert_eq!(
        (refused.code(), &refused.json()["reason"]),
        (422, &json!("Invalid"))
    );
}

#[tokio::test]
async fn what_stands_twice_in_a_body_and_options_that_do_not_exist_are_named() {
    let api = Api::open().await;
    let body = r#"{"metadata":{"name":"m"},"data":{"a":"1","b":"2","a":"3"}}"#;
    let create = async |query: &str| {
        let path = format!("{MAPS}?{query}");
        api.send("POST", &path, &[], body).await
    };
    let strict = create("fieldValidation=Strict").await;
    let message = strict.json()["message"].as_str().unwrap().to_owned();
    assert_eq!(strict.code(), 400);
    assert!(
        message.ends_with("strict decoding error: duplicate field \"data.a\""),
        "{message}"
    );
    let quiet = create("fieldValidation=Ignore&dryRun=All").await;
    assert_eq!((quiet.code(), quiet.headers.get("warning")), (201, None));
    let told = create("").await;
    assert_eq!(
        told.headers["warning"],
        "299 - \"duplicate field \\\"data.a\\\"\""
    );
    assert_eq!(told.json()["data"]["a"], "3");
    for query in ["fieldValidation=Loose", "dryRun=Some"] {
        let refused = create(query).await;
        let message = &refused.json()["message"];
        assert_eq!(refused.code(), 422, "{message}");
        assert!(
            message
                .as_str()
                .unwrap()
                .starts_with("CreateOptions.meta.k8s.io \"\" is invalid"),
            "{message}"
        );
    }
    let csv = [("content-type", "text/csv")];
    let refused = api.send("POST", MAPS, &csv, body).await;
    assert_eq!(refused.code(), 415);
}
