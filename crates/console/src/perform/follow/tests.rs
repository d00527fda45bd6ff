use std::{sync::Arc, time::Duration};

use futures::stream;

use super::{super::followers::Followers, *};
use flightdeck_core::log::{LogLine, LogSource};

fn document_line(at: usize) -> LogEvent {
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

fn follow_task(interest: &SharedInterest, sender: &mpsc::Sender<Msg>) -> FollowTask {
    FollowTask {
        run: RunId::from("r"),
        interest: interest.subscribe(),
        writer: None,
        sender: sender.clone(),
        served: None,
        archived: None,
        progress: Progress::default(),
    }
}

#[tokio::test]
async fn reporting_does_not_delay_reading() {
    // Unbounded, so that writing does not wait for reading.
    let (write, lines) = futures::channel::mpsc::unbounded();
    tokio::spawn(async move {
        for at in 1..=200 {
            write.unbounded_send(vec![document_line(at)]).unwrap();
            tokio::task::yield_now().await;
        }
    });
    let (sender, mut receiver) = mpsc::channel(1_000);
    let interest = Followers::default().report_progress(&"r".into()).unwrap();
    let mut task = follow_task(&interest, &sender);
    // With a line per report, this would take most of a minute.
    task.restart().await;
    let counted = tokio::time::timeout(Duration::from_secs(20), task.consume(lines));
    assert!(counted.await.unwrap());
    drop((task, sender));
    let mut last = 0;
    while let Some(msg) = receiver.recv().await {
        let Msg::World(Delta::Progress(_, progress)) = msg else {
            panic!("not progress: {msg:?}")
        };
        last = progress.documents;
    }
    assert_eq!(last, 200);
}

/// Receives until the log has `count` lines since its last restart. Returns the number of restarts, and of lines.
async fn receive(receiver: &mut mpsc::Receiver<Msg>, count: usize) -> (usize, usize) {
    let (mut restarts, mut lines) = (0, 0);
    while lines < count {
        let next = tokio::time::timeout(Duration::from_secs(60), receiver.recv());
        match next.await.unwrap().unwrap() {
            Msg::Detail(DetailResponse::LogRestarted(_)) => {
                (restarts, lines) = (restarts + 1, 0);
            }
            Msg::Detail(DetailResponse::Log(_, items)) => lines += items.len(),
            _ => {}
        }
    }
    (restarts, lines)
}

#[tokio::test]
async fn one_follower_serves_lists_and_tab() {
    let (sender, mut receiver) = mpsc::channel(1_000);
    let run = RunId::from("r");
    let mut followers = Followers::default();
    let interest = followers.report_progress(&run).unwrap();
    let messages = sender.clone();
    let follower = tokio::spawn(async move {
        let mut task = follow_task(&interest, &messages);
        let mut streams = 0;
        loop {
            streams += 1;
            task.restart().await;
            let ended = task
                .consume(
                    stream::iter((1..=5).map(|at| vec![document_line(at)]))
                        .chain(stream::pending()),
                )
                .await;
            if !ended && close(&interest, task.served) {
                return streams;
            }
        }
    });
    assert!(
        followers.show(&run).is_none(),
        "the existing follower serves the tab"
    );
    assert_eq!(receive(&mut receiver, 5).await, (1, 5));
    followers.hide();
    assert!(followers.show(&run).is_none());
    assert_eq!(receive(&mut receiver, 5).await, (1, 5));
    assert!(followers.show(&"other".into()).is_some());
    followers.by_run[&run].send_modify(|interest| interest.progress = false);
    let streams = tokio::time::timeout(Duration::from_secs(60), follower);
    assert!(
        streams.await.unwrap().unwrap() <= 3,
        "the log is read at most once per opening"
    );
    assert!(
        followers.show(&run).is_some(),
        "a closed follower is replaced"
    );
}
