//! Tests following a run on a server that breaks streams at bad moments.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    FutureExt, Stream, StreamExt,
    channel::{mpsc, oneshot},
    stream,
};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use jiff::Timestamp;
use kube::{Client, client::Body};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use flightdeck_core::{
    backoff::Backoff,
    log::{LogEvent, Notice},
    runs::naming,
};

/// The course of a log connection.
#[derive(Clone, Copy, Debug)]
struct Connection {
    /// Number of lines written when it is opened.
    visible: usize,
    /// Number of bytes after which it stops.
    cut: usize,
    /// Whether it stops with an error, or cleanly.
    error: bool,
}

#[derive(Default)]
struct Log {
    lines: Vec<(Timestamp, String)>,
    /// The connections while the container runs; afterwards, the container ends.
    connections: VecDeque<Connection>,
    /// Number of lines rotated away at the start of the file.
    rotated: usize,
}

#[derive(Default)]
struct State {
    version: u64,
    pods: Vec<Value>,
    watchers: Vec<mpsc::UnboundedSender<Value>>,
    logs: HashMap<(String, String), Log>,
    /// Logs of the previous container instances.
    previous: HashMap<(String, String), Log>,
    log_calls: Vec<String>,
}

pub(super) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A cluster with only the pods of one run.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<State>>);

