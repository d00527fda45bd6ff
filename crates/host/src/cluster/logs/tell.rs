//! What a source tells, in chunks: what trickles may gather, what floods goes on at once.

use std::{sync::Arc, time::Duration};

use futures::{SinkExt, channel::mpsc::Sender};
use tokio::time::Instant;

use flightdeck_core::log::{LogEvent, LogSource, Notice};

/// Events told at once, at most.
const CHUNK: usize = 1024;
/// Bytes of text that make a flood: they are taken as they come, since a rest would keep the server waiting.
const FLOOD: usize = 64 * 1024;

/// Nobody listens any more.
pub(super) struct Unheard;

/// Tells whoever listens to a source.
pub(super) struct Teller {
    source: Arc<LogSource>,
    out: Sender<Vec<LogEvent>>,
    /// How long lines that trickle may gather before they are told; zero: not at all.
    gather: Duration,
    /// What was not told yet, and when its first event came.
    chunk: Vec<LogEvent>,
    began: Instant,
}

impl Teller {
    pub(super) fn new(
        source: Arc<LogSource>,
        out: Sender<Vec<LogEvent>>,
        gather: Duration,
    ) -> Self {
        Self {
            source,
            out,
            gather,
            chunk: Vec::new(),
            began: Instant::now(),
        }
    }

    /// When what is not told yet began to gather; `None` where nothing does.
    pub(super) fn gathering_since(&self) -> Option<Instant> {
        let gathers = !self.gather.is_zero() && !self.chunk.is_empty();
        gathers.then_some(self.began)
    }

    /// When what is not told yet has gathered for long enough; `None` where that is so much that none of it should wait.
    pub(super) fn rest_until(&self) -> Option<Instant> {
        let texts = self.chunk.iter().map(|event| match event {
            LogEvent::Line(line) => line.text.len(),
            _ => 0,
        });
        let trickles = texts.sum::<usize>() < FLOOD;
        trickles.then_some(self.began + self.gather)
    }

    pub(super) async fn notice(&mut self, notice: Notice) -> Result<(), Unheard> {
        self.say(LogEvent::Notice(Arc::clone(&self.source), notice))
            .await
    }

    pub(super) async fn say(&mut self, event: LogEvent) -> Result<(), Unheard> {
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
    pub(super) async fn tell(&mut self) -> Result<(), Unheard> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.chunk);
        self.out.send(chunk).await.map_err(|_| Unheard)
    }
}
