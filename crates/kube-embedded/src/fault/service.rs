//! The layer: asks the plan about each request and does what it says.

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
    request_info::Asked,
};

/// Puts faults around a service.
#[derive(Clone)]
pub struct FaultLayer(pub(super) Faults);

/// A service with faults around it. Its error is a connection that breaks.
#[derive(Clone)]
pub struct Faulty<S> {
    inner: S,
    faults: Faults,
}

impl<S> Layer<S> for FaultLayer {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty {
            inner,
            faults: self.0.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Faulty<S>
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
        // Each request takes a clone of its own, and waits for that.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (inner, faults) = (self.inner.clone(), self.faults.clone());
        Box::pin(async move {
            if !faults.is_empty() {
                faults.answer(inner, request).await
            } else {
                Ok(pass(inner, request).await.map(body::whole))
            }
        })
    }
}

/// An answer that can be given again.
#[derive(Clone)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
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
        let asked = Asked::of(request.method(), request.uri());
        let question = question(&request);
        let (rule, fault) = self.strike(&asked).unzip();
        if let Some(rule) = &rule {
            let Asked {
                verb,
                resource,
                name,
                ..
            } = &asked;
            tracing::debug!(rule, ?verb, resource, name, "a planted fault");
        }
        let watch = asked.verb == Verb::Watch;
        let stream = watch || asked.resource.ends_with("/log");
        match fault {
            Some(Fault::Answer { code, retry_after }) => {
                let rule = rule.unwrap_or_default();
                return Ok(refuse(&rule, code.number(), retry_after, watch));
            }
            Some(Fault::Hang) => return future::pending().await,
            Some(Fault::LoseRequest) => return Err(ConnectionCut),
            Some(Fault::DelayMs(ms)) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Some(Fault::Stale) if asked.is_one_answer() => {
                if let Some(answer) = self.earlier(&question) {
                    return Ok(answer.response());
                }
            }
            _ => {}
        }
        let response = pass(inner, request).await;
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
        if !self.remembers(&asked) {
            return Ok(response.map(body::whole));
        }
        let answer = Answer::of(response).await;
        self.remember(question, answer.clone());
        Ok(answer.response())
    }
}

async fn pass<S, B>(inner: S, request: Request<B>) -> Response<ResponseBody>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible>,
{
    let Ok(response) = inner.oneshot(request).await;
    response
}

/// What must be the same for an earlier answer to be one to this request.
fn question<B>(request: &Request<B>) -> String {
    let accept = request.headers().get(header::ACCEPT);
    let accept = accept.map(HeaderValue::as_bytes).unwrap_or_default();
    format!("{} {}", request.uri(), String::from_utf8_lossy(accept))
}

/// The refusal a rule asks for.
fn refuse(rule: &str, code: u16, retry_after: Option<u32>, watch: bool) -> Response<FaultyBody> {
    let mut failure = StatusError::with_code(code, format!("a planted fault ({rule})"));
    if let Some(seconds) = retry_after {
        failure.details = Some(json!({"retryAfterSeconds": seconds}));
    }
    if watch && code == StatusCode::GONE.as_u16() {
        // A server that no longer knows a version says so inside the watch; clients take an HTTP 410 for a passing trouble.
        let event = json!({"type": "ERROR", "object": failure.to_status()});
        let line = Full::new(Bytes::from(format!("{event}\n")));
        let mut response = Response::new(body::whole(line.boxed_unsync()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        return response;
    }
    let mut response = error_response(&failure).map(body::whole);
    if let Some(seconds) = retry_after {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
