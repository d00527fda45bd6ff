//! Keeps runs in the ledger: what `delete` does first and the embedded cluster does when a run ends, so that nothing is lost
//! with the pods; and what is read back where the pods are gone.

use std::{
    collections::{BTreeMap, HashSet},
    io::Read,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::ListParams};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::{ClusterContext, VerbError};
use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource},
    runs::{Run, Stage, naming},
};
use flightdeck_host::{
    cluster::logs::{self, FollowOptions, RunRef, follow_run},
    ledger::{Ledger, LedgerError, LogWriter},
};

/// How long reading the log of a run that has ended may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often one looks whether another process is through with the log.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Events that are written at once.
const CHUNK: usize = 256;
/// Most bytes that a kept log may unpack to; the controller keeps a quarter of that.
const UNPACKED_LIMIT: u64 = 1024 * 1024;
/// On the ConfigMaps that hold the end of a log (see the controller).
const KEPT_LOGS: &str = "flightdeck.dev/archive=log";

/// Writes the run as it is, its files, and what the cluster still has of its log, into the ledger.
pub async fn archive_run(context: &ClusterContext, run: &Run) -> Result<(), VerbError> {
    let Some(ledger) = context.ledger.clone() else {
        return Ok(());
    };
    let copied = tokio::time::timeout(PATIENCE, copy_log(context, &ledger, run)).await;
    let copied = copied.unwrap_or_else(|_| {
        tracing::warn!(
            run = run.name(),
            "its log could not be read to the end in time"
        );
        Ok(())
    });
    let files = match &run.status.config_map_name {
        Some(name) => files(context, name).await,
        None => None,
    };
    let (uid, object) = (run.uid().to_owned(), run.clone());
    let recorded = blocking(move || {
        ledger.record(&object)?;
        files.map_or(Ok(()), |files| ledger.record_files(&uid, &files))
    });
    let recorded = match copied {
        Ok(()) => recorded.await,
        failed => failed,
    };
    recorded.map_err(|error| {
        VerbError::Failed(format!("run {} could not be recorded: {error}", run.name()))
    })
}

/// The files that a run's agent is given; `None` when they are not there (any more).
async fn files(context: &ClusterContext, name: &str) -> Option<BTreeMap<String, String>> {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    api.get_opt(name).await.ok()??.data
}

