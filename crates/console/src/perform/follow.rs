//! Follows the log of a run once, for all consumers: progress in the lists, the ledger, and the Logs tab.

use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, pin_mut};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{
    followers::{Interest, SharedInterest, close},
    ledger,
    log_items::{item, notice_item, send_from_disk},
    performer::Performer,
    send::send,
};
use crate::{
    detail_io::{DetailResponse, LogItem},
    effect::{FollowedRun, LogEffect},
    msg::Msg,
    world::{Delta, Progress, RunId},
};
use flightdeck_core::{log::LogEvent, runs::Stage, transcript::Transcript};
use flightdeck_host::{
    cluster::{
        self,
        logs::{FollowOptions, RunRef, follow_run_batched},
    },
    ledger::{Ledger, LogWriter},
};
use flightdeck_verbs::{ArchivedLog, ClusterContext};

/// Events per write to the ledger.
const BATCH: usize = 2048;
/// How long single lines are gathered. Short enough to appear immediate, and limits wake-ups to ten per second.
const GATHER: Duration = Duration::from_millis(100);
/// Longest delay before events are written to the ledger.
const WRITE_DELAY: Duration = Duration::from_millis(500);
/// Minimum interval between progress updates.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

pub(super) fn perform(performer: &mut Performer, effect: LogEffect) {
    match effect {
        LogEffect::Follow(run) => {
            let interest = performer.followers.report_progress(&run.id);
            spawn(performer, run, interest);
        }
    }
}

/// Spawns a follower; does nothing if `interest` is `None`, because one exists.
pub(super) fn spawn(performer: &mut Performer, run: FollowedRun, interest: Option<SharedInterest>) {
    let Some(interest) = interest else {
        return;
    };
    let connection = performer.connection.clone();
    let (ledger, sender) = (performer.ledger.clone(), performer.sender.clone());
    performer.tasks.spawn(async move {
        match connection.ready().await {
            // Boxed: the future is large.
            Ok(context) => Box::pin(follow(&context, run, interest, ledger, &sender)).await,
            Err(why) => unreachable(run.id, interest, why, &sender).await,
        }
    });
}

fn events(
    context: &ClusterContext,
    run: &FollowedRun,
) -> impl Stream<Item = Vec<LogEvent>> + Send + use<> {
    let (client, namespace) = (context.client.clone(), context.namespace.clone());
    let (kind, name) = (run.kind, run.name.clone());
    let until = async move {
        cluster::wait_finished(&client, &namespace, kind, &name).await;
    };
    let options = FollowOptions {
        until: until.boxed(),
        batch_time: GATHER,
        ..FollowOptions::default()
    };
    let run = RunRef {
        name: run.name.clone(),
        uid: run.id.clone(),
    };
    follow_run_batched(&context.client, &context.namespace, &run, options)
}

/// Follows a run until it finishes or has no consumers.
async fn follow(
    context: &ClusterContext,
    run: FollowedRun,
    interest: SharedInterest,
    ledger: Option<Ledger>,
    sender: &mpsc::Sender<Msg>,
) {
    if let Ok(object) = context.run(&run.name).await {
        // Import before this process opens the log for writing, which locks out other writers.
        flightdeck_verbs::import_archived(context, &object).await;
        ledger::record(ledger.clone(), object).await;
    }
    let mut task = FollowTask {
        run: run.id.clone(),
        interest: interest.subscribe(),
        writer: open_log(ledger.clone(), &run).await,
        sender: sender.clone(),
        served: None,
        archived: None,
        progress: Progress::default(),
    };
    let finished = loop {
        task.restart().await;
        if task.served.is_some() {
            task.archived = send_archived(context, &run, sender).await;
        }
        let ended = task.consume(events(context, &run)).await;
        if ended && task.served.is_some() {
            let response = DetailResponse::LogEnded(run.id.clone(), None);
            send(sender, Msg::Detail(response)).await;
        }
        if close(&interest, task.served) {
            break ended;
        }
    };
    let progress = task.progress.clone();
    // Closes the log, so that the ledger can be written below.
    drop(task);
    if finished {
        ledger::record_totals(ledger.clone(), &run.id, &progress).await;
    }
    if let Ok(object) = context.run(&run.name).await {
        ledger::record(ledger, object).await;
    }
}

/// Sends the archived log of pods that are gone, with its origin. Returns the sources sent.
async fn send_archived(
    context: &ClusterContext,
    followed: &FollowedRun,
    sender: &mpsc::Sender<Msg>,
) -> Option<ArchivedLog> {
    let run = context.run(&followed.name).await.ok()?;
    let archived = flightdeck_verbs::archived_log(context, &run).await?;
    let notices = archived.notices().into_iter().map(notice_item).collect();
    let response = DetailResponse::Log(followed.id.clone(), notices);
    send(sender, Msg::Detail(response)).await;
    let sent = archived.clone();
    let read = move || archived.events();
    if let Some(error) = send_from_disk(read, &followed.id, sender).await {
        let response = DetailResponse::Log(followed.id.clone(), vec![notice_item(error)]);
        send(sender, Msg::Detail(response)).await;
    }
    Some(sent)
}

