//! `flightdeck runs logs`: a run's log, live or from the ledger. What is followed is kept.

use std::{io::IsTerminal, pin::pin};

use futures::StreamExt;

use super::{Session, output};
use crate::{
    cluster::{
        self,
        logs::{FollowOptions, LogEvent, RunRef, follow_run},
    },
    transcript,
    verbs::Context,
};

/// Prints the log of a run to stdout; with `follow` until the run has ended. What it is about (reconnects, gaps) goes to stderr.
pub async fn print(
    session: &Session,
    context: &Context,
    name: &str,
    follow: bool,
    raw: bool,
) -> anyhow::Result<u8> {
    let run = context.run(name).await?;
    let options = if follow && !run.phase().finished() {
        let (client, namespace, kind, name) = (
            context.client.clone(),
            context.namespace.clone(),
            run.kind,
            name.to_owned(),
        );
        FollowOptions::until(async move {
            // A run that is gone has ended too.
            drop(cluster::finished(&client, &namespace, kind, &name).await);
        })
    } else {
        FollowOptions::until(std::future::ready(()))
    };
    let reference = RunRef::from(&run);
    let mut events = pin!(follow_run(
        &context.client,
        &context.namespace,
        &reference,
        options
    ));
    let mut printer = Printer::new(raw);
    while let Some(event) = events.next().await {
        match event {
            LogEvent::Line(line) => printer.line(&line.source.tag(), &line.text)?,
            LogEvent::Notice(source, notice) => {
                output::notice(&format!("{}: {notice}", source.tag()))
            }
            LogEvent::SourceStarted(_) | LogEvent::SourceEnded(_) => {}
            LogEvent::RunEnded => break,
        }
    }
    Ok(0)
}

/// Writes lines as a person reads them, or as they came.
pub struct Printer {
    raw: bool,
    terminal: bool,
}

impl Printer {
    /// `raw` leaves the agent's JSON as it came.
    pub fn new(raw: bool) -> Self {
        Self {
            raw,
            terminal: std::io::stdout().is_terminal(),
        }
    }

    /// Prints one line of the log, tagged with where it comes from.
    pub fn line(&mut self, tag: &str, text: &str) -> std::io::Result<()> {
        if self.raw {
            return output::remote_line(text);
        }
        let separator = if self.terminal { "│" } else { "|" };
        transcript::readable(text)
            .iter()
            .try_for_each(|line| output::remote_line(&format!("{tag:<15} {separator} {line}")))
    }
}