const NEVER: Connection = Connection {
    visible: usize::MAX,
    cut: usize::MAX,
    error: false,
};

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer: Result<_, std::convert::Infallible> = Ok(server.answer(&request));
            futures::future::ready(answer)
        });
        Client::new(service, "ns")
    }

    /// Adds a container in its own pod, running or ended.
    fn add(&self, stage: &str, container: &str, started: &str, running: bool, log: Log) {
        let pod = format!("r-{stage}-{container}");
        let key = (pod.clone(), container.to_owned());
        self.0.lock().unwrap().logs.insert(key, log);
        self.put(pod_object(&pod, stage, container, started, running));
    }

    fn put(&self, mut pod: Value) {
        let mut state = self.0.lock().unwrap();
        state.version += 1;
        pod["metadata"]["resourceVersion"] = state.version.to_string().into();
        let name = pod["metadata"]["name"].clone();
        state.pods.retain(|known| known["metadata"]["name"] != name);
        state.pods.push(pod.clone());
        let event = json!({"type": "MODIFIED", "object": pod});
        state
            .watchers
            .retain(|watcher| watcher.unbounded_send(event.clone()).is_ok());
    }

    fn delete(&self, name: &str) {
        let mut state = self.0.lock().unwrap();
        let at = state
            .pods
            .iter()
            .position(|pod| pod["metadata"]["name"] == name)
            .unwrap();
        let pod = state.pods.remove(at);
        state.logs.retain(|(pod, _), _| pod != name);
        let event = json!({"type": "DELETED", "object": pod});
        state
            .watchers
            .retain(|watcher| watcher.unbounded_send(event.clone()).is_ok());
    }

    fn end(&self, name: &str) {
        let mut pod = {
            let state = self.0.lock().unwrap();
            let mut pods = state.pods.iter();
            let found = pods.find(|pod| pod["metadata"]["name"] == name);
            found.unwrap().clone()
        };
        let status = &mut pod["status"]["containerStatuses"][0];
        let started = status["state"]["running"]["startedAt"].clone();
        if !started.is_null() {
            status["state"] = json!({"terminated": {"exitCode": 0, "startedAt": started}});
            self.put(pod);
        }
    }

    fn answer(&self, request: &Request<Body>) -> Response<Answer> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        if let Some(pod) = request
            .uri()
            .path()
            .strip_prefix("/api/v1/namespaces/ns/pods/")
            .and_then(|rest| rest.strip_suffix("/log"))
        {
            return self.log(pod, &query);
        }
        if let Some(name) = request
            .uri()
            .path()
            .strip_prefix("/api/v1/namespaces/ns/pods/")
            .and_then(|rest| rest.strip_suffix("/status"))
        {
            let state = self.0.lock().unwrap();
            let mut pods = state.pods.iter();
            let found = pods.find(|pod| pod["metadata"]["name"] == name);
            return json_response(found.unwrap());
        }
        assert!(
            query.contains("labelSelector=flightdeck.dev%2Frun-uid%3Du"),
            "{query}"
        );
        let mut state = self.0.lock().unwrap();
        if query.contains("watch=true") {
            let (sender, receiver) = mpsc::unbounded();
            // Changes between the list and the watch; duplicates are harmless.
            for pod in &state.pods {
                let event = json!({"type": "MODIFIED", "object": pod});
                sender.unbounded_send(event).unwrap();
            }
            state.watchers.push(sender);
            let lines = receiver.map(|event| Ok(Bytes::from(format!("{event}\n"))));
            return streamed(lines);
        }
        let list = json!({"apiVersion": "v1", "kind": "PodList",
            "metadata": {"resourceVersion": state.version.to_string()}, "items": state.pods});
        json_response(&list)
    }

    fn log(&self, pod: &str, query: &str) -> Response<Answer> {
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(key, _)| *key == name);
            found.map(|(_, value)| value.replace("%3A", ":"))
        };
        let mut state = self.0.lock().unwrap();
        state.log_calls.push(query.to_owned());
        let key = (pod.to_owned(), parameter("container").unwrap());
        let State { logs, previous, .. } = &mut *state;
        let logs = if parameter("previous").is_some() {
            previous
        } else {
            logs
        };
        let Some(log) = logs.get_mut(&key) else {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "pods not found", "reason": "NotFound", "code": 404});
            let mut answer = json_response(&status);
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            return answer;
        };
        let follows = parameter("follow").is_some();
        let connection = if follows {
            log.connections.pop_front()
        } else {
            Some(NEVER)
        };
        let over = connection.is_none();
        let connection = connection.unwrap_or(NEVER);
        let mut bytes = String::new();
        let visible = log.lines.len().min(connection.visible);
        let tail = parameter("tailLines").map(|lines| lines.parse::<usize>().unwrap());
        let from = visible.saturating_sub(tail.unwrap_or(visible));
        for (at, text) in &log.lines[from.max(log.rotated).min(visible)..visible] {
            writeln!(bytes, "{at} {text}").unwrap();
        }
        // A container that ends within a line.
        if connection.visible >= log.lines.len() && !follows && bytes.ends_with("#\n") {
            bytes.pop();
        }
        drop(state);
        if over {
            self.end(pod);
        }
        let mut bytes = bytes.into_bytes();
        bytes.truncate(connection.cut);
        let end = connection
            .error
            .then(|| Err(io::Error::other("connection reset")));
        // Chunks of an odd size, as from a network.
        let pieces: Vec<Result<Bytes, io::Error>> = bytes
            .chunks(13)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .chain(end)
            .collect();
        streamed(stream::iter(pieces))
    }

    async fn read(&self, until: impl Future<Output = ()> + Send + 'static) -> Vec<LogEvent> {
        let all = self.follow(until).collect();
        tokio::time::timeout(Duration::from_secs(60), all)
            .await
            .unwrap()
    }

    fn follow(
        &self,
        until: impl Future<Output = ()> + Send + 'static,
    ) -> impl Stream<Item = LogEvent> {
        let run = RunRef {
            name: "r".into(),
            uid: "u".into(),
        };
        let instant = Duration::from_micros(10);
        let options = FollowOptions {
            until: until.boxed(),
            backoff: Backoff::new(instant, instant),
            ..FollowOptions::default()
        };
        follow_run(&self.client(), "ns", &run, options)
    }
}

pub(super) fn json_response(object: &Value) -> Response<Answer> {
    streamed(stream::iter([Ok(Bytes::from(object.to_string()))]))
}

