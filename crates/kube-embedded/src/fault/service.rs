//! The layer: asks the plan about each request and injects the fault.

use std::{
    convert::Infallible,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde_json::json;
use tower::{Layer, Service, ServiceExt};

use super::{
    super::{
        service::{ResponseBody, error_response},
        status::StatusError,
    },
    Faults,
    body::{self, ConnectionCut, FaultyBody},
    plan::{Fault, Verb},
    request_info::RequestInfo,
};

/// Layer that injects faults into a service.
#[derive(Clone)]
pub struct FaultLayer(pub(super) Faults);

/// Service with injected faults. Its error is a cut connection.
#[derive(Clone)]
pub struct FaultService<S> {
    inner: S,
    faults: Faults,
}

impl<S> Layer<S> for FaultLayer {
    type Service = FaultService<S>;

    fn layer(&self, inner: S) -> FaultService<S> {
        FaultService {
            inner,
            faults: self.0.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for FaultService<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<FaultyBody>;
    type Error = ConnectionCut;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectionCut>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectionCut>> {
        // Each request calls a clone, which is polled for readiness then.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        Box::pin(async move {
            if faults.is_empty() {
                Ok(call(inner, request).await.map(body::whole))
            } else {
                faults.answer(inner, request).await
            }
        })
    }
}

/// A response that can be replayed.
#[derive(Clone)]
pub(super) struct CachedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl CachedResponse {
    async fn of(response: Response<ResponseBody>) -> Self {
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await;
        Self {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }

    fn response(self) -> Response<FaultyBody> {
        let mut response = Response::new(body::whole(Full::new(self.body).boxed_unsync()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Faults {
    async fn answer<S, B>(
        &self,
        inner: S,
        request: Request<B>,
    ) -> Result<Response<FaultyBody>, ConnectionCut>
    where
        S: Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible>,
    {
        let request_info = RequestInfo::of(request.method(), request.uri());
        let key = key(&request);
        let (rule, fault) = self.inject(&request_info).unzip();
        if let Some(rule) = &rule {
            let RequestInfo {
                verb,
                resource,
                name,
                ..
            } = &request_info;
            tracing::debug!(rule, ?verb, resource, name, "injecting a fault");
        }
        let watch = request_info.verb == Verb::Watch;
        let stream = watch || request_info.resource.ends_with("/log");
        match fault {
            Some(Fault::Answer { code, retry_after }) => {
                let rule = rule.unwrap_or_default();
                return Ok(respond_with_error(&rule, code.number(), retry_after, watch));
            }
            Some(Fault::Hang) => return future::pending().await,
            Some(Fault::LoseRequest) => return Err(ConnectionCut),
            Some(Fault::DelayMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(Fault::Stale) if request_info.is_cacheable() => {
                if let Some(answer) = self.cached_response(&key) {
                    return Ok(answer.response());
                }
            }
            _ => {}
        }
        let response = call(inner, request).await;
        match fault {
            Some(Fault::LoseResponse) => return Err(ConnectionCut),
            Some(Fault::CutAfterEvents(n)) if stream => {
                return Ok(response.map(|body| body::cut_after_lines(body, n)));
            }
            Some(Fault::CutAfterBytes(n)) => {
                return Ok(response.map(|body| body::cut_after_bytes(body, n, false)));
            }
            Some(Fault::EndAfterBytes(n)) => {
                return Ok(response.map(|body| body::cut_after_bytes(body, n, true)));
            }
            Some(Fault::DuplicateEvents) if watch => return Ok(response.map(body::doubled)),
            Some(Fault::SlowEventsMs(ms)) if stream => {
                let by = Duration::from_millis(ms);
                return Ok(response.map(|body| body::slowed(body, by)));
            }
            _ => {}
        }
        if !self.should_cache(&request_info) {
            return Ok(response.map(body::whole));
        }
        let answer = CachedResponse::of(response).await;
        self.cache_response(key, answer.clone());
        Ok(answer.response())
    }
}

async fn call<S, B>(inner: S, request: Request<B>) -> Response<ResponseBody>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible>,
{
    let Ok(response) = inner.oneshot(request).await;
    response
}

/// Returns the cache key of a request: its URI and accepted media types.
fn key<B>(request: &Request<B>) -> String {
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.map(HeaderValue::as_bytes).unwrap_or_default();
    format!("{} {}", request.uri(), String::from_utf8_lossy(accept))
}

/// Returns the error response that a rule asks for.
fn respond_with_error(
    rule: &str,
    code: u16,
    retry_after: Option<u32>,
    watch: bool,
) -> Response<FaultyBody> {
    let mut error = StatusError::with_code(code, format!("injected fault ({rule})"));
    if let Some(seconds) = retry_after {
        error.details = Some(json!({"retryAfterSeconds": seconds}));
    }
    if watch && code == StatusCode::GONE.as_u16() {
        // Kubernetes reports an expired version inside the watch; clients treat an HTTP 410 as a transient error.
        let event = json!({"type": "ERROR", "object": error.to_status()});
        let line = Full::new(Bytes::from(format!("{event}\n")));
        let mut response = Response::new(body::whole(line.boxed_unsync()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        return response;
    }
    let mut response = error_response(&error).map(body::whole);
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
