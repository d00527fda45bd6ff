//! The log of one container, followed through every drop to its real end.

use std::{ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use futures::{AsyncBufRead, SinkExt, Stream, channel::mpsc::Sender};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use tokio::sync::watch;

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
    /// Its pod is no more.
    Gone,
}

/// A stream that brought nothing for this long is opened anew: a connection may be dead without anybody having said so.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// The same, once the container has ended and the server ought to have closed the stream.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Tries for a pod that is gone.
const FAREWELLS: u32 = 3;

/// Why a stream is read no further.
#[derive(Debug)]
enum Stop {
    /// The server closed it.
    Closed,
    /// It broke.
    Broken(String),
    /// Nothing came for too long.
    Silent,
}

struct Follow {
    api: Api<Pod>,
    source: Arc<LogSource>,
    life: watch::Receiver<Life>,
    out: Sender<LogEvent>,
    tries: Tries,
    resume: Resume,
    ordinal: (Option<Timestamp>, u32),
    /// The stream dropped while more could come, and nobody was told yet that it is back.
    interrupted: bool,
    /// An outage was said.
    unreachable: bool,
}

/// Nobody listens any more.
struct Unheard;

pub(super) fn follow(
    api: Api<Pod>,
    source: Arc<LogSource>,
    life: watch::Receiver<Life>,
    back_off: BackOff,
) -> impl Stream<Item = LogEvent> + Send {
    drive(move |out| {
        let follow = Follow {
            api,
            source,
            life,
            out,
            tries: Tries::new(back_off),
            resume: Resume::default(),
            ordinal: (None, 0),
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
        let mut farewells = 0;
        loop {
            let life = *self.life.borrow_and_update();
            let last = life != Life::Running;
            let params = LogParams {
                container: Some(self.source.container.clone()),
                follow: !last,
                previous: life == Life::Superseded,
                since_time: self.resume.since(),
                timestamps: true,
                ..LogParams::default()
            };
            let stop = match self.api.log_stream(&self.source.pod, &params).await {
                Ok(reader) => {
                    let mut reader = pin!(reader);
                    let stop = self.read(&mut reader, last).await?;
                    if last && matches!(stop, Stop::Closed) {
                        break;
                    }
                    stop
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.notice(Notice::Gone).await?;
                    break;
                }
                Err(kube::Error::Api(status)) if status.code == 400 && last => {
                    // The server has no log of it (any more), and says so.
                    let words = text::sanitize(&status.message).into_owned();
                    self.notice(Notice::Server(words)).await?;
                    break;
                }
                Err(error) => Stop::Broken(reason(&error)),
            };
            if life == Life::Gone {
                farewells += 1;
                if farewells == FAREWELLS {
                    self.notice(Notice::Gone).await?;
                    break;
                }
            }
            self.recover(stop).await?;
        }
        self.say(LogEvent::SourceEnded(Arc::clone(&self.source)))
            .await
    }

    /// Reads a stream until it stops. `last` streams are complete when the server closes them.
    async fn read(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        last: bool,
    ) -> Result<Stop, Unheard> {
        self.resume.reopened();
        let mut unfinished = Unfinished::default();
        loop {
            let next = record::next(reader, &mut unfinished);
            let record = match self.in_time(next, last).await {
                ControlFlow::Break(()) => return Ok(Stop::Silent),
                ControlFlow::Continue(Err(error)) => return Ok(Stop::Broken(reason(&error))),
                ControlFlow::Continue(Ok(Some(record))) => record,
                ControlFlow::Continue(Ok(None)) => {
                    // A line without an end is one only if nothing can follow it.
                    if last && !unfinished.is_empty() {
                        let record = unfinished.finish();
                        self.take(record).await?;
                    }
                    return Ok(Stop::Closed);
                }
            };
            self.tries.succeeded();
            self.take(record).await?;
        }
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
                () = tokio::time::sleep(SILENCE) => return ControlFlow::Break(()),
            }
        }
        let patience = if last { SILENCE } else { LAST_WORDS };
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
        let verdict = self.resume.take(at, record.hash);
        self.unreachable = false;
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
                self.notice(Notice::Gap { from, to: at }).await?;
            }
        }
        self.ordinal = match self.ordinal {
            (Some(same), count) if same == at => (Some(at), count + 1),
            _ => (Some(at), 0),
        };
        self.say(LogEvent::Line(LogLine {
            source: Arc::clone(&self.source),
            at,
            ordinal: self.ordinal.1,
            text: record.text,
            left_out: record.left_out,
        }))
        .await
    }

    /// After a stream stopped: waits until it makes sense to open the next one.
    async fn recover(&mut self, stop: Stop) -> Result<(), Unheard> {
        if let Stop::Silent = stop {
            return Ok(());
        }
        if let Stop::Broken(reason) = stop {
            self.interrupted = true;
            // One drop is no outage: only a try that fails as well makes it one.
            if self.tries.failing() && !std::mem::replace(&mut self.unreachable, true) {
                self.notice(Notice::Unreachable(reason)).await?;
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
        self.out.send(event).await.map_err(|_| Unheard)
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
