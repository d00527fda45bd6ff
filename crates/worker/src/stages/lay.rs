//! `prep lay`: makes the agent's workspace from the clone in the handover. Holds no credential.

mod room;

use std::{fs, path::Path};

use super::{
    checkout,
    clone::{REPORT, REPOSITORY},
    docs,
    error::StageError,
    lfs,
    place::{Place, read_json},
    remote::local,
    say, submodules, verify,
};
use flightdeck_core::runs::{RunManifest, StageReport, naming};

/// Name the agent's commits bear.
const AGENT_NAME: &str = "Flightdeck agent";

/// E-mail address the agent's commits bear. It names the run, so that a branch can be told to be this run's own work.
pub fn agent_email(run: &str) -> String {
    format!("no-reply+{run}@flightdeck.dev")
}

pub async fn run(place: Place) -> Result<StageReport, StageError> {
    let manifest = &place.manifest;
    let report: StageReport = read_json(&place.handover()?.join(REPORT))?;
    let commit = report.commit.clone().unwrap_or_default();
    room::check_writable(&place)?;
    if manifest.context_version <= 1 {
        // The first attempt takes nothing over: no home, no memory, no session.
        checkout::clear(&place.run_directory()?)?;
    }
    let home = place.home()?;
    fs::create_dir_all(&home).map_err(StageError::file("make", home))?;

    let (handover, repo) = (place.handover()?, place.checkout()?);
    let prefix = naming::directory_prefix(&manifest.working_directory);
    let report = if let Some(base) = earlier_base(&place, &report).await? {
        say(format!(
            "Continuing in the checkout of the earlier attempt, which began at {base}."
        ));
        place.set_base(&base)?;
        StageReport {
            commit: Some(base),
            ..report
        }
    } else {
        let memory = if manifest.overwrite_memory {
            None
        } else {
            checkout::memory_of(&repo, &prefix)
        };
        checkout::clear(&repo)?;
        let clone = handover.join(REPOSITORY);
        check_out(&clone, &repo, manifest, &commit).await?;
        lfs::lay(&clone, &repo).await?;
        submodules::lay(handover, &repo).await?;
        place.project()?;
        checkout::lay_memory(&place.run_files, &repo, &prefix, memory).await?;
        place.set_base(&commit)?;
        say(format!(
            "Checked out {commit} as branch {}.",
            manifest.target_branch
        ));
        report
    };
    docs::lay(handover, &repo, &prefix).await?;
    room::remove_old(&place);
    Ok(report)
}

/// The commit an earlier attempt began at, when this one is to go on in its checkout: only while the tasks there are the
/// very ones that were verified now. The clone is asked, since the checkout has been an agent's.
async fn earlier_base(place: &Place, report: &StageReport) -> Result<Option<String>, StageError> {
    let manifest = &place.manifest;
    let asked = manifest.context_version > 1 && manifest.continue_session;
    if !asked || !place.checkout()?.join(".git").is_dir() {
        return Ok(None);
    }
    let Some(base) = place.base() else {
        return Ok(None);
    };
    let clone = place.handover()?.join(REPOSITORY);
    if manifest.docs.is_some() {
        // The tasks are not in this repository; those that were verified now are laid over the earlier ones.
        let known = local(&clone)
            .args(["cat-file", "-e", &format!("{base}^{{commit}}")])
            .run()
            .await;
        return Ok(known.is_ok().then_some(base));
    }
    for path in verify::candidates(manifest) {
        let blob = local(&clone)
            .args(["rev-parse", "--verify", "--quiet"])
            .arg(format!("{base}:{path}"))
            .run()
            .await;
        if blob.is_ok_and(|blob| Some(blob.text()) == report.tasks_blob) {
            return Ok(Some(base));
        }
    }
    say("The tasks changed since the earlier attempt, so its checkout is made anew.");
    Ok(None)
}

/// A checkout with nothing to push to, whose commits bear the agent's name.
async fn check_out(
    from: &Path,
    to: &Path,
    manifest: &RunManifest,
    commit: &str,
) -> Result<(), StageError> {
    let parent = to.parent().unwrap_or(to);
    local(parent)
        .args([
            "clone",
            "--quiet",
            "--no-checkout",
            "--no-tags",
            "--template=",
        ])
        .arg("--single-branch")
        .arg(format!("--branch={}", manifest.source_branch))
        .arg("--")
        .args([from, to])
        .run()
        .await?;
    let branch = format!("refs/heads/{}", manifest.target_branch);
    let email = agent_email(&manifest.run);
    let steps: &[&[&str]] = &[
        &["update-ref", &branch, commit],
        &["symbolic-ref", "HEAD", &branch],
        &["reset", "--quiet", "--hard"],
        &["remote", "remove", "origin"],
        &["config", "user.name", AGENT_NAME],
        &["config", "user.email", &email],
        &["config", "commit.gpgSign", "false"],
    ];
    for step in steps {
        local(to).args(*step).run().await?;
    }
    Ok(())
}
