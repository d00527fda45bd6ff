//! Follows the log of a run: once, for all who want it. How far the run is, the ledger and the Logs tab are told from the
//! same lines.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{FutureExt, Stream, StreamExt, pin_mut};
use tokio::{
    sync::{mpsc, watch},
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{
    detail::{from_disk, item, remark},
    memory, send,
};
use crate::{
    effect::Followed,
    msg::Msg,
    panels::detail::{Item, News},
    world::{Delta, Progress, RunId},
};
use flightdeck_core::{log::LogEvent, runs::Stage, transcript::Transcript};
use flightdeck_host::{
    cluster::{
        self,
        logs::{FollowOptions, RunRef, follow_run_in_chunks},
    },
    ledger::{Ledger, Spool},
};
use flightdeck_verbs::{Context, Earlier};

/// Events written down at once.
const BATCH: usize = 2048;
/// How long lines may gather that trickle: they are on the screen as soon as an eye can tell, and wake this program no oftener.
const GATHER: Duration = Duration::from_millis(100);
/// How long they may wait to be written down, unless there are many.
const WRITE: Duration = Duration::from_millis(500);
/// Least time between two words about how far a run is.
const PACE: Duration = Duration::from_millis(250);

/// Who wants the log of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// It is to be known how far the run is.
    progress: bool,
    /// The tab shows it: a number for each time it was opened, since it is then told from the first line on.
    tab: Option<u64>,
    /// The follower has ended and hears no more.
    over: bool,
}

/// The interest in a run, shared with its follower.
pub(super) type Listening = Arc<watch::Sender<Interest>>;

/// The followers there are: one a run.
#[derive(Debug, Default)]
pub(super) struct Followers {
    all: HashMap<RunId, Listening>,
    openings: u64,
}

impl Followers {
    /// Wants to know how far a run is. Gives what a new follower listens to, if there is none yet.
    pub(super) fn progress(&mut self, run: &RunId) -> Option<Listening> {
        self.change(run, |interest| interest.progress = true)
    }

    /// Wants the run's log in the tab, and no other's. Gives what a new follower listens to, if there is none yet.
    pub(super) fn show(&mut self, run: &RunId) -> Option<Listening> {
        self.leave();
        self.openings += 1;
        let opening = self.openings;
        self.change(run, |interest| interest.tab = Some(opening))
    }

    /// Nothing is shown any more.
    pub(super) fn leave(&mut self) {
        self.all.retain(|_, listening| {
            listening.send_if_modified(|interest| interest.tab.take().is_some());
            !listening.borrow().over
        });
    }

    fn change(&mut self, run: &RunId, change: impl Fn(&mut Interest)) -> Option<Listening> {
        if let Some(listening) = self.all.get(run)
            && listening.send_if_modified(|interest| {
                if !interest.over {
                    change(interest);
                }
                !interest.over
            })
        {
            return None;
        }
        let mut interest = Interest::default();
        change(&mut interest);
        let listening = Arc::new(watch::Sender::new(interest));
        self.all.insert(run.clone(), Arc::clone(&listening));
        Some(listening)
    }
}

impl Interest {
    const fn nobody(self) -> bool {
        !self.progress && self.tab.is_none()
    }
}

/// Declares that nothing more will be told; `false` when somebody has come in meanwhile.
fn close(listening: &Listening, served: Option<u64>) -> bool {
    let mut closed = false;
    listening.send_if_modified(|interest| {
        closed = interest.nobody() || interest.tab.is_none_or(|tab| served == Some(tab));
        interest.over |= closed;
        false
    });
    closed
}

fn events(
    context: &Context,
    followed: &Followed,
) -> impl Stream<Item = Vec<LogEvent>> + Send + use<> {
    let (client, namespace) = (context.client.clone(), context.namespace.clone());
    let (kind, name) = (followed.kind, followed.name.clone());
    let until = async move {
        cluster::finished(&client, &namespace, kind, &name).await;
    };
    let options = FollowOptions {
        until: until.boxed(),
        gather: GATHER,
        ..FollowOptions::default()
    };
    let run = RunRef {
        name: followed.name.clone(),
        uid: followed.run.clone(),
    };
    follow_run_in_chunks(&context.client, &context.namespace, &run, options)
}