/// Ends the log in the tab with the reason why it cannot be followed.
async fn unreachable(
    run: RunId,
    interest: SharedInterest,
    why: String,
    sender: &mpsc::Sender<Msg>,
) {
    let tab = interest.borrow().tab;
    close(&interest, tab);
    if tab.is_some() {
        send(
            sender,
            Msg::Detail(DetailResponse::LogEnded(run, Some(why))),
        )
        .await;
    }
}

/// A follower at work.
struct FollowTask {
    run: RunId,
    interest: watch::Receiver<Interest>,
    writer: Option<LogWriter>,
    sender: mpsc::Sender<Msg>,
    /// The opening of the Logs tab that receives the log from its first line.
    served: Option<u64>,
    /// The archived sources that the tab received, and that are not sent again.
    archived: Option<ArchivedLog>,
    progress: Progress,
}

impl FollowTask {
    /// Consumes the stream: all lines go to the tab, progress to the lists at a limited rate. Returns `false` if the
    /// interest changed before the end, so that the log must be read again, or not at all.
    async fn consume(&mut self, chunks: impl Stream<Item = Vec<LogEvent>>) -> bool {
        pin_mut!(chunks);
        let mut transcript = Transcript::default();
        let mut reported = Progress::default();
        self.progress = reported.clone();
        let mut unwritten: Vec<LogEvent> = Vec::new();
        let (mut report_at, mut write_at) = (Instant::now(), Instant::now());
        let ended = loop {
            let chunk = tokio::select! {
                biased;
                changed = self.interest.changed() => {
                    let now = *self.interest.borrow_and_update();
                    let reopened = now.tab.is_some_and(|tab| self.served != Some(tab));
                    if changed.is_err() || now.is_empty() || reopened {
                        break false;
                    }
                    self.served = now.tab;
                    continue;
                }
                () = sleep_until(report_at), if self.progress != reported => {
                    reported.clone_from(&self.progress);
                    self.report(reported.clone()).await;
                    report_at = Instant::now() + PROGRESS_INTERVAL;
                    continue;
                }
                () = sleep_until(write_at), if !unwritten.is_empty() => {
                    self.write(std::mem::take(&mut unwritten)).await;
                    continue;
                }
                chunk = chunks.next() => match chunk {
                    Some(chunk) => chunk,
                    None => break true,
                },
            };
            for event in &chunk {
                if let LogEvent::Line(line) = event
                    && line.source.stage == Some(Stage::Agent)
                {
                    transcript.add(Some(line.at), &line.text);
                }
            }
            if self.served.is_some() {
                let sent = |event: &&LogEvent| {
                    let archived = self.archived.as_ref();
                    archived.is_some_and(|archived| archived.contains(event))
                };
                let items = chunk.iter().filter(|event| !sent(event));
                let items: Vec<LogItem> = items.filter_map(item).collect();
                if !items.is_empty() {
                    let response = DetailResponse::Log(self.run.clone(), items);
                    send(&self.sender, Msg::Detail(response)).await;
                }
            }
            self.progress = Progress::of(&transcript);
            if unwritten.is_empty() {
                write_at = Instant::now() + WRITE_DELAY;
            }
            unwritten.extend(chunk);
            if unwritten.len() >= BATCH {
                self.write(std::mem::take(&mut unwritten)).await;
            }
        };
        self.write(unwritten).await;
        if ended && self.progress != reported {
            self.report(self.progress.clone()).await;
        }
        ended
    }

    /// Tells the tab, if it is open, that the log restarts at its first line.
    async fn restart(&mut self) {
        self.served = self.interest.borrow_and_update().tab;
        if self.served.is_some() {
            let response = DetailResponse::LogRestarted(self.run.clone());
            send(&self.sender, Msg::Detail(response)).await;
        }
    }

    async fn write(&mut self, events: Vec<LogEvent>) {
        if !events.is_empty() {
            self.writer = append(self.writer.take(), events).await;
        }
    }

    async fn report(&self, progress: Progress) {
        let delta = Delta::Progress(self.run.clone(), Box::new(progress));
        send(&self.sender, Msg::World(delta)).await;
    }
}

/// Opens the log in the ledger. Returns `None` if another process writes it, or on error.
async fn open_log(ledger: Option<Ledger>, run: &FollowedRun) -> Option<LogWriter> {
    let (ledger, uid) = (ledger?, run.id.clone());
    let opened = spawn_blocking(move || ledger.log_writer(&uid).inspect_err(ledger::warn));
    opened.await.ok()?.ok()?
}

/// Appends events. A writer that failed is dropped.
async fn append(writer: Option<LogWriter>, events: Vec<LogEvent>) -> Option<LogWriter> {
    let mut writer = writer?;
    let appended = spawn_blocking(move || {
        let appended = writer.append(&events).inspect_err(ledger::warn);
        appended.is_ok().then_some(writer)
    });
    appended.await.ok()?
}

#[cfg(test)]
mod tests;
