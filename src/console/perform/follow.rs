//! Follows the log of a run under way, to know how far it is.

use futures::{FutureExt, Stream, StreamExt, pin_mut};
use tokio::{
    sync::mpsc,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{memory, send};
use crate::{
    cluster::{
        self,
        logs::{FollowOptions, LogEvent, RunRef, follow_run},
    },
    console::{
        effect::Followed,
        msg::Msg,
        world::{Delta, Progress, RunId},
    },
    ledger::{Ledger, Spool},
    runs::Stage,
    transcript::Transcript,
    verbs::Context,
};

/// Lines taken in at once.
const BATCH: usize = 512;
/// Least time between two words about how far a run is.
const PACE: std::time::Duration = std::time::Duration::from_millis(250);

fn events(
    context: &Context,
    followed: &Followed,
) -> impl futures::Stream<Item = LogEvent> + Send + use<> {
    let (client, namespace) = (context.client.clone(), context.namespace.clone());
    let (kind, name) = (followed.kind, followed.name.clone());
    let until = async move {
        cluster::finished(&client, &namespace, kind, &name).await;
    };
    let options = FollowOptions {
        until: until.boxed(),
        ..FollowOptions::default()
    };
    let run = RunRef {
        name: followed.name.clone(),
        uid: followed.run.clone(),
    };
    follow_run(&context.client, &context.namespace, &run, options)
}

/// Tells how far a run is, as its agent's stream says, and keeps its log, until it has ended.
pub(super) async fn progress(
    context: &Context,
    followed: Followed,
    ledger: Option<Ledger>,
    sender: &mpsc::Sender<Msg>,
) {
    let spool = open_spool(ledger.clone(), &followed).await;
    let known = keep_up(events(context, &followed), spool, &followed.run, sender).await;
    memory::totals(ledger.clone(), &followed.run, &known).await;
    if let Ok(run) = context.run(&followed.name).await {
        memory::keep(ledger, run).await;
    }
}

/// Takes events in as fast as they come, and tells of them at the pace of a reader; gives how far the run was in the end.
async fn keep_up(
    events: impl Stream<Item = LogEvent>,
    mut spool: Option<Spool>,
    run: &RunId,
    sender: &mpsc::Sender<Msg>,
) -> Progress {
    let chunks = events.ready_chunks(BATCH);
    pin_mut!(chunks);
    let mut transcript = Transcript::default();
    let mut told = Progress::default();
    let mut known = told.clone();
    let mut due = Instant::now();
    loop {
        let chunk = tokio::select! {
            biased;
            () = sleep_until(due), if known != told => {
                told.clone_from(&known);
                tell(run, known.clone(), sender).await;
                due = Instant::now() + PACE;
                continue;
            }
            chunk = chunks.next() => chunk,
        };
        let Some(chunk) = chunk else { break };
        for event in &chunk {
            if let LogEvent::Line(line) = event
                && line.source.stage == Some(Stage::Agent)
            {
                transcript.add(Some(line.at), &line.text);
            }
        }
        spool = append(spool, chunk).await;
        known = Progress::of(&transcript);
    }
    if known != told {
        tell(run, known.clone(), sender).await;
    }
    known
}

/// Where the log is kept; `None` when another process keeps it, or none can be.
async fn open_spool(ledger: Option<Ledger>, followed: &Followed) -> Option<Spool> {
    let (ledger, uid) = (ledger?, followed.run.clone());
    let opened = spawn_blocking(move || ledger.spool(&uid).inspect_err(memory::warn));
    opened.await.ok()?.ok()?
}

/// Keeps events; a spool that failed is given up.
async fn append(spool: Option<Spool>, events: Vec<LogEvent>) -> Option<Spool> {
    let mut spool = spool?;
    let appended = spawn_blocking(move || {
        let kept = spool.append(&events).inspect_err(memory::warn);
        kept.is_ok().then_some(spool)
    });
    appended.await.ok()?
}

async fn tell(run: &RunId, progress: Progress, sender: &mpsc::Sender<Msg>) {
    let delta = Delta::Progress(run.clone(), Box::new(progress));
    send(sender, Msg::World(delta)).await;
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures::stream;

    use super::*;
    use crate::cluster::logs::{LogLine, LogSource};

    fn wrote(at: usize) -> LogEvent {
        let source = LogSource {
            pod: "p".into(),
            pod_uid: "u".into(),
            container: "agent".into(),
            restart: 0,
            stage: Some(Stage::Agent),
            context_version: 1,
            attempt: 1,
        };
        LogEvent::Line(LogLine {
            source: Arc::new(source),
            at: jiff::Timestamp::UNIX_EPOCH,
            ordinal: 0,
            text: format!(
                r#"{{"type":"assistant","message":{{"id":"m{at}","content":[{{"type":"tool_use","id":"t{at}","name":"Write","input":{{"file_path":".taskmaster/docs/task-{at}/task.md","content":"a"}}}}]}}}}"#
            ),
            left_out: 0,
        })
    }

    #[tokio::test]
    async fn lines_that_come_one_by_one_are_counted_as_they_come_and_not_at_the_pace_of_telling() {
        let lines = stream::iter(1..=200).then(async |at| {
            tokio::task::yield_now().await;
            wrote(at)
        });
        let (sender, mut receiver) = mpsc::channel(1_000);
        let run = RunId::from("r");
        let counted = keep_up(lines, None, &run, &sender);
        // At a line a pace it would take most of a minute.
        tokio::time::timeout(Duration::from_secs(20), counted)
            .await
            .unwrap();
        drop(sender);
        let mut last = 0;
        while let Some(said) = receiver.recv().await {
            let Msg::World(Delta::Progress(_, progress)) = said else {
                panic!("only progress is told")
            };
            last = progress.documents;
        }
        assert_eq!(last, 200);
    }
}
