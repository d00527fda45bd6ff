//! `clean`: deletes runs and objects that are no longer needed, by rule.

mod finalizers;
mod leftovers;
mod plan;
mod select;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    finalizers::HeldRun,
    leftovers::{Leftover, NamespaceObjects},
    plan::{Candidate, CleanPlan, CleanReport, CleanSelection},
};
use super::{Context, PlannedVerb, Scope, VerbError, age::parse_age};
use flightdeck_core::runs::Run;

/// Selects runs and objects to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Clean {
    /// Runs of all repositories.
    #[arg(long, short = 'A')]
    #[serde(default)]
    pub all: bool,
    /// Select finished runs older than this, and workspaces unused for as long: 90s, 15m, 12h, 3d. Default: 3d, workspaces 30d.
    #[arg(long, value_name = "AGE")]
    pub older: Option<String>,
    /// Only runs of this phase.
    #[arg(long)]
    pub phase: Option<String>,
    /// Only this rule; repeat for several. Orphans and workspaces belong to no repository and are selected only by their rules.
    #[arg(long = "rule", value_enum)]
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// All finished runs of any age.
    #[arg(long)]
    #[serde(default)]
    pub finished: bool,
    /// Remove the finalizer of runs being deleted whose controller is gone.
    #[arg(long, conflicts_with_all = ["all", "older", "phase", "rules", "finished"])]
    #[serde(default)]
    pub finalizers: bool,
}

/// Why a run or an object is selected.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    clap::ValueEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// A later run did the same work and succeeded, and this run holds no unpushed work.
    Superseded,
    /// The run ended before the age limit.
    Finished,
    /// The run has been pending for an hour without a pod.
    Stuck,
    /// An object whose run no longer exists.
    Orphan,
    /// A workspace of code runs that has been unused for a long time.
    Workspace,
}

impl Rule {
    /// Rules about runs. A run is listed under the first that applies.
    pub const ALL: [Self; 3] = [Self::Superseded, Self::Finished, Self::Stuck];

    /// Returns the name, as in `--rule`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Finished => "finished",
            Self::Stuck => "stuck",
            Self::Orphan => "orphan",
            Self::Workspace => "workspace",
        }
    }
}

impl Clean {
    /// Whether runs are selected: unless only rules about other objects are given.
    #[must_use]
    pub fn wants_runs(&self) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| Rule::ALL.contains(rule))
    }

    /// Returns the runs to select from. Without `all`, these are the runs of this repository; none if it is unknown.
    async fn runs_in_scope(&self, context: &Context) -> Result<Vec<Run>, VerbError> {
        if !self.wants_runs() {
            return Ok(Vec::new());
        }
        let cluster = context.cluster().await?;
        match context.scope(self.all).await {
            Scope::All => cluster.runs(None).await,
            Scope::Repository(label) => cluster.runs(Some(&label)).await,
            Scope::Unknown(why) => {
                context.access().notice(&format!(
                    "{why}: no runs are selected; -A cleans the runs of all repositories"
                ));
                Ok(Vec::new())
            }
        }
    }
}

impl PlannedVerb for Clean {
    const NAME: &'static str = "clean";
    const ABOUT: &'static str = "Find and delete runs that are no longer needed";
    type Plan = CleanPlan;

    async fn plan(self, context: &Context) -> Result<CleanPlan, VerbError> {
        let cluster = context.cluster().await?;
        let target = context.target().await?;
        if self.finalizers {
            let runs = finalizers::held_runs(cluster).await?;
            return Ok(CleanPlan::Finalizers { runs, target });
        }
        let now = Timestamp::now();
        let runs = self.runs_in_scope(context).await?;
        let candidates = self.select(&runs, now)?;
        let leftovers = if self.wants_leftovers() {
            let objects = NamespaceObjects::list(cluster).await?;
            self.select_leftovers(&objects, now)?
        } else {
            Vec::new()
        };
        let selection = CleanSelection {
            candidates,
            leftovers,
        };
        Ok(CleanPlan::Delete { selection, target })
    }
}

/// Parses the value of `--older`. Returns seconds.
fn older(age: &str) -> Result<i64, VerbError> {
    parse_age(age).ok_or_else(|| {
        VerbError::Usage(format!(
            "invalid --older {age}; expected an age like 90s, 15m, 12h or 3d"
        ))
    })
}