async fn copy_log(context: &ClusterContext, ledger: &Ledger, run: &Run) -> Result<(), LedgerError> {
    let live = live_sources(context, run).await;
    complete(context, ledger, run, &live).await;
    let mut keeper = loop {
        if all_read(ledger, run, &live).await? {
            return Ok(());
        }
        let keeper = LogArchiver::open(Some(ledger.clone()), run.uid()).await?;
        if keeper.spool.is_some() {
            break keeper;
        }
        // Another process keeps it already. Of a run that has ended it soon has all of it.
        if !run.ended() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    let options = FollowOptions::until(std::future::ready(()));
    let events = follow_run(
        &context.client,
        &context.namespace,
        &RunRef::from(run),
        options,
    );
    let mut chunks = pin!(events.ready_chunks(CHUNK));
    while let Some(chunk) = chunks.next().await {
        keeper.append(&Arc::new(chunk)).await?;
    }
    Ok(())
}

/// Whether the ledger has all of the log that the cluster has.
async fn all_read(
    ledger: &Ledger,
    run: &Run,
    live: &[Arc<LogSource>],
) -> Result<bool, LedgerError> {
    let (ledger, uid) = (ledger.clone(), run.uid().to_owned());
    let known = blocking(move || ledger.log_sources(&uid)).await?;
    Ok(live
        .iter()
        .all(|source| known.contains(&(source.as_ref().clone(), true))))
}

/// Writes the log of a run while it is followed, off the tasks that must not wait.
#[derive(Debug, Default)]
pub struct LogArchiver {
    spool: Option<LogWriter>,
}

impl LogArchiver {
    /// Keeps nothing where there is no ledger, or while another process keeps the log.
    pub async fn open(ledger: Option<Ledger>, uid: &str) -> Result<Self, LedgerError> {
        let Some(ledger) = ledger else {
            return Ok(Self::default());
        };
        let uid = uid.to_owned();
        let spool = blocking(move || ledger.log_writer(&uid)).await?;
        Ok(Self { spool })
    }

    /// Has written the events when it returns. After an error it keeps nothing more: the log itself goes on.
    pub async fn append(&mut self, events: &Arc<Vec<LogEvent>>) -> Result<(), LedgerError> {
        let Some(mut spool) = self.spool.take() else {
            return Ok(());
        };
        let events = Arc::clone(events);
        let spool = blocking(move || spool.append(&events).map(|()| spool)).await?;
        self.spool = Some(spool);
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        // It was dropped with the runtime, or it panicked.
        Err(error) => Err(LedgerError::Io {
            path: "ledger".into(),
            source: std::io::Error::other(error),
        }),
    }
}

/// What the ledger has of a run's log that the cluster no longer has, and what ran before that.
#[derive(Clone, Debug)]
pub struct ArchivedLog {
    ledger: Ledger,
    uid: String,
    told: HashSet<LogSource>,
    /// What of it is no longer on the cluster, in the order it ran.
    pub sources: Vec<LogSource>,
    /// The ledger has all that the cluster still has, too: nothing else need be read of a run that has ended.
    pub complete: bool,
}

impl ArchivedLog {
    /// The events of pods that are gone, and of what ran before them, in their order. Reads the disk as they are taken.
    pub fn events(&self) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        let told = self.told.clone();
        let events = self.ledger.read_in_order(&self.uid)?;
        Ok(events.filter(move |event| {
            let source = event.source();
            // What the ledger says of itself has no pod.
            source.is_some_and(|source| source.pod.is_empty() || told.contains(source.as_ref()))
        }))
    }

    /// Whether [`Self::events`] has this one, so that it is not to be told once more as the cluster has it.
    #[must_use]
    pub fn tells(&self, event: &LogEvent) -> bool {
        let source = event.source();
        source.is_some_and(|source| self.told.contains(source.as_ref()))
    }

    /// A sentence for those that were followed, and one for those that nobody followed.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let said = |kept: bool, whence: &str| {
            let sources = self.sources.iter();
            let tags: Vec<String> = sources
                .filter(|source| kept_by_the_controller(source) == kept)
                .map(LogSource::tag)
                .collect();
            let tags = tags.join(", ");
            (!tags.is_empty()).then(|| format!("{whence}, no longer on the cluster: {tags}"))
        };
        let followed = said(false, "from the ledger");
        let kept = said(true, "kept by the controller");
        followed.into_iter().chain(kept).collect()
    }

    /// The events of all pods, in the order they ran: to be read where [`Self::complete`].
    pub fn whole(&self) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        self.ledger.read_in_order(&self.uid)
    }
}

/// Takes what the controller kept of pods that are gone into the ledger, as far as nobody writes the log there.
pub async fn import_archived(context: &ClusterContext, run: &Run) {
    if let Some(ledger) = &context.ledger {
        let live = live_sources(context, run).await;
        complete(context, ledger, run, &live).await;
    }
}

/// What is to be read before the log that the cluster still has: of pods that are gone, as it was followed, completed by what
/// the controller kept. `None` when there is nothing of the kind.
pub async fn archived_log(context: &ClusterContext, run: &Run) -> Option<ArchivedLog> {
    let ledger = context.ledger.clone()?;
    let live = live_sources(context, run).await;
    complete(context, &ledger, run, &live).await;
    let (known, uid) = (ledger.clone(), run.uid().to_owned());
    let known = blocking(move || known.log_sources(&uid)).await;
    let known = known.inspect_err(|error| tracing::warn!(%error, "the ledger is not read"));
    let known = known.ok()?;
    let read = |source: &Arc<LogSource>| known.contains(&(source.as_ref().clone(), true));
    let complete = run.ended() && live.iter().all(read);
    let live: HashSet<String> = live.iter().map(|source| source.pod_uid.clone()).collect();
    let told = told_by_the_ledger(&known, &live);
    let sources = known.into_iter().map(|(source, _)| source);
    let sources: Vec<LogSource> = sources
        .filter(|source| !live.contains(&source.pod_uid))
        .collect();
    (!sources.is_empty()).then(|| ArchivedLog {
        ledger,
        uid: run.uid().to_owned(),
        told,
        sources,
        complete,
    })
}

