//! The settings a controller works by: given once, or those of ConfigMaps, taken up whenever one of them changes.

mod maps;

use std::sync::Arc;

use futures::{Stream, stream};
use tokio::sync::watch;

use flightdeck_host::settings::Settings;

pub use maps::{Followed, SettingsMaps};

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
