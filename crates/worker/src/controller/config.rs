//! The configuration of a controller.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Health, LiveSettings, Metrics, error::RetryDelays, lease::LeaseConfig};
use flightdeck_host::{settings::Settings, templates::Templates};

/// The configuration of a controller.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    pub settings: LiveSettings,
    /// The namespace whose runs it reconciles.
    pub namespace: String,
    /// Version of this program, for the reporter of Events.
    pub version: &'static str,
    /// Templates of the run's files.
    pub templates: Arc<Templates>,
    /// Delays after errors; tests use shorter ones.
    pub retry_delays: RetryDelays,
    /// Timeout of one API call.
    pub call_timeout: Duration,
    /// Time a Job may take to start a container before its Events are read for the cause.
    pub slow_start: Duration,
    /// Leader election; `None` for the only controller.
    pub lease: Option<LeaseConfig>,
    /// Set to whether it leads; without leader election it always does.
    pub leading: watch::Sender<bool>,
    /// Prometheus metrics.
    pub metrics: Metrics,
    /// Readiness.
    pub health: Health,
}

impl ControllerConfig {
    /// Returns the configuration of the only controller, with the shipped templates and delays.
    #[must_use]
    pub fn new(settings: Arc<Settings>, namespace: &str, version: &'static str) -> Self {
        Self::live(LiveSettings::fixed(settings), namespace, version)
    }

    /// The same, with settings that may change.
    #[must_use]
    pub fn live(settings: LiveSettings, namespace: &str, version: &'static str) -> Self {
        Self {
            settings,
            namespace: namespace.to_owned(),
            version,
            templates: Arc::default(),
            retry_delays: RetryDelays::default(),
            call_timeout: Duration::from_secs(10),
            slow_start: Duration::from_secs(10),
            lease: None,
            leading: watch::Sender::new(false),
            metrics: Metrics::default(),
            health: Health::default(),
        }
    }
}
