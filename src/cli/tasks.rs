//! `flightdeck tasks ...`: the plan in the shell.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Format, Session, output};
use crate::{text, verbs::SetStatus};

/// `tasks ...`
#[derive(Debug, Subcommand)]
pub enum Tasks {
    /// Give a task another status; nothing else in the file changes.
    SetStatus(SetStatusArguments),
}

/// `tasks set-status`
#[derive(Debug, Args)]
pub struct SetStatusArguments {
    #[command(flatten)]
    pub set: SetStatus,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// Runs the command; its exit code.
pub async fn tasks(session: &Session, command: Tasks) -> anyhow::Result<u8> {
    match command {
        Tasks::SetStatus(arguments) => set_status(session, &arguments).await,
    }
}

async fn set_status(session: &Session, arguments: &SetStatusArguments) -> anyhow::Result<u8> {
    let set = arguments.set.run(&session.place.repo).await?;
    match arguments.output {
        Format::Table => {
            for change in &set.changes {
                output::line(&format!(
                    "{}  {} -> {}  {}",
                    text::sanitize(&change.id),
                    text::sanitize(change.old.as_str()),
                    change.new.as_str(),
                    text::sanitize(&change.title)
                ))?;
            }
            if set.changes.is_empty() {
                output::notice(&format!(
                    "{} is {} already; nothing was written",
                    text::sanitize(&arguments.set.id),
                    arguments.set.status.trim()
                ));
            }
        }
        Format::Name => set
            .changes
            .iter()
            .try_for_each(|change| output::line(&text::sanitize(&change.id)))?,
        format => {
            let changes: Vec<serde_json::Value> = set
                .changes
                .iter()
                .map(|change| {
                    json!({
                        "id": change.id, "title": change.title,
                        "from": change.old.as_str(), "to": change.new.as_str(),
                    })
                })
                .collect();
            let value = json!({ "file": set.file, "tag": set.tag, "changes": changes });
            output::value(format, &value)?;
        }
    }
    Ok(0)
}
