//! The log of one container, followed through every drop to its real end.

use std::{io, ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use futures::{AsyncBufRead, FutureExt, Stream, channel::mpsc::Sender};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, api::LogParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    patience::Patience,
    record::{self, Record, Unfinished},
    resume::{Resume, Verdict},
    tell::{Teller, Unheard},
};
use crate::cluster::{
    back_off::{BackOff, Tries},
    drive::drive,
};
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource, Notice},
    text,
};

/// What is known of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Running,
    /// It has ended.
    Ended,
    /// It has ended and was started anew: its log is the previous one.
    Superseded,
    /// It was started anew more than once: its log is no more.
    Replaced,
    /// Its pod is no more.
    Gone,
}

/// How long what follows on the heels of a line is waited for, where lines may gather.
const HEELS: Duration = Duration::from_millis(5);
/// Tries for a log that is not there, or does not have what was read.
const FAREWELLS: u32 = 3;
/// Longest wait before a stream is reopened that the server closed while the container seemed to run.
const LONGEST_BLIND: Duration = Duration::from_secs(5);
/// A stream that lasted this long worked: the wait after it is short again.
const LASTING: Duration = Duration::from_secs(20);
/// Seconds that a container may be silent at first before its beginning is taken to be missing.
const SILENT_START: i64 = 60;

/// Why a stream is read no further.
#[derive(Debug)]
enum Stop {
    /// The server closed it.
    Closed,
    /// It broke.
    Broken(String),
    /// Nothing came for too long.
    Silent,
    /// There is no log, or only that of a later life of the container.
    Elsewhere,
    /// It has told what it can: something else is to be asked for at once.
    Astray,
}

/// What is to be followed.
pub(super) struct Subject {
    pub(super) source: Arc<LogSource>,
    /// When the container started, if the cluster says so.
    pub(super) started: Option<Timestamp>,
    /// Whether it may be started anew in its pod.
    pub(super) may_restart: bool,
    pub(super) life: watch::Receiver<Life>,
    /// How long lines that trickle may gather before they are told; zero: not at all.
    pub(super) gather: Duration,
}

struct Follow {
    api: Api<Pod>,
    source: Arc<LogSource>,
    started: Option<Timestamp>,
    may_restart: bool,
    life: watch::Receiver<Life>,
    out: Teller,
    /// Tries since the last new line, the last change of `life`, or the last stream that lasted.
    tries: Tries,
    patience: Patience,
    /// When this began to read.
    opened: Instant,
    resume: Resume,
    /// Until when a stream that is followed may look for what was read before.
    search: Option<Instant>,
    /// The stream is known to be that of this life of the container.
    identified: bool,
    /// The stream brought a line that was not known.
    brought: bool,
    unfinished: Unfinished,
    /// What the last stream ended with that was no whole line, if the server closed it and it may have been all there is.
    tail: Option<Unfinished>,
    /// The last try failed, and nothing was received since.
    failing: bool,
    /// A stream broke, and no notice said yet that it is back.
    interrupted: bool,
    /// An outage was said.
    unreachable: bool,
}

pub(super) fn follow(
    api: Api<Pod>,
    subject: Subject,
    back_off: BackOff,
    patience: Patience,
) -> impl Stream<Item = Vec<LogEvent>> + Send {
    drive(move |out| {
        let follow = Follow::new(api, subject, out, back_off, patience);
        async move {
            // Whoever dropped the stream wants no word about it.
            let _ = follow.run().await;
        }
    })
}

impl Follow {
    fn new(
        api: Api<Pod>,
        subject: Subject,
        out: Sender<Vec<LogEvent>>,
        back_off: BackOff,
        patience: Patience,
    ) -> Self {
        Self {
            api,
            out: Teller::new(Arc::clone(&subject.source), out, subject.gather),
            source: subject.source,
            started: subject.started,
            may_restart: subject.may_restart,
            life: subject.life,
            tries: Tries::new(back_off),
            patience,
            opened: Instant::now(),
            resume: Resume::default(),
            search: None,
            identified: false,
            brought: false,
            unfinished: Unfinished::default(),
            tail: None,
            failing: false,
            interrupted: false,
            unreachable: false,
        }
    }

    async fn run(mut self) -> Result<(), Unheard> {
        self.out
            .say(LogEvent::SourceStarted(Arc::clone(&self.source)))
            .await?;
        self.read_to_the_end().await?;
        self.out
            .say(LogEvent::SourceEnded(Arc::clone(&self.source)))
            .await?;
        self.out.tell().await
    }

