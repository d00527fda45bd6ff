//! Finds the background server of the embedded cluster, starts it, or restarts it if its version is older.

use std::{cmp::Ordering, fs::File, path::Path, process::Stdio, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::ConnectError;
use flightdeck_core::{files::last_line, text};
use flightdeck_host::{cluster::has_active_runs, settings::Paths};
use kube_embedded::endpoint::{self, Endpoint};

/// How long the background server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long an older server may take to list its active runs.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);
/// Version of this program.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the client configuration of the server. Starts the server if it is not running, and restarts it if it is older
/// than this program and has no active run. Adds messages for the user to `notices`.
pub(super) async fn config(
    paths: &Paths,
    program: &Path,
    notices: &mut Vec<String>,
) -> Result<Config, ConnectError> {
    let endpoint = match endpoint::find(&paths.embedded) {
        Some(found) => current(paths, program, found, notices).await?,
        None => start(paths, program).await?,
    };
    if endpoint.fault_rules > 0 {
        notices.push(format!(
            "fault injection is on in the embedded cluster ({}); to turn it off: flightdeck embedded stop",
            text::count(endpoint.fault_rules, "fault rule")
        ));
    }
    config_of(&endpoint).await
}

/// Returns the running server. Replaces it if it is older and idle.
async fn current(
    paths: &Paths,
    program: &Path,
    found: Endpoint,
    notices: &mut Vec<String>,
) -> Result<Endpoint, ConnectError> {
    let version = text::sanitize(&found.version).into_owned();
    match found.compare_version(OWN_VERSION) {
        Ordering::Equal => Ok(found),
        Ordering::Greater => {
            notices.push(format!(
                "the embedded cluster runs version {version}, newer than this program ({OWN_VERSION}); use the newer flightdeck"
            ));
            Ok(found)
        }
        Ordering::Less if busy(&found).await => {
            notices.push(format!(
                "the embedded cluster still runs version {version}, older than this program ({OWN_VERSION}), because runs are \
                 active; it is restarted after they finish"
            ));
            Ok(found)
        }
        Ordering::Less => {
            let stopped = endpoint::stop_server(&paths.embedded, &found).await;
            stopped.map_err(|source| ConnectError::Restart {
                version: version.clone(),
                source,
            })?;
            let started = start(paths, program).await?;
            notices.push(format!(
                "restarted the embedded cluster: version {version} is now {}",
                text::sanitize(&started.version)
            ));
            Ok(started)
        }
    }
}

/// Whether the server has active runs. True if the query fails, so that no run is interrupted.
async fn busy(endpoint: &Endpoint) -> bool {
    let Ok(config) = config_of(endpoint).await else {
        return true;
    };
    let Ok(client) = Client::try_from(config) else {
        return true;
    };
    tokio::time::timeout(QUERY_TIMEOUT, has_active_runs(&client))
        .await
        .unwrap_or(true)
}

async fn config_of(endpoint: &Endpoint) -> Result<Config, ConnectError> {
    let at = |source| ConnectError::EmbeddedConfig {
        path: endpoint.kubeconfig.clone(),
        source: Box::new(source),
    };
    let kubeconfig = Kubeconfig::read_from(&endpoint.kubeconfig).map_err(at)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .map_err(at)?;
    // The server is on this machine: ignore proxies of the environment.
    config.proxy_url = None;
    Ok(config)
}

/// Starts the background server and waits until it reports its address on stdout. If several are started at once, one serves;
/// the others report its address.
async fn start(paths: &Paths, program: &Path) -> Result<Endpoint, ConnectError> {
    paths.create_state_dir().map_err(ConnectError::Start)?;
    let log = paths.state.join("embedded.log");
    let errors = Paths::open_log(&log).map_err(ConnectError::Start)?;
    let from = errors.metadata().map_err(ConnectError::Start)?.len();
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
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        let mut stdout = BufReader::new(stdout);
        let read = tokio::time::timeout(START_TIMEOUT, stdout.read_line(&mut line)).await;
        if read.is_err() {
            return Err(ConnectError::NotReady(format!(
                "no answer within {} s; see {}",
                START_TIMEOUT.as_secs(),
                log.display()
            )));
        }
    }
    endpoint::find(&paths.embedded).ok_or_else(|| {
        let see = format!("see {}", log.display());
        let error = File::open(&log).ok();
        let error = error.and_then(|mut log| last_line(&mut log, from));
        ConnectError::NotReady(
            error.map_or_else(|| see.clone(), |error| format!("{error} ({see})")),
        )
    })
}
