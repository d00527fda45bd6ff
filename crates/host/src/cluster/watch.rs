//! Runs of a namespace and the objects they own, as one stream of changes.

use std::fmt::Debug;

use futures::{Stream, StreamExt, pin_mut, stream};
use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{Event, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, Resource, core::DeserializeGuard, core::NamespaceResourceScope};
use serde::de::DeserializeOwned;

use super::{
    BACKOFF,
    kind_watch::{Change, Selection, watch_kind},
};
use flightdeck_core::{
    backoff::Backoff,
    resources::{CodeRun, DocsRun},
    runs::{Run, RunKind, Stage, naming},
    text,
};

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    DocsRun,
    CodeRun,
    Job,
    Pod,
    Event,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::DocsRun,
        Self::CodeRun,
        Self::Job,
        Self::Pod,
        Self::Event,
    ];

    /// Returns the plural for display.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::DocsRun => "docs runs",
            Self::CodeRun => "code runs",
            Self::Job => "jobs",
            Self::Pod => "pods",
            Self::Event => "events",
        }
    }
}

/// A watched object.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Run(Box<Run>),
    Job(Box<Job>),
    Pod(Box<Pod>),
    Event(Box<Event>),
    /// An object that cannot be parsed. `reason` is sanitised.
    Unreadable {
        kind: Kind,
        uid: String,
        name: String,
        reason: String,
    },
}

impl Object {
    /// Returns the object's UID.
    #[must_use]
    pub fn uid(&self) -> &str {
        let metadata = match self {
            Self::Run(run) => return run.uid(),
            Self::Unreadable { uid, .. } => return uid,
            Self::Job(job) => &job.metadata,
            Self::Pod(pod) => &pod.metadata,
            Self::Event(event) => &event.metadata,
        };
        metadata.uid.as_deref().unwrap_or_default()
    }

    /// Returns the object's kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Run(run) => match run.kind {
                RunKind::Docs => Kind::DocsRun,
                RunKind::Code => Kind::CodeRun,
            },
            Self::Job(_) => Kind::Job,
            Self::Pod(_) => Kind::Pod,
            Self::Event(_) => Kind::Event,
            Self::Unreadable { kind, .. } => *kind,
        }
    }
}

/// A change to the watched objects. Apply changes in order.
///
/// A list arrives complete, so a view never shows an empty list during a re-list.
#[derive(Clone, Debug, PartialEq)]
pub enum WorldDelta {
    /// The complete list of a kind. Objects that are not in it no longer exist.
    Listed(Kind, Vec<Object>),
    /// An object was added or modified.
    Applied(Object),
    /// An object was deleted.
    Deleted {
        kind: Kind,
        uid: String,
        name: String,
    },
    /// A kind cannot be watched at the moment. Sent once per outage; the watch is retried, and known objects stay
    /// valid.
    Disconnected {
        kind: Kind,
        /// The sanitised error.
        reason: String,
    },
    /// A kind is watched again.
    Connected(Kind),
}

/// Watches the runs of both kinds in `namespace`, and the Jobs, pods and events that belong to runs. The stream never
/// ends by itself.
pub fn watch_runs(
    client: &Client,
    namespace: &str,
) -> impl Stream<Item = WorldDelta> + Send + use<> {
    let backoff = BACKOFF;
    let ours = Selection {
        labels: Some(format!("{}={}", naming::LABEL_MANAGED_BY, naming::MANAGER)),
        fields: None,
    };
    let all = Selection::default;
    stream::select_all([
        deltas(
            client,
            namespace,
            Kind::DocsRun,
            all(),
            backoff,
            |run: DocsRun| Some(Object::Run(Box::new(run.into()))),
        ),
        deltas(
            client,
            namespace,
            Kind::CodeRun,
            all(),
            backoff,
            |run: CodeRun| Some(Object::Run(Box::new(run.into()))),
        ),
        deltas(
            client,
            namespace,
            Kind::Job,
            ours.clone(),
            backoff,
            |job: Job| Some(Object::Job(Box::new(job))),
        ),
        deltas(client, namespace, Kind::Pod, ours, backoff, |pod: Pod| {
            Some(Object::Pod(Box::new(pod)))
        }),
        deltas(
            client,
            namespace,
            Kind::Event,
            all(),
            backoff,
            |event: Event| is_about_run(&event).then(|| Object::Event(Box::new(event))),
        ),
    ])
}