/// Follows a run until it has ended or nobody wants it: tells how far it is, keeps its log, and tells the tab its lines.
pub(super) async fn follow(
    context: &Context,
    followed: Followed,
    listening: Listening,
    ledger: Option<Ledger>,
    sender: &mpsc::Sender<Msg>,
) {
    if let Ok(run) = context.run(&followed.name).await {
        // Before the log is written here, which leaves no room for another writer.
        flightdeck_verbs::take_over(context, &run).await;
        memory::keep(ledger.clone(), run).await;
    }
    let mut desk = Desk {
        run: followed.run.clone(),
        heard: listening.subscribe(),
        spool: open_spool(ledger.clone(), &followed).await,
        sender: sender.clone(),
        served: None,
        told: None,
        known: Progress::default(),
    };
    let finished = loop {
        desk.begin().await;
        if desk.served.is_some() {
            desk.told = earlier(context, &followed, sender).await;
        }
        let over = desk.keep_up(events(context, &followed)).await;
        if over && desk.served.is_some() {
            let news = News::LogEnded(followed.run.clone(), None);
            send(sender, Msg::Detail(news)).await;
        }
        if close(&listening, desk.served) {
            break over;
        }
    };
    let known = desk.known.clone();
    drop(desk);
    if finished {
        memory::totals(ledger.clone(), &followed.run, &known).await;
    }
    if let Ok(run) = context.run(&followed.name).await {
        memory::keep(ledger, run).await;
    }
}

/// Tells the tab what the pods said that are gone, as it was kept, and whence it is; what was told so.
async fn earlier(
    context: &Context,
    followed: &Followed,
    sender: &mpsc::Sender<Msg>,
) -> Option<Earlier> {
    let run = context.run(&followed.name).await.ok()?;
    let earlier = flightdeck_verbs::earlier(context, &run).await?;
    let said = earlier.words().into_iter().map(remark).collect();
    let news = News::Log(followed.run.clone(), said);
    send(sender, Msg::Detail(news)).await;
    let told = earlier.clone();
    let read = move || earlier.events();
    if let Some(trouble) = from_disk(read, &followed.run, sender).await {
        let news = News::Log(followed.run.clone(), vec![remark(trouble)]);
        send(sender, Msg::Detail(news)).await;
    }
    Some(told)
}

/// Tells why the log of a run cannot be shown.
pub(super) async fn unreachable(
    run: RunId,
    listening: Listening,
    why: String,
    sender: &mpsc::Sender<Msg>,
) {
    let asked = listening.borrow().tab;
    close(&listening, asked);
    if asked.is_some() {
        send(sender, Msg::Detail(News::LogEnded(run, Some(why)))).await;
    }
}

/// What a follower tells, and to whom.
struct Desk {
    run: RunId,
    heard: watch::Receiver<Interest>,
    spool: Option<Spool>,
    sender: mpsc::Sender<Msg>,
    /// The opening of the tab that is told everything, from the first line on.
    served: Option<u64>,
    /// What the tab was told from the disk, and is not told again.
    told: Option<Earlier>,
    /// How far the run is.
    known: Progress,
}

