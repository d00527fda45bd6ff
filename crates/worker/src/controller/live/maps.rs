//! The ConfigMaps that settings are taken from: watched, laid over one another, and told of when they are refused.
//!
//! What is refused changes nothing: what held before it holds on, and the refusal is said where people look.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::{Api, Client, ResourceExt};
use kube_runtime::{
    WatchStreamExt,
    events::{Event, EventType, Recorder, Reporter},
    watcher,
};
use tokio::sync::watch;

use super::LiveSettings;
use crate::controller::{Health, Metrics};
use flightdeck_core::runs::{RunKind, naming};
use flightdeck_host::{
    settings::{PULL_REQUEST_MAP, PullRequestOptions, SETTINGS_KEY, SETTINGS_MAP, Settings},
    templates,
};

/// What a readiness probe calls the watch of the settings.
const PART: &str = "settings";

/// What one ConfigMap says.
enum Said {
    /// All settings but the one below.
    Settings(Box<Settings>),
    /// Laid over the options of docs runs' pull requests.
    PullRequests(PullRequestOptions),
}

/// A ConfigMap that settings are taken from.
struct Source {
    name: &'static str,
    /// What its data say, or why they are refused, the key first.
    read: fn(&BTreeMap<String, String>) -> Result<Said, String>,
    /// What holds once it is gone; `None`: what it said last.
    gone: Option<fn() -> Said>,
}

const SETTINGS: Source = Source {
    name: SETTINGS_MAP,
    read: |data| {
        let text = data.get(SETTINGS_KEY);
        let text = text.ok_or_else(|| format!("{SETTINGS_KEY}: there is no such key"))?;
        let settings = Settings::of_controller(text);
        let settings = settings.map_err(|refused| format!("{SETTINGS_KEY}: {refused}"))?;
        Ok(Said::Settings(Box::new(settings)))
    },
    gone: None,
};

const PULL_REQUESTS: Source = Source {
    name: PULL_REQUEST_MAP,
    read: |data| {
        let options = templates::pull_request_options(RunKind::Docs, data.clone());
        let options = options.map_err(|refused| refused.to_string())?;
        Ok(Said::PullRequests(options))
    },
    gone: Some(|| Said::PullRequests(PullRequestOptions::new())),
};

/// Settings, and what is laid over them.
struct Layers {
    settings: Settings,
    pull_requests: PullRequestOptions,
}

impl Layers {
    fn take(&mut self, said: Said) {
        match said {
            Said::Settings(settings) => self.settings = *settings,
            Said::PullRequests(options) => self.pull_requests = options,
        }
    }

    fn in_force(&self) -> Settings {
        let settings = self.settings.clone();
        settings.with_pull_requests(self.pull_requests.clone())
    }
}

/// How far the ConfigMaps are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Unread,
    /// One of them is refused, and was from the start.
    Refused,
    Usable,
}

/// A controller's ConfigMaps in a namespace, and what becomes of them.
#[derive(Clone)]
pub struct SettingsMaps {
    pub client: Client,
    pub namespace: String,
    pub metrics: Metrics,
    pub health: Health,
}

/// Settings that follow their ConfigMaps.
pub struct Followed {
    pub settings: LiveSettings,
    /// Keeps them up to date for as long as it is awaited; it never ends.
    pub keep_up: BoxFuture<'static, ()>,
    known: watch::Receiver<Known>,
}

impl Followed {
    /// Resolves once the settings can be worked by: every ConfigMap was read, or is known to be absent. One that is refused
    /// from the start is waited out, since nobody asked for what would be done without it.
    pub fn usable(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(|known| known == Known::Usable)
    }

    /// Resolves once every ConfigMap was read, refused or not.
    pub fn read(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(|known| known != Known::Unread)
    }

