//! `flightdeck runs logs`: a run's log, live or from the ledger. What is followed is kept.

use std::{io::IsTerminal, pin::pin};

use futures::StreamExt;

use super::output;
use crate::{
    cluster::{
        self,
        logs::{FollowOptions, LogEvent, RunRef, follow_run},
    },
    ledger::Spool,
    runs::Run,
    transcript,
    verbs::{Context, VerbError},
};

/// Events that are written to the ledger at once.
const CHUNK: usize = 256;

/// Prints the log of a run to stdout; with `follow` until the run has ended. What is about the log rather than in it
/// (reconnects, gaps) goes to stderr. What is read is kept in the ledger, which answers when the run is gone.
pub async fn print(context: &Context, name: &str, follow: bool, raw: bool) -> anyhow::Result<u8> {
    let printer = Printer::new(raw);
    // A run that is being deleted has lost its pods, and its log is in the ledger already.
    let found = context.run(name).await.and_then(|run| {
        let going = run.metadata.deletion_timestamp.is_some();
        if going {
            Err(VerbError::NotFound(format!("run {name} is being deleted")))
        } else {
            Ok(run)
        }
    });
    let run = match found {
        Ok(run) => run,
        Err(error @ VerbError::NotFound(_)) => {
            let kept = kept_log(context, name)?.ok_or(error)?;
            kept.iter().try_for_each(|event| printer.event(event))?;
            return Ok(0);
        }
        Err(error) => return Err(error.into()),
    };
    let (client, namespace) = (&context.client, &context.namespace);
    let options = if follow && !run.ended() {
        let (client, namespace, kind, name) =
            (client.clone(), namespace.clone(), run.kind, name.to_owned());
        FollowOptions::until(async move {
            // A run that is gone has ended too.
            drop(cluster::finished(&client, &namespace, kind, &name).await);
        })
    } else {
        FollowOptions::until(std::future::ready(()))
    };
    let mut spool = spool(context, &run)?;
    let mut events =
        pin!(follow_run(client, namespace, &RunRef::from(&run), options).ready_chunks(CHUNK));
    while let Some(chunk) = events.next().await {
        if let Some(spool) = &mut spool {
            spool.append(&chunk)?;
        }
        chunk.iter().try_for_each(|event| printer.event(event))?;
    }
    Ok(0)
}

/// Where the log is kept; `None` while another process keeps it.
fn spool(context: &Context, run: &Run) -> anyhow::Result<Option<Spool>> {
    let Some(ledger) = &context.ledger else {
        return Ok(None);
    };
    ledger.record(run)?;
    Ok(ledger.spool(run.uid())?)
}

/// The log of a run that is gone, by its name; `None` when the ledger does not know it.
fn kept_log(context: &Context, name: &str) -> anyhow::Result<Option<Vec<LogEvent>>> {
    let Some(ledger) = &context.ledger else {
        return Ok(None);
    };
    let entry = ledger
        .list()?
        .into_iter()
        .find(|entry| entry.run.name() == name);
    Ok(match entry {
        Some(entry) => Some(ledger.read_log(entry.run.uid())?.collect()),
        None => None,
    })
}

/// Writes lines as a person reads them, or as they came.
struct Printer {
    raw: bool,
    terminal: bool,
}

impl Printer {
    /// `raw` leaves the agent's JSON as it came.
    fn new(raw: bool) -> Self {
        Self {
            raw,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Prints one event of a log.
    fn event(&self, event: &LogEvent) -> std::io::Result<()> {
        match event {
            LogEvent::Line(line) if self.raw => output::remote_line(&line.text),
            LogEvent::Line(line) => {
                let (tag, separator) = (line.source.tag(), if self.terminal { "│" } else { "|" });
                let readable = transcript::readable(&line.text);
                readable.iter().try_for_each(|line| {
                    output::remote_line(&format!("{tag:<15} {separator} {line}"))
                })
            }
            LogEvent::Notice(source, notice) => {
                output::notice(&format!("{}: {notice}", source.tag()));
                Ok(())
            }
            LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) | LogEvent::RunEnded => Ok(()),
        }
    }
}
