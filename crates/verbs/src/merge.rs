//! `runs merge`: merges the branch of a run into the current branch.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Plan, PlannedVerb, Render, VerbError, View};
use flightdeck_core::text;
use flightdeck_host::repository::{
    self, Facts,
    merge::{self, How, MergePlan},
};

/// Merges the branch of a run.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Merge {
    /// Name of the run.
    pub name: String,
}

/// A merge to confirm.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BranchMerge {
    /// Branch of the run.
    pub branch: String,
    /// Commit to merge.
    pub commit: String,
    /// Current branch.
    pub into: String,
    /// Changed files.
    pub files: usize,
    pub added: usize,
    pub removed: usize,
    /// The git command; empty if the branch is already merged.
    pub command: String,
    #[serde(skip)]
    #[schemars(skip)]
    plan: MergePlan,
    #[serde(skip)]
    #[schemars(skip)]
    repository: Facts,
}

/// A merged branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MergedBranch {
    pub branch: String,
    pub into: String,
}

impl PlannedVerb for Merge {
    const NAME: &'static str = "runs merge";
    const ABOUT: &'static str = "Merge the branch of a run into the current one";
    type Plan = BranchMerge;

    /// Fetches the branch. Does not change the work tree.
    async fn plan(self, context: &Context) -> Result<BranchMerge, VerbError> {
        let run = context.cluster().await?.run(&self.name).await?;
        if run.status.commit.is_none() {
            return Err(VerbError::Conflict(format!(
                "run {} has not pushed a branch",
                self.name
            )));
        }
        let repository = repository::read(&context.start).await.map_err(failed)?;
        let plan = merge::plan(&repository, &run.branch())
            .await
            .map_err(failed)?;
        let (added, removed) = plan.diff.totals();
        Ok(BranchMerge {
            branch: plan.branch.clone(),
            commit: plan.commit.clone(),
            into: plan.into.clone(),
            files: plan.diff.files.len(),
            added,
            removed,
            command: plan.command.clone(),
            plan,
            repository,
        })
    }
}

/// Converts an error of git, which may quote remote text.
fn failed(error: impl Display) -> VerbError {
    VerbError::Failed(text::sanitize(&error.to_string()).into_owned())
}

impl Plan for BranchMerge {
    type Output = MergedBranch;

    fn question(&self) -> Option<String> {
        (self.plan.how != How::Already)
            .then(|| format!("Merge {} into {}?", self.branch, self.into))
    }

    async fn apply(self, _: &Context) -> Result<MergedBranch, VerbError> {
        merge::apply(&self.repository, &self.plan)
            .await
            .map_err(failed)?;
        Ok(MergedBranch {
            branch: self.branch,
            into: self.into,
        })
    }
}

impl Render for BranchMerge {
    fn names(&self) -> Vec<String> {
        vec![self.branch.clone()]
    }

    fn view(&self) -> View {
        View::Text(self.plan.diff.text.lines().map(str::to_owned).collect())
    }

    fn notices(&self) -> Vec<String> {
        let Self { branch, into, .. } = self;
        if self.plan.how == How::Already {
            return vec![format!("{branch} is already merged into {into}")];
        }
        let files = text::count(self.files, "file");
        let summary = format!(
            "{branch} into {into}: {files}, +{} -{}",
            self.added, self.removed
        );
        let note = self.plan.diff.note.clone();
        let command = format!("  {}", self.command);
        [summary].into_iter().chain(note).chain([command]).collect()
    }
}

impl Render for MergedBranch {
    fn names(&self) -> Vec<String> {
        vec![self.branch.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        vec![format!("Merged {} into {}", self.branch, self.into)]
    }
}
