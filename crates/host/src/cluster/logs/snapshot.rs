//! Reads the current content of a run's log, without following.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use futures::{SinkExt, Stream, channel::mpsc::Sender};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
    core::DeserializeGuard,
};

use super::{
    RunRef,
    record::{self, Record, Unfinished},
    run::containers,
    source::{Life, reason},
};
use crate::cluster::channel_stream::channel_stream;
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource, Notice},
    runs::{Stage, naming},
    text,
};

/// The part of a log to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// Only this stage.
    pub stage: Option<Stage>,
    /// The last lines of each container.
    pub tail: Option<u32>,
    /// Lines with this time or later.
    pub since: Option<Timestamp>,
}

/// Returns the containers of a run that have a log, in the order they ran.
pub async fn sources(
    client: &Client,
    namespace: &str,
    run: &RunRef,
) -> Result<Vec<Arc<LogSource>>, kube::Error> {
    let found = started(client, namespace, run).await?;
    Ok(found.into_iter().map(|(source, _)| source).collect())
}

async fn started(
    client: &Client,
    namespace: &str,
    run: &RunRef,
) -> Result<Vec<(Arc<LogSource>, Life)>, kube::Error> {
    let labels = format!("{}={}", naming::LABEL_RUN_UID, run.uid);
    let pods = Api::<DeserializeGuard<Pod>>::namespaced(client.clone(), namespace);
    let listed = pods.list(&ListParams::default().labels(&labels)).await?;
    let mut found = BTreeMap::new();
    for pod in listed.items.into_iter().filter_map(|pod| pod.0.ok()) {
        for container in containers(&pod) {
            found.insert(
                container.order,
                (Arc::new(container.source), container.life),
            );
        }
    }
    Ok(found.into_values().collect())
}

/// Reads the current lines of all containers, in the order they ran. An unreadable log is replaced by
/// [`Notice::Unreachable`].
pub fn snapshot_run(
    client: &Client,
    namespace: &str,
    run: &RunRef,
    excerpt: Excerpt,
) -> impl Stream<Item = LogEvent> + Send + use<> {
    let (client, namespace, run) = (client.clone(), namespace.to_owned(), run.clone());
    channel_stream(async move |mut out| {
        let found = match started(&client, &namespace, &run).await {
            Ok(found) => found,
            Err(error) => {
                let no_pod = Arc::new(LogSource::without_pod("flightdeck"));
                let notice = Notice::Unreachable(reason(&error));
                let _ = out.send(LogEvent::Notice(no_pod, notice)).await;
                return;
            }
        };
        let api = Api::<Pod>::namespaced(client, &namespace);
        for (source, life) in found {
            let wanted = excerpt
                .stage
                .is_none_or(|stage| source.stage == Some(stage));
            if wanted && read(&api, &source, life, excerpt, &mut out).await.is_err() {
                return;
            }
        }
    })
}

/// Reads a container's log. Fails if the receiver is gone.
async fn read(
    api: &Api<Pod>,
    source: &Arc<LogSource>,
    life: Life,
    excerpt: Excerpt,
    out: &mut Sender<LogEvent>,
) -> Result<(), futures::channel::mpsc::SendError> {
    let params = LogParams {
        container: Some(source.container.clone()),
        previous: life == Life::Superseded,
        // The client rounds to the nearest second; earlier lines are filtered below.
        since_time: excerpt.since.map(floor),
        tail_lines: excerpt.tail.map(i64::from),
        timestamps: true,
        ..LogParams::default()
    };
    out.send(LogEvent::SourceStarted(Arc::clone(source)))
        .await?;
    let mut ordinals = Ordinals::default();
    let since = excerpt.since.unwrap_or(Timestamp::MIN);
    let failed = match api.log_stream(&source.pod, &params).await {
        Ok(reader) => {
            let mut reader = pin!(reader);
            let mut unfinished = Unfinished::default();
            loop {
                let record = match record::next(&mut reader, &mut unfinished).await {
                    Ok(Some(record)) => record,
                    Ok(None) if unfinished.is_empty() => break None,
                    Ok(None) => unfinished.finish(),
                    Err(error) => break Some(reason(&error)),
                };
                let event = ordinals.event(source, record);
                if !matches!(&event, LogEvent::Line(read) if read.at < since) {
                    out.send(event).await?;
                }
            }
        }
        Err(error) => Some(reason(&error)),
    };
    if let Some(reason) = failed {
        let notice = Notice::Unreachable(reason);
        out.send(LogEvent::Notice(Arc::clone(source), notice))
            .await?;
    }
    Ok(())
}

fn floor(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Parses an archived log, with timestamps as the server returned it.
#[must_use]
pub fn parse_archived_log(source: &Arc<LogSource>, bytes: &[u8]) -> Vec<LogLine> {
    let mut ordinals = Ordinals::default();
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = text.split(|byte| *byte == b'\n');
    let events = lines.map(|line| ordinals.event(source, Unfinished::of(line).finish()));
    events
        .filter_map(|event| match event {
            LogEvent::Line(line) => Some(line),
            _ => None,
        })
        .collect()
}

/// Numbers the lines with equal timestamps.
#[derive(Default)]
struct Ordinals(Option<Timestamp>, u32);

impl Ordinals {
    fn event(&mut self, source: &Arc<LogSource>, record: Record) -> LogEvent {
        let source = Arc::clone(source);
        let Some(at) = record.at else {
            let words = text::sanitize(&record.text).into_owned();
            return LogEvent::Notice(source, Notice::Server(words));
        };
        self.1 = if self.0 == Some(at) { self.1 + 1 } else { 0 };
        self.0 = Some(at);
        LogEvent::Line(LogLine {
            source,
            at,
            ordinal: self.1,
            text: record.text,
            bytes: record.bytes,
            left_out: record.left_out,
        })
    }
}
