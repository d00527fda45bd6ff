//! The log of one container, followed through every drop to its real end.

use std::{io, ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use futures::{AsyncBufRead, FutureExt, SinkExt, Stream, channel::mpsc::Sender};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, api::LogParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    LogEvent, LogLine, LogSource, Notice,
    record::{self, Record, Unfinished},
    resume::{Resume, Verdict},
};
use crate::{
    cluster::{
        back_off::{BackOff, Tries},
        drive::drive,
    },
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

/// How long a stream may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A stream that brought nothing for this long is opened anew: a connection may be dead without anybody having said
    /// so, and some kubelets forget their followers when a log is rotated.
    pub running: Duration,
    /// The same, once the container has ended and the server ought to have closed the stream.
    pub ended: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            running: Duration::from_secs(60),
            ended: Duration::from_secs(3),
        }
    }
}

/// Events told at once, at most.
const CHUNK: usize = 1024;
/// How long what follows on the heels of a line is waited for, where lines may gather.
const HEELS: Duration = Duration::from_millis(5);
/// Bytes of text that make a flood: they are taken as they come, since a rest would keep the server waiting.
const FLOOD: usize = 64 * 1024;
/// Tries for a log that is not there, or does not have what was read.
const FAREWELLS: u32 = 3;
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
    out: Sender<Vec<LogEvent>>,
    gather: Duration,
    /// What was not told yet, and when its first event came.
    chunk: Vec<LogEvent>,
    began: Instant,
    tries: Tries,
    patience: Patience,
    /// When this began to read.
    opened: Instant,
    resume: Resume,
    /// The stream is known to be that of this life of the container.
    identified: bool,
    /// The stream brought a line that was not known.
    brought: bool,
    unfinished: Unfinished,
    /// What the last stream ended with that was no whole line, if the server closed it.
    tail: Option<Unfinished>,
    /// The stream dropped while more could come, and nobody was told yet that it is back.
    interrupted: bool,
    /// An outage was said.
    unreachable: bool,
}

/// Nobody listens any more.
struct Unheard;

pub(super) fn follow(
    api: Api<Pod>,
    subject: Subject,
    back_off: BackOff,
    patience: Patience,
) -> impl Stream<Item = Vec<LogEvent>> + Send {
    drive(move |out| {
        let follow = Follow {
            api,
            source: subject.source,
            started: subject.started,
            may_restart: subject.may_restart,
            life: subject.life,
            out,
            gather: subject.gather,
            chunk: Vec::new(),
            began: Instant::now(),
            tries: Tries::new(back_off),
            patience,
            opened: Instant::now(),
            resume: Resume::default(),
            identified: false,
            brought: false,
            unfinished: Unfinished::default(),
            tail: None,
            interrupted: false,
            unreachable: false,
        };
        async move {
            // Whoever dropped the stream wants no word about it.
            let _ = follow.run().await;
        }
    })
}

impl Follow {
    async fn run(mut self) -> Result<(), Unheard> {
        self.say(LogEvent::SourceStarted(Arc::clone(&self.source)))
            .await?;
        self.read_to_the_end().await?;
        self.say(LogEvent::SourceEnded(Arc::clone(&self.source)))
            .await?;
        self.tell().await
    }