    async fn read_to_the_end(&mut self) -> Result<(), Unheard> {
        // Tries that found nothing, complete answers without the lines that were read, and tries after the pod was gone.
        let (mut absent, mut astray, mut farewells) = (0, 0, 0);
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
                    // A kubelet that was just started says so of pods that it runs.
                    if life == Life::Gone || last && absent >= FAREWELLS {
                        return self.out.notice(Notice::Gone).await;
                    }
                    if absent < FAREWELLS {
                        Stop::Elsewhere
                    } else {
                        Stop::Broken(reason(&kube::Error::Api(status)))
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 400 && last => {
                    // The server has no log of it (any more), and says so.
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
                self.recognise_the_tail();
            }
            if closed || matches!(stop, Stop::Silent) {
                self.resume.ended(closed, self.unfinished.len());
            }
            // A stream that shows a part of what was read was cut off: only one that shows nothing may be of a new file.
            let empty = self.resume.is_lost(self.unfinished.len());
            let whole = closed && (self.resume.caught_up() || empty);
            let tail = whole.then(|| self.unfinished.clone());
            // A server that loses its node closes the stream as if all were said: only two that end alike are believed.
            let alike = whole && self.tail == tail;
            self.tail = tail;
            if closed && last {
                if self.brought {
                    continue;
                }
                astray = if empty { astray + 1 } else { 0 };
                if alike && (!empty || astray >= FAREWELLS) {
                    return self.finish().await;
                }
            }
            if life == Life::Gone && !matches!(stop, Stop::Astray) {
                farewells += 1;
                if farewells >= FAREWELLS {
                    return self.out.notice(Notice::Gone).await;
                }
            }
            self.recover(stop).await?;
        }
    }

    /// A last line without an end may have had one when it was read before. One that was cut off may look like any other.
    fn recognise_the_tail(&mut self) {
        let record = self.unfinished.clone().finish();
        if let Some(at) = record.at.filter(|_| self.resume.ends_with(record.hash)) {
            self.resume.take(at, record.hash);
            self.unfinished = Unfinished::default();
        }
    }

    /// Gives what is left, once the end is sure.
    async fn finish(&mut self) -> Result<(), Unheard> {
        if let Some(from) = self.resume.last().filter(|_| !self.resume.caught_up()) {
            self.out.notice(Notice::Gap { from, to: None }).await?;
        }
        if !self.unfinished.is_empty() {
            let record = self.unfinished.finish();
            self.resume.give_up();
            // There is no answer any more that could go astray.
            let _ = self.take(record).await?;
        }
        Ok(())
    }

    /// Asks for what is not known yet, and reads it until it stops.
    async fn open_and_read(&mut self, life: Life) -> Result<Result<Stop, kube::Error>, Unheard> {
        let ask = self.resume.ask(life == Life::Running);
        let params = LogParams {
            container: Some(self.source.container.clone()),
            follow: ask.follow,
            previous: life == Life::Superseded,
            tail_lines: ask.tail.map(|lines| lines as i64),
            timestamps: true,
            ..LogParams::default()
        };
        self.out.tell().await?;
        let (api, source) = (self.api.clone(), Arc::clone(&self.source));
        let opening = api.log_stream(&source.pod, &params);
        let opened = self
            .patience
            .wait(opening, &mut self.life, ask.follow, None);
        match opened.await {
            ControlFlow::Break(()) => Ok(Ok(Stop::Silent)),
            ControlFlow::Continue(Err(error)) => Ok(Err(error)),
            ControlFlow::Continue(Ok(reader)) => {
                let mut reader = pin!(reader);
                let began = Instant::now();
                let stop = self.read(&mut reader, life, ask.follow).await?;
                if began.elapsed() >= LASTING {
                    self.tries.succeeded();
                }
                Ok(Ok(stop))
            }
        }
    }

    /// Reads a stream until it stops.
    async fn read(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        life: Life,
        follows: bool,
    ) -> Result<Stop, Unheard> {
        self.resume.reopened();
        self.search = Some(Instant::now() + self.patience.ended);
        self.identified = !self.may_restart || life == Life::Gone;
        self.brought = false;
        self.unfinished = Unfinished::default();
        loop {
            let next = self.next(reader, follows).await?;
            let record = match next {
                ControlFlow::Break(()) => return Ok(Stop::Silent),
                ControlFlow::Continue(Err(error)) => return Ok(Stop::Broken(reason(&error))),
                ControlFlow::Continue(Ok(Some(record))) => record,
                ControlFlow::Continue(Ok(None)) => {
                    // What was asked for without following was only to catch up.
                    let goes_on = !follows && life == Life::Running && self.resume.caught_up();
                    return Ok(if goes_on { Stop::Astray } else { Stop::Closed });
                }
            };
            if !self.identified && record.at.is_some() {
                if !self.resume.recognises(record.hash) && !self.is_its_own(life).await {
                    return Ok(Stop::Elsewhere);
                }
                self.identified = true;
            }
            self.failing = false;
            if self.take(record).await?.is_break() {
                return Ok(Stop::Astray);
            }
        }
    }

