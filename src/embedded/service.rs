//! Requests in, responses out: a `tower::Service` that a `kube::Client` can be made of and that HTTPS serves.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{
    BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody,
};
use hyper::body::{Body, Bytes, Frame};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    discovery,
    failure::Failure,
    kinds::{Kind, PODS, Registry},
    node::{LogError, LogQuery, Logs},
    object::Key,
    patch::PatchType,
    read::{self, Form, Scope},
    route::{Params, ResourcePath, Target},
    select::Selector,
    store::Store,
    watch::{self, WatchOptions},
    write::{self, DeleteOptions, Deleted, Edit, WriteOptions},
};

/// The largest body of a request, in bytes.
const LARGEST_BODY: usize = 3 << 20;

/// Media type of server-side apply, in its forms.
const APPLY: &str = "application/apply-patch+";

/// The body of every response.
pub type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The API of one cluster; clones serve the same.
#[derive(Clone)]
pub struct Service {
    store: Store,
    logs: Arc<Logs>,
}

impl Service {
    pub(super) fn new(store: Store, logs: Logs) -> Self {
        let logs = Arc::new(logs);
        Self { store, logs }
    }
}

impl<B> tower::Service<Request<B>> for Service
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            Ok(service
                .answer(request)
                .await
                .unwrap_or_else(|failure| refusal(&failure)))
        })
    }
}

/// A failure as a response.
pub fn refusal(failure: &Failure) -> Response<ResponseBody> {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &failure.to_status());
    if failure.code == 429 {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn json_response(code: StatusCode, value: &Value) -> Response<ResponseBody> {
    bytes_response(code, value.to_string().into(), "application/json")
}

fn bytes_response(
    code: StatusCode,
    bytes: Bytes,
    media_type: &'static str,
) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = code;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}

fn stream_response(
    lines: impl Stream<Item = Bytes> + Send + 'static,
    media_type: &'static str,
) -> Response<ResponseBody> {
    let body = StreamBody::new(lines.map(|bytes| Ok(Frame::data(bytes))));
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    response
}

async fn read_body<B>(body: B) -> Result<Bytes, Failure>
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(LARGEST_BODY)),
        Err(error) => Err(Failure::bad_request(format!(
            "cannot read the body: {error}"
        ))),
    }
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Reads a body that is JSON or YAML.
fn parse_body(headers: &HeaderMap, body: &[u8]) -> Result<Value, Failure> {
    let media_type = header_text(headers, header::CONTENT_TYPE);
    if media_type.contains("protobuf") || media_type.contains("cbor") {
        return Err(Failure::unsupported_media_type(&[
            "application/json",
            "application/yaml",
        ]));
    }
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::bad_request(format!("the body cannot be read: {error}"))
    };
    if media_type.contains("yaml") {
        // JSON is YAML too, and quicker to read.
        return serde_json::from_slice(body)
            .or_else(|_| serde_yaml::from_slice(body))
            .map_err(|error| wrong(&error));
    }
    serde_json::from_slice(body).map_err(|error| wrong(&error))
}

/// One request of a resource, with all that was read from it.
struct Call {
    kind: Arc<Kind>,
    path: ResourcePath,
    params: Params,
    headers: HeaderMap,
    body: Bytes,
}

impl Call {
    fn scope(&self) -> Result<Scope, Failure> {
        let selector = Selector::parse(
            &self.kind,
            self.params.text("labelSelector"),
            self.params.text("fieldSelector"),
        )?;
        Ok(Scope {
            namespace: self.path.namespace.clone(),
            selector,
            form: self.form(),
        })
    }

    fn form(&self) -> Form {
        Form::from_accept(header_text(&self.headers, header::ACCEPT))
    }

    fn key(&self, name: &str) -> Key {
        Key::new(&*self.path.namespace, name)
    }

    fn write_options(&self) -> WriteOptions {
        let manager = match self.params.text("fieldManager") {
            "" => header_text(&self.headers, header::USER_AGENT)
                .split('/')
                .next()
                .unwrap_or_default(),
            name => name,
        };
        WriteOptions {
            manager: if manager.is_empty() {
                "unknown"
            } else {
                manager
            }
            .to_owned(),
            strict: self.params.text("fieldValidation") == "Strict",
        }
    }

