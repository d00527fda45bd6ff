//! Chooses the cluster, once: the embedded one, or the context a person named. Everything after this is a `kube::Client`.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::{
    embedded::endpoint::{self, Endpoint},
    settings::Paths,
};

/// How long the background server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

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
    #[error("the client cannot be made: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error("starting the embedded cluster: {0}")]
    Start(#[source] io::Error),
    #[error("the embedded cluster did not start: {0}")]
    NotReady(String),
}

/// Connects to `target`. The background server of the embedded cluster is started when it does not run; `program` is this
/// very program.
pub async fn connect(
    target: &Target,
    namespace: Option<&str>,
    paths: &Paths,
    program: &Path,
) -> Result<Connection, ConnectError> {
    let config = match target {
        Target::Embedded => embedded(paths, program).await?,
        Target::Context(context) => {
            let options = KubeConfigOptions {
                context: Some(context.clone()),
                ..KubeConfigOptions::default()
            };
            let config = Config::from_kubeconfig(&options).await;
            config.map_err(|source| ConnectError::Kubeconfig {
                context: context.clone(),
                source: Box::new(source),
            })?
        }
    };
    let namespace = namespace.map_or_else(|| config.default_namespace.clone(), str::to_owned);
    let client = Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))?;
    Ok(Connection {
        client,
        namespace,
        target: target.clone(),
    })
}

async fn embedded(paths: &Paths, program: &Path) -> Result<Config, ConnectError> {
    let endpoint = match endpoint::find(&paths.embedded) {
        Some(endpoint) => endpoint,
        None => start(paths, program).await?,
    };
    let at = |source| ConnectError::EmbeddedConfig {
        path: endpoint.kubeconfig.clone(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(&endpoint.kubeconfig).map_err(at)?;
    let at = |source| ConnectError::EmbeddedConfig {
        path: endpoint.kubeconfig.clone(),
        source: Box::new(source),
    };
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(at)
}

/// Starts the background server and waits for its word, a line on its stdout. Of several that are started at once one
/// stays; the others find it, and say the same word.
async fn start(paths: &Paths, program: &Path) -> Result<Endpoint, ConnectError> {
    std::fs::create_dir_all(&paths.state).map_err(ConnectError::Start)?;
    let log = paths.state.join("embedded.log");
    let errors = std::fs::File::options()
        .create(true)
        .append(true)
        .open(&log)
        .map_err(ConnectError::Start)?;
    let mut command = Command::new(program);
    if let Some(home) = &paths.home {
        command.arg("--home").arg(home);
    }
    command
        .args(["embedded", "serve", "--detach"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors);
    let mut child = command.spawn().map_err(ConnectError::Start)?;
    let mut word = String::new();
    if let Some(stdout) = child.stdout.take() {
        let read =
            tokio::time::timeout(PATIENCE, BufReader::new(stdout).read_line(&mut word)).await;
        if read.is_err() {
            return Err(ConnectError::NotReady(format!(
                "no answer within {} s; see {}",
                PATIENCE.as_secs(),
                log.display()
            )));
        }
    }
    endpoint::find(&paths.embedded)
        .ok_or_else(|| ConnectError::NotReady(format!("see {}", log.display())))
}
