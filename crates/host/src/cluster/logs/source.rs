//! Follows the log of a container across disconnects to its end.

mod stream;

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use futures::{Stream, channel::mpsc::Sender};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    batch::{BatchSender, ReceiverDropped},
    record::{Record, Unfinished},
    resume::{Resume, Verdict},
    timeouts::Timeouts,
};
use crate::cluster::channel_stream::channel_stream;
use flightdeck_core::{
    backoff::{Attempts, Backoff},
    log::{LogEvent, LogLine, LogSource, Notice},
    text,
};

/// The state of a container instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// Terminated.
    Ended,
    /// Terminated and restarted once: its log is the previous one.
    Superseded,
    /// Restarted more than once: its log no longer exists.
    Replaced,
    /// Its pod no longer exists.
    Gone,
}

/// Attempts to read a log that does not exist, or that lacks the known lines.
const MAX_MISSES: u32 = 3;
/// Longest wait before reopening a stream that the server closed while the container seemed to run.
const MAX_CLOSED_WAIT: Duration = Duration::from_secs(5);
/// Seconds of initial silence after which the start of a log is considered missing.
const SILENT_START: i64 = 60;

/// Why reading a stream stopped.
#[derive(Debug)]
enum Stop {
    /// Closed by the server.
    Closed,
    /// Broken by an error.
    Broken(String),
    /// Timed out.
    Silent,
    /// There is no log, or only that of a later instance of the container.
    NotFound,
    /// The response is of no further use: send another request at once.
    NewRequest,
}

/// The container to follow.
pub(super) struct Subject {
    pub(super) source: Arc<LogSource>,
    /// Start time of the container, if known.
    pub(super) started: Option<Timestamp>,
    /// Whether the container may be restarted in its pod.
    pub(super) may_restart: bool,
    pub(super) life: watch::Receiver<Life>,
    /// How long to batch slowly arriving lines; zero disables batching.
    pub(super) batch_time: Duration,
}

struct Follow {
    api: Api<Pod>,
    source: Arc<LogSource>,
    started: Option<Timestamp>,
    may_restart: bool,
    life: watch::Receiver<Life>,
    out: BatchSender,
    /// Reset by each new line, each change of `life`, and each stream that lasted.
    attempts: Attempts,
    timeouts: Timeouts,
    /// When reading started.
    opened: Instant,
    resume: Resume,
    /// Deadline for a following stream to show the known lines.
    search: Option<Instant>,
    /// The stream is verified to be of this instance of the container.
    identified: bool,
    /// The stream returned a new line.
    progressed: bool,
    unfinished: Unfinished,
    /// The incomplete last line of the previous stream, if the server closed it and it may have been complete.
    tail: Option<Unfinished>,
    /// The last attempt failed, and nothing was received since.
    failing: bool,
    /// A stream broke, and the reconnect was not reported yet.
    interrupted: bool,
    /// An outage was reported.
    unreachable: bool,
}

pub(super) fn follow(
    api: Api<Pod>,
    subject: Subject,
    backoff: Backoff,
    timeouts: Timeouts,
) -> impl Stream<Item = Vec<LogEvent>> + Send {
    channel_stream(move |out| {
        let follow = Follow::new(api, subject, out, backoff, timeouts);
        async move {
            // Fails only if the receiver was dropped.
            let _ = follow.run().await;
        }
    })
}

impl Follow {
    fn new(
        api: Api<Pod>,
        subject: Subject,
        out: Sender<Vec<LogEvent>>,
        backoff: Backoff,
        timeouts: Timeouts,
    ) -> Self {
        Self {
            api,
            out: BatchSender::new(Arc::clone(&subject.source), out, subject.batch_time),
            source: subject.source,
            started: subject.started,
            may_restart: subject.may_restart,
            life: subject.life,
            attempts: Attempts::new(backoff),
            timeouts,
            opened: Instant::now(),
            resume: Resume::default(),
            search: None,
            identified: false,
            progressed: false,
            unfinished: Unfinished::default(),
            tail: None,
            failing: false,
            interrupted: false,
            unreachable: false,
        }
    }

    async fn run(mut self) -> Result<(), ReceiverDropped> {
        self.out
            .push(LogEvent::SourceStarted(Arc::clone(&self.source)))
            .await?;
        self.read_to_end().await?;
        self.out
            .push(LogEvent::SourceEnded(Arc::clone(&self.source)))
            .await?;
        self.out.flush().await
    }

