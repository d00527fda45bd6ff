//! Lists and watches one kind, and resumes after errors.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

use futures::{SinkExt, Stream, StreamExt, channel::mpsc::Sender, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    api::{ListParams, WatchEvent, WatchParams},
    core::DeserializeGuard,
};
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use super::channel_stream::channel_stream;
use flightdeck_core::{
    backoff::{Attempts, Backoff},
    text,
};

/// Page size of a list.
const PAGE: u32 = 500;
/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 290;
/// Time after which a silent watch is considered dead: the server should have ended it by then.
const WATCH_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// A change to the objects of a kind.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// The complete list.
    Listed(Vec<DeserializeGuard<K>>),
    Applied(DeserializeGuard<K>),
    Deleted(ObjectMeta),
    /// Sent once per outage; sanitised.
    Disconnected(String),
    Connected,
}

/// Selectors of the objects to watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// A watch that ends sooner than this without an event counts as a failure, whatever its status.
const MIN_WATCH_TIME: Duration = Duration::from_secs(5);

/// Why a watch ended.
enum End {
    /// Ended by the server as requested. Resume from the last version.
    Clean,
    /// Ended at once without an event. Resume from the last version after a backoff.
    ClosedEarly,
    /// The version is too old (410 Gone). List again.
    Expired,
    /// Failed. Resume from the last version after a backoff.
    Broken(String),
    /// The receiver was dropped.
    ReceiverDropped,
}

struct Watch<K> {
    api: Api<DeserializeGuard<K>>,
    selection: Selection,
    out: Sender<Change<K>>,
    attempts: Attempts,
    disconnected: bool,
    version: Option<String>,
}

/// Lists objects of a kind, then watches them, resuming after errors. Malformed objects do not affect others.
pub(super) fn watch_kind<K>(
    api: Api<DeserializeGuard<K>>,
    selection: Selection,
    backoff: Backoff,
) -> impl Stream<Item = Change<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    channel_stream(move |out| {
        let watch = Watch {
            api,
            selection,
            out,
            attempts: Attempts::new(backoff),
            disconnected: false,
            version: None,
        };
        watch.run()
    })
}

impl<K> Watch<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    async fn run(mut self) {
        loop {
            match self.watch_once().await {
                End::Clean => {}
                End::ClosedEarly => sleep(self.attempts.next_delay()).await,
                End::Expired => {
                    self.version = None;
                    sleep(self.attempts.next_delay()).await;
                }
                End::Broken(reason) => {
                    if !std::mem::replace(&mut self.disconnected, true)
                        && !self.send(Change::Disconnected(reason)).await
                    {
                        return;
                    }
                    sleep(self.attempts.next_delay()).await;
                }
                End::ReceiverDropped => return,
            }
        }
    }

    async fn watch_once(&mut self) -> End {
        let version = match self.version.clone() {
            Some(version) => version,
            None => match self.list().await {
                Ok(version) => version,
                Err(end) => return end,
            },
        };
        let mut params = WatchParams::default().timeout(WATCH_SECONDS);
        params.label_selector.clone_from(&self.selection.labels);
        params.field_selector.clone_from(&self.selection.fields);
        let opened = self.api.watch(&params, &version).await;
        let events = match opened {
            Ok(events) => events,
            Err(error) => return broken(&error),
        };
        pin_mut!(events);
        if !self.connected().await {
            return End::ReceiverDropped;
        }
        let opened = Instant::now();
        let mut silent = true;
        loop {
            let Ok(next) = tokio::time::timeout(WATCH_TIMEOUT, events.next()).await else {
                return End::Clean;
            };
            let change = match next {
                None if silent && opened.elapsed() < MIN_WATCH_TIME => return End::ClosedEarly,
                None => return End::Clean,
                Some(Err(error)) => return broken(&error),
                Some(Ok(WatchEvent::Bookmark(bookmark))) => {
                    self.version = Some(bookmark.metadata.resource_version);
                    silent = false;
                    continue;
                }
                Some(Ok(WatchEvent::Error(status))) => {
                    return broken(&kube::Error::Api(status));
                }
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    self.version.clone_from(&object.meta().resource_version);
                    Change::Applied(object)
                }
                Some(Ok(WatchEvent::Deleted(object))) => {
                    self.version.clone_from(&object.meta().resource_version);
                    Change::Deleted(object.meta().clone())
                }
            };
            silent = false;
            self.attempts.reset();
            if !self.send(change).await {
                return End::ReceiverDropped;
            }
        }
    }

    /// Lists all pages, and returns the version to watch from.
    async fn list(&mut self) -> Result<String, End> {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector.clone_from(&self.selection.labels);
        params.field_selector.clone_from(&self.selection.fields);
        let mut objects = Vec::new();
        let version = loop {
            let page = self
                .api
                .list(&params)
                .await
                .map_err(|error| broken(&error))?;
            objects.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break page.metadata.resource_version.unwrap_or_default(),
            }
        };
        self.version = Some(version.clone());
        self.attempts.reset();
        if self.connected().await && self.send(Change::Listed(objects)).await {
            Ok(version)
        } else {
            Err(End::ReceiverDropped)
        }
    }

    async fn connected(&mut self) -> bool {
        !std::mem::take(&mut self.disconnected) || self.send(Change::Connected).await
    }

    /// Returns whether the receiver is still there.
    async fn send(&mut self, change: Change<K>) -> bool {
        self.out.send(change).await.is_ok()
    }
}

fn broken(error: &kube::Error) -> End {
    match error {
        kube::Error::Api(status) if status.code == 410 => End::Expired,
        kube::Error::Api(status) => {
            let message = text::sanitize(&status.message);
            End::Broken(format!("{message} ({})", status.code))
        }
        other => {
            let mut innermost: &dyn std::error::Error = other;
            while let Some(cause) = innermost.source() {
                innermost = cause;
            }
            End::Broken(text::sanitize(&innermost.to_string()).into_owned())
        }
    }
}
