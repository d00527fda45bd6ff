//! Batches the events of a source: slow lines are collected, floods are passed on at once.

use std::{sync::Arc, time::Duration};

use futures::{SinkExt, channel::mpsc::Sender};
use tokio::time::Instant;

use flightdeck_core::log::{LogEvent, LogSource, Notice};

/// Maximum number of events in a batch.
const BATCH_LIMIT: usize = 1024;
/// Bytes of text that make a flood. A flood is not delayed, because that would block the server.
const FLOOD: usize = 64 * 1024;

/// The receiver was dropped.
pub(super) struct ReceiverDropped;

/// Sends the events of a source in batches.
pub(super) struct BatchSender {
    source: Arc<LogSource>,
    out: Sender<Vec<LogEvent>>,
    /// How long to batch slowly arriving lines; zero disables batching.
    batch_time: Duration,
    /// Events that are not sent yet, and when the first of them arrived.
    batch: Vec<LogEvent>,
    began: Instant,
}

impl BatchSender {
    pub(super) fn new(
        source: Arc<LogSource>,
        out: Sender<Vec<LogEvent>>,
        batch_time: Duration,
    ) -> Self {
        Self {
            source,
            out,
            batch_time,
            batch: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Returns when the current batch began; `None` if there is none or batching is disabled.
    pub(super) fn batch_began(&self) -> Option<Instant> {
        let gathers = !self.batch_time.is_zero() && !self.batch.is_empty();
        gathers.then_some(self.began)
    }

    /// Returns when the current batch is due; `None` if it is a flood that should not wait.
    pub(super) fn batch_due(&self) -> Option<Instant> {
        let texts = self.batch.iter().map(|event| match event {
            LogEvent::Line(line) => line.text.len(),
            _ => 0,
        });
        let trickles = texts.sum::<usize>() < FLOOD;
        trickles.then_some(self.began + self.batch_time)
    }

    pub(super) async fn notice(&mut self, notice: Notice) -> Result<(), ReceiverDropped> {
        self.push(LogEvent::Notice(Arc::clone(&self.source), notice))
            .await
    }

    pub(super) async fn push(&mut self, event: LogEvent) -> Result<(), ReceiverDropped> {
        if self.batch.is_empty() {
            self.began = Instant::now();
        }
        self.batch.push(event);
        if self.batch.len() >= BATCH_LIMIT {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends the current batch.
    pub(super) async fn flush(&mut self) -> Result<(), ReceiverDropped> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        self.out.send(batch).await.map_err(|_| ReceiverDropped)
    }
}
