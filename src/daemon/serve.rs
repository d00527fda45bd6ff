//! The background process: reachable over HTTPS on loopback, one per state directory, ending by itself when nobody needs it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};
use tokio::signal::unix::{SignalKind, signal};

use super::{Engine, Options};
use crate::{
    embedded::{
        endpoint::{self, Endpoint, Lock},
        serve::Server,
    },
    resources::{CodeRun, DocsRun},
    runs::Phase,
};

/// How long another process may take from the lock to the first answer, and how often one looks meanwhile.
const START: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Serves until told to stop, or until idle. `ready` is called with the address once clients can connect; where another
/// process serves the directory already, with that one's, and nothing more is done.
pub async fn serve(options: Options, ready: impl FnOnce(&str)) -> anyhow::Result<()> {
    let directory = options.paths.embedded.clone();
    let Some(lock) = Lock::acquire(&directory)? else {
        let other = other_server(&directory).await;
        let other = other.ok_or_else(|| {
            anyhow::anyhow!(
                "another process holds {} and does not serve it",
                directory.display()
            )
        })?;
        ready(&other.address);
        return Ok(());
    };
    let patience = Duration::from_secs(options.settings.embedded.idle_seconds);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let engine = Engine::start(options).await?;
    let server = Server::start(engine.cluster(), &directory).await?;
    ready(&server.endpoint().address);
    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to stop"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
        () = idle(&server, engine.client(), patience) => tracing::info!("idle: no client and no run"),
    }
    server.shutdown().await;
    engine.stop().await;
    drop(lock);
    Ok(())
}

/// The server that another process is starting, or has started.
async fn other_server(directory: &Path) -> Option<Endpoint> {
    let deadline = Instant::now() + START;
    loop {
        let found = endpoint::find(directory);
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns once there has been no client for `patience` and no run is under way.
async fn idle(server: &Server, client: Client, patience: Duration) {
    let mut connections = server.connections();
    loop {
        if connections.wait_for(|open| *open == 0).await.is_err() {
            return;
        }
        let somebody_came = tokio::time::timeout(patience, connections.wait_for(|open| *open > 0))
            .await
            .is_ok();
        if !somebody_came && !run_under_way(&client).await {
            return;
        }
    }
}

/// Whether a run wants anything of the cluster; when that cannot be found out, it may.
async fn run_under_way(client: &Client) -> bool {
    for resource in [
        ApiResource::erase::<DocsRun>(&()),
        ApiResource::erase::<CodeRun>(&()),
    ] {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let Ok(list) = api.list(&ListParams::default()).await else {
            return true;
        };
        let active = |object: &DynamicObject| {
            let suspended = object.data["spec"]["suspend"].as_bool().unwrap_or_default();
            !suspended && !Phase::parse(object.data["status"]["phase"].as_str()).finished()
        };
        if list.items.iter().any(active) {
            return true;
        }
    }
    false
}
