//! `prep setup`: sets up the agent's workspace from the clone in the handover. Holds no credential.

mod volume;

use std::{fs, path::Path};

use super::{
    checkout,
    clone::{REPORT, REPOSITORY},
    docs,
    environment::{StageEnv, read_json},
    error::StageError,
    lfs, log,
    remote::local,
    submodules, verify,
};
use flightdeck_core::runs::{RunManifest, StageReport, naming};

/// Author name of the agent's commits.
const AGENT_NAME: &str = "Flightdeck agent";

/// Returns the author address of the agent's commits. It contains the run's name, to recognize the run's own branches.
pub(crate) fn agent_email(run: &str) -> String {
    format!("no-reply+{run}@flightdeck.dev")
}

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let manifest = &stage.manifest;
    let report: StageReport = read_json(&stage.handover()?.join(REPORT))?;
    let commit = report.commit.clone().unwrap_or_default();
    volume::check_writable(&stage)?;
    if manifest.context_version <= 1 {
        // The first attempt starts without a home, memory or session.
        checkout::clear(&stage.run_directory()?)?;
    }
    let home = stage.home()?;
    fs::create_dir_all(&home).map_err(StageError::file("create", home))?;

    let (handover, repo) = (stage.handover()?, stage.checkout()?);
    let prefix = naming::directory_prefix(&manifest.working_directory);
    let report = if let Some(base) = previous_base(&stage, &report).await? {
        log(format!(
            "Continuing in the checkout of the previous attempt, which started from {base}."
        ));
        stage.set_base(&base)?;
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
        lfs::replace_pointers(&clone, &repo).await?;
        submodules::check_out(handover, &repo).await?;
        stage.project()?;
        checkout::add_memory(&stage.run_files, &repo, &prefix, memory).await?;
        stage.set_base(&commit)?;
        log(format!(
            "Checked out {commit} as branch {}.",
            manifest.target_branch
        ));
        report
    };
    docs::add_to_checkout(handover, &repo, &prefix).await?;
    volume::remove_old(&stage);
    Ok(report)
}

/// Returns the commit the previous attempt started from if this attempt continues in its checkout, which requires that the
/// tasks at that commit equal the verified ones. Reads the clone, because the checkout is untrusted.
async fn previous_base(
    stage: &StageEnv,
    report: &StageReport,
) -> Result<Option<String>, StageError> {
    let manifest = &stage.manifest;
    let continues = manifest.context_version > 1 && manifest.continue_session;
    if !continues || !stage.checkout()?.join(".git").is_dir() {
        return Ok(None);
    }
    let Some(base) = stage.base() else {
        return Ok(None);
    };
    let clone = stage.handover()?.join(REPOSITORY);
    if manifest.docs.is_some() {
        // The tasks are in the docs repository; the verified ones replace the previous ones in the checkout.
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
    log("The tasks changed since the previous attempt: creating a new checkout.");
    Ok(None)
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