impl Desk {
    /// Takes events in, many at a time, and tells of them: the tab all of them, the lists at the pace of a reader.
    /// `false` when they are to be read from the beginning once more, or by nobody.
    async fn keep_up(&mut self, chunks: impl Stream<Item = Vec<LogEvent>>) -> bool {
        pin_mut!(chunks);
        let mut transcript = Transcript::default();
        let mut told = Progress::default();
        self.known = told.clone();
        let mut unwritten: Vec<LogEvent> = Vec::new();
        let (mut tell, mut write) = (Instant::now(), Instant::now());
        let over = loop {
            let chunk = tokio::select! {
                biased;
                changed = self.heard.changed() => {
                    let now = *self.heard.borrow_and_update();
                    if changed.is_err() || now.nobody() || now.tab.is_some_and(|tab| self.served != Some(tab)) {
                        break false;
                    }
                    self.served = now.tab;
                    continue;
                }
                () = sleep_until(tell), if self.known != told => {
                    told.clone_from(&self.known);
                    self.tell(told.clone()).await;
                    tell = Instant::now() + PACE;
                    continue;
                }
                () = sleep_until(write), if !unwritten.is_empty() => {
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
                let told = |event: &&LogEvent| {
                    let earlier = self.told.as_ref();
                    earlier.is_some_and(|earlier| earlier.tells(event))
                };
                let items = chunk.iter().filter(|event| !told(event));
                let items: Vec<Item> = items.filter_map(item).collect();
                if !items.is_empty() {
                    let news = News::Log(self.run.clone(), items);
                    send(&self.sender, Msg::Detail(news)).await;
                }
            }
            self.known = Progress::of(&transcript);
            if unwritten.is_empty() {
                write = Instant::now() + WRITE;
            }
            unwritten.extend(chunk);
            if unwritten.len() >= BATCH {
                self.write(std::mem::take(&mut unwritten)).await;
            }
        };
        self.write(unwritten).await;
        if over && self.known != told {
            self.tell(self.known.clone()).await;
        }
        over
    }

    /// Tells the tab that everything comes from the first line on.
    async fn begin(&mut self) {
        self.served = self.heard.borrow_and_update().tab;
        if self.served.is_some() {
            let news = News::LogBegins(self.run.clone());
            send(&self.sender, Msg::Detail(news)).await;
        }
    }

    async fn write(&mut self, events: Vec<LogEvent>) {
        if !events.is_empty() {
            self.spool = append(self.spool.take(), events).await;
        }
    }

    async fn tell(&self, progress: Progress) {
        let delta = Delta::Progress(self.run.clone(), Box::new(progress));
        send(&self.sender, Msg::World(delta)).await;
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use futures::stream;

    use flightdeck_core::log::{LogLine, LogSource};

    use super::*;

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
            bytes: None,
            left_out: 0,
        })
    }

    fn desk(listening: &Listening, sender: &mpsc::Sender<Msg>) -> Desk {
        Desk {
            run: RunId::from("r"),
            heard: listening.subscribe(),
            spool: None,
            sender: sender.clone(),
            served: None,
            told: None,
            known: Progress::default(),
        }
    }

    #[tokio::test]
    async fn lines_that_come_one_by_one_are_counted_as_they_come_and_not_at_the_pace_of_telling() {
        // Those who write do not wait for those who read.
        let (write, lines) = futures::channel::mpsc::unbounded();
        tokio::spawn(async move {
            for at in 1..=200 {
                write.unbounded_send(vec![wrote(at)]).unwrap();
                tokio::task::yield_now().await;
            }
        });
        let (sender, mut receiver) = mpsc::channel(1_000);
        let listening = Followers::default().progress(&"r".into()).unwrap();
        let mut desk = desk(&listening, &sender);
        // At a line a pace it would take most of a minute.
        desk.begin().await;
        let counted = tokio::time::timeout(Duration::from_secs(20), desk.keep_up(lines));
        assert!(counted.await.unwrap());
        drop((desk, sender));
        let mut last = 0;
        while let Some(said) = receiver.recv().await {
            let Msg::World(Delta::Progress(_, progress)) = said else {
                panic!("only progress is told")
            };
            last = progress.documents;
        }
        assert_eq!(last, 200);
    }

    /// Reads news until `count` lines were told; how often the log was begun anew, and the lines of the last time.
    async fn heard(receiver: &mut mpsc::Receiver<Msg>, count: usize) -> (usize, usize) {
        let (mut begun, mut lines) = (0, 0);
        while lines < count {
            let next = tokio::time::timeout(Duration::from_secs(60), receiver.recv());
            match next.await.unwrap().unwrap() {
                Msg::Detail(News::LogBegins(_)) => (begun, lines) = (begun + 1, 0),
                Msg::Detail(News::Log(_, items)) => lines += items.len(),
                _ => {}
            }
        }
        (begun, lines)
    }

    #[tokio::test]
    async fn one_follower_tells_lists_and_tab_and_begins_anew_for_a_tab_that_is_opened_later() {
        let (sender, mut receiver) = mpsc::channel(1_000);
        let run = RunId::from("r");
        let mut followers = Followers::default();
        let listening = followers.progress(&run).unwrap();
        let told = sender.clone();
        let follower = tokio::spawn(async move {
            let mut desk = desk(&listening, &told);
            let mut streams = 0;
            loop {
                streams += 1;
                desk.begin().await;
                let over = desk
                    .keep_up(
                        stream::iter((1..=5).map(|at| vec![wrote(at)])).chain(stream::pending()),
                    )
                    .await;
                if !over && close(&listening, desk.served) {
                    return streams;
                }
            }
        });
        assert!(
            followers.show(&run).is_none(),
            "the follower there is takes it on"
        );
        assert_eq!(heard(&mut receiver, 5).await, (1, 5));
        followers.leave();
        assert!(followers.show(&run).is_none());
        assert_eq!(heard(&mut receiver, 5).await, (1, 5));
        assert!(followers.show(&"other".into()).is_some());
        followers.all[&run].send_modify(|interest| interest.progress = false);
        let streams = tokio::time::timeout(Duration::from_secs(60), follower);
        assert!(
            streams.await.unwrap().unwrap() <= 3,
            "it is not read more often than it was opened"
        );
        assert!(
            followers.show(&run).is_some(),
            "one that has ended is not counted on"
        );
    }
}
