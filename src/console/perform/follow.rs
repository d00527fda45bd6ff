//! Follows the log of a run under way, to know how far it is.

use futures::{FutureExt, StreamExt, pin_mut};
use tokio::{sync::mpsc, task::spawn_blocking};

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
    let chunks = events(context, &followed).ready_chunks(BATCH);
    pin_mut!(chunks);
    let mut spool = open_spool(ledger.clone(), &followed).await;
    let mut transcript = Transcript::default();
    let mut told = Progress::default();
    while let Some(chunk) = chunks.next().await {
        for event in &chunk {
            if let LogEvent::Line(line) = event
                && line.source.stage == Some(Stage::Agent)
            {
                transcript.add(Some(line.at), &line.text);
            }
        }
        spool = append(spool, chunk).await;
        let progress = so_far(&transcript);
        if progress != told {
            told.clone_from(&progress);
            tell(&followed.run, progress, sender).await;
            // What comes meanwhile waits in the stream and is told of together.
            tokio::time::sleep(PACE).await;
        }
    }
    if let Ok(run) = context.run(&followed.name).await {
        memory::keep(ledger, run).await;
    }
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

fn so_far(transcript: &Transcript) -> Progress {
    Progress {
        documents: transcript.documents().len(),
        usage: transcript.usage(),
        context: None,
    }
}

async fn tell(run: &RunId, progress: Progress, sender: &mpsc::Sender<Msg>) {
    let delta = Delta::Progress(run.clone(), progress);
    send(sender, Msg::World(delta)).await;
}
