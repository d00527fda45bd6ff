//! Watches the ConfigMaps with settings, merges them, and reports invalid ones.
//!
//! An invalid ConfigMap changes nothing: the previous settings stay in effect, and an Event, a metric and the log report it.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::runtime::{
    WatchStreamExt,
    events::{Event, EventType, Recorder, Reporter},
    watcher,
};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;

use super::LiveSettings;
use crate::controller::{Health, Metrics};
use flightdeck_core::runs::{RunKind, naming};
use flightdeck_host::{
    settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP, Settings},
    templates,
};

/// Name of the settings watch in readiness.
const PART: &str = "settings";

/// The parsed content of one ConfigMap.
enum Content {
    /// All settings except the pull request options.
    Settings(Box<Settings>),
    /// Overrides of the pull request options of docs runs.
    PullRequests(PullRequestOptions),
}

/// A ConfigMap with settings.
struct Source {
    name: &'static str,
    /// Parses its data. The error begins with the key.
    parse: fn(&BTreeMap<String, String>) -> Result<Content, String>,
    /// The content to use after it is deleted; `None` to keep the last one.
    deleted: Option<fn() -> Content>,
}

const SETTINGS: Source = Source {
    name: SETTINGS_MAP,
    parse: |data| {
        let text = data.get(SETTINGS_KEY);
        let text = text.ok_or_else(|| format!("{SETTINGS_KEY}: missing key"))?;
        let settings = Settings::for_controller(text);
        let settings = settings.map_err(|error| format!("{SETTINGS_KEY}: {error}"))?;
        Ok(Content::Settings(Box::new(settings)))
    },
    deleted: None,
};

const PULL_REQUESTS: Source = Source {
    name: PULL_REQUEST_MAP,
    parse: |data| {
        let options = templates::validate_pull_request_options(RunKind::Docs, data.clone());
        let options = options.map_err(|error| error.to_string())?;
        Ok(Content::PullRequests(options))
    },
    deleted: Some(|| Content::PullRequests(PullRequestOptions::new())),
};

/// The settings and their overrides.
struct Layers {
    settings: Settings,
    pull_requests: PullRequestOptions,
}

impl Layers {
    fn apply(&mut self, content: Content) {
        match content {
            Content::Settings(settings) => self.settings = *settings,
            Content::PullRequests(options) => self.pull_requests = options,
        }
    }

    fn merged(&self) -> Settings {
        let settings = self.settings.clone();
        settings.with_pull_request_options(self.pull_requests.clone())
    }
}

/// The state of all ConfigMaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadState {
    Loading,
    /// One of them has been invalid since the start.
    Invalid,
    Valid,
}

/// Watches the settings of a controller in a namespace.
#[derive(Clone)]
pub struct SettingsWatcher {
    pub client: Client,
    pub namespace: String,
    pub metrics: Metrics,
    pub health: Health,
}

/// Settings that are updated from ConfigMaps.
pub struct WatchedSettings {
    pub settings: LiveSettings,
    /// Updates the settings while it is polled; never ends.
    pub task: BoxFuture<'static, ()>,
    state: watch::Receiver<LoadState>,
}

impl WatchedSettings {
    /// Waits until every ConfigMap is valid or absent. Waits for an invalid one to be fixed, because running without it could
    /// do what it should prevent.
    pub fn valid(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(|state| state == LoadState::Valid)
    }

    /// Waits until every ConfigMap was read, valid or not.
    pub fn loaded(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(|state| state != LoadState::Loading)
    }

