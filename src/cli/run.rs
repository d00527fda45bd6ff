//! `run docs` and `run code`: launches a run, and waits for it or follows its log.

use std::time::Duration;

use clap::{ArgMatches, Args, FromArgMatches};

use super::{
    Format, Session,
    logs::{self, Logs},
    output,
};
use flightdeck_core::text;
use flightdeck_verbs::{LaunchedRun, VerbRow, Wait, exit_code};

/// Exit code after Ctrl-C; the run continues.
const INTERRUPTED: u8 = 130;

/// Options of `run docs` and `run code` on the command line.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// Wait for the run to end; exit with 0 if it succeeded, 1 if it failed, 4 if it was cancelled.
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Follow the log.
    #[arg(long, conflicts_with = "dry_run")]
    follow: bool,
    /// Stop waiting after this many seconds (exit code 124; the run continues).
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

/// Runs the command. Returns the exit code.
pub(super) async fn run(
    session: &Session,
    row: &VerbRow,
    arguments: ArgMatches,
    format: Format,
) -> anyhow::Result<u8> {
    let options = RunOptions::from_arg_matches(&arguments)?;
    let context = session.verb_context();
    let launched = (row.run_arguments)(arguments, &context).await?;
    if !(options.wait || options.follow) {
        output::render(launched.as_ref(), format)?;
        return Ok(launched.exit_code());
    }
    output::notices(&launched.notices());
    let context = context.cluster().await?;
    let name = launched.names().concat();
    let wait = Wait {
        name: name.clone(),
        timeout: options.timeout.map(Duration::from_secs),
    };
    let following = async {
        if options.follow {
            logs::print(context, &Logs::following(&name))
                .await
                .map(drop)
        } else {
            Ok(())
        }
    };
    let ended = tokio::select! {
        (ended, followed) = async { tokio::join!(wait.run(context, |_| {}), following) } => { followed?; ended? }
        _ = tokio::signal::ctrl_c() => {
            output::notice(&format!("{name} continues; follow it with flightdeck runs logs {name} --follow"));
            return Ok(INTERRUPTED);
        }
    };
    let phase = ended.phase();
    if let Some(message) = ended
        .status
        .message
        .as_deref()
        .filter(|message| !message.is_empty())
    {
        output::notice(&format!(
            "{name} {}: {}",
            phase.as_str().to_lowercase(),
            text::sanitize(message)
        ));
    }
    if !options.follow {
        output::render(&LaunchedRun::created(ended), format)?;
    }
    Ok(if options.wait { exit_code(&phase) } else { 0 })
}
