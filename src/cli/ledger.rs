//! `flightdeck ledger`: what is kept of runs on this machine, how much it takes, and what may go.

use std::io;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Format, Session, output};
use flightdeck_core::text;
use flightdeck_host::ledger::{Entry, Ledger, PrunePlan, Retention};
use flightdeck_verbs::{VerbError, parse_age};

const DAY: i64 = 24 * 60 * 60;

/// `ledger ...`
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// The runs that are kept, newest first, of every repository and cluster.
    List {
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// What is kept of one run. Its log: `runs logs NAME`.
    Show {
        name: String,
        #[arg(long, short, value_enum, default_value_t = Format::Yaml)]
        output: Format,
    },
    /// Remove what is older or more than the settings keep.
    Prune(PruneArguments),
}

/// `ledger prune`
#[derive(Debug, Args)]
pub struct PruneArguments {
    /// Remove runs that were not written for this long: 12h, 90d. Default: `keep_days` of the settings.
    #[arg(long, value_name = "AGE", value_parser = days)]
    pub older: Option<u64>,
    /// Remove the oldest runs until all take at most so many MiB. Default: `total_mib` of the settings.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_mib: Option<u64>,
    /// Print what would go, and remove nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Remove without asking.
    #[arg(long)]
    pub yes: bool,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

fn days(word: &str) -> Result<u64, String> {
    let seconds = parse_age(word).ok_or("write an age in days, like 90d")?;
    u64::try_from(seconds / DAY)
        .ok()
        .filter(|days| *days > 0)
        .ok_or_else(|| "at least 1d".into())
}

/// Runs the command.
pub async fn ledger(session: &Session, command: LedgerCommand) -> anyhow::Result<u8> {
    let ledger = Ledger::open(&session.paths.ledger)?.with_settings(&session.settings.ledger);
    let settings = session.settings.ledger;
    // All of it reads the disk.
    spawn_blocking(move || match command {
        LedgerCommand::List { output } => list(&ledger, output),
        LedgerCommand::Show { name, output } => show(&ledger, &name, output),
        LedgerCommand::Prune(arguments) => {
            let retention = match (arguments.older, arguments.max_mib) {
                (None, None) => Retention::of(&settings),
                (days, mib) => Retention::new(days.unwrap_or(0), mib.unwrap_or(0)),
            };
            prune(&ledger, &retention, &arguments)
        }
    })
    .await?
}

fn list(ledger: &Ledger, format: Format) -> anyhow::Result<u8> {
    let entries = ledger.list()?;
    match format {
        Format::Name => entries
            .iter()
            .try_for_each(|entry| output::line(entry.run.name()))?,
        Format::Table => {
            let now = Timestamp::now();
            let rows: Vec<[String; 7]> = entries.iter().map(|entry| row(entry, now)).collect();
            output::table(
                [
                    "KIND", "NAME", "PHASE", "COST", "WRITTEN", "SIZE", "CLUSTER",
                ],
                &rows,
            )?;
            let bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
            output::notice(&format!(
                "{} kept: {} in {}",
                text::count(entries.len(), "run"),
                text::bytes(bytes),
                ledger.directory().display()
            ));
        }
        format => {
            let values: Vec<Value> = entries.iter().map(summary).collect();
            output::value(format, &values)?;
        }
    }
    Ok(0)
}

fn row(entry: &Entry, now: Timestamp) -> [String; 7] {
    let cost = entry.usage().map_or_else(String::new, |usage| {
        format!("${:.2}", usage.cost_micro_usd as f64 / 1e6)
    });
    let cluster = match &entry.removed {
        Some(removed) => format!("deleted by {}", removed.by),
        None => String::new(),
    };
    [
        entry.run.kind.to_string(),
        entry.run.name().to_owned(),
        entry.run.phase().as_str().to_owned(),
        cost,
        text::age(now.duration_since(entry.written).as_secs()),
        text::bytes(entry.bytes),
        cluster,
    ]
}

fn summary(entry: &Entry) -> Value {
    json!({
        "name": entry.run.name(),
        "uid": entry.run.uid(),
        "kind": entry.run.kind,
        "phase": entry.run.phase().as_str(),
        "usage": entry.usage(),
        "written": entry.written,
        "removed": entry.removed,
        "bytes": entry.bytes,
        "logBytes": entry.log_bytes,
    })
}

fn show(ledger: &Ledger, name: &str, format: Format) -> anyhow::Result<u8> {
    let entry = ledger.find(name)?.ok_or_else(|| {
        VerbError::NotFound(format!(
            "the ledger knows no run {name}; flightdeck ledger list shows those it knows"
        ))
    })?;
    if format == Format::Name {
        output::line(entry.run.name())?;
        return Ok(0);
    }
    let uid = entry.run.uid().to_owned();
    let sources = ledger.log_sources(&uid)?;
    let sources = sources
        .iter()
        .map(|(source, ended)| json!({ "source": source, "readToItsEnd": ended }));
    let files = ledger.files(&uid)?.unwrap_or_default();
    let mut value = summary(&entry);
    value["log"] =
        json!({ "lines": ledger.log_lines(&uid)?, "sources": sources.collect::<Vec<_>>() });
    value["files"] = json!(files.keys().collect::<Vec<_>>());
    let status = json!(entry.run.status);
    value["run"] = entry.run.into_resource();
    value["run"]["status"] = status;
    output::value(format, &value)?;
    Ok(0)
}

fn prune(ledger: &Ledger, retention: &Retention, arguments: &PruneArguments) -> anyhow::Result<u8> {
    let plan = ledger.plan_prune(retention, Timestamp::now())?;
    match arguments.output {
        Format::Name => plan
            .runs
            .iter()
            .try_for_each(|run| output::line(&run.name))?,
        Format::Table if plan.runs.is_empty() => output::notice("nothing to remove"),
        Format::Table => {
            let rows = plan.runs.iter().map(|run| {
                let name = if run.name.is_empty() {
                    &run.uid
                } else {
                    &run.name
                };
                [name.clone(), text::bytes(run.bytes), run.why.clone()]
            });
            output::table(["NAME", "SIZE", "WHY"], &rows.collect::<Vec<_>>())?;
        }
        format => output::value(format, &plan)?,
    }
    if plan.runs.is_empty() || arguments.dry_run || !(arguments.yes || asked(&plan)?) {
        return Ok(0);
    }
    let removed = ledger.prune(&plan)?;
    let bytes: u64 = removed.iter().map(|run| run.bytes).sum();
    output::notice(&format!(
        "{} removed, {} freed",
        text::count(removed.len(), "run"),
        text::bytes(bytes)
    ));
    let written = plan.runs.len() - removed.len();
    if written > 0 {
        output::notice(&format!(
            "{} stay: they are being written",
            text::count(written, "run")
        ));
    }
    Ok(0)
}

/// Asks on a terminal; anywhere else the answer is no.
fn asked(plan: &PrunePlan) -> io::Result<bool> {
    let runs = text::count(plan.runs.len(), "run");
    let agreed = output::agreed(&format!("Remove what is kept of {runs}, for good?"))?;
    if agreed.is_none() {
        output::notice("nothing was removed; --yes removes");
    }
    Ok(agreed == Some(true))
}
