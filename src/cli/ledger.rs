//! `ledger prune`: shows what would be removed and asks.

use clap::{Args, Subcommand};

use super::{Format, Session, output};
use flightdeck_core::text;
use flightdeck_verbs::{PruneLedger, Render, Verb};

/// Commands of the ledger that ask. The others are generated.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Remove archived runs beyond the limits in the settings.
    Prune(PruneArguments),
}

/// Arguments of `ledger prune`.
#[derive(Debug, Args)]
pub struct PruneArguments {
    #[command(flatten)]
    pub prune: PruneLedger,
    /// Remove without asking.
    #[arg(long)]
    pub yes: bool,
    /// Output format.
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// Runs the command.
pub(super) async fn ledger(session: &Session, command: LedgerCommand) -> anyhow::Result<u8> {
    let LedgerCommand::Prune(arguments) = command;
    let context = session.verb_context();
    let dry_run = arguments.prune.dry_run;
    let verb = PruneLedger {
        dry_run: true,
        ..arguments.prune
    };
    let planned = verb.run(&context).await?;
    output::render(&planned, arguments.output)?;
    let runs = planned.runs.len();
    if runs == 0 || dry_run {
        return Ok(0);
    }
    let question = format!("Remove {} from the ledger?", text::count(runs, "run"));
    if !arguments.yes {
        match output::confirm(&question)? {
            Some(true) => {}
            Some(false) => return Ok(0),
            None => {
                output::notice("Nothing was removed; use --yes to remove");
                return Ok(0);
            }
        }
    }
    let removed = planned.apply(&context).await?;
    output::notices(&removed.notices());
    let busy = runs - removed.runs.len();
    if busy > 0 {
        output::notice(&format!(
            "Kept {} that are being written",
            text::count(busy, "run")
        ));
    }
    Ok(0)
}
