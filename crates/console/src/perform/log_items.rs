//! Log lines for the Detail panel.

use jiff::Timestamp;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::send::send;
use crate::{
    detail_io::{DetailResponse, LineSource, LogItem},
    msg::Msg,
};
use flightdeck_core::{
    log::{LogEvent, LogSource},
    runs::Stage,
};
use flightdeck_host::ledger::LedgerError;

/// Log lines per message.
const BATCH: usize = 2048;

/// Sends a log from disk in batches, so that memory use does not depend on its length. Returns the error, if any.
pub(super) async fn send_from_disk<I>(
    read: impl FnOnce() -> Result<I, LedgerError> + Send + 'static,
    run: &str,
    sender: &mpsc::Sender<Msg>,
) -> Option<String>
where
    I: Iterator<Item = LogEvent>,
{
    let (batches, mut arrived) = mpsc::channel::<Vec<LogItem>>(1);
    let reading = spawn_blocking(move || {
        let mut items = read()?.filter_map(|event| item(&event));
        loop {
            let batch: Vec<LogItem> = items.by_ref().take(BATCH).collect();
            // The end of the log, or the receiver is gone.
            if batch.is_empty() || batches.blocking_send(batch).is_err() {
                return Ok::<_, LedgerError>(());
            }
        }
    });
    while let Some(batch) = arrived.recv().await {
        send_items(run, batch, sender).await;
    }
    match reading.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error}.")),
        Err(error) => Some(error.to_string()),
    }
}

async fn send_items(run: &str, items: Vec<LogItem>, sender: &mpsc::Sender<Msg>) {
    if !items.is_empty() {
        send(
            sender,
            Msg::Detail(DetailResponse::Log(run.to_owned(), items)),
        )
        .await;
    }
}

/// Converts a log event for the panel; `None` for events that it does not show.
pub(super) fn item(event: &LogEvent) -> Option<LogItem> {
    match event {
        LogEvent::Line(line) => {
            let text = match line.left_out {
                0 => line.text.clone(),
                bytes => format!("{} … ({bytes} bytes cut)", line.text),
            };
            // A truncated line ends with a notice instead of its bytes.
            let raw = line.bytes.clone().filter(|_| line.left_out == 0);
            Some(LogItem {
                at: line.at,
                source: Some(source(&line.source)),
                text,
                raw,
            })
        }
        LogEvent::Notice(source, notice) => {
            Some(notice_item(format!("{}: {notice}", source.tag())))
        }
        LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => None,
    }
}

/// Returns a notice from Flightdeck itself.
pub(super) fn notice_item(text: String) -> LogItem {
    LogItem {
        at: Timestamp::now(),
        source: None,
        text,
        raw: None,
    }
}

fn source(source: &LogSource) -> LineSource {
    LineSource {
        // A pod without the stage label is most likely the agent's.
        stage: source.stage.unwrap_or(Stage::Agent),
        version: source.context_version,
        attempt: source.attempt,
        container: match source.restart {
            0 => source.container.clone(),
            restarts => format!("{}+{restarts}", source.container),
        },
    }
}