    fn until(&self, reached: fn(LoadState) -> bool) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.clone();
        async move {
            if state.wait_for(|state| reached(*state)).await.is_err() {
                // The task is gone: the process is shutting down.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl SettingsWatcher {
    /// Watches the settings of a controller in a cluster: [`SETTINGS_MAP`], overridden by [`PULL_REQUEST_MAP`].
    pub fn watch(self) -> WatchedSettings {
        self.start(Settings::shipped(), &[SETTINGS, PULL_REQUESTS])
    }

    /// Watches only [`PULL_REQUEST_MAP`], which overrides the given settings.
    pub fn watch_overrides(self, settings: Settings) -> WatchedSettings {
        self.start(settings, &[PULL_REQUESTS])
    }

    fn start(self, settings: Settings, sources: &'static [Source]) -> WatchedSettings {
        let (sender, receiver) = watch::channel(Arc::new(settings.clone()));
        let (state_sender, state) = watch::channel(LoadState::Loading);
        self.health.set_pending(PART, "not read yet");
        let layers = Layers {
            settings,
            pull_requests: PullRequestOptions::new(),
        };
        WatchedSettings {
            settings: LiveSettings(receiver),
            task: self.run(sources, layers, sender, state_sender).boxed(),
            state,
        }
    }

    async fn run(
        self,
        sources: &'static [Source],
        mut layers: Layers,
        sender: watch::Sender<Arc<Settings>>,
        state: watch::Sender<LoadState>,
    ) {
        let reporter = Reporter {
            controller: naming::MANAGER.into(),
            instance: Some(env!("CARGO_PKG_VERSION").into()),
        };
        let recorder = Recorder::new(self.client.clone(), reporter);
        let watches = sources.iter().enumerate().map(|(at, source)| {
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            let name = format!("metadata.name={}", source.name);
            let only = watcher::Config::default().fields(&name);
            let changes = watcher::watcher(maps, only).default_backoff();
            changes.map(move |change| (at, change)).boxed()
        });
        let mut changes = stream::select_all(watches);
        let mut statuses: Vec<SourceStatus> =
            sources.iter().map(|_| SourceStatus::default()).collect();
        while let Some((at, change)) = changes.next().await {
            let (Some(source), Some(status)) = (sources.get(at), statuses.get_mut(at)) else {
                continue;
            };
            match change {
                Ok(watcher::Event::Init) => status.listed = false,
                Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                    status.listed = true;
                    let parsed = (source.parse)(&map.data.clone().unwrap_or_default());
                    self.metrics.settings_read(parsed.is_ok());
                    let revision = map.resource_version().unwrap_or_default();
                    match parsed {
                        Ok(content) => {
                            status.invalid = None;
                            layers.apply(content);
                            if publish(&sender, layers.merged()) {
                                let map = source.name;
                                tracing::info!(map, revision, "applied settings from a ConfigMap");
                            }
                        }
                        Err(why) => {
                            let name = source.name;
                            tracing::error!(map = name, revision, %why, "invalid settings in a ConfigMap; keeping the previous ones");
                            report_invalid(&recorder, &map, &why).await;
                            status.invalid = Some(format!("{name}: {why}"));
                        }
                    }
                }
                // The ConfigMap may have been deleted while the watch was down: then the list lacks it.
                Ok(watcher::Event::InitDone) => {
                    status.read = true;
                    if !status.listed {
                        source.on_delete(status, &mut layers, &sender);
                    }
                }
                Ok(watcher::Event::Delete(_)) => source.on_delete(status, &mut layers, &sender),
                Err(error) => {
                    let name = source.name;
                    self.health
                        .update_pending(PART, &format!("{name}: {error}"));
                    tracing::warn!(map = name, %error, "cannot watch a ConfigMap with settings");
                }
            }
            let invalid = statuses.iter().find_map(|map| map.invalid.as_deref());
            self.metrics.settings_valid(invalid.is_none());
            if *state.borrow() == LoadState::Valid || !statuses.iter().all(|map| map.read) {
                continue;
            }
            if let Some(why) = invalid {
                self.health.update_pending(PART, why);
                state.send_replace(LoadState::Invalid);
            } else {
                self.health.set_ready(PART);
                state.send_replace(LoadState::Valid);
            }
        }
    }
}

/// The state of one ConfigMap.
#[derive(Default)]
struct SourceStatus {
    /// It was read, or is known to be absent.
    read: bool,
    /// It is in the current or last list.
    listed: bool,
    /// Why it is invalid.
    invalid: Option<String>,
}

impl Source {
    fn on_delete(
        &self,
        status: &mut SourceStatus,
        layers: &mut Layers,
        sender: &watch::Sender<Arc<Settings>>,
    ) {
        let was_invalid = status.invalid.take().is_some();
        let map = self.name;
        let Some(deleted) = self.deleted else {
            tracing::debug!(map, "ConfigMap not found; keeping the last settings");
            return;
        };
        layers.apply(deleted());
        if publish(sender, layers.merged()) || was_invalid {
            tracing::info!(map, "ConfigMap deleted; dropped its settings");
        }
    }
}

/// Updates the settings. Returns whether they changed.
fn publish(sender: &watch::Sender<Arc<Settings>>, settings: Settings) -> bool {
    sender.send_if_modified(|current| {
        let changed = **current != settings;
        if changed {
            *current = Arc::new(settings);
        }
        changed
    })
}

/// Writes an Event about an invalid ConfigMap. Only logs a failure.
async fn report_invalid(recorder: &Recorder, map: &ConfigMap, why: &str) {
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
        namespace: map.namespace(),
        name: Some(map.name_any()),
        uid: map.uid(),
        ..ObjectReference::default()
    };
    if let Err(error) = recorder.publish(&event, &about).await {
        tracing::warn!(%error, "could not write an Event about the settings");
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    /// Returns a client whose server has the ConfigMap in the first list only, and whose watches always expire.
    fn client_of_expiring_watches() -> Client {
        let lists = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            let lists = Arc::clone(&lists);
            async move {
                let watch = request
                    .uri()
                    .query()
                    .unwrap_or_default()
                    .contains("watch=true");
                let body = if watch {
                    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "" });
                    json!({ "type": "ERROR", "object": status })
                } else {
                    let map = json!({
                        "metadata": { "name": PULL_REQUEST_MAP, "resourceVersion": "1" }, "data": { "labels": "ours" },
                    });
                    let first = lists.fetch_add(1, Ordering::SeqCst) == 0;
                    let items = if first { vec![map] } else { vec![] };
                    json!({ "kind": "ConfigMapList", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items })
                };
                let body = Body::from(format!("{body}\n").into_bytes());
                Ok::<_, std::convert::Infallible>(Response::new(body))
            }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn drops_settings_deleted_while_the_watch_was_down() {
        let source = SettingsWatcher {
            client: client_of_expiring_watches(),
            namespace: "default".into(),
            metrics: Metrics::default(),
            health: Health::default(),
        };
        let watched = source.watch_overrides(Settings::shipped());
        let shipped = watched.settings.current().publish.docs["labels"].clone();
        let (settings, loaded) = (watched.settings.clone(), watched.loaded());
        let task = tokio::spawn(watched.task);
        let there = async {
            loaded.await;
            let labels =
                |settings: &LiveSettings| settings.current().publish.docs["labels"].clone();
            let mut changes = std::pin::pin!(settings.changes());
            let mut seen = vec![labels(&settings)];
            while seen.last() != Some(&shipped) {
                changes.next().await;
                seen.push(labels(&settings));
            }
            seen
        };
        let seen = tokio::time::timeout(Duration::from_secs(60), there).await;
        assert_eq!(seen.unwrap(), ["ours", shipped.as_str()]);
        task.abort();
    }
}