/// Waits until the run has finished, and returns it. Returns `None` if the run does not exist.
pub async fn wait_finished(
    client: &Client,
    namespace: &str,
    kind: RunKind,
    name: &str,
) -> Option<Run> {
    match kind {
        RunKind::Docs => wait_for::<DocsRun>(client, namespace, name).await,
        RunKind::Code => wait_for::<CodeRun>(client, namespace, name).await,
    }
}

async fn wait_for<K>(client: &Client, namespace: &str, name: &str) -> Option<Run>
where
    K: Watched,
    Run: From<K>,
{
    let api = Api::<DeserializeGuard<K>>::namespaced(client.clone(), namespace);
    let only = Selection {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
    };
    let changes = watch_kind(api, only, BACKOFF);
    pin_mut!(changes);
    while let Some(change) = changes.next().await {
        let run = match change {
            // An empty list: the run was deleted.
            Change::Listed(objects) => objects.into_iter().next().map(Some).unwrap_or_default()?,
            Change::Applied(object) => object,
            Change::Deleted(_) => return None,
            Change::Disconnected(_) | Change::Connected => continue,
        };
        if let Ok(run) = run.0 {
            let run = Run::from(run);
            if run.ended() {
                return Some(run);
            }
        }
    }
    None
}

/// Bounds of a watched kind.
trait Watched:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// Watches one kind as deltas. Objects for which `object` returns `None` are skipped.
fn deltas<K: Watched>(
    client: &Client,
    namespace: &str,
    kind: Kind,
    selection: Selection,
    backoff: Backoff,
    object: impl Fn(K) -> Option<Object> + Send + 'static,
) -> stream::BoxStream<'static, WorldDelta> {
    let api = Api::<DeserializeGuard<K>>::namespaced(client.clone(), namespace);
    let read = move |guarded: DeserializeGuard<K>| match guarded.0 {
        Ok(known) => object(known),
        Err(invalid) => Some(Object::Unreadable {
            kind,
            uid: invalid.metadata.uid.unwrap_or_default(),
            name: invalid.metadata.name.unwrap_or_default(),
            reason: text::sanitize(&invalid.error).into_owned(),
        }),
    };
    watch_kind(api, selection, backoff)
        .filter_map(move |change| {
            let delta = match change {
                Change::Listed(objects) => Some(WorldDelta::Listed(
                    kind,
                    objects.into_iter().filter_map(&read).collect(),
                )),
                Change::Applied(object) => read(object).map(WorldDelta::Applied),
                Change::Deleted(ObjectMeta { uid, name, .. }) => Some(WorldDelta::Deleted {
                    kind,
                    uid: uid.unwrap_or_default(),
                    name: name.unwrap_or_default(),
                }),
                Change::Disconnected(reason) => Some(WorldDelta::Disconnected { kind, reason }),
                Change::Connected => Some(WorldDelta::Connected(kind)),
            };
            std::future::ready(delta)
        })
        .boxed()
}

/// Returns whether an event is about a run or an object that a run owns. Events do not have our labels, so they are
/// matched by kind and name.
fn is_about_run(event: &Event) -> bool {
    let object = &event.involved_object;
    match object.kind.as_deref() {
        Some("DocsRun" | "CodeRun") => true,
        Some("Job" | "Pod") => {
            let name = object.name.as_deref().unwrap_or_default();
            Stage::ALL
                .iter()
                .any(|stage| name.contains(&format!("-{stage}-v")))
        }
        Some("PersistentVolumeClaim" | "ConfigMap") => {
            let name = object.name.as_deref().unwrap_or_default();
            name.ends_with("-workspace")
                || name.starts_with("flightdeck-")
                || name.contains("-files-v")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
