//! `flightdeck runs logs`: a run's log, live, from what the cluster kept, or from the ledger. What is followed is kept.
//!
//! In a pipe it behaves like `kubectl logs`: the lines as the containers wrote them, each out at once. On a terminal people
//! read it: harmless, told in words, with the stage before each line.

mod printer;
mod timeline;

use std::{collections::HashMap, pin::pin, sync::Arc};

use clap::ValueEnum;
use futures::{Stream, StreamExt};
use jiff::{Span, Timestamp};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{Session, output};
use flightdeck_core::{
    log::{LogEvent, LogSource},
    runs::{Run, Stage},
    text,
};
use flightdeck_host::{
    cluster::{
        self,
        logs::{Excerpt, FollowOptions, RunRef, follow_run, snapshot_run},
    },
    ledger::{Entry, Ledger},
};
use flightdeck_verbs::{ArchivedLog, ClusterContext, LogArchiver, VerbError, exit_code, parse_age};
use printer::Printer;

/// Events that are taken at once.
const CHUNK: usize = 256;
/// Interrupted by Ctrl-C; the run goes on.
const INTERRUPTED: u8 = 130;
/// `--exit-status` of a run that has not ended.
const GOES_ON: u8 = 6;

/// `runs logs`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Logs {
    /// Name of the run.
    pub name: String,
    /// Go on until the run has ended.
    #[arg(long, short)]
    pub follow: bool,
    /// Only this stage: prep, agent or publish.
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub stage: Option<Stage>,
    /// Only lines younger than this: 90s, 15m, 12h, 3d.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub since: Option<i64>,
    /// Only the last N lines; -1 for all.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub tail: Option<i64>,
    /// Put the time before each line.
    #[arg(long)]
    pub timestamps: bool,
    /// Put stage and container before each line, in a pipe too.
    #[arg(long)]
    pub prefix: bool,
    /// The lines as they came, on a terminal too.
    #[arg(long)]
    pub raw: bool,
    /// What the agent did, step by step, instead of the lines of its log. With -f a call is printed when it is made, and again
    /// when its answer comes.
    #[arg(long, conflicts_with_all = ["stage", "raw", "prefix"])]
    pub timeline: bool,
    /// Exit by how the run ended: 0 succeeded, 1 failed, 4 cancelled; 6 when it goes on.
    #[arg(long)]
    pub exit_status: bool,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: LogFormat,
}

/// How a log is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines.
    #[default]
    Text,
    /// A JSON object for each line; bytes that are no UTF-8 are U+FFFD in it.
    Json,
}

fn stage(word: &str) -> Result<Stage, String> {
    Stage::parse(word).ok_or_else(|| "prep, agent or publish".into())
}

fn age(word: &str) -> Result<i64, String> {
    parse_age(word).ok_or_else(|| "write an age like 90s, 15m, 12h or 3d".into())
}

impl Logs {
    /// Everything of a run, until it has ended.
    pub fn following(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            follow: true,
            ..Self::default()
        }
    }

    fn tail(&self) -> Option<usize> {
        self.tail.and_then(|lines| usize::try_from(lines).ok())
    }

    fn since(&self) -> Option<Timestamp> {
        let ago = Span::new().try_seconds(self.since?).ok()?;
        Some(Timestamp::now().checked_sub(ago).unwrap_or(Timestamp::MIN))
    }

    fn excerpt(&self) -> Excerpt {
        if self.timeline {
            // A step may take many lines, and a long time.
            return Excerpt {
                stage: Some(Stage::Agent),
                ..Excerpt::default()
            };
        }
        Excerpt {
            stage: self.stage,
            tail: self
                .tail()
                .map(|lines| u32::try_from(lines).unwrap_or(u32::MAX)),
            since: self.since(),
        }
    }
}

/// `runs logs`: from the cluster, or from the ledger where the cluster cannot be reached.
pub(super) async fn logs(session: &Session, logs: &Logs) -> anyhow::Result<u8> {
    match session.context().await {
        Ok(context) => print(&context, logs).await,
        Err(error) => {
            let ledger = session.ledger()?;
            let kept = kept(ledger, &logs.name).await?.ok_or(error)?;
            output::notice("the cluster cannot be reached");
            print_kept(kept, logs).await
        }
    }
}

