//! `embedded status`, `embedded stop` and `embedded kubeconfig`.

use super::{Session, output};
use flightdeck_core::text;
use flightdeck_verbs::VerbError;
use kube_embedded::{endpoint, node};

/// Prints the status. Returns 3 if the server is not running.
pub(super) fn status(session: &Session) -> anyhow::Result<u8> {
    let Some(found) = endpoint::find(&session.paths.embedded) else {
        output::line("not running; it is started when needed")?;
        return Ok(3);
    };
    output::line(&format!(
        "running: {} (process {}, version {})",
        found.address, found.pid, found.version
    ))?;
    output::line(&format!("kubeconfig: {}", found.kubeconfig.display()))?;
    if found.fault_rules > 0 {
        output::line(&format!(
            "faults: {} injected",
            text::count(found.fault_rules, "rule")
        ))?;
    }
    disk(session)?;
    Ok(0)
}

/// Prints the disk usage of the embedded cluster.
fn disk(session: &Session) -> anyhow::Result<()> {
    let node::Usage {
        objects,
        logs,
        volumes,
    } = node::usage(&session.paths.embedded);
    output::line(&format!(
        "disk: objects {}, logs {}, volumes {}",
        text::bytes(objects),
        text::bytes(logs),
        text::bytes(volumes)
    ))?;
    Ok(())
}

/// Stops the server.
pub(super) async fn stop(session: &Session) -> anyhow::Result<u8> {
    if endpoint::stop(&session.paths.embedded).await? {
        output::notice("Stopped; running containers continue and are adopted at the next start");
    } else {
        output::notice("Not running");
    }
    Ok(0)
}

/// Prints the kubeconfig. Starts the server, because the file is useless without it.
pub(super) async fn kubeconfig(session: &Session, path: bool) -> anyhow::Result<u8> {
    let connection = session.connect().await?;
    output::notices(&connection.notices);
    let found = endpoint::find(&session.paths.embedded)
        .ok_or_else(|| VerbError::Failed("the embedded cluster stopped unexpectedly".into()))?;
    if path {
        output::line(&found.kubeconfig.display().to_string())?;
    } else {
        output::line(std::fs::read_to_string(&found.kubeconfig)?.trim_end())?;
    }
    Ok(0)
}
