//! The runs of a namespace and what they own, as one stream of changes.

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
    back_off::BackOff,
    kind_watch::{Change, Selection, watch_kind},
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Run, RunKind, Stage, naming},
    text,
};

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    DocsRun,
    CodeRun,
    Job,
    Pod,
    Event,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::DocsRun,
        Self::CodeRun,
        Self::Job,
        Self::Pod,
        Self::Event,
    ];

    /// What people call several of them.
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

/// Something that is watched.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    Run(Box<Run>),
    Job(Box<Job>),
    Pod(Box<Pod>),
    Event(Box<Event>),
    /// An object that this version cannot read. `reason` is sanitised.
    Unreadable {
        kind: Kind,
        uid: String,
        name: String,
        reason: String,
    },
}

impl Object {
    /// Uid the server gave the object.
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

    /// Its kind.
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

/// One change of the world, to be taken in order.
///
/// A list comes whole, so that nothing has to be shown empty while a cluster is listed again.
#[derive(Clone, Debug, PartialEq)]
pub enum WorldDelta {
    /// All there is of a kind: what was known of it and is not here is gone.
    Listed(Kind, Vec<Object>),
    /// Something appeared or changed.
    Applied(Object),
    /// Something went.
    Deleted {
        kind: Kind,
        uid: String,
        name: String,
    },
    /// A kind cannot be watched for now, and is tried again by itself. Said once an outage; what was known stays known.
    Disconnected {
        kind: Kind,
        /// Why, sanitised.
        reason: String,
    },
    /// A kind is watched again.
    Connected(Kind),
}

/// Runs of both kinds in `namespace`, and the Jobs, pods and events that belong to runs. Ends only by being dropped.
pub fn watch_runs(
    client: &Client,
    namespace: &str,
) -> impl Stream<Item = WorldDelta> + Send + use<> {
    let back_off = BackOff::default();
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
            back_off,
            |run: DocsRun| Some(Object::Run(Box::new(run.into()))),
        ),
        deltas(
            client,
            namespace,
            Kind::CodeRun,
            all(),
            back_off,
            |run: CodeRun| Some(Object::Run(Box::new(run.into()))),
        ),
        deltas(
            client,
            namespace,
            Kind::Job,
            ours.clone(),
            back_off,
            |job: Job| Some(Object::Job(Box::new(job))),
        ),
        deltas(client, namespace, Kind::Pod, ours, back_off, |pod: Pod| {
            Some(Object::Pod(Box::new(pod)))
        }),
        deltas(
            client,
            namespace,
            Kind::Event,
            all(),
            back_off,
            |event: Event| concerns_a_run(&event).then(|| Object::Event(Box::new(event))),
        ),
    ])
}

/// The run, once it has ended; `None` when it is gone. Waits as long as that takes.
pub async fn finished(client: &Client, namespace: &str, kind: RunKind, name: &str) -> Option<Run> {
    match kind {
        RunKind::Docs => ended::<DocsRun>(client, namespace, name).await,
        RunKind::Code => ended::<CodeRun>(client, namespace, name).await,
    }
}

async fn ended<K>(client: &Client, namespace: &str, name: &str) -> Option<Run>
where
    K: Watched,
    Run: From<K>,
{
    let api = Api::<DeserializeGuard<K>>::namespaced(client.clone(), namespace);
    let only = Selection {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
    };
    let changes = watch_kind(api, only, BackOff::default());
    pin_mut!(changes);
    while let Some(change) = changes.next().await {
        let run = match change {
            // A run without a place in the list is gone.
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

/// What a kind must be to be watched.
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

/// The changes of one kind; `object` leaves out what is of no concern.
fn deltas<K: Watched>(
    client: &Client,
    namespace: &str,
    kind: Kind,
    selection: Selection,
    back_off: BackOff,
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
    watch_kind(api, selection, back_off)
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

/// Whether an event is about a run or something a run owns. Events bear no labels of ours and a namespace may be full of
/// others, so that they are told apart by kind and name.
fn concerns_a_run(event: &Event) -> bool {
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