    /// The next record. While none is at hand, what there was is told, and what trickles may gather.
    async fn next(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        follows: bool,
    ) -> Result<ControlFlow<(), io::Result<Option<Record>>>, Unheard> {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        let next = 'read: {
            if let Some(read) = record::next(reader, &mut unfinished).now_or_never() {
                break 'read ControlFlow::Continue(read);
            }
            let gathering = self.out.gathering_since().filter(|_| follows);
            if let Some(began) = gathering {
                let soon = timeout_at(began + HEELS, record::next(reader, &mut unfinished));
                if let Ok(read) = soon.await {
                    break 'read ControlFlow::Continue(read);
                }
            }
            let rest = gathering.and_then(|_| self.out.rest_until());
            self.out.tell().await?;
            if let Some(rest) = rest {
                // Nobody asks meanwhile, so that nobody is woken for a line.
                sleep_until(rest).await;
            }
            let deadline = self.search.filter(|_| !self.resume.caught_up());
            let next = record::next(reader, &mut unfinished);
            self.patience
                .wait(next, &mut self.life, follows, deadline)
                .await
        };
        self.unfinished = unfinished;
        Ok(next)
    }

    /// Whether the log just opened is that of this life of the container, and not of one that came after it.
    async fn is_its_own(&self, life: Life) -> bool {
        let Ok(pod) = self.api.get_status(&self.source.pod).await else {
            return false;
        };
        let status = pod.status.unwrap_or_default();
        let init = status.init_container_statuses.into_iter().flatten();
        let main = status.container_statuses.into_iter().flatten();
        let named = |status: &ContainerStatus| status.name == self.source.container;
        let now = init.chain(main).find(named);
        let expected = self.source.restart + i32::from(life == Life::Superseded);
        now.is_some_and(|status| status.restart_count == expected)
    }

    /// Tells a record, if it is new; breaks off where the answer can tell no more.
    async fn take(&mut self, record: Record) -> Result<ControlFlow<()>, Unheard> {
        let Some(at) = record.at else {
            let words = text::sanitize(&record.text).into_owned();
            self.out.notice(Notice::Server(words)).await?;
            return Ok(ControlFlow::Continue(()));
        };
        if self.resume.last().is_none() {
            self.look_for_the_beginning(at).await?;
        }
        let verdict = self.resume.take(at, record.hash);
        self.unreachable = false;
        match verdict {
            Verdict::Astray => return Ok(ControlFlow::Break(())),
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
        self.brought = true;
        self.tries.succeeded();
        let ordinal = self.resume.ordinal(at);
        let line = LogLine {
            source: Arc::clone(&self.source),
            at,
            ordinal,
            text: record.text,
            bytes: record.bytes,
            left_out: record.left_out,
        };
        self.out.say(LogEvent::Line(line)).await?;
        Ok(ControlFlow::Continue(()))
    }

    /// Says so when the first line was written long after the container began, and before anybody listened.
    async fn look_for_the_beginning(&mut self, first: Timestamp) -> Result<(), Unheard> {
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

    /// After a stream stopped: waits until it makes sense to open the next one.
    async fn recover(&mut self, stop: Stop) -> Result<(), Unheard> {
        if matches!(stop, Stop::Silent | Stop::Astray) {
            return Ok(());
        }
        self.out.tell().await?;
        let closed = matches!(stop, Stop::Closed);
        if let Stop::Broken(reason) = stop {
            self.interrupted = true;
            // One drop is no outage: only a try that fails as well makes it one.
            if self.failing && !std::mem::replace(&mut self.unreachable, true) {
                self.out.notice(Notice::Unreachable(reason)).await?;
                self.out.tell().await?;
            }
        }
        self.failing = !closed;
        let mut delay = self.tries.delay();
        if closed {
            delay = delay.min(LONGEST_BLIND);
        }
        if *self.life.borrow() != Life::Running {
            sleep(delay).await;
            return Ok(());
        }
        // A stream often ends because the container did, and the news of that is on its way: seconds later on many clusters.
        tokio::select! {
            biased;
            changed = self.life.changed() => {
                drop(changed);
                self.tries.succeeded();
            }
            () = sleep(delay) => {}
        }
        Ok(())
    }
}

/// The innermost cause, fit to be shown.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    text::sanitize(&innermost.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, channel::mpsc};
    use kube::Client;

    use super::*;

    #[tokio::test]
    async fn clean_closes_back_off_until_a_new_line_comes() {
        let no_server = tower::service_fn(|_: http::Request<kube::client::Body>| {
            futures::future::ready(Err::<http::Response<kube::client::Body>, _>(
                io::Error::other("no server"),
            ))
        });
        let instant = Duration::from_micros(10);
        let back_off = BackOff {
            first: instant,
            longest: instant,
        };
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
            gather: Duration::ZERO,
        };
        let (out, events) = mpsc::channel(100);
        let api = Api::default_namespaced(Client::new(no_server, "ns"));
        let mut follow = Follow::new(api, subject, out, back_off, Patience::default());
        let log = "2030-01-01T00:00:01Z one\n2030-01-01T00:00:02Z two\n";
        let one = log.find('\n').unwrap() + 1;
        for (length, failed) in [(one, 1), (one, 2), (one, 3), (log.len(), 1), (log.len(), 2)] {
            let mut reader = &log.as_bytes()[..length];
            let stop = follow.read(&mut reader, Life::Running, true).await;
            let stop = stop.ok().unwrap();
            assert!(matches!(stop, Stop::Closed));
            assert!(follow.recover(stop).await.is_ok());
            assert_eq!(follow.tries.failed, failed);
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