pub(super) fn streamed(
    pieces: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> Response<Answer> {
    Response::new(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync())
}

pub(super) fn pod_object(
    pod: &str,
    stage: &str,
    container: &str,
    started: &str,
    running: bool,
) -> Value {
    let now = if running {
        json!({"running": {"startedAt": started}})
    } else {
        json!({"terminated": {"exitCode": 0, "startedAt": started}})
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": pod, "uid": format!("uid-{pod}"), "labels": {
            naming::LABEL_RUN_UID: "u", naming::LABEL_STAGE: stage,
            naming::LABEL_VERSION: "1", naming::LABEL_ATTEMPT: "1",
        }},
        "status": {"containerStatuses": [{
            "name": container, "restartCount": 0, "image": "", "imageID": "", "ready": running, "state": now,
        }]},
    })
}

fn log(lines: &[(&str, &str)]) -> Log {
    let line = |(at, text): &(&str, &str)| (at.parse().unwrap(), (*text).to_owned());
    Log {
        lines: lines.iter().map(line).collect(),
        ..Log::default()
    }
}

/// Formats events as lines, with notices and ends in angle brackets.
fn shown(events: &[LogEvent]) -> Vec<String> {
    let word = |event: &LogEvent| match event {
        LogEvent::SourceStarted(source) => format!("<{}>", source.tag()),
        LogEvent::SourceEnded(source) => format!("</{}>", source.tag()),
        LogEvent::Line(line) => line.text.clone(),
        LogEvent::Notice(_, notice) => format!("<{notice}>"),
        LogEvent::RunEnded => "<end>".into(),
    };
    events.iter().map(word).collect()
}

#[tokio::test]
async fn reads_finished_run_in_order() {
    let server = Server::default();
    let two = [("2030-01-01T00:00:05Z", "c"), ("2030-01-01T00:00:06Z", "d")];
    server.add("agent", "agent", "2030-01-01T00:00:04Z", false, log(&two));
    let one = [("2030-01-01T00:00:01Z", "a"), ("2030-01-01T00:00:09Z", "b")];
    server.add("prep", "clone", "2030-01-01T00:00:00Z", false, log(&one));
    let events = server.read(async {}).await;
    assert_eq!(
        shown(&events),
        [
            "<prep/clone>",
            "a",
            "b",
            "</prep/clone>",
            "<agent>",
            "c",
            "d",
            "</agent>",
            "<end>"
        ]
    );
}

/// Follows a log while it is written, and returns the batches.
fn followed_live(
    batch_time: Duration,
) -> (
    mpsc::UnboundedSender<usize>,
    impl Stream<Item = Vec<LogEvent>>,
) {
    let server = Server::default();
    server.add(
        "agent",
        "agent",
        "2030-01-01T00:00:00Z",
        true,
        Log::default(),
    );
    let (write, lines) = mpsc::unbounded::<usize>();
    let lines = Mutex::new(Some(lines));
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = if request.uri().path().ends_with("/log") {
            let lines = lines.lock().unwrap().take().unwrap();
            streamed(
                lines.map(|at| Ok(Bytes::from(format!("2030-01-01T00:00:00.{at:09}Z {at}\n")))),
            )
        } else {
            server.answer(&request)
        };
        futures::future::ready(Ok::<_, std::convert::Infallible>(answer))
    });
    let run = RunRef {
        name: "r".into(),
        uid: "u".into(),
    };
    let options = FollowOptions {
        batch_time,
        ..FollowOptions::default()
    };
    let batches = follow_run_batched(&Client::new(service, "ns"), "ns", &run, options);
    let lines = |batch: Vec<LogEvent>| -> Vec<LogEvent> {
        let lines = |event: &LogEvent| matches!(event, LogEvent::Line(_));
        batch.into_iter().filter(lines).collect()
    };
    let batches = batches.map(lines);
    (
        write,
        batches.filter(|batch| futures::future::ready(!batch.is_empty())),
    )
}

