//! `flightdeck embedded status|stop|kubeconfig`, and `flightdeck info`.

use serde_json::json;

use super::{Format, Session, output};
use flightdeck_core::text;
use flightdeck_host::ledger::Ledger;
use flightdeck_verbs::VerbError;
use kube_embedded::{endpoint, node};

/// `embedded status`: exit code 3 when it does not run.
pub fn status(session: &Session) -> anyhow::Result<u8> {
    let Some(found) = endpoint::find(&session.paths.embedded) else {
        output::line("not running; the console and the command line start it when they need it")?;
        return Ok(3);
    };
    output::line(&format!(
        "running: {} (process {}, version {})",
        found.address, found.pid, found.version
    ))?;
    output::line(&format!("kubeconfig: {}", found.kubeconfig.display()))?;
    if found.fault_rules > 0 {
        output::line(&format!(
            "faults: {}; it misbehaves on purpose",
            text::count(found.fault_rules, "rule")
        ))?;
    }
    disk(session)?;
    Ok(0)
}

/// What the embedded cluster takes of the disk.
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

/// `embedded stop`
pub async fn stop(session: &Session) -> anyhow::Result<u8> {
    if endpoint::stop(&session.paths.embedded).await? {
        output::notice(
            "stopped; containers that were running go on and are found again at the next start",
        );
    } else {
        output::notice("not running");
    }
    Ok(0)
}

/// `embedded kubeconfig`: starts the server when it does not run, since the file is of use only then.
pub async fn kubeconfig(session: &Session, path: bool) -> anyhow::Result<u8> {
    let connection = session.connect().await?;
    output::notices(&connection.notices);
    let found = endpoint::find(&session.paths.embedded)
        .ok_or_else(|| VerbError::Failed("the embedded cluster ended again".into()))?;
    if path {
        output::line(&found.kubeconfig.display().to_string())?;
    } else {
        output::line(std::fs::read_to_string(&found.kubeconfig)?.trim_end())?;
    }
    Ok(0)
}

/// `info`: every path, so that nobody has to guess.
pub fn info(session: &Session, format: Format) -> anyhow::Result<u8> {
    let paths = &session.paths;
    let rows = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("target", session.target().to_string()),
        ("config", paths.config.display().to_string()),
        ("keymap", paths.keymap.display().to_string()),
        ("templates", paths.templates.display().to_string()),
        ("themes", paths.themes.display().to_string()),
        ("state", paths.state.display().to_string()),
        ("embedded", paths.embedded.display().to_string()),
        ("ledger", paths.ledger.display().to_string()),
        ("ledger size", text::bytes(ledger_bytes(session))),
        ("log", paths.log.display().to_string()),
    ];
    if format == Format::Table {
        let rows = rows.map(|(name, value)| [name.to_owned(), value]);
        output::table(["WHAT", "WHERE"], &rows)?;
    } else {
        let object: serde_json::Map<_, _> = rows
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        output::value(format, &object)?;
    }
    Ok(0)
}

/// What the ledger takes on disk; nothing where there is none yet, or where a newer version wrote it.
fn ledger_bytes(session: &Session) -> u64 {
    if !session.paths.ledger.is_dir() {
        return 0;
    }
    let size = Ledger::open(&session.paths.ledger).and_then(|ledger| ledger.size());
    size.unwrap_or_default()
}