    fn until(&self, enough: fn(Known) -> bool) -> impl Future<Output = ()> + Send + use<> {
        let mut known = self.known.clone();
        async move {
            if known.wait_for(|known| enough(*known)).await.is_err() {
                // Nobody keeps them up any more: the process is told to end.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl SettingsMaps {
    /// The settings of a controller in a cluster: those of [`SETTINGS_MAP`], and of [`PULL_REQUEST_MAP`] over them.
    pub fn follow(self) -> Followed {
        self.of(Settings::shipped(), &[SETTINGS, PULL_REQUESTS])
    }

    /// Settings that somebody gives, and of [`PULL_REQUEST_MAP`] over them.
    pub fn follow_over(self, settings: Settings) -> Followed {
        self.of(settings, &[PULL_REQUESTS])
    }

    fn of(self, settings: Settings, sources: &'static [Source]) -> Followed {
        let (sender, receiver) = watch::channel(Arc::new(settings.clone()));
        let (tell, known) = watch::channel(Known::Unread);
        self.health.waits_for(PART, "not read yet");
        let layers = Layers {
            settings,
            pull_requests: PullRequestOptions::new(),
        };
        Followed {
            settings: LiveSettings(receiver),
            keep_up: self.keep_up(sources, layers, sender, tell).boxed(),
            known,
        }
    }

    async fn keep_up(
        self,
        sources: &'static [Source],
        mut layers: Layers,
        sender: watch::Sender<Arc<Settings>>,
        known: watch::Sender<Known>,
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
        let mut standings: Vec<Standing> = sources.iter().map(|_| Standing::default()).collect();
        while let Some((at, change)) = changes.next().await {
            let (Some(source), Some(standing)) = (sources.get(at), standings.get_mut(at)) else {
                continue;
            };
            match change {
                Ok(watcher::Event::Init) => standing.listed = false,
                Ok(watcher::Event::Apply(map) | watcher::Event::InitApply(map)) => {
                    standing.listed = true;
                    let said = (source.read)(&map.data.clone().unwrap_or_default());
                    self.metrics.settings_read(said.is_ok());
                    let revision = map.resource_version().unwrap_or_default();
                    match said {
                        Ok(said) => {
                            standing.refused = None;
                            layers.take(said);
                            if put(&sender, layers.in_force()) {
                                let map = source.name;
                                tracing::info!(map, revision, "the settings of a ConfigMap hold");
                            }
                        }
                        Err(why) => {
                            let name = source.name;
                            tracing::error!(map = name, revision, %why, "the settings of a ConfigMap are refused; the ones before hold on");
                            tell(&recorder, &map, &why).await;
                            standing.refused = Some(format!("{name}: {why}"));
                        }
                    }
                }
                // What is gone may have gone while nobody watched: then a list lacks it.
                Ok(watcher::Event::InitDone) => {
                    standing.read = true;
                    if !standing.listed {
                        source.has_gone(standing, &mut layers, &sender);
                    }
                }
                Ok(watcher::Event::Delete(_)) => source.has_gone(standing, &mut layers, &sender),
                Err(error) => {
                    let name = source.name;
                    self.health
                        .still_waits_for(PART, &format!("{name}: {error}"));
                    tracing::warn!(map = name, %error, "the settings of a ConfigMap cannot be watched now");
                }
            }
            let refused = standings.iter().find_map(|map| map.refused.as_deref());
            self.metrics.settings_valid(refused.is_none());
            if *known.borrow() == Known::Usable || !standings.iter().all(|map| map.read) {
                continue;
            }
            if let Some(why) = refused {
                self.health.still_waits_for(PART, why);
                known.send_replace(Known::Refused);
            } else {
                self.health.has(PART);
                known.send_replace(Known::Usable);
            }
        }
    }
}

/// What is known of one ConfigMap.
#[derive(Default)]
struct Standing {
    /// It was read once, or is known to be absent.
    read: bool,
    /// The list that is being read, or was read last, has it.
    listed: bool,
    refused: Option<String>,
}

impl Source {
    fn has_gone(
        &self,
        standing: &mut Standing,
        layers: &mut Layers,
        sender: &watch::Sender<Arc<Settings>>,
    ) {
        let was_there = standing.refused.take().is_some();
        let map = self.name;
        let Some(gone) = self.gone else {
            tracing::debug!(map, "there is no such ConfigMap; what was said last holds");
            return;
        };
        layers.take(gone());
        if put(sender, layers.in_force()) || was_there {
            tracing::info!(map, "a ConfigMap is gone, and what it said with it");
        }
    }
}

/// Whether it changed anything.
fn put(sender: &watch::Sender<Arc<Settings>>, settings: Settings) -> bool {
    sender.send_if_modified(|held| {
        let changed = **held != settings;
        if changed {
            *held = Arc::new(settings);
        }
        changed
    })
}

/// An Event about a ConfigMap that is refused. One that is lost is no reason to stop.
async fn tell(recorder: &Recorder, map: &ConfigMap, why: &str) {
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
        tracing::warn!(%error, "an Event about the settings was lost");
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

    /// An API that has the ConfigMap at the first list, and whose watches have always expired.
    fn forgetful() -> Client {
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
    async fn what_went_while_nobody_watched_holds_no_more() {
        let maps = SettingsMaps {
            client: forgetful(),
            namespace: "default".into(),
            metrics: Metrics::default(),
            health: Health::default(),
        };
        let followed = maps.follow_over(Settings::shipped());
        let shipped = followed.settings.current().publish.docs["labels"].clone();
        let (settings, read) = (followed.settings.clone(), followed.read());
        let keep_up = tokio::spawn(followed.keep_up);
        let there = async {
            read.await;
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
        keep_up.abort();
    }
}