#[tokio::test]
async fn batches_slow_lines_if_requested() {
    let batch_time = Duration::from_millis(100);
    let (write, batches) = followed_live(batch_time);
    let began = std::time::Instant::now();
    let writer = tokio::spawn(async move {
        for at in 0..100 {
            write.unbounded_send(at).unwrap();
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        // Kept open: a stream that ends would be requested again.
        std::future::pending::<()>().await;
    });
    let mut batches = Box::pin(batches);
    let (mut lines, mut received) = (0, 0);
    while lines < 100 {
        lines += batches.next().await.unwrap().len();
        received += 1;
    }
    writer.abort();
    let most = began.elapsed().as_millis() / batch_time.as_millis() + 2;
    assert!(
        received <= most,
        "{received} batches, expected at most {most}"
    );
}

#[tokio::test]
async fn sends_line_before_the_next_is_written() {
    // With a batch time of an hour, the first line is still sent at once; without one, every line.
    for (batch_time, count) in [(Duration::from_secs(3600), 1), (Duration::ZERO, 10)] {
        let (write, batches) = followed_live(batch_time);
        let mut batches = Box::pin(batches);
        for at in 0..count {
            write.unbounded_send(at).unwrap();
            let received = tokio::time::timeout(Duration::from_secs(60), batches.next());
            assert_eq!(received.await.unwrap().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn follows_later_stage_to_its_last_line() {
    let server = Server::default();
    server.add(
        "prep",
        "clone",
        "2030-01-01T00:00:00Z",
        true,
        log(&[("2030-01-01T00:00:01Z", "cloned")]),
    );
    let (finish, finished) = oneshot::channel::<()>();
    let mut events = Box::pin(server.follow(finished.map(drop)));
    let mut got = Vec::new();
    let mut finish = Some(finish);
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), events.next())
        .await
        .unwrap()
    {
        match &event {
            LogEvent::SourceEnded(source) if source.container == "clone" => server.add(
                "agent",
                "agent",
                "2030-01-01T00:00:04Z",
                true,
                log(&[("2030-01-01T00:00:05Z", "done without a line break#")]),
            ),
            LogEvent::SourceStarted(source) if source.container == "agent" => {
                finish.take().unwrap().send(()).unwrap();
            }
            _ => {}
        }
        got.push(event);
    }
    assert_eq!(
        shown(&got),
        [
            "<prep/clone>",
            "cloned",
            "</prep/clone>",
            "<agent>",
            "done without a line break#",
            "</agent>",
            "<end>"
        ]
    );
}

#[tokio::test]
async fn reports_disconnect_without_losing_lines() {
    let server = Server::default();
    let mut log = log(&[
        ("2030-01-01T00:00:01.7Z", "one"),
        ("2030-01-01T00:00:01.7Z", "two"),
        ("2030-01-01T00:00:01.7Z", "three"),
    ]);
    log.connections = [Connection {
        visible: 2,
        cut: 30,
        error: true,
    }]
    .into();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
    let events = server.read(async {}).await;
    assert_eq!(
        shown(&events),
        [
            "<agent>",
            "one",
            "<reconnected, 0 lines lost>",
            "two",
            "three",
            "</agent>",
            "<end>"
        ]
    );
    let calls = server.0.lock().unwrap().log_calls.clone();
    // `sinceTime` is not used: a kubelet would skip lines after a clock was set back.
    assert!(!calls.concat().contains("since"), "{calls:?}");
    assert!(!calls.last().unwrap().contains("follow"), "{calls:?}");
}

#[tokio::test]
async fn clean_closes_before_the_status_leave_no_notice() {
    let server = Server::default();
    let mut log = log(&[("2030-01-01T00:00:01Z", "one")]);
    log.connections = std::iter::repeat_n(NEVER, 5).collect();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
    let events = server.read(async {}).await;
    assert_eq!(shown(&events), ["<agent>", "one", "</agent>", "<end>"]);
}

#[tokio::test]
async fn requests_last_lines_after_disconnect() {
    let server = Server::default();
    let line = |n: usize| (format!("2030-01-01T00:00:{n:02}Z"), n.to_string());
    let lines: Vec<_> = (0..20).map(line).collect();
    let lines: Vec<_> = lines.iter().map(|(at, text)| (&**at, &**text)).collect();
    let mut log = log(&lines);
    log.connections = [Connection {
        visible: 18,
        cut: usize::MAX,
        error: true,
    }]
    .into();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
    let events = server.read(async {}).await;
    let lines = shown(&events)
        .into_iter()
        .filter(|word| !word.starts_with('<'));
    assert!(lines.eq((0..20).map(|n| n.to_string())), "{events:?}");
    let calls = server.0.lock().unwrap().log_calls.clone();
    let last = |call: &String| call.contains("tailLines=32");
    assert!(!last(&calls[0]) && calls[1..].iter().all(last), "{calls:?}");
}

#[tokio::test]
async fn reports_rotated_lines_as_gap() {
    let server = Server::default();
    let mut log = log(&[
        ("2030-01-01T00:00:01Z", "one"),
        ("2030-01-01T00:00:02Z", "never seen"),
        ("2030-01-01T00:00:13Z", "three"),
    ]);
    log.rotated = 0;
    log.connections = [
        Connection {
            visible: 1,
            cut: usize::MAX,
            error: true,
        },
        NEVER,
    ]
    .into();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
    let (finish, finished) = oneshot::channel::<()>();
    let mut events = Box::pin(server.follow(finished.map(drop)));
    let mut got = Vec::new();
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), events.next())
        .await
        .unwrap()
    {
        if matches!(&event, LogEvent::Line(line) if line.text == "one") {
            let mut state = server.0.lock().unwrap();
            state.logs.values_mut().for_each(|log| log.rotated = 2);
        }
        got.push(event);
        if got.len() == 4 {
            break;
        }
    }
    drop(finish);
    assert_eq!(
        shown(&got),
        [
            "<agent>",
            "one",
            "<reconnected; the log was rotated, lines of the previous 12s may be missing>",
            "three"
        ]
    );
}

#[tokio::test]
async fn deleted_pod_ends_its_source_with_a_notice() {
    let server = Server::default();
    let mut log = log(&[("2030-01-01T00:00:01Z", "one")]);
    log.connections = std::iter::repeat_n(NEVER, 10_000).collect();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
    let mut events = Box::pin(server.follow(std::future::pending()));
    let mut got = Vec::new();
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), events.next())
        .await
        .unwrap()
    {
        if matches!(event, LogEvent::Line(_)) {
            server.delete("r-agent-agent");
        }
        let ended = matches!(event, LogEvent::SourceEnded(_));
        got.push(event);
        if ended {
            break;
        }
    }
    assert_eq!(
        shown(&got),
        [
            "<agent>",
            "one",
            "<the pod was deleted; its last lines may be missing>",
            "</agent>"
        ]
    );
}

