//! How the controller calls the API: no call waits for ever, and a server that asks to be left alone is left alone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, Request, StatusCode, header};
use kube::client::{Body, Client};
use tokio::time::Instant;

/// Longest that a server's wish to be left alone is followed.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// The API did not answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {} s", .0.as_secs_f32())]
struct NoAnswer(Duration);

/// A client whose calls fail when no answer has begun within `patience`, and of which none is made before the time that a
/// server gave with 429 or 503 (`Retry-After`, RFC 9110 section 10.2.3) has passed.
///
/// A watch is answered at once; its events may then take as long as they like.
#[must_use]
pub fn bounded(client: Client, patience: Duration) -> Client {
    let namespace = client.default_namespace().to_owned();
    let silence = Silence::default();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, silence) = (client.clone(), silence.clone());
        async move {
            silence.over().await;
            let answer = tokio::time::timeout(patience, client.send(request)).await;
            let answer = answer.map_err(|_| tower::BoxError::from(NoAnswer(patience)))?;
            let answer = answer.map_err(tower::BoxError::from)?;
            if let Some(wait) = asked_to_wait(answer.status(), answer.headers()) {
                silence.keep(wait);
            }
            Ok::<_, tower::BoxError>(answer)
        }
    });
    Client::new(service, namespace)
}

/// When calls may be made again.
#[derive(Clone, Default)]
struct Silence(Arc<Mutex<Option<Instant>>>);

impl Silence {
    fn keep(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut silence = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *silence = silence.max(Some(until));
    }

    async fn over(&self) {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
    }
}

/// How long a busy server asks to be left alone. The other form of the header, a date, no API server sends.
fn asked_to_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ];
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let wait = Duration::from_secs(seconds.trim().parse().ok()?);
    busy.contains(&status).then_some(wait.min(LONGEST_SILENCE))
}

#[cfg(test)]
mod tests {
    use http::Response;
    use kube::{Api, api::ListParams};

    use super::*;

    type Pods = Api<k8s_openapi::api::core::v1::Pod>;

    /// Pods of a server that answers as `answer` says to the call of that number, counted from 0.
    fn pods(
        patience: Duration,
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
        Api::default_namespaced(bounded(Client::new(service, "default"), patience))
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
    async fn a_call_that_is_never_answered_fails_and_says_so() {
        let pods = pods(Duration::from_millis(20), |_| None);
        let error = pods.list(&ListParams::default()).await.unwrap_err();
        let mut whole = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            whole = format!("{whole}: {error}");
            source = error.source();
        }
        assert!(whole.contains("no answer within 0.02 s"), "{whole}");
    }

    #[tokio::test]
    async fn a_server_that_asks_to_be_left_alone_is_left_alone_for_so_long() {
        let pods = pods(Duration::from_secs(60), |call| {
            Some(match call {
                0 => answer(429, Some("1")),
                _ => answer(200, None),
            })
        });
        let begun = Instant::now();
        pods.list(&ListParams::default()).await.unwrap_err();
        pods.list(&ListParams::default()).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn only_a_busy_server_is_left_alone_and_none_for_ever() {
        for (status, retry_after, seconds) in [
            (429, Some("7"), Some(7)),
            (503, Some("7"), Some(7)),
            (429, Some("100000"), Some(60)),
            (429, Some("soon"), None),
            (429, None, None),
            (500, Some("7"), None),
        ] {
            let answer = answer(status, retry_after);
            let wait = asked_to_wait(answer.status(), answer.headers());
            assert_eq!(
                wait.map(|wait| wait.as_secs()),
                seconds,
                "{status} {retry_after:?}"
            );
        }
    }
}
