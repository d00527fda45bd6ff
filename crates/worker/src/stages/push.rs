//! `publish push`: checks the agent's commits and pushes them. Holds the Git credential, does not mount the workspace.
//!
//! It works in its own bare repository, created from the remote in the manifest and from the untrusted bundle.

use std::path::Path;

use super::{
    branch::{self, SOURCE},
    changes::{self, Mode},
    collect::{BUNDLE, COLLECTED, Collected},
    environment::{StageEnv, read_json},
    error::{StageError, annotated},
    history::{self, Changes},
    log, patch,
    policy::{self, Review, Verdict},
    pull_request, rebuild,
    remote::{self, Remote, local},
    submodules,
};
use flightdeck_core::{
    resources::Documents,
    runs::{RunManifest, StageReport, reason},
    text,
};
use flightdeck_host::repository::git::GitError;

/// The head of the agent's work.
const HEAD: &str = "refs/flightdeck/head";

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let manifest = &stage.manifest;
    let handover = stage.handover()?;
    let collected: Collected = read_json(&handover.join(COLLECTED))?;
    let own = tempfile::tempdir_in(handover).map_err(StageError::file("write to", handover))?;
    let repository = own.path();
    let remote = Remote::new(manifest, remote::token(manifest))?;

    let work = fetch_work(manifest, &remote, repository, handover, &collected).await?;
    let documents = documents_in(repository, manifest, &work.head).await?;
    let Review {
        mut verdict,
        left_out,
    } = policy::check(manifest, &work.changes, documents.as_ref());
    if let Some(refused) = check_nested(manifest, repository, &work, &collected).await {
        verdict = verdict.or_refused_for(refused);
    }
    if let Some(documents) = &documents {
        log(format!(
            "{} of {} documents are complete.",
            documents.written, documents.expected
        ));
    }
    log(format!(
        "The agent changed {}.",
        text::count(work.changes.net.len(), "path")
    ));
    for change in &left_out {
        log(format!("Left out: {change}"));
    }
    let report = StageReport {
        message: policy::left_out_note(&left_out),
        documents,
        ..StageReport::default()
    };
    match verdict {
        Verdict::Refuse { reason, message } => {
            if work.head != work.base {
                patch::write_to_log(repository, &work.base, &work.head).await?;
            }
            return Err(ended(reason, message, report));
        }
        Verdict::AlreadyDone(_)
            if stage
                .agent_failure
                .as_deref()
                .is_some_and(|failure| !is_complete(manifest, &report, failure)) =>
        {
            let message = "the agent made no changes: nothing to push".to_owned();
            return Err(ended(reason::NO_CHANGES, message, report));
        }
        Verdict::AlreadyDone(message) => {
            log(&message);
            return Ok(StageReport {
                message: Some(annotated(message, report.message.as_deref())),
                ..report
            });
        }
        Verdict::Incomplete(_) | Verdict::Publish => {}
    }
    let head = if left_out.is_empty() {
        work.head.clone()
    } else {
        rebuild::documents_commit(manifest, &remote, repository, &work).await?
    };
    let report = push(manifest, &remote, repository, &head, report).await?;
    match (verdict, stage.agent_failure.as_deref()) {
        (Verdict::Incomplete(message), None) => {
            let message = annotated(message, report.message.as_deref());
            Err(ended(reason::INCOMPLETE, message, report))
        }
        (Verdict::Incomplete(_), Some(_)) => Ok(partial(report)),
        (_, Some(failure)) if !is_complete(manifest, &report, failure) => {
            if manifest.publish_incomplete && failure != reason::CANCELLED {
                pull_request::open(&stage, report, true).await
            } else {
                Ok(partial(report))
            }
        }
        _ => pull_request::open(&stage, report, false).await,
    }
}

/// Returns whether the work is complete although the agent failed with `failure`: its documents all exist.
fn is_complete(manifest: &RunManifest, report: &StageReport, failure: &str) -> bool {
    // Documents that are rewritten existed before.
    let counts = !manifest.overwrite && failure != reason::CANCELLED;
    let documents = report.documents.as_ref();
    counts && documents.is_some_and(|documents| documents.written >= documents.expected)
}

/// Returns the report of pushed work that has no pull request, because the agent failed.
fn partial(report: StageReport) -> StageReport {
    let branch = report.branch.as_deref().unwrap_or_default();
    let pushed = match &report.documents {
        Some(documents) => format!(
            "{} of {} documents pushed to {branch}",
            documents.written, documents.expected
        ),
        None => format!("work in progress pushed to {branch}"),
    };
    StageReport {
        message: Some(annotated(pushed, report.message.as_deref())),
        pull_request_reason: Some(reason::PARTIAL.to_owned()),
        ..report
    }
}

fn ended(reason: &'static str, message: String, report: StageReport) -> StageError {
    StageError::Ended {
        reason,
        message,
        report: Box::new(report),
    }
}

