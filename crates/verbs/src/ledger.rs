//! `ledger list` and `ledger show`: the archived runs on this machine.

mod prune;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Context, Render, Table, Verb, VerbError, View, runs::resource};
use flightdeck_core::text;
use flightdeck_host::ledger::{Entry, Ledger, LedgerError};
pub use prune::{PruneLedger, PrunePlan, PruneResult};

/// Opens the ledger and runs `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, VerbError> {
    let ledger = context.ledger()?;
    spawn_blocking(move || work(&ledger))
        .await
        .map_err(|error| VerbError::Failed(error.to_string()))?
        .map_err(|error| VerbError::Failed(error.to_string()))
}

/// Lists the archived runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ListLedger {}

/// Archived runs, newest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LedgerEntries {
    entries: Vec<Value>,
    #[serde(skip)]
    #[schemars(skip)]
    rows: Vec<Vec<String>>,
    #[serde(skip)]
    #[schemars(skip)]
    notice: String,
}

impl Verb for ListLedger {
    const NAME: &'static str = "ledger list";
    const ABOUT: &'static str = "List the archived runs of all repositories and clusters";
    type Output = LedgerEntries;

    async fn run(self, context: &Context) -> Result<LedgerEntries, VerbError> {
        blocking(context, |ledger| {
            let entries = ledger.list()?;
            let now = Timestamp::now();
            let bytes = entries.iter().map(|entry| entry.bytes).sum();
            Ok(LedgerEntries {
                entries: entries.iter().map(summary).collect(),
                rows: entries.iter().map(|entry| row(entry, now)).collect(),
                notice: format!(
                    "{}, {} in {}",
                    text::count(entries.len(), "run"),
                    text::bytes(bytes),
                    ledger.directory().display()
                ),
            })
        })
        .await
    }
}

impl Render for LedgerEntries {
    fn names(&self) -> Vec<String> {
        self.rows.iter().map(|row| row[1].clone()).collect()
    }

    fn view(&self) -> View {
        View::Table(Table::new(
            &[
                "KIND", "NAME", "PHASE", "COST", "WRITTEN", "SIZE", "CLUSTER", "+UID",
            ],
            self.rows.clone(),
        ))
    }

    fn notices(&self) -> Vec<String> {
        vec![self.notice.clone()]
    }
}

fn row(entry: &Entry, now: Timestamp) -> Vec<String> {
    let cost = entry.usage().map(|usage| text::usd(usage.cost_micro_usd));
    let removed = entry.removed.as_ref();
    vec![
        entry.run.kind.to_string(),
        entry.run.name().to_owned(),
        entry.run.phase().as_str().to_owned(),
        cost.unwrap_or_default(),
        text::age(now.duration_since(entry.written).as_secs()),
        text::bytes(entry.bytes),
        removed.map_or_else(String::new, |removed| format!("deleted by {}", removed.by)),
        entry.run.uid().to_owned(),
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

/// Shows one archived run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ShowLedger {
    /// Name of the run.
    pub name: String,
}

/// An archived run without its log.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct LedgerEntry(Value);

impl Verb for ShowLedger {
    const NAME: &'static str = "ledger show";
    const ABOUT: &'static str = "Show an archived run; runs logs NAME prints its log";
    type Output = LedgerEntry;

    async fn run(self, context: &Context) -> Result<LedgerEntry, VerbError> {
        let name = self.name.clone();
        let shown = blocking(context, move |ledger| {
            let Some(entry) = ledger.find(&name)? else {
                return Ok(None);
            };
            let uid = entry.run.uid().to_owned();
            let sources = ledger.log_sources(&uid)?;
            let sources = sources
                .iter()
                .map(|(source, complete)| json!({ "source": source, "complete": complete }));
            let sources: Vec<Value> = sources.collect();
            let files = ledger.files(&uid)?.unwrap_or_default();
            let mut value = summary(&entry);
            value["log"] = json!({ "lines": ledger.log_lines(&uid)?, "sources": sources });
            value["files"] = json!(files.keys().collect::<Vec<_>>());
            value["run"] = resource(entry.run);
            Ok(Some(LedgerEntry(value)))
        });
        shown.await?.ok_or_else(|| {
            VerbError::NotFound(format!(
                "no run {} in the ledger; flightdeck ledger list shows all",
                self.name
            ))
        })
    }
}

impl Render for LedgerEntry {
    fn names(&self) -> Vec<String> {
        self.0["name"]
            .as_str()
            .map(str::to_owned)
            .into_iter()
            .collect()
    }

    fn view(&self) -> View {
        // There is no shorter form than the whole entry.
        View::Yaml
    }
}
