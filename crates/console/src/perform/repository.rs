//! Merges of run branches.

use std::path::Path;

use super::performer::Performer;
use crate::effect::{Outcome, RepositoryEffect};
use flightdeck_host::repository::{
    self, Facts,
    merge::{self, MergePlan},
};

pub(super) fn perform(performer: &mut Performer, effect: RepositoryEffect) {
    let local = performer.local.clone();
    match effect {
        RepositoryEffect::PlanMerge(branch) => performer.spawn_detached(async move {
            Outcome::MergePlanned(plan_merge(local.start(), &branch).await.map(Box::new))
        }),
        RepositoryEffect::Merge(plan) => performer
            .spawn_detached(async move { Outcome::Merged(merge(local.start(), &plan).await) }),
    }
}

/// Fetches a branch and works out what merging it would change.
async fn plan_merge(start: &Path, branch: &str) -> Result<MergePlan, String> {
    let facts = facts(start).await?;
    let plan = merge::plan(&facts, branch).await;
    plan.map_err(|error| error.to_string())
}

async fn merge(start: &Path, plan: &MergePlan) -> Result<String, String> {
    let facts = facts(start).await?;
    let merged = merge::apply(&facts, plan).await;
    merged.map_err(|error| error.to_string())?;
    Ok(format!("Merged {} into {}", plan.branch, plan.into))
}

async fn facts(start: &Path) -> Result<Facts, String> {
    let facts = repository::read(start).await;
    facts.map_err(|error| error.to_string())
}
