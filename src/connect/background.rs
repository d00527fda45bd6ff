//! The background server of the embedded cluster: found, started, and started anew when it is of an older version.

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
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an older server may take to say whether a run is active.
const BUSY: Duration = Duration::from_secs(5);
/// This program's version.
const OWN: &str = env!("CARGO_PKG_VERSION");

/// How the server is reached. It is started when it does not run, or when it is older than this program and has nothing to
/// do; `notices` gets what a person should know.
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
            "a rehearsal: the embedded cluster misbehaves on purpose ({}); end it with: flightdeck embedded stop",
            text::count(endpoint.fault_rules, "fault rule")
        ));
    }
    config_of(&endpoint).await
}

/// The server that runs, or a new one in the place of one that is older and idle.
async fn current(
    paths: &Paths,
    program: &Path,
    found: Endpoint,
    notices: &mut Vec<String>,
) -> Result<Endpoint, ConnectError> {
    let version = text::sanitize(&found.version).into_owned();
    match found.compare_version(OWN) {
        Ordering::Equal => Ok(found),
        Ordering::Greater => {
            notices.push(format!(
                "the embedded cluster runs version {version}, newer than this program ({OWN}): use the newer flightdeck"
            ));
            Ok(found)
        }
        Ordering::Less if busy(&found).await => {
            notices.push(format!(
                "the embedded cluster still runs version {version}, older than this program ({OWN}): runs are active, so it goes on; \
                 it is started anew once they have ended"
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
                "the embedded cluster ran version {version} and was started anew as {}",
                text::sanitize(&started.version)
            ));
            Ok(started)
        }
    }
}

/// Whether runs are active there; when that cannot be found out, they may be.
async fn busy(endpoint: &Endpoint) -> bool {
    let Ok(config) = config_of(endpoint).await else {
        return true;
    };
    let Ok(client) = Client::try_from(config) else {
        return true;
    };
    tokio::time::timeout(BUSY, has_active_runs(&client))
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
    // It is on this machine, whatever proxy the environment names.
    config.proxy_url = None;
    Ok(config)
}

/// Starts the background server and waits for its word, a line on its stdout. Of several that are started at once one
/// stays; the others find it, and say the same word.
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
    endpoint::find(&paths.embedded).ok_or_else(|| {
        let see = format!("see {}", log.display());
        let said = File::open(&log).ok();
        let said = said.and_then(|mut log| last_line(&mut log, from));
        ConnectError::NotReady(said.map_or_else(|| see.clone(), |said| format!("{said} ({see})")))
    })
}
