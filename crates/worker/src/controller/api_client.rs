//! The controller's API client: every call has a timeout, and `Retry-After` is respected.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode, header};
use kube::client::{Body, Client};
use tokio::time::Instant;

/// Upper bound for a server's `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A call timed out.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
struct NoAnswer(Duration);

/// Wraps a client so that calls fail without a response within `timeout`, and wait while a server's `Retry-After` (429 or
/// 503, RFC 9110 section 10.2.3) is in effect.
///
/// A watch responds at once, so its events are not limited by the timeout.
#[must_use]
pub(crate) fn with_timeout(client: Client, timeout: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let throttle = Throttle::default();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, throttle) = (client.clone(), throttle.clone());
        async move {
            throttle.wait().await;
            let response = tokio::time::timeout(timeout, client.send(request)).await;
            let response = response.map_err(|_| tower::BoxError::from(NoAnswer(timeout)))?;
            let response = response.map_err(tower::BoxError::from)?;
            if let Some(delay) = retry_after(response.status(), response.headers()) {
                throttle.pause(delay);
            }
            Ok::<_, tower::BoxError>(response)
        }
    });
    Client::new(service, namespace)
}

/// The time until which calls are paused.
#[derive(Clone, Default)]
struct Throttle(Arc<Mutex<Option<Instant>>>);

impl Throttle {
    fn pause(&self, delay: Duration) {
        let until = Instant::now() + delay;
        let mut paused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = paused.max(Some(until));
    }

    async fn wait(&self) {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Returns the delay a busy server asks for. Ignores the date form of the header, which no API server sends.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let delay = Duration::from_secs(seconds.trim().parse().ok()?);
    busy.contains(&status).then_some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::{Api, api::ListParams};

    use super::*;

    type Pods = Api<k8s_openapi::api::core::v1::Pod>;

    /// Returns an API whose server responds to the n-th call (from 0) with `answer(n)`.
    fn pods(
        timeout: Duration,
        answer: impl Fn(u32) -> Option<Response<Body>> + Send + 'static,
    ) -> Pods {
        let mut calls = 0;
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer(calls);
            calls += 1;
            async move {
                match answer {
                    Some(answer) => Ok::<_, std::convert::Infallible>(answer),
                    None => std::future::pending().await,
                }
            }
        });
        Api::default_namespaced(with_timeout(Client::new(service, "default"), timeout))
    }

    fn answer(status: u16, retry_after: Option<&str>) -> Response<Body> {
        let mut answer = Response::builder().status(status);
        if let Some(seconds) = retry_after {
            answer = answer.header(header::RETRY_AFTER, seconds);
        }
        let list = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#;
        answer.body(Body::from(list.as_bytes().to_vec())).unwrap()
    }

    #[tokio::test]
    async fn call_without_response_times_out() {
        let pods = pods(Duration::from_millis(20), |_| None);
        let error = pods.list(&ListParams::default()).await.unwrap_err();
        let mut chain = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            chain = format!("{chain}: {error}");
            source = error.source();
        }
        assert!(chain.contains("no answer within 0.02 s"), "{chain}");
    }

    #[tokio::test]
    async fn waits_for_retry_after_before_the_next_call() {
        let pods = pods(Duration::from_secs(60), |call| {
            Some(match call {
                0 => answer(429, Some("1")),
                _ => answer(200, None),
            })
        });
        let started = Instant::now();
        pods.list(&ListParams::default()).await.unwrap_err();
        pods.list(&ListParams::default()).await.unwrap();
        assert!(started.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn respects_retry_after_of_busy_servers_up_to_a_limit() {
        for (status, retry_after, seconds) in [
            (429, Some("7"), Some(7)),
            (503, Some("7"), Some(7)),
            (429, Some("100000"), Some(60)),
            (429, Some("soon"), None),
            (429, None, None),
            (500, Some("7"), None),
        ] {
            let answer = answer(status, retry_after);
            let delay = super::retry_after(answer.status(), answer.headers());
            assert_eq!(
                delay.map(|delay| delay.as_secs()),
                seconds,
                "{status} {retry_after:?}"
            );
        }
    }
}
