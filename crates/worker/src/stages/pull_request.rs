//! The pull request of a branch that was pushed.

use super::{
    error::{StageError, annotated},
    place::Place,
    remote, say,
};
use flightdeck_core::{
    files::read_bounded,
    runs::{ForgeTarget, StageReport, reason},
};
use flightdeck_host::{
    forge::{Call, Forge, ForgeError, PullRequest, PullRequestSpec},
    templates,
};

/// Title and body among the run's files.
const TITLE: &str = "pr-title";
const BODY: &str = "pr-body.md";

/// Makes the pull request of the branch in `report`, or finds it and brings it up to date.
///
/// # Errors
/// When the forge refuses: the branch stays pushed, but a run without its pull request is no success.
pub async fn open(place: &Place, report: StageReport) -> Result<StageReport, StageError> {
    let branch = report.branch.clone().unwrap_or_default();
    let note = report.message.clone();
    let Some(target) = &place.manifest.forge else {
        let message = format!(
            "the remote is no known forge, so there is no pull request; the work is on the branch {branch}"
        );
        say(&message);
        return Ok(StageReport {
            message: Some(annotated(message, note.as_deref())),
            pull_request_reason: Some(reason::NO_FORGE.to_owned()),
            ..report
        });
    };
    match ensure(place, target, &branch).await {
        Ok(made) => {
            let then = if made.auto_merge {
                ", which merges by itself once its base branch's conditions are met"
            } else {
                ""
            };
            say(format!(
                "Pull request #{}: {}{then}.",
                made.number, made.url
            ));
            made.notes.iter().for_each(say);
            let notes: Vec<String> = note.into_iter().chain(made.notes).collect();
            Ok(StageReport {
                message: (!notes.is_empty()).then(|| notes.join("; ")),
                pull_request_url: Some(made.url),
                pull_request_number: Some(made.number),
                ..report
            })
        }
        Err(error) => Err(StageError::Ended {
            reason: reason::PULL_REQUEST_FAILED,
            message: annotated(
                format!("the branch {branch} is pushed, but it has no pull request: {error}"),
                note.as_deref(),
            ),
            report: Box::new(StageReport {
                pull_request_reason: Some(error.name().to_owned()),
                ..report
            }),
        }),
    }
}

async fn ensure(
    place: &Place,
    target: &ForgeTarget,
    branch: &str,
) -> Result<PullRequest, ForgeError> {
    let manifest = &place.manifest;
    let text = |name: &str| {
        let read = read_bounded(&place.run_files.join(name), templates::SIZE_LIMIT as u64);
        String::from_utf8(read.unwrap_or_default()).unwrap_or_default()
    };
    let title = text(TITLE);
    let title = title.lines().map(str::trim).find(|line| !line.is_empty());
    let spec = PullRequestSpec {
        head: branch.to_owned(),
        base: manifest.source_branch.clone(),
        title: title.unwrap_or(&manifest.run).to_owned(),
        body: text(BODY),
        ..PullRequestSpec::default()
    };
    // One line a call, for an audit; a call never holds the token.
    let audit = |call: &Call| say(call.to_string());
    Forge::new(target, remote::token())?
        .audited(audit)
        .ensure_pull_request(&spec.with_options(&manifest.pull_request))
        .await
}
