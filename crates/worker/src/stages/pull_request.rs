//! Opens the pull request of a pushed branch.

use std::sync::Arc;

use super::{
    environment::StageEnv,
    error::{StageError, annotated},
    log, remote,
};
use flightdeck_core::{
    files::read_bounded,
    runs::{ForgeTarget, StageReport, reason},
    text,
};
use flightdeck_host::{
    forge::{self, Call, ForgeError, ForgeOptions, PullRequest, PullRequestSpec},
    templates,
};

/// File names of the title and body among the run's files.
const TITLE: &str = "pr-title";
const BODY: &str = "pr-body.md";

/// Creates or updates the pull request of the branch in `report`, as a draft if `draft`.
///
/// # Errors
/// If the Git host refuses: the branch stays pushed, but the run does not succeed without its pull request.
pub(crate) async fn open(
    stage: &StageEnv,
    report: StageReport,
    draft: bool,
) -> Result<StageReport, StageError> {
    let branch = report.branch.clone().unwrap_or_default();
    let note = report.message.clone();
    let opened = match &stage.manifest.forge {
        Some(target) => ensure(stage, target, &branch, note.as_deref(), draft).await,
        None => Ok(None),
    };
    let Some(opened) = opened.transpose() else {
        let message = format!(
            "not a known Git host, so no pull request was created; the work is on branch {branch}"
        );
        log(&message);
        return Ok(StageReport {
            message: Some(annotated(message, note.as_deref())),
            pull_request_reason: Some(reason::NO_FORGE.to_owned()),
            ..report
        });
    };
    match opened {
        Ok(request) => {
            let suffix = if request.auto_merge {
                " (auto-merge enabled)"
            } else {
                ""
            };
            log(format!(
                "Pull request #{}: {}{suffix}.",
                request.number, request.url
            ));
            request.notes.iter().for_each(log);
            let notes: Vec<String> = note.into_iter().chain(request.notes).collect();
            Ok(StageReport {
                message: (!notes.is_empty()).then(|| notes.join("; ")),
                pull_request_url: Some(request.url),
                pull_request_number: Some(request.number),
                ..report
            })
        }
        Err(error) => Err(StageError::Ended {
            reason: reason::PULL_REQUEST_FAILED,
            message: annotated(
                format!("pushed branch {branch}, but could not open a pull request: {error}"),
                note.as_deref(),
            ),
            report: Box::new(StageReport {
                pull_request_reason: Some(error.name().to_owned()),
                ..report
            }),
        }),
    }
}

/// Creates or updates the pull request; `None` if the Git host has none.
async fn ensure(
    stage: &StageEnv,
    target: &ForgeTarget,
    branch: &str,
    note: Option<&str>,
    draft: bool,
) -> Result<Option<PullRequest>, ForgeError> {
    let manifest = &stage.manifest;
    let file = |name: &str| {
        let read = read_bounded(&stage.run_files.join(name), templates::SIZE_LIMIT as u64);
        String::from_utf8(read.unwrap_or_default()).unwrap_or_default()
    };
    let mut body = file(BODY);
    if let Some(note) = note {
        // Written by us, but it names paths that the agent chose.
        let note = text::sanitize(note).replace('`', "'");
        body = format!("{}\n\n> **Note**: `{note}`\n", body.trim_end());
    }
    let mut options = manifest.pull_request.clone();
    if draft {
        options.insert("draft".to_owned(), "true".to_owned());
    }
    let title = file(TITLE);
    let title = title.lines().map(str::trim).find(|line| !line.is_empty());
    let spec = PullRequestSpec {
        head: branch.to_owned(),
        base: manifest.source_branch.clone(),
        title: title.unwrap_or(&manifest.run).to_owned(),
        body,
        ..PullRequestSpec::default()
    };
    // Log every API call, for audits; a call never contains the token.
    let forge_options = ForgeOptions {
        token: remote::token(manifest),
        audit: Some(Arc::new(|call: &Call| log(call.to_string()))),
        ..ForgeOptions::default()
    };
    let Some(forge) = forge::open(target, forge_options)? else {
        return Ok(None);
    };
    let spec = spec.with_options(&options);
    forge.ensure_pull_request(&spec).await.map(Some)
}
