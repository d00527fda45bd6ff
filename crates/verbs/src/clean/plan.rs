//! What `clean` selected, and its deletion.

use schemars::JsonSchema;
use serde::Serialize;

use super::{HeldRun, Leftover, Rule, finalizers};
use crate::{
    ClusterContext, Context, Deleted, Plan, Render, Table, VerbError, View, delete::delete,
};
use flightdeck_core::text;

/// A run to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    pub name: String,
    pub uid: String,
    pub rule: Rule,
    /// Explains the rule for this run, as a phrase.
    pub why: String,
    /// What is deleted with the run.
    pub frees: String,
    /// Kept on the remote.
    pub branch: Option<String>,
    /// Kept open.
    pub pull_request_url: Option<String>,
}

/// Runs and objects to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CleanSelection {
    pub candidates: Vec<Candidate>,
    /// Objects that belong to no run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Leftover>,
}

/// What `clean` is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CleanPlan {
    /// Delete runs and objects.
    Delete {
        #[serde(flatten)]
        selection: CleanSelection,
        /// Cluster and namespace, for the question.
        #[serde(skip)]
        target: String,
    },
    /// Remove finalizers.
    Finalizers {
        runs: Vec<HeldRun>,
        /// Cluster and namespace, for the question.
        #[serde(skip)]
        target: String,
    },
}

/// What `clean` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CleanReport {
    pub deleted: Vec<Deleted>,
    /// Deleted objects, and runs without their finalizer, as `Kind name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Names, with the reason as a sentence.
    pub failed: Vec<(String, String)>,
}

impl CleanSelection {
    /// Whether there is nothing to delete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.leftovers.is_empty()
    }

    /// Deletes everything, continuing after failures. Calls `progress` with each name before it is deleted.
    pub async fn delete(
        &self,
        cluster: &ClusterContext,
        mut progress: impl FnMut(&str),
    ) -> CleanReport {
        let mut report = CleanReport::default();
        for candidate in &self.candidates {
            let Candidate { name, uid, .. } = candidate;
            progress(name);
            // A finished run that was retried since the selection is not deleted.
            let force = candidate.rule == Rule::Stuck;
            match delete(cluster, name, uid, force).await {
                Ok(deleted) => report.deleted.push(deleted),
                Err(error) => report.failed.push((name.clone(), error.to_string())),
            }
        }
        for leftover in &self.leftovers {
            let name = format!("{} {}", leftover.kind, leftover.name);
            progress(&name);
            match leftover.delete(cluster).await {
                Ok(()) => report.removed.push(name),
                Err(error) => report.failed.push((name, error.to_string())),
            }
        }
        report
    }

    /// Describes the size of the selection: `2 runs and 1 object`.
    fn size(&self) -> String {
        let count = |n: usize, what| (n > 0).then(|| text::count(n, what));
        let runs = count(self.candidates.len(), "run");
        let objects = count(self.leftovers.len(), "object");
        let sizes: Vec<String> = runs.into_iter().chain(objects).collect();
        sizes.join(" and ")
    }
}

impl Plan for CleanPlan {
    type Output = CleanReport;

    fn question(&self) -> Option<String> {
        match self {
            Self::Delete { selection, target } => {
                let size = selection.size();
                (!selection.is_empty()).then(|| format!("Delete {size} on {target}?"))
            }
            Self::Finalizers { runs, target } => (!runs.is_empty()).then(|| {
                let runs = text::count(runs.len(), "run");
                format!(
                    "Remove the finalizer of {runs} on {target}? Pods that still run are not stopped first."
                )
            }),
        }
    }

    async fn apply(self, context: &Context) -> Result<CleanReport, VerbError> {
        let cluster = context.cluster().await?;
        match self {
            Self::Delete { selection, .. } => {
                let progress = |name: &str| context.access().notice(&format!("Deleting {name}"));
                Ok(selection.delete(cluster, progress).await)
            }
            Self::Finalizers { runs, .. } => finalizers::release(cluster, &runs).await,
        }
    }
}

impl Render for CleanPlan {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Delete { selection, .. } => {
                let runs = selection.candidates.iter().map(|run| run.name.clone());
                runs.chain(selection.leftovers.iter().map(Leftover::path))
                    .collect()
            }
            Self::Finalizers { runs, .. } => runs.iter().map(HeldRun::path).collect(),
        }
    }

    fn view(&self) -> View {
        if self.question().is_none() {
            return View::Notices;
        }
        match self {
            Self::Delete { selection, .. } => {
                let runs = selection.candidates.iter().map(|run| {
                    vec![
                        run.name.clone(),
                        run.rule.as_str().to_owned(),
                        run.why.clone(),
                        run.frees.clone(),
                    ]
                });
                let objects = selection.leftovers.iter().map(|leftover| {
                    vec![
                        leftover.path(),
                        leftover.rule.as_str().to_owned(),
                        leftover.why.clone(),
                        format!("uid {}", leftover.uid),
                    ]
                });
                View::Table(Table::new(
                    &["NAME", "RULE", "WHY", "FREES"],
                    runs.chain(objects).collect(),
                ))
            }
            Self::Finalizers { runs, .. } => {
                let row = |run: &HeldRun| {
                    vec![
                        run.path(),
                        run.uid.clone(),
                        run.deleted_at.clone(),
                        text::count(run.live_pods, "pod"),
                    ]
                };
                View::Table(Table::new(
                    &["NAME", "UID", "DELETED", "STILL RUNNING"],
                    runs.iter().map(row).collect(),
                ))
            }
        }
    }

    fn notices(&self) -> Vec<String> {
        let sentence = match self {
            _ if self.question().is_some() => return Vec::new(),
            Self::Delete { .. } => "nothing to clean",
            Self::Finalizers { .. } => "no run waits for a controller",
        };
        vec![sentence.into()]
    }
}

impl Render for CleanReport {
    fn names(&self) -> Vec<String> {
        let runs = self.deleted.iter().map(|run| run.name.clone());
        runs.chain(self.removed.iter().cloned()).collect()
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let kept = self.deleted.iter().filter_map(|run| {
            let kept = run.kept()?;
            Some(format!("{}: {kept}", run.name))
        });
        let cleaned = self.deleted.len() + self.removed.len();
        kept.chain([format!("Cleaned {}", text::count(cleaned, "object"))])
            .collect()
    }

    fn warnings(&self) -> Vec<String> {
        let failed = self.failed.iter();
        failed.map(|(name, why)| format!("{name}: {why}")).collect()
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.failed.is_empty())
    }
}
