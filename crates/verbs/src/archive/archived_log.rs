//! Reads the part of a run's log that only the ledger has.

use std::{collections::HashSet, sync::Arc};

use super::{blocking, controller, live_sources};
use crate::ClusterContext;
use flightdeck_core::{
    log::{LogEvent, LogSource},
    runs::Run,
};
use flightdeck_host::ledger::{Ledger, LedgerError};

/// The part of a run's log that is no longer on the cluster, and what precedes it.
#[derive(Clone, Debug)]
pub struct ArchivedLog {
    ledger: Ledger,
    uid: String,
    /// The sources to read from the ledger.
    read: HashSet<LogSource>,
    /// Sources that are no longer on the cluster, in run order.
    pub sources: Vec<LogSource>,
    /// The run has ended and the ledger has its whole log, so the cluster need not be read.
    pub complete: bool,
}

impl ArchivedLog {
    /// Returns the events to read from the ledger, in order. Reads from disk lazily.
    pub fn events(&self) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        let read = self.read.clone();
        let events = self.ledger.read_in_order(&self.uid)?;
        Ok(events.filter(move |event| {
            let source = event.source();
            // Messages of the ledger itself have no pod.
            source.is_some_and(|source| source.pod.is_empty() || read.contains(source.as_ref()))
        }))
    }

    /// Whether [`Self::events`] returns the events of this source, so that those of the cluster are duplicates.
    #[must_use]
    pub fn contains(&self, event: &LogEvent) -> bool {
        let source = event.source();
        source.is_some_and(|source| self.read.contains(source.as_ref()))
    }

    /// Describes where the sources come from: one sentence for logs archived on this machine, one for the controller's archives.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let notice = |by_controller: bool, origin: &str| {
            let sources = self.sources.iter();
            let tags: Vec<String> = sources
                .filter(|source| is_from_controller(source) == by_controller)
                .map(LogSource::tag)
                .collect();
            let tags = tags.join(", ");
            (!tags.is_empty()).then(|| format!("{origin}, no longer on the cluster: {tags}"))
        };
        let followed = notice(false, "from the ledger");
        let archived = notice(true, "kept by the controller");
        followed.into_iter().chain(archived).collect()
    }

    /// Returns the events of all sources, in order. Only useful if [`Self::complete`].
    pub fn all_events(&self) -> Result<impl Iterator<Item = LogEvent> + use<>, LedgerError> {
        self.ledger.read_in_order(&self.uid)
    }
}

/// Returns what to read before the log that is still on the cluster; `None` if there is nothing. Imports the controller's
/// archives first.
pub async fn archived_log(context: &ClusterContext, run: &Run) -> Option<ArchivedLog> {
    let ledger = context.ledger.clone()?;
    let live = live_sources(context, run).await;
    controller::import(context, &ledger, run, &live).await;
    let (reader, uid) = (ledger.clone(), run.uid().to_owned());
    let known = blocking(move || reader.log_sources(&uid)).await;
    let known = known.inspect_err(|error| tracing::warn!(%error, "cannot read the ledger"));
    let known = known.ok()?;
    let is_archived = |source: &Arc<LogSource>| known.contains(&(source.as_ref().clone(), true));
    let complete = run.ended() && live.iter().all(is_archived);
    let live: HashSet<String> = live.iter().map(|source| source.pod_uid.clone()).collect();
    let read = sources_to_read(&known, &live);
    let sources = known.into_iter().map(|(source, _)| source);
    let sources: Vec<LogSource> = sources
        .filter(|source| !live.contains(&source.pod_uid))
        .collect();
    (!sources.is_empty()).then(|| ArchivedLog {
        ledger,
        uid: run.uid().to_owned(),
        read,
        sources,
        complete,
    })
}

/// Returns the sources to read from the ledger: those whose pod is gone, and those that precede one whose pod is gone, so that
/// lines stay in order. `known` is in run order, with whether each source was archived completely.
fn sources_to_read(known: &[(LogSource, bool)], live: &HashSet<String>) -> HashSet<LogSource> {
    let gone = |source: &LogSource| !live.contains(&source.pod_uid);
    let last = known.iter().rposition(|(source, _)| gone(source));
    let preceding = known.iter().take(last.map_or(0, |last| last + 1));
    let read = preceding.filter(|(source, complete)| *complete || gone(source));
    read.map(|(source, _)| source.clone()).collect()
}

/// Whether only the controller archived this source. Its archives contain no pod UID.
fn is_from_controller(source: &LogSource) -> bool {
    source.pod_uid.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::runs::Stage;

    #[test]
    fn reads_gone_pods_and_what_precedes_them() {
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
        for (live, expected) in [
            (&["prep", "agent-1", "agent-2", "publish"][..], &[][..]),
            (&["agent-1", "agent-2", "publish"], &["prep"]),
            (&["prep", "agent-2", "publish"], &["prep", "agent-1"]),
            (&["prep", "agent-2"], &["prep", "agent-1", "publish"]),
            (&[], &["prep", "agent-1", "agent-2", "publish"]),
        ] {
            let live: HashSet<String> = live.iter().map(|pod| format!("uid of {pod}")).collect();
            let found = sources_to_read(&all, &live);
            let found = all.iter().filter(|(source, _)| found.contains(source));
            let found: Vec<&str> = found.map(|(source, _)| source.pod.as_str()).collect();
            assert_eq!(found, expected, "{live:?}");
        }
    }
}
