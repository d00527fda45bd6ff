//! Opens a stream of the log, and reads it until it stops.

use std::{io, ops::ControlFlow, pin::pin, sync::Arc, time::Duration};

use futures::{AsyncBufRead, FutureExt};
use k8s_openapi::api::core::v1::ContainerStatus;
use kube::api::LogParams;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Follow, Life, Stop, reason};
use crate::cluster::logs::{
    batch::ReceiverDropped,
    record::{self, Record, Unfinished},
};

/// How long to wait for further lines directly after a line, before a batch is sent.
const BURST_WAIT: Duration = Duration::from_millis(5);
/// A stream that lasted this long resets the backoff.
const STABLE: Duration = Duration::from_secs(20);
impl Follow {
    /// Requests the lines that are not known yet, and reads until the stream stops.
    pub(super) async fn open_and_read(
        &mut self,
        life: Life,
    ) -> Result<Result<Stop, kube::Error>, ReceiverDropped> {
        let request = self.resume.request(life == Life::Running);
        let params = LogParams {
            container: Some(self.source.container.clone()),
            follow: request.follow,
            previous: life == Life::Superseded,
            tail_lines: request.tail.map(|lines| lines as i64),
            timestamps: true,
            ..LogParams::default()
        };
        self.out.flush().await?;
        let (api, source) = (self.api.clone(), Arc::clone(&self.source));
        let opening = api.log_stream(&source.pod, &params);
        let opened = self
            .timeouts
            .wait(opening, &mut self.life, request.follow, None);
        match opened.await {
            ControlFlow::Break(()) => Ok(Ok(Stop::Silent)),
            ControlFlow::Continue(Err(error)) => Ok(Err(error)),
            ControlFlow::Continue(Ok(reader)) => {
                let mut reader = pin!(reader);
                let began = Instant::now();
                let stop = self.read(&mut reader, life, request.follow).await?;
                if began.elapsed() >= STABLE {
                    self.attempts.reset();
                }
                Ok(Ok(stop))
            }
        }
    }

    /// Reads a stream until it stops.
    pub(super) async fn read(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        life: Life,
        follows: bool,
    ) -> Result<Stop, ReceiverDropped> {
        self.resume.start_response();
        self.search = Some(Instant::now() + self.timeouts.ended);
        self.identified = !self.may_restart || life == Life::Gone;
        self.progressed = false;
        self.unfinished = Unfinished::default();
        loop {
            let next = self.next(reader, follows).await?;
            let record = match next {
                ControlFlow::Break(()) => return Ok(Stop::Silent),
                ControlFlow::Continue(Err(error)) => return Ok(Stop::Broken(reason(&error))),
                ControlFlow::Continue(Ok(Some(record))) => record,
                ControlFlow::Continue(Ok(None)) => {
                    // Without following, the request was only to catch up.
                    let goes_on = !follows && life == Life::Running && self.resume.caught_up();
                    return Ok(if goes_on {
                        Stop::NewRequest
                    } else {
                        Stop::Closed
                    });
                }
            };
            if !self.identified && record.at.is_some() {
                if !self.resume.recognises(record.hash) && !self.is_same_instance(life).await {
                    return Ok(Stop::NotFound);
                }
                self.identified = true;
            }
            self.failing = false;
            if self.take(record).await?.is_break() {
                return Ok(Stop::NewRequest);
            }
        }
    }

    /// Returns the next record. Flushes the batch when no record is ready.
    async fn next(
        &mut self,
        reader: &mut (impl AsyncBufRead + Unpin),
        follows: bool,
    ) -> Result<ControlFlow<(), io::Result<Option<Record>>>, ReceiverDropped> {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        let next = 'read: {
            if let Some(read) = record::next(reader, &mut unfinished).now_or_never() {
                break 'read ControlFlow::Continue(read);
            }
            let gathering = self.out.batch_began().filter(|_| follows);
            if let Some(began) = gathering {
                let soon = timeout_at(began + BURST_WAIT, record::next(reader, &mut unfinished));
                if let Ok(read) = soon.await {
                    break 'read ControlFlow::Continue(read);
                }
            }
            let rest = gathering.and_then(|_| self.out.batch_due());
            self.out.flush().await?;
            if let Some(rest) = rest {
                // Not reading meanwhile avoids a wakeup per line.
                sleep_until(rest).await;
            }
            let deadline = self.search.filter(|_| !self.resume.caught_up());
            let next = record::next(reader, &mut unfinished);
            self.timeouts
                .wait(next, &mut self.life, follows, deadline)
                .await
        };
        self.unfinished = unfinished;
        Ok(next)
    }

    /// Returns whether the opened log is that of this instance of the container, and not of a later one.
    async fn is_same_instance(&self, life: Life) -> bool {
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
}