    async fn read_to_end(&mut self) -> Result<(), ReceiverDropped> {
        // Attempts without a log, complete responses without the known lines, and attempts after the pod was deleted.
        let (mut absent, mut unmatched, mut after_deletion) = (0, 0, 0);
        loop {
            let life = *self.life.borrow_and_update();
            let last = life != Life::Running;
            if life == Life::Replaced {
                return self.out.notice(Notice::Replaced).await;
            }
            let stop = match self.open_and_read(life).await? {
                Ok(stop) => {
                    absent = 0;
                    stop
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    absent += 1;
                    // A kubelet that was just started returns 404 for pods that it runs.
                    if life == Life::Gone || last && absent >= MAX_MISSES {
                        return self.out.notice(Notice::Gone).await;
                    }
                    if absent < MAX_MISSES {
                        Stop::NotFound
                    } else {
                        Stop::Broken(reason(&kube::Error::Api(status)))
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 400 && last => {
                    // The server no longer has the log.
                    let words = text::sanitize(&status.message).into_owned();
                    return self.out.notice(Notice::Server(words)).await;
                }
                Err(error) => {
                    absent = 0;
                    Stop::Broken(reason(&error))
                }
            };
            let closed = matches!(stop, Stop::Closed);
            if closed && last {
                self.recognise_incomplete_line();
            }
            if closed || matches!(stop, Stop::Silent) {
                self.resume.ended(closed, self.unfinished.len());
            }
            // A stream with some of the known lines was cut off; only one without any may be of a new file.
            let empty = self.resume.is_lost(self.unfinished.len());
            let complete = closed && (self.resume.caught_up() || empty);
            let tail = complete.then(|| self.unfinished.clone());
            // A server that loses its node closes the stream cleanly, so two streams must end alike.
            let alike = complete && self.tail == tail;
            self.tail = tail;
            if closed && last {
                if self.progressed {
                    continue;
                }
                unmatched = if empty { unmatched + 1 } else { 0 };
                if alike && (!empty || unmatched >= MAX_MISSES) {
                    return self.finish().await;
                }
            }
            if life == Life::Gone && !matches!(stop, Stop::NewRequest) {
                after_deletion += 1;
                if after_deletion >= MAX_MISSES {
                    return self.out.notice(Notice::Gone).await;
                }
            }
            self.recover(stop).await?;
        }
    }

    /// Recognises the incomplete last line if it was read before with its line break. A line that was cut off may
    /// look like any other.
    fn recognise_incomplete_line(&mut self) {
        let record = self.unfinished.clone().finish();
        if let Some(at) = record.at.filter(|_| self.resume.ends_with(record.hash)) {
            self.resume.take(at, record.hash);
            self.unfinished = Unfinished::default();
        }
    }

    /// Sends the rest once the end is certain.
    async fn finish(&mut self) -> Result<(), ReceiverDropped> {
        if let Some(from) = self.resume.last().filter(|_| !self.resume.caught_up()) {
            self.out.notice(Notice::Gap { from, to: None }).await?;
        }
        if !self.unfinished.is_empty() {
            let record = self.unfinished.finish();
            self.resume.stop_searching();
            // There is no response left to abandon.
            let _ = self.take(record).await?;
        }
        Ok(())
    }

    /// Sends a record if it is new. Breaks if the response is of no further use.
    async fn take(&mut self, record: Record) -> Result<ControlFlow<()>, ReceiverDropped> {
        let Some(at) = record.at else {
            let words = text::sanitize(&record.text).into_owned();
            self.out.notice(Notice::Server(words)).await?;
            return Ok(ControlFlow::Continue(()));
        };
        if self.resume.last().is_none() {
            self.report_missing_start(at).await?;
        }
        let verdict = self.resume.take(at, record.hash);
        self.unreachable = false;
        match verdict {
            Verdict::NewRequest => return Ok(ControlFlow::Break(())),
            Verdict::Known | Verdict::New => {
                if self.resume.caught_up() && std::mem::take(&mut self.interrupted) {
                    self.out.notice(Notice::Reconnected).await?;
                }
                if verdict == Verdict::Known {
                    return Ok(ControlFlow::Continue(()));
                }
            }
            Verdict::AfterGap(from) => {
                self.interrupted = false;
                let to = Some(at);
                self.out.notice(Notice::Gap { from, to }).await?;
            }
        }
        self.progressed = true;
        self.attempts.reset();
        let ordinal = self.resume.ordinal(at);
        let line = LogLine {
            source: Arc::clone(&self.source),
            at,
            ordinal,
            text: record.text,
            bytes: record.bytes,
            left_out: record.left_out,
        };
        self.out.push(LogEvent::Line(line)).await?;
        Ok(ControlFlow::Continue(()))
    }

    /// Reports a missing start of the log, if the first line is much newer than both the container and this follower.
    async fn report_missing_start(&mut self, first: Timestamp) -> Result<(), ReceiverDropped> {
        let Some(started) = self.started else {
            return Ok(());
        };
        let waited = self.opened.elapsed().as_secs() as i64;
        let silent = first.as_second() - started.as_second();
        if silent - waited > SILENT_START {
            self.out.notice(Notice::Late(silent)).await?;
        }
        Ok(())
    }

    /// Waits before the next stream is opened, depending on why the last one stopped.
    async fn recover(&mut self, stop: Stop) -> Result<(), ReceiverDropped> {
        if matches!(stop, Stop::Silent | Stop::NewRequest) {
            return Ok(());
        }
        self.out.flush().await?;
        let closed = matches!(stop, Stop::Closed);
        if let Stop::Broken(reason) = stop {
            self.interrupted = true;
            // A single disconnect is not an outage; the next attempt must fail, too.
            if self.failing && !std::mem::replace(&mut self.unreachable, true) {
                self.out.notice(Notice::Unreachable(reason)).await?;
                self.out.flush().await?;
            }
        }
        self.failing = !closed;
        let mut delay = self.attempts.next_delay();
        if closed {
            delay = delay.min(MAX_CLOSED_WAIT);
        }
        if *self.life.borrow() != Life::Running {
            sleep(delay).await;
            return Ok(());
        }
        // Streams often end because the container did, and the status follows: seconds later on many clusters.
        tokio::select! {
            biased;
            changed = self.life.changed() => {
                drop(changed);
                self.attempts.reset();
            }
            () = sleep(delay) => {}
        }
        Ok(())
    }
}

/// Returns the innermost cause, sanitised.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    text::sanitize(&innermost.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::{StreamExt, channel::mpsc};
    use kube::Client;

    use super::*;

    #[tokio::test]
    async fn clean_closes_back_off_until_a_new_line() {
        let no_server = tower::service_fn(|_: http::Request<kube::client::Body>| {
            futures::future::ready(Err::<http::Response<kube::client::Body>, _>(
                io::Error::other("no server"),
            ))
        });
        let instant = Duration::from_micros(10);
        let backoff = Backoff::new(instant, instant);
        let source = Arc::new(LogSource {
            pod: "p".into(),
            pod_uid: "u".into(),
            container: "c".into(),
            restart: 0,
            stage: None,
            context_version: 1,
            attempt: 1,
        });
        let (life_sender, life) = watch::channel(Life::Running);
        let subject = Subject {
            source,
            started: None,
            may_restart: false,
            life,
            batch_time: Duration::ZERO,
        };
        let (out, events) = mpsc::channel(100);
        let api = Api::default_namespaced(Client::new(no_server, "ns"));
        let mut follow = Follow::new(api, subject, out, backoff, Timeouts::default());
        let log = "2030-01-01T00:00:01Z one\n2030-01-01T00:00:02Z two\n";
        let one = log.find('\n').unwrap() + 1;
        for (length, failed) in [(one, 1), (one, 2), (one, 3), (log.len(), 1), (log.len(), 2)] {
            let mut reader = &log.as_bytes()[..length];
            let stop = follow.read(&mut reader, Life::Running, true).await;
            let stop = stop.ok().unwrap();
            assert!(matches!(stop, Stop::Closed));
            assert!(follow.recover(stop).await.is_ok());
            assert_eq!(follow.attempts.failures(), failed);
        }
        life_sender.send_replace(Life::Ended);
        drop(follow);
        let events: Vec<LogEvent> = events.map(futures::stream::iter).flatten().collect().await;
        let is_line = |event: &LogEvent| matches!(event, LogEvent::Line(_));
        assert!(
            events.len() == 2 && events.iter().all(is_line),
            "{events:?}"
        );
    }
}
