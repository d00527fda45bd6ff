//! Chooses the cluster, once: the embedded one, or the context a person named. Everything after this is a `kube::Client`.

mod background;
mod client;
mod plugin;

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, KubeconfigError},
};

pub use self::{
    client::{Stack, builder},
    plugin::{PluginError, Prompts},
};
use crate::{settings::Paths, text};

/// Which cluster is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Embedded,
    /// A context of the person's kubeconfig.
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

/// A cluster one can talk to.
#[derive(Clone)]
pub struct Connection {
    pub client: Client,
    pub namespace: String,
    pub target: Target,
    /// What the person should know of it, a sentence each.
    pub notices: Vec<String>,
}

impl Connection {
    /// Whether runs are processes of this machine.
    #[must_use]
    pub fn embedded(&self) -> bool {
        self.target == Target::Embedded
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("context {context}: {source}")]
    Kubeconfig {
        context: String,
        source: Box<KubeconfigError>,
    },
    #[error("{path}: {source}")]
    EmbeddedConfig {
        path: PathBuf,
        source: Box<KubeconfigError>,
    },
    #[error(
        "this is no pod of a cluster ({0}): name the cluster with --context, as in your kubeconfig"
    )]
    NoPod(#[source] Box<kube::config::InClusterError>),
    #[error("the client cannot be made: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("the cluster cannot be asked: {0}")]
    Proxy(String),
    #[error("starting the embedded cluster: {0}")]
    Start(#[source] io::Error),
    #[error(
        "the embedded cluster runs version {version} and does not end, so that this version cannot start it anew: {source}"
    )]
    Restart { version: String, source: io::Error },
    #[error("the embedded cluster did not start: {0}")]
    NotReady(String),
}

/// Connects to `target`. The background server of the embedded cluster is started when it does not run; `program` is this
/// very program. `prompts` says whether a credential plugin of the kubeconfig may use the terminal.
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
        Target::Context(context) => of_context(context).await?,
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

/// How a controller reaches its cluster: by a context that was named, else as the pod it runs in.
pub async fn controller_config(context: Option<&str>) -> Result<Config, ConnectError> {
    match context {
        Some(context) => of_context(context).await,
        None => Config::incluster().map_err(|error| ConnectError::NoPod(Box::new(error))),
    }
}

async fn of_context(context: &str) -> Result<Config, ConnectError> {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_kubeconfig(&options).await;
    config.map_err(|source| ConnectError::Kubeconfig {
        context: context.to_owned(),
        source: Box::new(source),
    })
}

/// Most bytes of a log that are searched for its last line.
const TAIL: u64 = 4096;

/// Returns the last line that is not empty after the first `from` bytes, sanitised and without this program's name before it.
fn last_line(log: &mut File, from: u64) -> Option<String> {
    let end = log.seek(SeekFrom::End(0)).ok()?;
    log.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL))))
        .ok()?;
    let mut bytes = Vec::new();
    log.take(TAIL).read_to_end(&mut bytes).ok()?;
    let all = String::from_utf8_lossy(&bytes);
    let line = all.lines().rev().find(|line| !line.trim().is_empty())?;
    let line = line.strip_prefix("flightdeck: ").unwrap_or(line);
    Some(text::sanitize(line.trim()).into_owned())
}
