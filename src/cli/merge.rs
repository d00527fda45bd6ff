//! `runs merge`: merges the branch of a run into the current one.

use super::{Session, output};
use flightdeck_core::text;
use flightdeck_host::repository::{
    self,
    merge::{self, How},
};
use flightdeck_verbs::{ClusterContext, VerbError};

/// Shows the changes; merges them with `yes`.
pub(super) async fn merge(
    session: &Session,
    context: &ClusterContext,
    name: &str,
    yes: bool,
) -> anyhow::Result<u8> {
    let run = context.run(name).await?;
    if run.status.commit.is_none() {
        return Err(VerbError::Conflict(format!("run {name} has not pushed a branch")).into());
    }
    let failed = |error: &dyn std::fmt::Display| {
        VerbError::Failed(text::sanitize(&error.to_string()).into_owned())
    };
    let facts = repository::read(&session.place.repo)
        .await
        .map_err(|error| failed(&error))?;
    let plan = merge::plan(&facts, &run.branch())
        .await
        .map_err(|error| failed(&error))?;
    if plan.how == How::Already {
        output::notice(&format!(
            "{} is already merged into {}",
            plan.branch, plan.into
        ));
        return Ok(0);
    }
    let (added, removed) = plan.diff.totals();
    let files = text::count(plan.diff.files.len(), "file");
    output::notice(&format!(
        "{} into {}: {files}, +{added} -{removed}",
        plan.branch, plan.into
    ));
    if let Some(note) = &plan.diff.note {
        output::notice(note);
    }
    output::notice(&format!("  {}", plan.command));
    if !yes {
        for line in plan.diff.text.lines() {
            output::line(line)?;
        }
        output::notice("Nothing was merged; use --yes to merge");
        return Ok(0);
    }
    merge::apply(&facts, &plan)
        .await
        .map_err(|error| failed(&error))?;
    output::notice("Merged");
    Ok(0)
}
