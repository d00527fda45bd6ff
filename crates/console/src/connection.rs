//! What the console starts with, and how it reaches the cluster.

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;

use super::{keymap::Keymap, theme::Theme, world::ClusterTarget};
use flightdeck_host::{ledger::Ledger, settings::Settings};

pub struct ConsoleOptions {
    /// The directory in which to look for the repository.
    pub start: PathBuf,
    /// Connects to the cluster. Called after the first frame, then with backoff until it succeeds.
    pub connect: Connect,
    pub settings: Arc<Settings>,
    pub keymap: Arc<Keymap>,
    pub theme: Theme,
    /// `None` disables archiving.
    pub ledger: Option<Ledger>,
}

/// One attempt to connect to the cluster; the error is a sentence.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, String>> + Send + Sync>;

/// A connected cluster.
pub struct Connected {
    pub client: kube::Client,
    pub target: ClusterTarget,
    /// Working directory of the embedded node; `None` for a real cluster.
    pub disk: Option<PathBuf>,
    /// Warnings about the connection to show, each a sentence.
    pub notices: Vec<String>,
}