/// Of the sources that the ledger knows, in the order they ran and whether each was read to its end: those that are read from
/// it, since their pods are gone, or since the pod of a later one is and their lines belong before those of that one.
fn told_by_the_ledger(known: &[(LogSource, bool)], live: &HashSet<String>) -> HashSet<LogSource> {
    let gone = |source: &LogSource| !live.contains(&source.pod_uid);
    let last = known.iter().rposition(|(source, _)| gone(source));
    let told = known.iter().take(last.map_or(0, |last| last + 1));
    let told = told.filter(|(source, ended)| *ended || gone(source));
    told.map(|(source, _)| source.clone()).collect()
}

/// Whether all that is known of it is what the controller kept: that tells no pod's uid.
fn kept_by_the_controller(source: &LogSource) -> bool {
    source.pod_uid.is_empty()
}

async fn live_sources(context: &ClusterContext, run: &Run) -> Vec<Arc<LogSource>> {
    let sources = logs::sources(&context.client, &context.namespace, &RunRef::from(run)).await;
    sources
        .inspect_err(|error| tracing::warn!(run = run.name(), %error, "its pods cannot be listed"))
        .unwrap_or_default()
}

/// How an attempt of a stage ended, as the controller keeps it beside the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct End {
    stage: Stage,
    #[serde(default)]
    context_version: i32,
    #[serde(default)]
    attempt: i32,
    #[serde(default)]
    pod_name: Option<String>,
    /// There was more before what is kept.
    #[serde(default)]
    truncated: bool,
}

/// Takes what the controller kept of pods that are gone into the ledger. What cannot be had is left out, with a word in the
/// program's log.
async fn complete(context: &ClusterContext, ledger: &Ledger, run: &Run, live: &[Arc<LogSource>]) {
    let api = Api::<ConfigMap>::namespaced(context.client.clone(), &context.namespace);
    let labels = format!("{KEPT_LOGS},{}={}", naming::LABEL_RUN_UID, run.uid());
    let mut kept = match api.list(&ListParams::default().labels(&labels)).await {
        Ok(kept) => kept.items,
        Err(error) => {
            tracing::warn!(run = run.name(), %error, "what was kept of its logs cannot be read");
            return;
        }
    };
    // Kubernetes counts in seconds: what begins first is told by the lines themselves.
    kept.sort_by_key(|map| (map.creation_timestamp(), map.name_any()));
    let live: HashSet<String> = live.iter().map(|source| source.pod.clone()).collect();
    let (ledger, uid, name) = (ledger.clone(), run.uid().to_owned(), run.name().to_owned());
    let object = run.clone();
    let completed = blocking(move || {
        let mut all = Vec::new();
        for map in &kept {
            let Some((end, ends)) = ends_of(map) else {
                tracing::warn!(run = name, kept = map.name_any(), "is not understood");
                continue;
            };
            let gone = end.pod_name.is_none_or(|pod| !live.contains(&pod));
            let ends = ends.into_iter().filter(|_| gone);
            all.extend(ends.map(|lines| (lines, end.truncated)));
        }
        if !all.is_empty() {
            // Without it the log would have no name once the run is gone.
            ledger.record(&object)?;
        }
        all.sort_by_key(|(lines, _)| lines.first().map(|line| line.at));
        all.iter()
            .try_for_each(|(lines, truncated)| ledger.complete(&uid, lines, *truncated))
    });
    if let Err(error) = completed.await {
        tracing::warn!(%error, "what was kept of a log is not taken over");
    }
}

