//! What a controller is told: its settings, its namespace, how patient it is, and whom it tells.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Health, LiveSettings, Metrics, error::RetryDelays, lease::LeaseConfig};
use flightdeck_host::{settings::Settings, templates::Templates};

/// What a controller is told.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    pub settings: LiveSettings,
    /// The namespace whose runs it looks after.
    pub namespace: String,
    /// Version of this program, as Events name their reporter.
    pub version: &'static str,
    /// Templates of the runs' files.
    pub templates: Arc<Templates>,
    /// Waits after errors. Shorter ones suit a cluster that fails on purpose.
    pub retry_delays: RetryDelays,
    /// How long one call to the API may go unanswered.
    pub patience: Duration,
    /// How long a Job may take to show a running container before its Events are read for the cause.
    pub slow_start: Duration,
    /// Who it is among several controllers; `None`: there are no others.
    pub lease: Option<LeaseConfig>,
    /// Told whether it leads, which it does from the start where there are no others.
    pub leading: watch::Sender<bool>,
    /// What is counted.
    pub metrics: Metrics,
    /// What has to be there before it is of use.
    pub health: Health,
}

impl ControllerConfig {
    /// A controller with the shipped templates and delays, which is the only one.
    #[must_use]
    pub fn new(settings: Arc<Settings>, namespace: &str, version: &'static str) -> Self {
        Self::live(LiveSettings::fixed(settings), namespace, version)
    }

    /// The same with settings that may change.
    #[must_use]
    pub fn live(settings: LiveSettings, namespace: &str, version: &'static str) -> Self {
        Self {
            settings,
            namespace: namespace.to_owned(),
            version,
            templates: Arc::default(),
            retry_delays: RetryDelays::default(),
            patience: Duration::from_secs(10),
            slow_start: Duration::from_secs(10),
            lease: None,
            leading: watch::Sender::new(false),
            metrics: Metrics::default(),
            health: Health::default(),
        }
    }
}
