//! The background process: serves HTTPS on loopback, once per state directory, and exits when idle.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use kube::Client;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::{Engine, Options, archiver};
use flightdeck_host::{
    cluster,
    ledger::{Ledger, Retention},
    settings::Settings,
};
use kube_embedded::{
    endpoint::{self, Endpoint, Lock},
    serve::{Server, ServerOptions},
};

/// Limit of open files to set, if the system permits it.
const OPEN_FILES: u64 = 8192;
/// How long another process may hold the lock before it serves.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to check whether it serves.
const START_POLL: Duration = Duration::from_millis(20);

/// Serves until a signal arrives or the server is idle. Calls `ready` with the address once clients can connect. If another
/// process already serves the directory, calls `ready` with its address and returns.
pub async fn serve(options: Options, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
    let directory = options.paths.embedded.clone();
    let lock = match lock_or_find(&directory).await? {
        Found::Lock(lock) => lock,
        Found::Server(other) if !options.faults.is_empty() => anyhow::bail!(
            "the embedded cluster is already running, without these faults (process {}); run flightdeck embedded stop first",
            other.pid
        ),
        Found::Server(other) => {
            ready(&other.address);
            return Ok(());
        }
    };
    allow_many_connections();
    let idle_timeout = Duration::from_secs(options.settings.embedded.idle_seconds);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server_options = ServerOptions {
        faults: options.faults.clone(),
        ..ServerOptions::default()
    };
    let (settings, ledger) = (options.settings.clone(), options.paths.ledger.clone());
    let engine = Engine::start(options).await?;
    let archiving = archive_runs(&engine, settings, &ledger);
    let server = Server::start_with(engine.cluster(), &directory, server_options).await?;
    ready(&server.endpoint().address);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("stopping: received SIGTERM"),
        _ = interrupt.recv() => tracing::info!("stopping: received SIGINT"),
        () = idle(&server, engine.client(), idle_timeout) => tracing::info!("stopping: no client and no active run"),
        () = archiving => {}
    }
    server.shutdown().await;
    engine.stop().await;
    drop(lock);
    Ok(())
}

/// Archives the runs of the cluster. Never returns.
async fn archive_runs(engine: &Engine, settings: Settings, ledger: &Path) {
    let retention = Retention::of(&settings.ledger);
    match Ledger::open(ledger) {
        Ok(ledger) => {
            let context = flightdeck_verbs::ClusterContext {
                client: engine.client(),
                namespace: engine.namespace().to_owned(),
                ledger: Some(ledger.with_settings(&settings.ledger)),
                settings: Arc::new(settings),
            };
            archiver::run(context, retention).await;
        }
        Err(error) => tracing::warn!(%error, "archiving is disabled"),
    }
    std::future::pending::<()>().await;
}

/// The lock of the server, or the server that holds it.
enum Found {
    Lock(Lock),
    Server(Endpoint),
}

/// Acquires the lock, or waits until the process that holds it serves. If that process exits first, tries again.
async fn lock_or_find(directory: &Path) -> anyhow::Result<Found> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        let path = directory.to_owned();
        let lock = tokio::task::spawn_blocking(move || Lock::acquire(&path)).await?;
        if let Some(lock) = lock.with_context(|| format!("{}", directory.display()))? {
            return Ok(Found::Lock(lock));
        }
        if let Some(endpoint) = endpoint::find(directory) {
            return Ok(Found::Server(endpoint));
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "another process holds {} but does not serve the cluster; find it with fuser {0}, stop it, and try again",
            directory.join("lock").display()
        );
        tokio::time::sleep(START_POLL).await;
    }
}

/// Raises the limit of open files: each connection and each log needs one, and some systems default to 256.
fn allow_many_connections() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        if now < OPEN_FILES {
            setrlimit(Resource::RLIMIT_NOFILE, most.min(OPEN_FILES), most)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::info!(%error, "cannot raise the limit of open files");
    }
}

/// Returns once no client has been connected for `timeout` and no run is active.
async fn idle(server: &Server, client: Client, timeout: Duration) {
    let mut clients = server.clients();
    loop {
        if clients.wait_for(|open| *open == 0).await.is_err() {
            return;
        }
        let connected = tokio::time::timeout(timeout, clients.wait_for(|open| *open > 0))
            .await
            .is_ok();
        if !connected && !cluster::has_active_runs(&client).await {
            return;
        }
    }
}
