//! The watch of one kind: lists, follows, resumes.

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

use super::{
    back_off::{BackOff, Tries},
    drive::drive,
};
use flightdeck_core::text;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u32 = 290;
/// Time after which a watch that nobody ended is taken for dead.
const DEAD: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// One change of one kind.
#[derive(Debug)]
pub(super) enum Change<K> {
    /// All there is.
    Listed(Vec<DeserializeGuard<K>>),
    Applied(DeserializeGuard<K>),
    Deleted(ObjectMeta),
    /// Said once an outage; sanitised.
    Disconnected(String),
    Connected,
}

/// Which objects of a kind are watched.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// A watch that ends sooner than this without a word is not as agreed, whatever the server says.
const SUSPICIOUS: Duration = Duration::from_secs(5);

/// What ends a round of watching.
enum End {
    /// As agreed; go on from where we are.
    Clean,
    /// At once and without a word; go on from where we are, but not in a hurry.
    Hasty,
    /// The server has forgotten where we are; list again.
    Expired,
    /// Something broke; go on from where we are, later.
    Broken(String),
    /// Nobody listens any more.
    Unheard,
}

struct Watch<K> {
    api: Api<DeserializeGuard<K>>,
    selection: Selection,
    out: Sender<Change<K>>,
    tries: Tries,
    lost: bool,
    version: Option<String>,
}

/// Lists, then follows; resumes where it was after a break. An object that cannot be read never hides the others.
pub(super) fn watch_kind<K>(
    api: Api<DeserializeGuard<K>>,
    selection: Selection,
    back_off: BackOff,
) -> impl Stream<Item = Change<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    drive(move |out| {
        let watch = Watch {
            api,
            selection,
            out,
            tries: Tries::new(back_off),
            lost: false,
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
            match self.round().await {
                End::Clean => {}
                End::Hasty => self.tries.wait().await,
                End::Expired => {
                    self.version = None;
                    self.tries.wait().await;
                }
                End::Broken(reason) => {
                    if !std::mem::replace(&mut self.lost, true)
                        && !self.say(Change::Disconnected(reason)).await
                    {
                        return;
                    }
                    self.tries.wait().await;
                }
                End::Unheard => return,
            }
        }
    }

    async fn round(&mut self) -> End {
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
            return End::Unheard;
        }
        let opened = Instant::now();
        let mut silent = true;
        loop {
            let Ok(next) = tokio::time::timeout(DEAD, events.next()).await else {
                return End::Clean;
            };
            let change = match next {
                None if silent && opened.elapsed() < SUSPICIOUS => return End::Hasty,
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
            self.tries.succeeded();
            if !self.say(change).await {
                return End::Unheard;
            }
        }
    }

    /// All pages of a list, and the version to watch from.
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
        self.tries.succeeded();
        if self.connected().await && self.say(Change::Listed(objects)).await {
            Ok(version)
        } else {
            Err(End::Unheard)
        }
    }

    async fn connected(&mut self) -> bool {
        !std::mem::take(&mut self.lost) || self.say(Change::Connected).await
    }

    /// Whether somebody listens.
    async fn say(&mut self, change: Change<K>) -> bool {
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
