//! The settings a controller works by: given once, or those of a ConfigMap, taken up whenever it changes.
//!
//! A text that is refused changes nothing: the settings before it hold on, and the refusal is said where people look.

use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::{Api, Client, ResourceExt};
use kube_runtime::{
    WatchStreamExt,
    events::{Event, EventType, Recorder},
    watcher,
};
use tokio::sync::{oneshot, watch};

use super::{Health, Metrics};
use crate::settings::{Refused, SETTINGS_KEY, SETTINGS_MAP, Settings};

/// What a readiness probe calls the watch of the settings.
const PART: &str = "settings";

/// Settings that may change while they are used. Clones see the same.
#[derive(Clone, Debug)]
pub struct LiveSettings(watch::Receiver<Arc<Settings>>);

impl LiveSettings {
    /// Settings that never change.
    #[must_use]
    pub fn fixed(settings: Arc<Settings>) -> Self {
        Self(watch::channel(settings).1)
    }

    /// The settings as they are now.
    #[must_use]
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.0.borrow())
    }

    /// One item for each change from now on; ends never.
    pub fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let mut receiver = self.0.clone();
        receiver.mark_unchanged();
        stream::unfold(receiver, async |mut receiver| {
            if receiver.changed().await.is_err() {
                // Nobody changes them any more.
                std::future::pending::<()>().await;
            }
            Some(((), receiver))
        })
    }
}

/// The ConfigMap of the settings in a namespace, and what becomes of it.
pub struct SettingsMap {
    pub client: Client,
    pub namespace: String,
    pub recorder: Recorder,
    pub metrics: Metrics,
    pub health: Health,
}

impl SettingsMap {
    /// The settings, what tells that they can be worked by, and what keeps them up to date for as long as it is awaited.
    ///
    /// They can once the ConfigMap was read, or is known to be absent: then the shipped ones hold. One that is refused from
    /// the start is waited out, since nobody asked for what would be done by the shipped ones.
    pub fn follow(
        self,
    ) -> (
        LiveSettings,
        oneshot::Receiver<()>,
        impl Future<Output = ()> + Send,
    ) {
        let (sender, receiver) = watch::channel(Arc::new(Settings::shipped()));
        let (usable, known) = oneshot::channel();
        self.health.waits_for(PART, "not read yet");
        (
            LiveSettings(receiver),
            known,
            self.keep_up(sender, Some(usable)),
        )
    }

    async fn keep_up(
        self,
        sender: watch::Sender<Arc<Settings>>,
        mut usable: Option<oneshot::Sender<()>>,
    ) {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={SETTINGS_MAP}"));
        let changes = watcher::watcher(maps, only).default_backoff();
        let mut changes = std::pin::pin!(changes);
        let (mut read, mut refused) = (false, None);
        while let Some(change) = changes.next().await {
            match change {
                Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                    refused = self.take(&map, &sender).await;
                }
                Ok(watcher::Event::InitDone) => read = true,
                Ok(watcher::Event::Delete(_)) => {
                    refused = None;
                    tracing::warn!(
                        "the ConfigMap {SETTINGS_MAP} is gone; its last settings hold on"
                    );
                }
                Ok(watcher::Event::Init) => {}
                Err(error) => {
                    self.health.still_waits_for(PART, &error.to_string());
                    tracing::warn!(%error, "the ConfigMap {SETTINGS_MAP} cannot be watched now");
                }
            }
            if !read || usable.is_none() {
                continue;
            }
            if let Some(why) = &refused {
                self.health.still_waits_for(PART, why);
            } else if let Some(usable) = usable.take() {
                self.health.has(PART);
                // Nobody waits any more: the process is told to end.
                let _ = usable.send(());
            }
        }
    }

    /// Takes up what a ConfigMap says, or says why it is refused.
    async fn take(&self, map: &ConfigMap, sender: &watch::Sender<Arc<Settings>>) -> Option<String> {
        let text = map.data.as_ref().and_then(|data| data.get(SETTINGS_KEY));
        let read = text.map_or_else(
            || {
                Err(Refused {
                    line: None,
                    field: String::new(),
                    message: format!("it has no key {SETTINGS_KEY}"),
                })
            },
            |text| Settings::of_controller(text),
        );
        self.metrics.settings_read(read.is_ok());
        let revision = map.resource_version().unwrap_or_default();
        match read {
            Ok(settings) => {
                let changed = sender.send_if_modified(|held| {
                    let changed = **held != settings;
                    if changed {
                        *held = Arc::new(settings);
                    }
                    changed
                });
                if changed {
                    tracing::info!(
                        revision,
                        "the settings of the ConfigMap {SETTINGS_MAP} hold"
                    );
                }
                None
            }
            Err(refused) => {
                let why = format!("{SETTINGS_KEY}: {refused}");
                tracing::error!(revision, %why, "the settings of the ConfigMap {SETTINGS_MAP} are refused; the ones before hold on");
                self.tell(map, &why).await;
                Some(why)
            }
        }
    }

    /// An Event about the ConfigMap. One that is lost is no reason to stop.
    async fn tell(&self, map: &ConfigMap, why: &str) {
        let event = Event {
            type_: EventType::Warning,
            reason: "SettingsRefused".into(),
            note: Some(why.to_owned()),
            action: "ReadSettings".into(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("ConfigMap".into()),
            namespace: Some(self.namespace.clone()),
            name: Some(map.name_any()),
            uid: map.uid(),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &about).await {
            tracing::warn!(%error, "an Event about the settings was lost");
        }
    }
}