/// A pod whose container was restarted `restarts` times.
fn restarted(restarts: i32) -> Value {
    let mut pod = pod_object(
        "r-agent-agent",
        "agent",
        "agent",
        "2030-01-01T00:00:00Z",
        true,
    );
    let status = &mut pod["status"]["containerStatuses"][0];
    status["restartCount"] = restarts.into();
    status["lastState"] =
        json!({"terminated": {"exitCode": 1, "startedAt": "2030-01-01T00:00:00Z"}});
    pod
}

#[tokio::test]
async fn log_of_restarted_container_is_not_mixed_with_previous() {
    let server = Server::default();
    let mut before = log(&[
        ("2030-01-01T00:00:01Z", "one"),
        ("2030-01-01T00:00:02Z", "two"),
    ]);
    before.connections = [Connection {
        visible: 1,
        ..NEVER
    }]
    .into();
    server.add("agent", "agent", "2030-01-01T00:00:00Z", true, before);
    let (finish, finished) = oneshot::channel::<()>();
    let mut events = Box::pin(server.follow(finished.map(drop)));
    let mut got = Vec::new();
    let mut finish = Some(finish);
    while let Some(event) = tokio::time::timeout(Duration::from_secs(60), events.next())
        .await
        .unwrap()
    {
        if matches!(&event, LogEvent::Line(line) if line.text == "one") {
            // The container is restarted, and its status is late.
            let mut state = server.0.lock().unwrap();
            let key = ("r-agent-agent".to_owned(), "agent".to_owned());
            let first = state.logs.remove(&key).unwrap();
            let mut second = log(&[("2030-01-01T00:00:09Z", "three")]);
            second.connections = std::iter::repeat_n(NEVER, 3).collect();
            state.logs.insert(key.clone(), second);
            state.previous.insert(key, first);
            state.pods = vec![restarted(1)];
        }
        if matches!(&event, LogEvent::Line(line) if line.text == "three") {
            finish.take().unwrap().send(()).unwrap();
        }
        got.push(event);
        let calls = server.0.lock().unwrap().log_calls.len();
        if calls == 2 {
            server.put(restarted(1));
        }
    }
    let lines = shown(&got);
    let lines: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(|line| !line.starts_with('<'))
        .collect();
    assert_eq!(lines, ["one", "two", "three"]);
    let restarts: Vec<i32> = got
        .iter()
        .filter_map(|event| match event {
            LogEvent::Line(line) => Some(line.source.restart),
            _ => None,
        })
        .collect();
    assert_eq!(restarts, [0, 0, 1]);
}

