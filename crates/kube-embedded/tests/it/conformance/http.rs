//! A driver that sends plain requests through a `kube::Client`: in process, over HTTPS, or to a real cluster.

use std::fmt::Write;

use futures::{AsyncBufReadExt, TryStreamExt};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::{Client, client::Body};
use serde_json::Value;

use super::call::{Call, Outcome, Refusal, Response, Verb};

#[derive(Clone)]
pub(super) struct Http {
    pub client: Client,
}

/// Percent-encodes a query parameter.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

/// Returns the path of a call, without its query.
pub(super) fn path(call: &Call) -> String {
    let resource = &call.resource;
    let mut path = if resource.is_core() {
        format!("/api/{}", resource.version)
    } else {
        format!("/apis/{}/{}", resource.group, resource.version)
    };
    if !call.namespace.is_empty() {
        path = format!("{path}/namespaces/{}", call.namespace);
    }
    path = format!("{path}/{}", resource.plural);
    if !call.name.is_empty() && call.verb != Verb::Create {
        path = format!("{path}/{}", call.name);
    }
    match (&call.subresource, call.verb) {
        (Some(subresource), _) => format!("{path}/{subresource}"),
        (None, Verb::Log) => format!("{path}/log"),
        _ => path,
    }
}

fn request(call: &Call) -> Request<Body> {
    let (method, media_type) = match call.verb {
        Verb::Create => (Method::POST, "application/json"),
        Verb::Update => (Method::PUT, "application/json"),
        Verb::Json => (Method::PATCH, "application/json-patch+json"),
        Verb::Merge => (Method::PATCH, "application/merge-patch+json"),
        Verb::Strategic => (Method::PATCH, "application/strategic-merge-patch+json"),
        Verb::Apply => (Method::PATCH, "application/apply-patch+yaml"),
        Verb::Delete | Verb::DeleteCollection => (Method::DELETE, "application/json"),
        Verb::Get | Verb::List | Verb::Watch | Verb::Log => (Method::GET, ""),
        Verb::Raw => (
            Method::from_bytes(call.method.as_bytes()).unwrap(),
            "application/json",
        ),
    };
    let mut uri = if call.verb == Verb::Raw {
        call.path.clone()
    } else {
        path(call)
    };
    let mut params = call.params.clone();
    if call.verb == Verb::Watch {
        params.insert("watch".into(), "true".into());
    }
    for (index, (name, value)) in params.iter().enumerate() {
        let separator = if index == 0 && !uri.contains('?') {
            '?'
        } else {
            '&'
        };
        write!(
            uri,
            "{separator}{}={}",
            percent_encode(name),
            percent_encode(value)
        )
        .unwrap();
    }
    let mut request = Request::builder().method(method).uri(uri);
    let headers: Vec<String> = call
        .headers
        .keys()
        .map(|name| name.to_lowercase())
        .collect();
    if call.body.is_some() && !media_type.is_empty() && !headers.contains(&"content-type".into()) {
        request = request.header("content-type", media_type);
    }
    if !headers.contains(&"accept".into()) {
        request = request.header("accept", "application/json");
    }
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    let body = match &call.body {
        // A string is sent unchanged: YAML, or invalid JSON.
        Some(Value::String(text)) if call.verb == Verb::Raw => text.clone().into_bytes(),
        Some(body) => serde_json::to_vec(body).unwrap(),
        None => Vec::new(),
    };
    request.body(Body::from(body)).unwrap()
}

impl Http {
    async fn send(&self, call: &Call) -> Result<http::Response<Body>, String> {
        self.client
            .send(request(call))
            .await
            .map_err(|error| format!("the request failed: {error}"))
    }

    pub(super) async fn send_call(&self, call: &Call) -> Result<Outcome, String> {
        let (head, body) = self.send(call).await?.into_parts();
        let bytes = body.collect().await.map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&bytes.to_bytes()).into_owned();
        let code = head.status.as_u16();
        if code >= 400 {
            return Ok(Outcome::Refused(Refusal::parse(code, &text)));
        }
        let warnings: Vec<_> = head
            .headers
            .get_all("warning")
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let is_json = head
            .headers
            .get("content-type")
            .is_some_and(|media_type| media_type.as_bytes().starts_with(b"application/json"));
        let body = if is_json {
            serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))?
        } else {
            Value::String(text)
        };
        Ok(Outcome::Done(Response {
            body: Some(body),
            // The header escapes quotes within its quoted string.
            warnings: Some(warnings.join("\n").replace("\\\"", "\"")),
        }))
    }

    /// Returns the first `count` events of a watch, or all events.
    pub(super) async fn watch(
        &self,
        call: &Call,
        count: Option<usize>,
    ) -> Result<Vec<Value>, String> {
        let response = self.send(call).await?;
        if response.status() != 200 {
            let code = response.status();
            let body = response.into_body().collect().await;
            let text = body.map_err(|error| error.to_string())?.to_bytes();
            return Err(format!("{code}: {}", String::from_utf8_lossy(&text)));
        }
        let stream = response.into_body().into_data_stream();
        let mut lines = stream
            .map_err(std::io::Error::other)
            .into_async_read()
            .lines();
        let mut events = Vec::new();
        while count.is_none_or(|count| events.len() < count) {
            let Some(line) = lines.try_next().await.map_err(|error| error.to_string())? else {
                break;
            };
            events.push(serde_json::from_str(&line).map_err(|error| format!("{error} in {line}"))?);
        }
        Ok(events)
    }
}
