//! `ledger prune`: removes archived runs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::blocking;
use crate::{Context, Plan, PlannedVerb, Render, Table, VerbError, View, age::parse_age};
use flightdeck_core::text;
use flightdeck_host::ledger::{self, PrunedRun, Retention};

const DAY: i64 = 24 * 60 * 60;

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
}

fn days(word: &str) -> Result<u64, String> {
    let seconds = parse_age(word).ok_or("expected an age in days, like 90d")?;
    u64::try_from(seconds / DAY)
        .ok()
        .filter(|days| *days > 0)
        .ok_or_else(|| "at least 1d".into())
}

/// Archived runs to remove, oldest first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PrunePlan {
    #[schemars(with = "Vec<Value>")]
    pub runs: Vec<PrunedRun>,
    /// Size of the remaining runs, in bytes.
    pub stays: u64,
}

/// Removed runs.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PruneResult {
    #[schemars(with = "Vec<Value>")]
    pub runs: Vec<PrunedRun>,
    /// Size of the remaining runs, in bytes.
    pub stays: u64,
    /// Runs that were kept because they are being written.
    pub busy: usize,
}

impl PruneLedger {
    fn retention(&self, context: &Context) -> Retention {
        match (self.older, self.max_mib) {
            (None, None) => Retention::of(&context.settings.ledger),
            (days, mib) => Retention::new(days.unwrap_or(0), mib.unwrap_or(0)),
        }
    }
}

impl PlannedVerb for PruneLedger {
    const NAME: &'static str = "ledger prune";
    const ABOUT: &'static str = "Remove archived runs beyond the limits in the settings";
    type Plan = PrunePlan;

    async fn plan(self, context: &Context) -> Result<PrunePlan, VerbError> {
        let retention = self.retention(context);
        let plan = blocking(context, move |ledger| {
            ledger.plan_prune(&retention, Timestamp::now())
        });
        let ledger::PrunePlan { runs, stays } = plan.await?;
        Ok(PrunePlan { runs, stays })
    }
}

impl Plan for PrunePlan {
    type Output = PruneResult;

    fn question(&self) -> Option<String> {
        let runs = text::count(self.runs.len(), "run");
        (!self.runs.is_empty()).then(|| format!("Remove {runs} from the ledger?"))
    }

    /// Runs that are being written stay.
    async fn apply(self, context: &Context) -> Result<PruneResult, VerbError> {
        let (planned, stays) = (self.runs.len(), self.stays);
        let plan = ledger::PrunePlan {
            runs: self.runs,
            stays,
        };
        let runs = blocking(context, move |ledger| ledger.prune(&plan)).await?;
        Ok(PruneResult {
            busy: planned - runs.len(),
            runs,
            stays,
        })
    }
}

/// Returns the names of runs. The remains of a partly removed run have none.
fn names(runs: &[PrunedRun]) -> Vec<String> {
    runs.iter().map(|run| run.name.clone()).collect()
}

impl Render for PrunePlan {
    fn names(&self) -> Vec<String> {
        names(&self.runs)
    }

    fn view(&self) -> View {
        if self.runs.is_empty() {
            return View::Notices;
        }
        let row = |run: &PrunedRun| {
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
        let empty = self.runs.is_empty().then(|| "nothing to remove".to_owned());
        empty.into_iter().collect()
    }
}

impl Render for PruneResult {
    fn names(&self) -> Vec<String> {
        names(&self.runs)
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let bytes = self.runs.iter().map(|run| run.bytes).sum();
        let runs = text::count(self.runs.len(), "run");
        let removed = format!("Removed {runs}, freed {}", text::bytes(bytes));
        let busy = (self.busy > 0).then(|| {
            let runs = text::count(self.busy, "run");
            format!("Kept {runs} that are being written")
        });
        std::iter::once(removed).chain(busy).collect()
    }
}