    async fn read_to_the_end(&mut self) -> Result<(), Unheard> {
        // Tries that found nothing, complete answers without the lines that were read, and tries after the pod was gone.
        let (mut absent, mut astray, mut farewells) = (0, 0, 0);
        loop {
            let life = *self.life.borrow_and_update();
            let last = life != Life::Running;
            if life == Life::Replaced {
                return self.notice(Notice::Replaced).await;
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
                        return self.notice(Notice::Gone).await;
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
                    return self.notice(Notice::Server(words)).await;
                }
                Err(error) => {
                    absent = 0;
                    Stop::Broken(reason(&error))
                }
            };
            if !matches!(stop, Stop::Closed) {
                self.tail = None;
            } else if last {
                self.recognise_the_tail();
                // A server that loses its node closes the stream as if all were said: only two that end alike are believed.
                let before = self.tail.replace(self.unfinished.clone());
                if self.brought {
                    continue;
                }
                let alike = before.as_ref() == self.tail.as_ref();
                // A stream that shows a part of what was read was cut off: only one that shows nothing may be of a new file.
                astray = if self.resume.is_lost() { astray + 1 } else { 0 };
                if alike && (self.resume.caught_up() || astray >= FAREWELLS) {
                    return self.finish().await;
                }
            } else {
                self.tail = Some(self.unfinished.clone());
            }
            if life == Life::Gone {
                farewells += 1;
                if farewells >= FAREWELLS {
                    return self.notice(Notice::Gone).await;
                }
            }
            self.recover(stop).await?;
        }
    }

    /// A last line without an end may have had one when it was read before.
    fn recognise_the_tail(&mut self) {
        let record = self.unfinished.clone().finish();
        if let Some(at) = record.at.filter(|_| self.resume.recognises(record.hash)) {
            self.resume.take(at, record.hash);
            self.unfinished = Unfinished::default();
        }
    }

    /// Gives what is left, once the end is sure.
    async fn finish(&mut self) -> Result<(), Unheard> {
        if let Some(from) = self.resume.last().filter(|_| !self.resume.caught_up()) {
            self.notice(Notice::Gap { from, to: None }).await?;
        }
        if !self.unfinished.is_empty() {
            let record = self.unfinished.finish();
            self.take(record).await?;
        }
        Ok(())
    }

    /// Asks for what is not known yet, and reads it until it stops.
    async fn open_and_read(&mut self, life: Life) -> Result<Result<Stop, kube::Error>, Unheard> {
        let last = life != Life::Running;
        let params = LogParams {
            container: Some(self.source.container.clone()),
            follow: !last,
            previous: life == Life::Superseded,
            since_time: self.resume.since(),
            timestamps: true,
            ..LogParams::default()
        };
        self.tell().await?;
        let (api, source) = (self.api.clone(), Arc::clone(&self.source));
        let opening = api.log_stream(&source.pod, &params);
        match self.in_time(opening, last).await {
            ControlFlow::Break(()) => Ok(Ok(Stop::Silent)),
            ControlFlow::Continue(Err(error)) => Ok(Err(error)),
            ControlFlow::Continue(Ok(reader)) => {
                let mut reader = pin!(reader);
                self.read(&mut reader, life).await.map(Ok)
            }
        }
    }

    /// Reads a stream until it stops.
    async fn read(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        life: Life,
    ) -> Result<Stop, Unheard> {
        self.resume.reopened();
        self.identified = !self.may_restart || life == Life::Gone;
        self.brought = false;
        self.unfinished = Unfinished::default();
        let last = life != Life::Running;
        loop {
            let next = self.next(reader, last).await?;
            let record = match next {
                ControlFlow::Break(()) => return Ok(Stop::Silent),
                ControlFlow::Continue(Err(error)) => return Ok(Stop::Broken(reason(&error))),
                ControlFlow::Continue(Ok(Some(record))) => record,
                ControlFlow::Continue(Ok(None)) => return Ok(Stop::Closed),
            };
            if !self.identified && record.at.is_some() {
                if !self.resume.recognises(record.hash) && !self.is_its_own(life).await {
                    return Ok(Stop::Elsewhere);
                }
                self.identified = true;
            }
            self.tries.succeeded();
            self.take(record).await?;
        }
    }

    /// The next record. While none is at hand, what there was is told, and what trickles may gather.
    async fn next(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        last: bool,
    ) -> Result<ControlFlow<(), io::Result<Option<Record>>>, Unheard> {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        let next = 'read: {
            if let Some(read) = record::next(reader, &mut unfinished).now_or_never() {
                break 'read ControlFlow::Continue(read);
            }
            let gathers = !last && !self.gather.is_zero() && !self.chunk.is_empty();
            if gathers {
                let heels = self.began + HEELS;
                let soon = timeout_at(heels, record::next(reader, &mut unfinished));
                if let Ok(read) = soon.await {
                    break 'read ControlFlow::Continue(read);
                }
            }
            let flood = self.chunk_bytes() >= FLOOD;
            self.tell().await?;
            if gathers && !flood {
                // Nobody asks meanwhile, so that nobody is woken for a line.
                sleep_until(self.began + self.gather).await;
            }
            self.in_time(record::next(reader, &mut unfinished), last)
                .await
        };
        self.unfinished = unfinished;
        Ok(next)
    }

    /// Bytes of text that were not told yet.
    fn chunk_bytes(&self) -> usize {
        let texts = self.chunk.iter().map(|event| match event {
            LogEvent::Line(line) => line.text.len(),
            _ => 0,
        });
        texts.sum()
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

    /// Waits for `next`, but not for ever: not long once the container has ended.
    async fn in_time<T>(
        &mut self,
        next: impl Future<Output = T>,
        last: bool,
    ) -> ControlFlow<(), T> {
        let mut next = pin!(next);
        if !last {
            tokio::select! {
                biased;
                read = &mut next => return ControlFlow::Continue(read),
                // An end of the channel is an end of the follower, which drops this very future.
                changed = self.life.wait_for(|life| *life != Life::Running) => drop(changed),
                () = tokio::time::sleep(self.patience.running) => return ControlFlow::Break(()),
            }
        }
        let patience = if last {
            self.patience.running
        } else {
            self.patience.ended
        };
        match tokio::time::timeout(patience, next).await {
            Ok(read) => ControlFlow::Continue(read),
            Err(_) => ControlFlow::Break(()),
        }
    }

    async fn take(&mut self, record: Record) -> Result<(), Unheard> {
        let Some(at) = record.at else {
            let words = text::sanitize(&record.text).into_owned();
            return self.notice(Notice::Server(words)).await;
        };
        if self.resume.last().is_none() {
            self.look_for_the_beginning(at).await?;
        }
        let verdict = self.resume.take(at, record.hash);
        self.unreachable = false;
        self.brought |= verdict != Verdict::Known;
        match verdict {
            Verdict::Known if !self.resume.caught_up() => return Ok(()),
            Verdict::Known | Verdict::New => {
                if std::mem::take(&mut self.interrupted) {
                    self.notice(Notice::Reconnected).await?;
                }
                if verdict == Verdict::Known {
                    return Ok(());
                }
            }
            Verdict::AfterGap(from) => {
                self.interrupted = false;
                let to = Some(at);
                self.notice(Notice::Gap { from, to }).await?;
            }
        }
        let ordinal = self.resume.ordinal(at);
        self.say(LogEvent::Line(LogLine {
            source: Arc::clone(&self.source),
            at,
            ordinal,
            text: record.text,
            bytes: record.bytes,
            left_out: record.left_out,
        }))
        .await
    }

    /// Says so when the first line was written long after the container began, and before anybody listened.
    async fn look_for_the_beginning(&mut self, first: Timestamp) -> Result<(), Unheard> {
        let Some(started) = self.started else {
            return Ok(());
        };
        let waited = self.opened.elapsed().as_secs() as i64;
        let silent = first.as_second() - started.as_second();
        if silent - waited > SILENT_START {
            self.notice(Notice::Late(silent)).await?;
        }
        Ok(())
    }

    /// After a stream stopped: waits until it makes sense to open the next one.
    async fn recover(&mut self, stop: Stop) -> Result<(), Unheard> {
        if let Stop::Silent = stop {
            return Ok(());
        }
        self.tell().await?;
        if let Stop::Broken(reason) = stop {
            self.interrupted = true;
            // One drop is no outage: only a try that fails as well makes it one.
            if self.tries.failing() && !std::mem::replace(&mut self.unreachable, true) {
                self.notice(Notice::Unreachable(reason)).await?;
                self.tell().await?;
            }
        }
        if *self.life.borrow() != Life::Running {
            self.tries.wait().await;
            return Ok(());
        }
        // A stream often ends because the container did, and the news of that is on its way.
        tokio::select! {
            biased;
            changed = self.life.changed() => drop(changed),
            () = self.tries.wait() => {}
        }
        self.interrupted |= *self.life.borrow() == Life::Running;
        Ok(())
    }

    async fn notice(&mut self, notice: Notice) -> Result<(), Unheard> {
        self.say(LogEvent::Notice(Arc::clone(&self.source), notice))
            .await
    }

    async fn say(&mut self, event: LogEvent) -> Result<(), Unheard> {
        if self.chunk.is_empty() {
            self.began = Instant::now();
        }
        self.chunk.push(event);
        if self.chunk.len() >= CHUNK {
            self.tell().await?;
        }
        Ok(())
    }

    /// Tells all that was said so far.
    async fn tell(&mut self) -> Result<(), Unheard> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.out.send(chunk).await.map_err(|_| Unheard)
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
