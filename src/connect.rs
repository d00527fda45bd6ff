//! Connects to the selected cluster. Everything else only sees a `kube::Client`.

mod background;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use kube::{Client, config::KubeconfigError};

use flightdeck_host::{
    cluster::client::{ClientError, Prompts, builder, context_config},
    settings::Paths,
};

/// The selected cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Embedded,
    /// A context of the user's kubeconfig.
    Context(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Context(name) => f.write_str(name),
        }
    }
}

/// A connected cluster.
#[derive(Clone)]
pub struct Connection {
    pub client: Client,
    pub namespace: String,
    pub target: Target,
    /// Messages for the user.
    pub notices: Vec<String>,
}

impl Connection {
    /// Whether runs are processes of this machine.
    #[must_use]
    pub fn embedded(&self) -> bool {
        self.target == Target::Embedded
    }
}

/// Why connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{path}: {source}")]
    EmbeddedConfig {
        path: PathBuf,
        source: Box<KubeconfigError>,
    },
    #[error("starting the embedded cluster: {0}")]
    Start(#[source] io::Error),
    #[error(
        "restarting the embedded cluster, which runs version {version}: it did not stop: {source}"
    )]
    Restart { version: String, source: io::Error },
    #[error("the embedded cluster did not start: {0}")]
    NotReady(String),
}

/// Connects to `target`. Starts the server of the embedded cluster with `program` if it is not running. `prompts` determines
/// whether a credential plugin of the kubeconfig may use the terminal.
pub async fn connect(
    target: &Target,
    namespace: Option<&str>,
    paths: &Paths,
    program: &Path,
    prompts: Prompts,
) -> Result<Connection, ConnectError> {
    let mut notices = Vec::new();
    let config = match target {
        Target::Embedded => background::config(paths, program, &mut notices).await?,
        Target::Context(context) => context_config(context).await?,
    };
    let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
    let client = builder(config, prompts).await?.build();
    Ok(Connection {
        client,
        namespace,
        target: target.clone(),
        notices,
    })
}
