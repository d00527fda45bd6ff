//! `ledger list`, `ledger show` and `ledger prune`: the archived runs on this machine.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{Context, Render, Table, Verb, VerbError, View, parse_age, runs::resource};
use flightdeck_core::text;
use flightdeck_host::ledger::{Entry, Ledger, LedgerError, PrunePlan, PrunedRun, Retention};

const DAY: i64 = 24 * 60 * 60;

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

/// Removes archived runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PruneLedger {
    /// Remove runs not written for this long: 12h, 90d. Default: `keep_days` in the settings.
    #[arg(long, value_name = "AGE", value_parser = days)]
    pub older: Option<u64>,
    /// Remove the oldest runs until all fit into this many MiB. Default: `total_mib` in the settings.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_mib: Option<u64>,
    /// Only show what would be removed.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

fn days(word: &str) -> Result<u64, String> {
    let seconds = parse_age(word).ok_or("expected an age in days, like 90d")?;
    u64::try_from(seconds / DAY)
        .ok()
        .filter(|days| *days > 0)
        .ok_or_else(|| "at least 1d".into())
}

/// Removed runs, or runs to remove.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PruneResult {
    #[schemars(with = "Vec<Value>")]
    pub runs: Vec<PrunedRun>,
    pub stays: u64,
    /// The plan, until it is applied.
    #[serde(skip)]
    #[schemars(skip)]
    plan: Option<PrunePlan>,
}

impl PruneLedger {
    fn retention(&self, context: &Context) -> Retention {
        match (self.older, self.max_mib) {
            (None, None) => Retention::of(&context.settings.ledger),
            (days, mib) => Retention::new(days.unwrap_or(0), mib.unwrap_or(0)),
        }
    }
}

impl Verb for PruneLedger {
    const NAME: &'static str = "ledger prune";
    const ABOUT: &'static str = "Remove archived runs beyond the limits in the settings";
    type Output = PruneResult;

    async fn run(self, context: &Context) -> Result<PruneResult, VerbError> {
        let retention = self.retention(context);
        let plan = blocking(context, move |ledger| {
            ledger.plan_prune(&retention, Timestamp::now())
        });
        let planned = PruneResult::planned(plan.await?);
        if self.dry_run {
            return Ok(planned);
        }
        planned.apply(context).await
    }
}

impl PruneResult {
    fn planned(plan: PrunePlan) -> Self {
        Self {
            runs: plan.runs.clone(),
            stays: plan.stays,
            plan: Some(plan),
        }
    }

    /// Removes the runs of the plan. Runs that are being written stay.
    pub async fn apply(self, context: &Context) -> Result<Self, VerbError> {
        let Some(plan) = self.plan else {
            return Ok(self);
        };
        let removed = blocking(context, move |ledger| ledger.prune(&plan)).await?;
        Ok(Self {
            runs: removed,
            stays: self.stays,
            plan: None,
        })
    }
}

impl Render for PruneResult {
    fn names(&self) -> Vec<String> {
        self.runs.iter().map(|run| run.name.clone()).collect()
    }

    fn view(&self) -> View {
        if self.runs.is_empty() {
            return View::Notices;
        }
        let row = |run: &PrunedRun| {
            // What a crash left of a run has no name.
            let name = if run.name.is_empty() {
                &run.uid
            } else {
                &run.name
            };
            vec![name.clone(), text::bytes(run.bytes), run.why.clone()]
        };
        View::Table(Table::new(
            &["NAME", "SIZE", "REASON"],
            self.runs.iter().map(row).collect(),
        ))
    }

    fn notices(&self) -> Vec<String> {
        let bytes = self.runs.iter().map(|run| run.bytes).sum();
        match (&self.plan, self.runs.len()) {
            (Some(_), 0) => vec!["nothing to remove".into()],
            (Some(_), _) => Vec::new(),
            (None, runs) => vec![format!(
                "Removed {}, freed {}",
                text::count(runs, "run"),
                text::bytes(bytes)
            )],
        }
    }
}