/// Prints the log of a run to stdout; with `follow` until the run has ended. What is about the log rather than in it
/// (reconnects, gaps) goes to stderr. What is read from its first line on is kept in the ledger.
pub(super) async fn print(context: &ClusterContext, logs: &Logs) -> anyhow::Result<u8> {
    // A run that is being deleted has lost its pods, and its log is in the ledger already.
    let found = context.run(&logs.name).await.and_then(|run| {
        let going = run.metadata.deletion_timestamp.is_some();
        if going {
            let name = run.name();
            Err(VerbError::NotFound(format!("run {name} is being deleted")))
        } else {
            Ok(run)
        }
    });
    match found {
        Ok(run) => live(context, &run, logs).await,
        Err(error @ VerbError::NotFound(_)) => {
            let kept = kept(context.ledger.clone(), &logs.name).await?;
            print_kept(kept.ok_or(error)?, logs).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A run that the ledger knows.
struct Kept {
    ledger: Ledger,
    entry: Entry,
}

async fn kept(ledger: Option<Ledger>, name: &str) -> anyhow::Result<Option<Kept>> {
    let Some(ledger) = ledger else {
        return Ok(None);
    };
    let name = name.to_owned();
    spawn_blocking(move || {
        let found = ledger.find(&name)?;
        Ok(found.map(|entry| Kept { ledger, entry }))
    })
    .await?
}

async fn print_kept(kept: Kept, logs: &Logs) -> anyhow::Result<u8> {
    let Kept { ledger, entry } = kept;
    let seen = text::age(Timestamp::now().duration_since(entry.written).as_secs());
    output::notice(&format!(
        "run {} is not on the cluster; this is what the ledger kept of it, last written {seen} ago",
        logs.name
    ));
    let mut printer = Printer::new(logs);
    let uid = entry.run.uid().to_owned();
    spawn_blocking(move || {
        let mut events = ledger.read_in_order(&uid)?;
        events.try_for_each(|event| printer.event(&event))?;
        printer.finish()?;
        anyhow::Ok(())
    })
    .await??;
    Ok(if logs.exit_status {
        exit_code(&entry.run.phase())
    } else {
        0
    })
}

async fn live(context: &ClusterContext, run: &Run, logs: &Logs) -> anyhow::Result<u8> {
    let mut printer = Printer::new(logs);
    let earlier = flightdeck_verbs::archived_log(context, run).await;
    if let Some(earlier) = earlier.clone() {
        for words in earlier.notices() {
            output::notice(&words);
        }
        let complete = earlier.complete;
        printer = spawn_blocking(move || {
            if earlier.complete {
                let mut events = earlier.all_events()?;
                events.try_for_each(|event| printer.event(&event))?;
                printer.finish()?;
            } else {
                let mut events = earlier.events()?;
                events.try_for_each(|event| printer.event(&event))?;
            }
            anyhow::Ok(printer)
        })
        .await??;
        if complete {
            return Ok(if logs.exit_status {
                exit_code(&run.phase())
            } else {
                0
            });
        }
    }
    let whole = logs.tail().is_none() && logs.since.is_none();
    if logs.follow || (whole && run.ended()) {
        return follow(context, run, logs, printer, earlier.as_ref()).await;
    }
    let about = RunRef::from(run);
    let events = snapshot_run(&context.client, &context.namespace, &about, logs.excerpt());
    let events = untold(events, earlier.as_ref());
    let (mut printer, _) = take(printer, events).await?;
    let complete = printer.complete;
    spawn_blocking(move || printer.finish()).await??;
    Ok(match (complete, logs.exit_status, run.ended()) {
        (false, ..) => 1,
        (true, true, true) => exit_code(&run.phase()),
        (true, true, false) => GOES_ON,
        (true, false, _) => 0,
    })
}

/// What was not told before.
fn untold(
    events: impl Stream<Item = LogEvent>,
    earlier: Option<&ArchivedLog>,
) -> impl Stream<Item = LogEvent> {
    events.filter(move |event| {
        let told = earlier.is_some_and(|earlier| earlier.contains(event));
        futures::future::ready(!told)
    })
}

/// The last line of each source, and how many lines of that very moment there were.
type Reached = HashMap<Arc<LogSource>, (Timestamp, u32)>;

/// Prints what comes; where each source has been read to.
async fn take(
    mut printer: Printer,
    events: impl Stream<Item = LogEvent>,
) -> anyhow::Result<(Printer, Reached)> {
    let mut reached = Reached::new();
    let mut chunks = pin!(events.ready_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        for event in &chunk {
            if let LogEvent::Line(line) = event {
                let known = reached
                    .entry(Arc::clone(&line.source))
                    .or_insert((line.at, 0));
                *known = (line.at, if known.0 == line.at { known.1 + 1 } else { 1 });
            }
        }
        printer = spawn_blocking(move || {
            chunk.iter().try_for_each(|event| printer.event(event))?;
            std::io::Result::Ok(printer)
        })
        .await??;
    }
    Ok((printer, reached))
}

/// Follows the run to its end, or until Ctrl-C.
async fn follow(
    context: &ClusterContext,
    run: &Run,
    logs: &Logs,
    printer: Printer,
    earlier: Option<&ArchivedLog>,
) -> anyhow::Result<u8> {
    let ended = tokio::select! {
        ended = Box::pin(follow_to_its_end(context, run, logs, printer, earlier)) => ended?,
        _ = tokio::signal::ctrl_c() => {
            if !run.ended() {
                output::notice(&format!("{0} goes on; flightdeck runs logs {0} --follow tails it again", logs.name));
            }
            return Ok(INTERRUPTED);
        }
    };
    Ok(match ended {
        _ if !logs.exit_status => 0,
        Some(ended) => exit_code(&ended.phase()),
        // It was deleted before it ended.
        None => 1,
    })
}

async fn follow_to_its_end(
    context: &ClusterContext,
    run: &Run,
    logs: &Logs,
    mut printer: Printer,
    earlier: Option<&ArchivedLog>,
) -> anyhow::Result<Option<Run>> {
    let (client, namespace) = (&context.client, &context.namespace);
    let about = RunRef::from(run);
    let mut reached = Reached::new();
    if logs.tail().is_some() {
        // The last lines at once, then those that follow: what was read before them is only kept.
        let events = snapshot_run(client, namespace, &about, logs.excerpt());
        let events = untold(events, earlier);
        (printer, reached) = take(printer, events).await?;
        printer = spawn_blocking(move || printer.release().map(|()| printer)).await??;
    }
    let (tell, told) = oneshot::channel();
    let ended = {
        let (client, namespace) = (client.clone(), namespace.clone());
        let (kind, name, over) = (
            run.kind,
            run.name().to_owned(),
            run.ended().then(|| run.clone()),
        );
        async move {
            let ended = match over {
                Some(run) => Some(run),
                None => cluster::wait_finished(&client, &namespace, kind, &name).await,
            };
            // Nobody asks after an interrupt.
            drop(tell.send(ended));
        }
    };
    let mut keeper = keeper(context, run).await;
    let events = follow_run(client, namespace, &about, FollowOptions::until(ended));
    let mut chunks = pin!(events.ready_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        let chunk = Arc::new(chunk);
        if let Err(error) = keeper.append(&chunk).await {
            output::notice(&format!("the log is no longer kept: {error}"));
        }
        let new: Vec<usize> = (0..chunk.len())
            .filter(|index| earlier.is_none_or(|earlier| !earlier.contains(&chunk[*index])))
            .filter(|index| is_new(&chunk[*index], &mut reached))
            .collect();
        printer = spawn_blocking(move || {
            new.iter()
                .try_for_each(|index| printer.event(&chunk[*index]))?;
            std::io::Result::Ok(printer)
        })
        .await??;
    }
    spawn_blocking(move || printer.finish()).await??;
    let ended = told.await.unwrap_or_default();
    if let (Some(ledger), Some(ended)) = (context.ledger.clone(), ended.clone()) {
        let recorded = spawn_blocking(move || ledger.record(&ended)).await?;
        if let Err(error) = recorded {
            output::notice(&error.to_string());
        }
    }
    Ok(ended)
}

/// Whether the event lies behind what was printed of its source.
fn is_new(event: &LogEvent, reached: &mut Reached) -> bool {
    let LogEvent::Line(line) = event else {
        return true;
    };
    let Some((at, count)) = reached.get(&line.source) else {
        return true;
    };
    let new = line.at > *at || (line.at == *at && line.ordinal >= *count);
    if new {
        // From here on a clock that is set back hides nothing.
        reached.remove(&line.source);
    }
    new
}

/// What keeps the log; a ledger that fails costs the record, not the log.
async fn keeper(context: &ClusterContext, run: &Run) -> LogArchiver {
    if let Some(ledger) = context.ledger.clone() {
        let run = run.clone();
        let recorded = spawn_blocking(move || ledger.record(&run)).await;
        if let Ok(Err(error)) = recorded {
            output::notice(&format!("the log is not kept: {error}"));
            return LogArchiver::default();
        }
    }
    let opened = LogArchiver::open(context.ledger.clone(), run.uid()).await;
    opened.unwrap_or_else(|error| {
        output::notice(&format!("the log is not kept: {error}"));
        LogArchiver::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::log::LogLine;

    #[test]
    fn what_was_printed_before_is_passed_over_once_and_nothing_else() {
        let source = Arc::new(LogSource::without_pod("agent"));
        let line = |second: i64, ordinal: u32| {
            LogEvent::Line(LogLine {
                source: Arc::clone(&source),
                at: Timestamp::from_second(second).unwrap(),
                ordinal,
                text: String::new(),
                bytes: None,
                left_out: 0,
            })
        };
        let mut reached =
            Reached::from([(Arc::clone(&source), (Timestamp::from_second(5).unwrap(), 2))]);
        let seen = [(3, 0), (5, 0), (5, 1), (5, 2), (6, 0), (4, 0)];
        let new = seen.map(|(second, ordinal)| is_new(&line(second, ordinal), &mut reached));
        assert_eq!(new, [false, false, false, true, true, true]);
    }

    #[test]
    fn a_negative_tail_is_all_of_it_as_kubectl_has_it() {
        let logs = |tail| Logs {
            tail,
            ..Logs::default()
        };
        assert_eq!(
            [None, Some(-1), Some(0), Some(3)].map(|tail| logs(tail).tail()),
            [None, None, Some(0), Some(3)]
        );
    }
}