    /// Options of a DELETE: the body, and the query over it; and whether it is a dry run.
    fn delete_options(&self) -> Result<(DeleteOptions, bool), Failure> {
        let body = if self.body.is_empty() {
            Value::Null
        } else {
            parse_body(&self.headers, &self.body)?
        };
        let mut options = DeleteOptions::read(&body)?;
        options.propagate(self.params.text("propagationPolicy"))?;
        if let Some(seconds) = self.params.number("gracePeriodSeconds")? {
            options.grace_period = Some(seconds);
        }
        let in_body = body["dryRun"].as_array().is_some_and(|all| !all.is_empty());
        Ok((options, in_body || self.params.dry_run()?))
    }

    fn object(&self, code: StatusCode, object: &super::object::Object) -> Response<ResponseBody> {
        let mut out = Vec::with_capacity(object.json.len());
        read::append(&mut out, &self.kind, self.form(), object);
        bytes_response(code, out.into(), "application/json")
    }
}

impl Service {
    fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.store.read().registry())
    }

    async fn answer<B>(&self, request: Request<B>) -> Result<Response<ResponseBody>, Failure>
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let target = Target::parse(head.uri.path()).ok_or_else(Failure::no_such_path)?;
        let accept = header_text(&head.headers, header::ACCEPT);
        if let Target::Resource(path) = target {
            let params = Params::parse(&head.uri)?;
            let body = read_body(body).await?;
            if matches!(
                path.plural.as_str(),
                "selfsubjectaccessreviews" | "selfsubjectreviews"
            ) {
                return review(&head.method, &head.headers, &path.plural, &body);
            }
            let kind = self
                .registry()
                .find(&path.group, &path.version, &path.plural)
                .cloned()
                .ok_or_else(Failure::no_such_path)?;
            if path.namespace.is_empty() && path.name.is_some() && kind.namespaced
                || !path.namespace.is_empty() && !kind.namespaced
            {
                return Err(Failure::no_such_path());
            }
            let call = Call {
                kind,
                path,
                params,
                headers: head.headers,
                body,
            };
            return self.resource(&head.method, call).await;
        }
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Failure::method_not_allowed());
        }
        self.about(&target, accept)
    }

    /// Everything that is not a resource.
    fn about(&self, target: &Target, accept: &str) -> Result<Response<ResponseBody>, Failure> {
        let ok = StatusCode::OK;
        let registry = self.registry();
        if let (Target::Core | Target::Groups, Some(media_type)) =
            (target, discovery::aggregated_type(accept))
        {
            let value = discovery::aggregated(&registry, *target == Target::Core, media_type);
            return Ok(bytes_response(ok, value.to_string().into(), media_type));
        }
        let found = match target {
            Target::Version => Some(version()),
            Target::Health => {
                return Ok(bytes_response(ok, Bytes::from_static(b"ok"), "text/plain"));
            }
            Target::Core => Some(discovery::core_versions()),
            Target::Groups => Some(discovery::group_list(&registry)),
            Target::Group(name) => discovery::group(&registry, name),
            Target::GroupVersion(group, version) => {
                discovery::resource_list(&registry, group, version)
            }
            Target::Resource(_) => None,
        };
        found
            .map(|value| json_response(ok, &value))
            .ok_or_else(Failure::no_such_path)
    }

    async fn resource(
        &self,
        method: &Method,
        call: Call,
    ) -> Result<Response<ResponseBody>, Failure> {
        let name = call.path.name.clone();
        let subresource = call.path.subresource.clone();
        let status = match subresource.as_deref() {
            Some("log") if &*call.kind.resource == PODS && method == Method::GET => {
                return self.log(&call, &name.unwrap_or_default()).await;
            }
            None => false,
            Some("status") if call.kind.status => true,
            Some(_) => return Err(Failure::no_such_path()),
        };
        match (method.as_str(), name) {
            ("GET", None) if call.params.flag("watch") => self.watch(&call),
            ("GET", None) => self.list(&call),
            ("GET", Some(name)) if call.params.flag("watch") && !status => {
                let fields = format!("metadata.name={name}");
                let mut scope = call.scope()?;
                scope.selector = Selector::parse(&call.kind, "", &fields)?;
                self.watch_scope(&call, scope)
            }
            ("GET", Some(name)) => self.get(&call, &name),
            ("POST", None) => self.create(call).await,
            ("PUT", Some(name)) => self.put(call, name, status).await,
            ("PATCH", Some(name)) => self.patch(call, name, status).await,
            ("DELETE", Some(name)) if !status => self.delete(call, name).await,
            ("DELETE", None) => self.delete_collection(call).await,
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn get(&self, call: &Call, name: &str) -> Result<Response<ResponseBody>, Failure> {
        let object = self
            .store
            .read()
            .get(&call.kind.resource, &call.key(name))
            .cloned()
            .ok_or_else(|| Failure::not_found(&call.kind, name))?;
        Ok(call.object(StatusCode::OK, &object))
    }

    async fn log(&self, call: &Call, name: &str) -> Result<Response<ResponseBody>, Failure> {
        let found = self
            .store
            .read()
            .get(&call.kind.resource, &call.key(name))
            .cloned();
        let object = found.ok_or_else(|| Failure::not_found(&call.kind, name))?;
        let pod = Pod::deserialize(&object.value)
            .map_err(|error| Failure::internal(format!("the pod cannot be read: {error}")))?;
        let params = &call.params;
        let since_time = match params.text("sinceTime") {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                Failure::bad_request(format!("sinceTime is {text:?}, which is no such time"))
            })?),
        };
        let query = LogQuery {
            container: Some(params.text("container").to_owned()),
            follow: params.flag("follow"),
            previous: params.flag("previous"),
            timestamps: params.flag("timestamps"),
            since_time,
            since_seconds: params.number("sinceSeconds")?,
            tail_lines: params.number("tailLines")?,
            limit_bytes: params.number("limitBytes")?,
        };
        let lines = self
            .logs
            .open(&pod, &query)
            .await
            .map_err(|error| match error {
                LogError::BadRequest(why) => Failure::bad_request(why),
                LogError::Read(_) => Failure::internal(error.to_string()),
            })?;
        // A log that cannot be read on ends: its reader asks again from where it was.
        let lines = lines.take_while(|bytes| std::future::ready(bytes.is_ok()));
        let lines = lines.filter_map(|bytes| std::future::ready(bytes.ok()));
        Ok(stream_response(lines, "text/plain"))
    }

    fn list(&self, call: &Call) -> Result<Response<ResponseBody>, Failure> {
        let scope = call.scope()?;
        let limit = call.params.number("limit")?;
        let body = read::list(
            &self.store.read(),
            &call.kind,
            &scope,
            limit,
            call.params.text("continue"),
        )?;
        Ok(bytes_response(
            StatusCode::OK,
            body.into(),
            "application/json",
        ))
    }

    fn watch(&self, call: &Call) -> Result<Response<ResponseBody>, Failure> {
        self.watch_scope(call, call.scope()?)
    }

    fn watch_scope(&self, call: &Call, scope: Scope) -> Result<Response<ResponseBody>, Failure> {
        let since = match call.params.text("resourceVersion") {
            "" | "0" => None,
            version => Some(version.parse().map_err(|_| {
                Failure::bad_request(format!(
                    "Invalid value: {version:?}: not a resource version"
                ))
            })?),
        };
        let options = WatchOptions {
            since,
            bookmarks: call.params.flag("allowWatchBookmarks"),
            initial_events: call.params.flag("sendInitialEvents"),
            timeout: call
                .params
                .number("timeoutSeconds")?
                .map(Duration::from_secs),
        };
        let lines = watch::open(&self.store, &call.kind, scope, &options)?;
        Ok(stream_response(lines, "application/json"))
    }

    async fn create(&self, call: Call) -> Result<Response<ResponseBody>, Failure> {
        let body = parse_body(&call.headers, &call.body)?;
        let dry_run = call.params.dry_run()?;
        let options = call.write_options();
        let (kind, namespace) = (Arc::clone(&call.kind), call.path.namespace.clone());
        let object = self
            .store
            .write(dry_run, move |transaction| {
                write::create(transaction, &kind, &namespace, body, &options)
            })
            .await?;
        Ok(call.object(StatusCode::CREATED, &object))
    }

    async fn put(
        &self,
        call: Call,
        name: String,
        status: bool,
    ) -> Result<Response<ResponseBody>, Failure> {
        let body = parse_body(&call.headers, &call.body)?;
        self.change(call, name, status, Edit::Put(body)).await
    }

    async fn patch(
        &self,
        call: Call,
        name: String,
        status: bool,
    ) -> Result<Response<ResponseBody>, Failure> {
        let media_type = header_text(&call.headers, header::CONTENT_TYPE);
        let edit = if media_type.starts_with(APPLY) {
            Edit::Apply {
                config: parse_body(&call.headers, &call.body)?,
                force: call.params.flag("force"),
            }
        } else {
            let patch_type = PatchType::from_content_type(media_type)
                .filter(|kind| *kind != PatchType::Strategic || !call.kind.is_custom());
            let Some(patch_type) = patch_type else {
                let mut accepted = vec![
                    "application/json-patch+json",
                    "application/merge-patch+json",
                ];
                if !call.kind.is_custom() {
                    accepted.push("application/strategic-merge-patch+json");
                }
                accepted.push("application/apply-patch+yaml");
                return Err(Failure::unsupported_media_type(&accepted));
            };
            Edit::Patch(patch_type, parse_body(&call.headers, &call.body)?)
        };
        self.change(call, name, status, edit).await
    }

    async fn change(
        &self,
        call: Call,
        name: String,
        status: bool,
        edit: Edit,
    ) -> Result<Response<ResponseBody>, Failure> {
        let dry_run = call.params.dry_run()?;
        let mut options = call.write_options();
        if matches!(edit, Edit::Apply { .. }) {
            call.params
                .text("fieldManager")
                .clone_into(&mut options.manager);
        }
        let (kind, key) = (Arc::clone(&call.kind), call.key(&name));
        let object = self
            .store
            .write(dry_run, move |transaction| {
                let before = transaction.get(&kind.resource, &key).is_some();
                let object = write::change(transaction, &kind, &key, status, edit, &options)?;
                Ok((before, object))
            })
            .await?;
        let (before, object) = object;
        let code = if before {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        Ok(call.object(code, &object))
    }

    async fn delete(&self, call: Call, name: String) -> Result<Response<ResponseBody>, Failure> {
        let (options, dry_run) = call.delete_options()?;
        let (kind, key) = (Arc::clone(&call.kind), call.key(&name));
        let deleted = self
            .store
            .write(dry_run, move |transaction| {
                write::delete(transaction, &kind, &key, &options)
            })
            .await?;
        match deleted {
            Deleted::Begun(object) => Ok(call.object(StatusCode::OK, &object)),
            Deleted::Gone(object) => Ok(json_response(
                StatusCode::OK,
                &json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": {"name": name, "group": call.kind.group, "kind": call.kind.plural, "uid": object.uid()},
                }),
            )),
        }
    }

    async fn delete_collection(&self, call: Call) -> Result<Response<ResponseBody>, Failure> {
        let (options, dry_run) = call.delete_options()?;
        let scope = call.scope()?;
        let body = read::list(&self.store.read(), &call.kind, &scope, None, "")?;
        let keys: Vec<Key> = {
            let state = self.store.read();
            let all = state.collection(&call.kind.resource);
            all.into_iter()
                .flat_map(|collection| collection.range(&scope.namespace, None))
                .filter(|object| scope.has(object))
                .map(|object| object.key.clone())
                .collect()
        };
        let kind = Arc::clone(&call.kind);
        self.store
            .write(dry_run, move |transaction| {
                for key in keys {
                    match write::delete(transaction, &kind, &key, &options) {
                        Err(failure) if failure.code != 404 => return Err(failure),
                        _ => {}
                    }
                }
                Ok(())
            })
            .await?;
        Ok(bytes_response(
            StatusCode::OK,
            body.into(),
            "application/json",
        ))
    }
}

/// `/version`: the Kubernetes version whose behaviour is followed.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "33",
        "gitVersion": concat!("v1.33.0+flightdeck-", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Who holds the token may do everything.
fn review(
    method: &Method,
    headers: &HeaderMap,
    plural: &str,
    body: &[u8],
) -> Result<Response<ResponseBody>, Failure> {
    if method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let mut review = parse_body(headers, body)?;
    if !review.is_object() {
        return Err(Failure::bad_request("the body must be an object"));
    }
    review["status"] = if plural == "selfsubjectreviews" {
        json!({"userInfo": {"username": "embedded", "groups": ["system:masters", "system:authenticated"]}})
    } else {
        json!({"allowed": true})
    };
    Ok(json_response(StatusCode::CREATED, &review))
}
