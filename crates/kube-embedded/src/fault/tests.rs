use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Instant,
};

use futures::FutureExt;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tower::{Layer, Service, ServiceExt};

use super::{super::service::ResponseBody, *};

/// A service that counts requests and answers `answer N
/// ` twice.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Service<Request<()>> for Counting {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        let text = format!("answer {n}\nanswer {n}\n");
        ready(Ok(Response::new(
            Full::new(Bytes::from(text)).boxed_unsync(),
        )))
    }
}

/// Returns the service and its counter of requests.
fn counting() -> (Counting, Arc<AtomicUsize>) {
    let service = Counting::default();
    let reached = Arc::clone(&service.0);
    (service, reached)
}

fn faults(rule: Rule) -> Faults {
    Faults::new(Plan::of(rule))
}

/// Sends a request. Returns code and text, or the text received before the connection was cut.
async fn ask<S>(service: S, method: &str, path: &str) -> Result<(u16, String), String>
where
    S: Service<Request<()>, Response = Response<FaultyBody>, Error = ConnectionCut>,
{
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(())
        .unwrap();
    let response = service.oneshot(request).await.map_err(|_| String::new())?;
    let code = response.status().as_u16();
    let (mut text, mut body) = (String::new(), response.into_body());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Err(ConnectionCut) => return Err(text),
        }
    }
    Ok((code, text))
}

const ONE: &str = "/api/v1/namespaces/default/pods/a";
const WATCH: &str = "/api/v1/namespaces/default/pods?watch=true";

#[tokio::test]
async fn lost_request_is_not_executed_lost_response_is() {
    for (fault, done) in [(Fault::LoseRequest, 0), (Fault::LoseResponse, 1)] {
        let (service, reached) = counting();
        let faults = faults(Rule::new(fault).verbs(&[Verb::Write]).nth(1));
        let service = faults.layer().layer(service);
        assert_eq!(
            ask(service.clone(), "DELETE", ONE).await,
            Err(String::new())
        );
        assert_eq!(reached.load(Ordering::SeqCst), done, "{fault:?}");
        assert!(ask(service.clone(), "DELETE", ONE).await.is_ok());
        assert!(ask(service, "GET", ONE).await.is_ok());
        let count = &faults.counts()[0];
        assert_eq!((count.matched, count.injected), (2, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn error_answer_looks_like_kubernetes() {
    let (service, reached) = counting();
    let refused = Fault::Answer {
        code: 429.try_into().unwrap(),
        retry_after: Some(7),
    };
    let service = faults(Rule::new(refused)).layer().layer(service);
    let request = Request::get(ONE).body(()).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["reason"], "TooManyRequests");
    assert_eq!(status["details"]["retryAfterSeconds"], 7);
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn expired_version_is_sent_as_watch_event() {
    let (service, _) = counting();
    let gone = Fault::Answer {
        code: 410.try_into().unwrap(),
        retry_after: None,
    };
    let service = faults(Rule::new(gone)).layer().layer(service);
    let (code, text) = ask(service.clone(), "GET", WATCH).await.unwrap();
    assert_eq!(code, 200);
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(ask(service, "GET", ONE).await.unwrap().0, 410);
}

#[tokio::test]
async fn bodies_are_cut_truncated_duplicated_and_slowed() {
    let twice = "answer 1\nanswer 1\n";
    let whole = |text: &str| Ok((200, text.to_owned()));
    let broken = |text: &str| Err(text.to_owned());
    for (fault, path, expected) in [
        (Fault::CutAfterEvents(1), WATCH, broken("answer 1\n")),
        (Fault::CutAfterEvents(0), WATCH, broken("")),
        (Fault::CutAfterEvents(1), ONE, whole(twice)),
        (Fault::CutAfterBytes(3), ONE, broken("ans")),
        (Fault::CutAfterBytes(300), ONE, whole(twice)),
        (Fault::EndAfterBytes(3), ONE, whole("ans")),
        (Fault::EndAfterBytes(0), ONE, whole("")),
        (Fault::DuplicateEvents, WATCH, whole(&twice.repeat(2))),
        (Fault::DuplicateEvents, ONE, whole(twice)),
        (Fault::SlowEventsMs(1), WATCH, whole(twice)),
        (Fault::DelayMs(1), ONE, whole(twice)),
    ] {
        let (service, _) = counting();
        let service = faults(Rule::new(fault)).layer().layer(service);
        assert_eq!(
            ask(service, "GET", path).await,
            expected,
            "{fault:?} {path}"
        );
    }
}

#[tokio::test]
async fn delays_take_at_least_their_time() {
    for (fault, path, least) in [
        (Fault::SlowEventsMs(15), WATCH, 30),
        (Fault::SlowEventsMs(15), ONE, 0),
        (Fault::DelayMs(20), ONE, 20),
    ] {
        let started = Instant::now();
        let (service, _) = counting();
        let service = faults(Rule::new(fault)).layer().layer(service);
        ask(service, "GET", path).await.unwrap();
        assert!(started.elapsed().as_millis() >= least, "{fault:?} {path}");
    }
    let (service, reached) = counting();
    let never = faults(Rule::new(Fault::Hang)).layer().layer(service);
    assert!(ask(never, "GET", ONE).now_or_never().is_none());
    assert_eq!(
        reached.load(Ordering::SeqCst),
        0,
        "a hanging request is not executed"
    );
}

#[tokio::test]
async fn stale_read_replays_earlier_response() {
    let (service, _) = counting();
    let stale = Rule::new(Fault::Stale).verbs(&[Verb::Read]).from_nth(3);
    let service = faults(stale).layer().layer(service);
    let asks = async |path: &str| ask(service.clone(), "GET", path).await.unwrap().1;
    assert!(asks(ONE).await.starts_with("answer 1"));
    assert!(asks(ONE).await.starts_with("answer 2"));
    assert!(asks(ONE).await.starts_with("answer 2"));
    assert!(
        asks("/api/v1/pods").await.starts_with("answer 3"),
        "no earlier response"
    );
    assert!(asks("/api/v1/pods").await.starts_with("answer 3"));
    assert!(asks(ONE).await.starts_with("answer 2"));
    assert!(
        asks(WATCH).await.starts_with("answer 4"),
        "a watch is never repeated"
    );
}

#[tokio::test]
async fn wait_for_injected_resolves() {
    let (service, _) = counting();
    let faults = faults(Rule::new(Fault::LoseRequest).every(2));
    let service = faults.layer().layer(service);
    for _ in 0..3 {
        let _ = ask(service.clone(), "GET", ONE).await;
    }
    faults.wait_for_injected(1).await;
    assert!(faults.wait_for_injected(2).now_or_never().is_none());
    assert_eq!(
        faults.counts()[0].to_string(),
        "rule 1: injected in 1 of 3 requests"
    );
}