#[tokio::test]
async fn reads_previous_log_of_unobserved_restart() {
    let server = Server::default();
    server.add(
        "agent",
        "agent",
        "2030-01-01T00:00:05Z",
        true,
        log(&[("2030-01-01T00:00:06Z", "after")]),
    );
    {
        let mut state = server.0.lock().unwrap();
        let key = ("r-agent-agent".to_owned(), "agent".to_owned());
        state
            .previous
            .insert(key, log(&[("2030-01-01T00:00:01Z", "before")]));
        state.pods = vec![restarted(1)];
    }
    let events = server.read(async {}).await;
    assert_eq!(
        shown(&events),
        [
            "<agent>",
            "before",
            "</agent>",
            "<agent+1>",
            "after",
            "</agent+1>",
            "<end>"
        ]
    );
}

/// Lines of a container: steps between them in milliseconds, and texts.
fn lines() -> impl Strategy<Value = Vec<(Timestamp, String)>> {
    let step = prop_oneof![3 => Just(0_i64), 2 => 1_i64..400, 1 => 400_i64..3000];
    prop::collection::vec((step, "[a-zé ]{0,30}"), 0..40).prop_map(|steps| {
        let mut time = 1_893_456_000_000;
        let line = |(step, text)| {
            time += step;
            (Timestamp::from_millisecond(time).unwrap(), text)
        };
        steps.into_iter().map(line).collect()
    })
}

fn connections() -> impl Strategy<Value = Vec<Connection>> {
    let connection = (0_usize..45, 0_usize..600, any::<bool>());
    prop::collection::vec(connection, 0..8).prop_map(|mut all| {
        // Written lines stay written.
        all.sort_by_key(|(visible, ..)| *visible);
        let connection = |(visible, cut, error)| Connection {
            visible,
            cut,
            error,
        };
        all.into_iter().map(connection).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reader_gets_what_the_writer_wrote(
        lines in lines(),
        connections in connections(),
    ) {
        let texts: Vec<String> = lines.iter().map(|(_, text)| text.clone()).collect();
        let server = Server::default();
        let log = Log { lines, connections: connections.into(), rotated: 0 };
        server.add("agent", "agent", "2030-01-01T00:00:00Z", true, log);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let events = runtime.block_on(server.read(async {}));
        let mut keys = std::collections::HashSet::new();
        let mut got = Vec::new();
        for event in events {
            match event {
                LogEvent::Line(line) => {
                    prop_assert!(keys.insert((line.at, line.ordinal)), "two lines with one key");
                    got.push(line.text);
                }
                LogEvent::Notice(_, notice) => {
                    let harmless = matches!(notice, Notice::Reconnected | Notice::Unreachable(_));
                    prop_assert!(harmless, "{}", notice);
                }
                _ => {}
            }
        }
        prop_assert_eq!(got, texts);
    }
}