/// The agent's work, fetched into our repository.
pub(crate) struct Work {
    /// The commit of the source branch that it is based on.
    pub base: String,
    pub head: String,
    pub changes: Changes,
}

async fn fetch_work(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    handover: &Path,
    collected: &Collected,
) -> Result<Work, StageError> {
    local(repository)
        .args(["init", "--quiet", "--bare", "--template=", "."])
        .run()
        .await?;
    let source = format!("+refs/heads/{}:{SOURCE}", manifest.source_branch);
    remote
        .run_git(repository, |git| {
            git.args(["fetch", "--quiet", "--no-tags", "--"])
                .args([&remote.url, &source])
        })
        .await
        .map_err(|error| error.ended(reason::PUSH_FAILED))?;

    if collected.head == collected.base {
        let head = resolve(repository, SOURCE).await?;
        return Ok(Work {
            base: head.clone(),
            head,
            changes: Changes::default(),
        });
    }
    let bundle = handover.join(BUNDLE);
    local(repository)
        .config("fetch.fsckObjects", "true")
        .args(["fetch", "--quiet", "--no-tags", "--"])
        .arg(&bundle)
        .arg(format!("+HEAD:{HEAD}"))
        .run()
        .await
        .map_err(|error| unusable(manifest, collected, &error))?;
    let head = resolve(repository, HEAD).await?;
    let (base, changes) = history::read(manifest, repository, &head).await?;
    Ok(Work {
        base,
        head,
        changes,
    })
}

/// Refuses work with nested repositories that are not submodules: no URL says where their files would come from.
async fn check_nested(
    manifest: &RunManifest,
    repository: &Path,
    work: &Work,
    collected: &Collected,
) -> Option<Verdict> {
    let mut paths = collected.left_out.clone();
    for change in &work.changes.net {
        let links = change.new == Mode::Submodule && change.old != Mode::Submodule;
        let path = &change.path;
        if links
            && submodules::url_of(repository, &work.head, path)
                .await
                .is_none()
        {
            paths.push(path.clone());
        }
    }
    policy::check_nested(&paths, &format!("{}/repo", manifest.run_directory()))
}

fn unusable(manifest: &RunManifest, collected: &Collected, error: &GitError) -> StageError {
    if error.stderr().contains("lacks these prerequisite commits") {
        let message = format!(
            "{} no longer contains the commit {} that the agent started from; retry to start from its current state",
            manifest.source_branch, collected.base
        );
        return StageError::ended(reason::BASE_MOVED, message);
    }
    StageError::ended(
        reason::AGENT_FAILED,
        format!("nothing was pushed: could not read the agent's commits: {error}"),
    )
}

async fn resolve(repository: &Path, name: &str) -> Result<String, StageError> {
    let resolved = local(repository)
        .args(["rev-parse", "--verify", &format!("{name}^{{commit}}")])
        .run()
        .await?;
    Ok(resolved.text())
}

async fn documents_in(
    repository: &Path,
    manifest: &RunManifest,
    commit: &str,
) -> Result<Option<Documents>, StageError> {
    let expected = manifest.expected_documents();
    if expected.is_empty() {
        return Ok(None);
    }
    let listing = local(repository)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--"])
        .args(&expected)
        .run()
        .await?;
    Ok(policy::count(
        &expected,
        &changes::non_empty_files(&listing.stdout),
    ))
}

/// Pushes the commit `head` to the branch chosen for it.
async fn push(
    manifest: &RunManifest,
    remote: &Remote,
    repository: &Path,
    head: &str,
    report: StageReport,
) -> Result<StageReport, StageError> {
    let destination = branch::destination(manifest, remote, repository, head)
        .await
        .map_err(|error| error.reporting(&report))?;
    let branch = destination.branch;
    if let Some(expected) = destination.expected {
        // The branch is absent or an ancestor of the work. The lease covers changes since that was checked.
        let lease = format!("--force-with-lease=refs/heads/{branch}:{expected}");
        remote
            .run_git(repository, |git| {
                git.args(["push", "--quiet", &lease, "--", &remote.url])
                    .arg(format!("{head}:refs/heads/{branch}"))
            })
            .await
            .map_err(|error| {
                let report = StageReport {
                    pull_request_reason: Some(error.failure.name().to_owned()),
                    ..report.clone()
                };
                ended(reason::PUSH_FAILED, error.message, report)
            })?;
    }
    log(format!(
        "Pushed {head} to {} as {branch}.",
        remote.display_url()
    ));
    if let Some(note) = &destination.note {
        log(format!("{note}."));
    }
    Ok(StageReport {
        commit: Some(head.to_owned()),
        branch: Some(branch),
        message: match (report.message, destination.note) {
            (Some(message), note) => Some(annotated(message, note.as_deref())),
            (None, note) => note,
        },
        ..report
    })
}
