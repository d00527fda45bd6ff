//! The settings of a controller: fixed, or watched in ConfigMaps and updated when one changes.

mod config_maps;

use std::sync::Arc;

use futures::{Stream, stream};
use tokio::sync::watch;

use flightdeck_host::settings::Settings;

pub use config_maps::{SettingsWatcher, WatchedSettings};

/// Settings that may change while in use. Clones share the value.
#[derive(Clone, Debug)]
pub struct LiveSettings(watch::Receiver<Arc<Settings>>);

impl LiveSettings {
    /// Settings that never change.
    #[must_use]
    pub fn fixed(settings: Arc<Settings>) -> Self {
        Self(watch::channel(settings).1)
    }

    /// Returns the current settings.
    #[must_use]
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.0.borrow())
    }

    /// Yields an item for each change from now on; never ends.
    pub fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let mut receiver = self.0.clone();
        receiver.mark_unchanged();
        stream::unfold(receiver, async |mut receiver| {
            if receiver.changed().await.is_err() {
                // The sender is gone: there are no more changes.
                std::future::pending::<()>().await;
            }
            Some(((), receiver))
        })
    }
}