/// How the attempt ended, and the last lines of its containers.
fn ends_of(map: &ConfigMap) -> Option<(End, Vec<Vec<LogLine>>)> {
    let end: End = serde_json::from_str(map.data.as_ref()?.get("end.json")?).ok()?;
    let mut ends = Vec::new();
    for (key, bytes) in map.binary_data.iter().flatten() {
        let stem = key
            .strip_prefix("log")
            .and_then(|key| key.strip_suffix(".gz"));
        let Some(stem) = stem else { continue };
        // Where there is only one container it is named like its stage.
        let container = stem.strip_prefix('-').unwrap_or_else(|| end.stage.as_str());
        let source = LogSource {
            pod: end.pod_name.clone().unwrap_or_else(|| map.name_any()),
            pod_uid: String::new(),
            container: container.to_owned(),
            restart: 0,
            stage: Some(end.stage),
            context_version: end.context_version,
            attempt: end.attempt,
        };
        let mut text = Vec::new();
        let unpacked = MultiGzDecoder::new(bytes.0.as_slice())
            .take(UNPACKED_LIMIT)
            .read_to_end(&mut text);
        // A damaged one gives what could be read of it.
        if let Err(error) = unpacked {
            tracing::warn!(kept = map.name_any(), key, %error, "is damaged");
        }
        ends.push(logs::parse_archived_log(&Arc::new(source), &text));
    }
    ends.sort_by_key(|lines: &Vec<LogLine>| lines.first().map(|line| line.at));
    Some((end, ends))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn packed(text: &str) -> ByteString {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        ByteString(encoder.finish().unwrap())
    }

    fn kept(end: &serde_json::Value, logs: &[(&str, ByteString)]) -> ConfigMap {
        ConfigMap {
            data: Some(BTreeMap::from([("end.json".into(), end.to_string())])),
            binary_data: Some(
                logs.iter()
                    .map(|(key, log)| ((*key).into(), log.clone()))
                    .collect(),
            ),
            ..ConfigMap::default()
        }
    }

    #[test]
    fn what_the_controller_kept_of_a_stage_is_read_container_by_container() {
        let end = json!({ "stage": "publish", "contextVersion": 2, "attempt": 1, "podName": "x-publish-1", "exitCode": 0, "truncated": true });
        let logs = [
            (
                "log-push.gz",
                packed("2030-01-01T00:00:02Z pushed\n2030-01-01T00:00:02Z pushed\n"),
            ),
            ("log-bundle.gz", packed("2030-01-01T00:00:01.5Z bundled")),
        ];
        let (end, ends) = ends_of(&kept(&end, &logs)).unwrap();
        assert!(end.truncated);
        let told: Vec<(&str, &str, u32)> = ends
            .iter()
            .flatten()
            .map(|line| {
                (
                    line.source.container.as_str(),
                    line.text.as_str(),
                    line.ordinal,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("bundle", "bundled", 0),
                ("push", "pushed", 0),
                ("push", "pushed", 1)
            ]
        );
        assert_eq!(
            (
                ends[0][0].source.context_version,
                ends[0][0].source.pod.as_str()
            ),
            (2, "x-publish-1")
        );
    }

    #[test]
    fn what_ran_before_a_pod_that_is_gone_is_told_before_it_and_what_runs_is_told_by_the_cluster() {
        let source = |pod: &str, stage| LogSource {
            pod: pod.into(),
            pod_uid: format!("uid of {pod}"),
            stage: Some(stage),
            ..LogSource::without_pod(pod)
        };
        let all = [
            (source("prep", Stage::Prep), true),
            (source("agent-1", Stage::Agent), true),
            (source("agent-2", Stage::Agent), false),
            (source("publish", Stage::Publish), false),
        ];
        for (live, told) in [
            (&["prep", "agent-1", "agent-2", "publish"][..], &[][..]),
            (&["agent-1", "agent-2", "publish"], &["prep"]),
            (&["prep", "agent-2", "publish"], &["prep", "agent-1"]),
            (&["prep", "agent-2"], &["prep", "agent-1", "publish"]),
            (&[], &["prep", "agent-1", "agent-2", "publish"]),
        ] {
            let live: HashSet<String> = live.iter().map(|pod| format!("uid of {pod}")).collect();
            let found = told_by_the_ledger(&all, &live);
            let found = all.iter().filter(|(source, _)| found.contains(source));
            let found: Vec<&str> = found.map(|(source, _)| source.pod.as_str()).collect();
            assert_eq!(found, told, "{live:?}");
        }
    }

    #[test]
    fn a_damaged_one_gives_what_can_be_read_and_no_more() {
        let end = json!({ "stage": "agent", "podName": "x-agent-1" });
        let lines =
            (0..5_000).map(|index| format!("2030-01-01T00:00:02Z a line, number {index}\n"));
        let mut whole = packed(&lines.collect::<String>());
        whole.0.truncate(whole.0.len() / 2);
        let (_, ends) = ends_of(&kept(&end, &[("log.gz", whole), ("other", packed("x"))])).unwrap();
        assert_eq!(ends.len(), 1);
        let beginning = |line: &LogLine| {
            let words = "a line, number ";
            line.text.starts_with(words) || words.starts_with(&line.text)
        };
        assert!(ends[0].iter().all(beginning));
        assert!((100..5_000).contains(&ends[0].len()));
        assert_eq!(
            ends[0].first().map(|line| line.source.container.as_str()),
            Some("agent")
        );
        assert!(ends_of(&kept(&json!({ "stage": "supper" }), &[])).is_none());
    }
}
