//! `prep setup`: sets up the agent's workspace from the clone in the handover. Holds no credential.

mod start;
mod volume;

use std::{fs, path::Path};

use super::{
    checkout,
    clone::{REPORT, REPOSITORY},
    docs,
    environment::{StageEnv, read_json},
    error::StageError,
    lfs, log, plan,
    remote::local,
    submodules,
};
use flightdeck_core::runs::{RunManifest, StageReport, naming};
use start::Start;

/// Author name of the agent's commits.
pub(crate) const AGENT_NAME: &str = "Flightdeck agent";

/// Returns the author address of the agent's commits. It contains the run's name, to recognize the run's own branches.
pub(crate) fn agent_email(run: &str) -> String {
    format!("no-reply+{run}@flightdeck.dev")
}

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let manifest = &stage.manifest;
    let report: StageReport = read_json(&stage.handover()?.join(REPORT))?;
    let source = report.commit.clone().unwrap_or_default();
    volume::check_writable(&stage)?;
    let (handover, repo) = (stage.handover()?, stage.checkout()?);
    let prefix = naming::directory_prefix(&manifest.working_directory);
    let start = if manifest.continues() {
        start::find(&stage, &source).await?
    } else {
        Start::new(source)
    };
    let memory = if manifest.overwrite_memory || manifest.context_version <= 1 {
        None
    } else {
        checkout::memory_of(&repo, &prefix)
    };
    if !manifest.continues() {
        // An attempt that starts over has no home, session or work of an earlier one.
        checkout::clear(&stage.run_directory()?)?;
    }
    let home = stage.home()?;
    fs::create_dir_all(&home).map_err(StageError::file("create", home))?;

    if start.in_place {
        log(format!(
            "Continuing in the checkout of the previous attempt, at {}.",
            start.commit
        ));
    } else {
        checkout::clear(&repo)?;
        let clone = handover.join(REPOSITORY);
        check_out(&clone, &repo, manifest, &start.commit).await?;
        if start.diverged {
            start::keep(&clone, &repo, manifest.context_version).await?;
        }
        lfs::replace_pointers(&clone, &repo).await?;
        submodules::check_out(handover, &repo).await?;
        stage.project()?;
        checkout::add_memory(&stage.run_files, &repo, &prefix, memory).await?;
        log(format!(
            "Checked out {} as branch {}.",
            start.commit, manifest.target_branch
        ));
    }
    stage.set_base(&start.base)?;
    plan::update(handover, &repo).await?;
    docs::add_to_checkout(handover, &repo, &prefix).await?;
    volume::remove_old(&stage);
    Ok(StageReport {
        commit: Some(start.base),
        ..report
    })
}

/// Creates a checkout without a remote, whose commits have the agent's name.
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
    // Not part of the source branch if the attempt continues.
    local(to)
        .args(["fetch", "--quiet", "--no-tags", "--"])
        .arg(from)
        .arg(commit)
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
