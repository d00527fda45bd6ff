//! `preflight --fix`: shows the commands of safe fixes, asks, and runs them.

use clap::{ArgMatches, Args, FromArgMatches};
use tokio_util::sync::CancellationToken;

use super::{Format, Session, output};
use flightdeck_core::text;
use flightdeck_preflight::{
    Fix, Report,
    fix::{self, FixPlan, Progress},
};
use flightdeck_verbs::{Preflight, Render, Verb, VerbError};

/// Maximum number of fixes in a row: one may enable the next.
const MAX_FIXES: usize = 3;

/// Options of `preflight` on the command line.
#[derive(Debug, Args)]
pub(super) struct FixOptions {
    /// Commit the files a run reads, and push the branch. Asks first.
    #[arg(long)]
    pub fix: bool,
    /// Fix without asking.
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

/// Runs the command. Returns 5 if a check blocks launches, else 0.
pub(super) async fn preflight(
    session: &Session,
    arguments: &ArgMatches,
    format: Format,
) -> anyhow::Result<u8> {
    let options = FixOptions::from_arg_matches(arguments)?;
    let verb = Preflight::from_arg_matches(arguments)?;
    let context = session.verb_context();
    verb.validate()?;
    if options.fix {
        for _ in 0..MAX_FIXES {
            let facts = context.preflight_facts(&verb.request).await;
            let Some(fix) = safe_fix(&Report::of(&facts)) else {
                break;
            };
            let plan = fix::plan(&facts, fix).await;
            let plan = plan.map_err(|error| VerbError::Failed(error.to_string()))?;
            show(&plan);
            if !(options.yes || confirmed()?) {
                break;
            }
            run(&plan).await?;
        }
    }
    let report = verb.run(&context).await?;
    output::render(&report, format)?;
    Ok(report.exit_code())
}

/// Returns the most comprehensive safe fix: a push needs the commit.
fn safe_fix(report: &Report) -> Option<Fix> {
    let offered = |fix: Fix| report.checks.iter().any(|check| check.fix == Some(fix));
    [Fix::CommitAndPush, Fix::Commit, Fix::Push]
        .into_iter()
        .find(|fix| offered(*fix))
}

/// Shows the commands on stderr; stdout is for the report.
fn show(plan: &FixPlan) {
    let line = output::notice;
    line("Commands:");
    for command in &plan.commands {
        line(&format!("  {command}"));
    }
    if let Some(destination) = &plan.destination {
        let count = text::count(plan.commits.len(), "commit");
        line(&format!("Pushes {count} to {destination}:"));
        for commit in &plan.commits {
            let short = match commit.short.as_str() {
                "" => "(new)",
                short => short,
            };
            line(&format!("  {short} {} ({})", commit.subject, commit.author));
        }
    }
}

/// Asks for confirmation; fails without a terminal.
fn confirmed() -> Result<bool, VerbError> {
    let asked = output::confirm("Run these commands?");
    let asked = asked.map_err(|error| VerbError::Failed(format!("reading the answer: {error}")))?;
    asked.ok_or_else(|| {
        VerbError::Usage(
            "--fix needs a terminal to ask for confirmation; use --yes to skip it".into(),
        )
    })
}

/// Runs the commands with their output on stderr. Ctrl-C cancels the current command.
async fn run(plan: &FixPlan) -> Result<(), VerbError> {
    let cancel = CancellationToken::new();
    let report = |progress: Progress| match progress {
        Progress::Started(command) => output::notice(&format!("$ {command}")),
        Progress::Output(line) if line.overwritten => {}
        Progress::Output(line) => output::notice(&format!("  {}", line.text)),
    };
    let applied = fix::apply(plan, &cancel, report);
    tokio::pin!(applied);
    let applied = tokio::select! {
        applied = &mut applied => applied,
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            applied.await
        }
    };
    applied.map(drop).map_err(|unfinished| {
        VerbError::Failed(text::sanitize(&unfinished.to_string()).into_owned())
    })
}
