//! The PR tab: the status of the run's pull request, or the reason why there is none.

use std::time::Duration;

use super::{
    page::{PageContent, PageFormat, TaggedLines, blank, field},
    tab::{Fetch, Tab, run_content, shown_run},
};
use crate::{
    command::Command,
    detail_io::{DetailRequest, Fetched},
    ids::TabId,
    model::Model,
    widgets::markdown::tag,
    world::RunEntry,
};
use flightdeck_core::{
    resources::Condition,
    runs::{Phase, Stage, reason},
};
use flightdeck_host::forge::{Checks, ForgeError, PullRequestStatus, PullState, Reviews};

/// Minimum poll interval while checks or mergeability are pending.
const PENDING: Duration = Duration::from_secs(10);
/// Minimum poll interval otherwise.
const IDLE: Duration = Duration::from_secs(30);
/// Maximum poll interval.
const LONGEST: Duration = Duration::from_secs(300);
/// Stop polling after this long without a change.
const GIVE_UP: Duration = Duration::from_secs(3600);

pub(super) struct PullRequestTab;

impl Tab for PullRequestTab {
    fn id(&self) -> TabId {
        TabId::PullRequest
    }

    fn title(&self) -> &'static str {
        "PR"
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        run_content(model, |entry| content(entry, &model.detail.pull_request))
    }

    fn fetch(&self, model: &Model) -> Option<Fetch> {
        let run = &shown_run(model)?.run;
        let number = run.status.pull_request_number?;
        Some(Fetch {
            owner: TabId::PullRequest,
            version: run.metadata.resource_version.clone().unwrap_or_default(),
            request: DetailRequest::PullRequest {
                run: model.detail.run()?.clone(),
                url: run.spec.repository_url.clone(),
                number,
            },
        })
    }

    fn stop(&self) -> Option<DetailRequest> {
        Some(DetailRequest::StopPullRequest)
    }

    // The Git host limits the rate of requests.
    fn stops_when_hidden(&self) -> bool {
        true
    }
}

/// Returns the delay until the next poll, `unchanged` after the last change. `None` stops polling: the pull request is
/// closed, has not changed for long, or the error is permanent.
#[must_use]
pub(crate) fn next_poll(
    found: Result<&PullRequestStatus, &ForgeError>,
    unchanged: Duration,
) -> Option<Duration> {
    let soonest = match found {
        Ok(found) if found.pull_request.state != PullState::Open => return None,
        Ok(found) if found.mergeable.is_none() => PENDING,
        Ok(found) if found.checks.is_some_and(|checks| checks.pending > 0) => PENDING,
        Err(error) if !error.is_transient() => return None,
        Ok(_) | Err(_) => IDLE,
    };
    (unchanged < GIVE_UP).then(|| (unchanged / 4).clamp(soonest, LONGEST))
}

/// Returns the content for a run. `found` is the status at the Git host.
fn content(entry: &RunEntry, found: &Fetched<PullRequestStatus>) -> PageContent {
    let run = &entry.run;
    let status = &run.status;
    let Some(number) = status.pull_request_number else {
        return no_pull_request(entry);
    };
    let mut lines: TaggedLines = Vec::new();
    let title = found.ready().map_or_else(
        || format!("Pull request #{number}"),
        |found| format!("#{number}  {}", found.pull_request.title),
    );
    lines.extend([(title, tag::HEADING + 1), blank()]);
    if let Some(status) = found.ready() {
        forge_status(&mut lines, status);
    } else {
        let state = match found {
            Fetched::Failed(reason) => format!("unknown: {reason}"),
            _ => "loading ...".into(),
        };
        field(&mut lines, "State", &state);
        field(
            &mut lines,
            "Branches",
            &format!("{} ← {}", run.spec.source_branch, run.branch()),
        );
        field(
            &mut lines,
            "Commit",
            status.commit.as_deref().unwrap_or("unknown"),
        );
    }
    let url = status.pull_request_url.as_deref().unwrap_or("unknown");
    field(&mut lines, "URL", url);
    // The condition's message is the URL, or a problem with an optional step, such as an unknown reviewer.
    let note = ready(entry).map(|condition| condition.message.as_str());
    if let Some(note) = note.filter(|note| !note.is_empty() && *note != url) {
        field(&mut lines, "Note", note);
    }
    PageContent::Text(PageFormat::Document, lines)
}

/// Appends the status at the Git host.
fn forge_status(lines: &mut TaggedLines, status: &PullRequestStatus) {
    let pull = &status.pull_request;
    let state = match (pull.state, pull.draft, pull.auto_merge) {
        (PullState::Open, true, _) => "draft",
        (PullState::Open, false, true) => "open, auto-merge enabled",
        (PullState::Open, false, false) => "open",
        (PullState::Closed, ..) => "closed without merging",
        (PullState::Merged, ..) => "merged",
    };
    field(lines, "State", state);
    field(lines, "Branches", &format!("{} ← {}", pull.base, pull.head));
    field(lines, "Commit", &pull.head_commit);
    if let Some(checks) = &status.checks {
        field(lines, "Checks", &check_counts(checks));
    }
    if let Some(reviews) = reviews(status.reviews.as_ref(), &status.reviewers) {
        field(lines, "Reviews", &reviews);
    }
    if pull.state == PullState::Open {
        let mergeable = match status.mergeable {
            Some(true) => "yes",
            Some(false) => "no, conflicts with base",
            None => "unknown",
        };
        field(lines, "Mergeable", mergeable);
    }
    if !status.labels.is_empty() {
        field(lines, "Labels", &status.labels.join(", "));
    }
}

/// Formats the numbers of checks: `3 passed, 1 failed`.
fn check_counts(checks: &Checks) -> String {
    let counts = [
        (checks.passed, "passed"),
        (checks.failed, "failed"),
        (checks.pending, "pending"),
    ];
    let words: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if words.is_empty() {
        "none".into()
    } else {
        words.join(", ")
    }
}

/// Formats the reviews: `approved by ann; waiting for bob`. `None` without reviews and reviewers.
fn reviews(reviews: Option<&Reviews>, reviewers: &[String]) -> Option<String> {
    let none = Reviews::default();
    let reviews = reviews.unwrap_or(&none);
    let groups = [
        ("approved by", reviews.approved.as_slice()),
        ("changes requested by", &reviews.changes_requested),
        ("waiting for", reviewers),
    ];
    let words: Vec<String> = groups
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(words, names)| format!("{words} {}", names.join(", ")))
        .collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Returns the condition about the pull request.
fn ready(entry: &RunEntry) -> Option<&Condition> {
    let mut conditions = entry.run.status.conditions.iter();
    conditions.find(|condition| condition.r#type == "PullRequestReady")
}

/// Returns the reason why there is no pull request.
fn no_pull_request(entry: &RunEntry) -> PageContent {
    let run = &entry.run;
    let branch = run.branch();
    let condition = ready(entry);
    let condition_reason = condition.map_or("", |condition| condition.reason.as_str());
    let message = condition
        .map(|condition| condition.message.as_str())
        .filter(|message| !message.is_empty());
    // A retry repeats only the publish stage if the agent's work is complete.
    let run_reason = run.status.reason.as_deref().unwrap_or_default();
    let publishing = run.status.stage.as_deref() == Some(Stage::Publish.as_str())
        && [reason::PUSH_FAILED, reason::PULL_REQUEST_FAILED].contains(&run_reason);
    let retry = (
        Command::Retry,
        if publishing { "retry publish" } else { "retry" },
    );
    if entry.pushed() {
        let sentence = match (condition_reason, message) {
            (reason::NO_FORGE, _) => {
                format!("Not a known Git host - no PR created. Work is on branch {branch}.")
            }
            (_, Some(message)) => sentence(message),
            _ => format!("No pull request. Work is on branch {branch}."),
        };
        let mut keys = vec![(Command::Merge, "merge"), (Command::PreviousTab, "diff")];
        if run.phase() == Phase::Failed {
            keys.insert(0, retry);
        }
        return PageContent::Empty(sentence, keys);
    }
    match run.phase() {
        Phase::Succeeded => PageContent::sentence("No pull request: no changes to publish."),
        Phase::Failed => PageContent::Empty(
            message.map_or_else(
                || "No pull request: the run failed before pushing.".into(),
                |message| format!("No pull request: {}", with_full_stop(message)),
            ),
            vec![retry],
        ),
        Phase::Cancelled => {
            PageContent::Empty("No pull request: the run was stopped.".into(), vec![retry])
        }
        _ => PageContent::sentence(format!(
            "The pull request is opened in the publish stage: {} ← {branch}.",
            run.spec.source_branch
        )),
    }
}

/// Capitalises a status message and adds a full stop.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    with_full_stop(&first.chain(letters.as_str().chars()).collect::<String>())
}

/// Adds a full stop if there is none.
fn with_full_stop(message: &str) -> String {
    let stop = if message.ends_with(['.', '!', '?', '…']) {
        ""
    } else {
        "."
    };
    format!("{message}{stop}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_host::forge::PullRequest;

    fn found(state: PullState, pending: usize) -> PullRequestStatus {
        PullRequestStatus {
            pull_request: PullRequest {
                number: 1,
                url: String::new(),
                title: String::new(),
                state,
                draft: false,
                base: "main".into(),
                head: "docs/x".into(),
                head_commit: String::new(),
                auto_merge: false,
                node_id: String::new(),
                notes: Vec::new(),
            },
            mergeable: Some(true),
            checks: Some(Checks {
                pending,
                ..Checks::default()
            }),
            reviews: None,
            labels: Vec::new(),
            reviewers: Vec::new(),
        }
    }

    #[test]
    fn polls_back_off_and_stop() {
        let seconds = |status: Result<&PullRequestStatus, &ForgeError>, unchanged| {
            let next = next_poll(status, Duration::from_secs(unchanged));
            next.map(|next| next.as_secs())
        };
        let open = |pending, unchanged| seconds(Ok(&found(PullState::Open, pending)), unchanged);
        assert_eq!(open(1, 0), Some(10));
        assert_eq!(open(0, 0), Some(30));
        assert_eq!(open(1, 400), Some(100));
        assert_eq!(open(0, 3000), Some(300));
        assert_eq!(open(1, 3600), None);
        for done in [PullState::Merged, PullState::Closed] {
            assert_eq!(seconds(Ok(&found(done, 1)), 0), None);
        }
        let host = || "github.com".to_owned();
        let trouble = ForgeError::Server {
            host: host(),
            status: 502,
        };
        assert_eq!(seconds(Err(&trouble), 0), Some(30));
        let repository = "acme/shop".to_owned();
        let token = ForgeError::Unauthorized {
            host: host(),
            repository,
            variable: "GITHUB_TOKEN",
        };
        assert_eq!(seconds(Err(&token), 0), None);
    }

    #[test]
    fn lists_reviews_and_pending_reviewers() {
        let reviews = Reviews {
            approved: vec!["ann".into(), "bob".into()],
            changes_requested: vec!["eve".into()],
        };
        assert_eq!(
            super::reviews(Some(&reviews), &["team-leads".into()]).unwrap(),
            "approved by ann, bob; changes requested by eve; waiting for team-leads"
        );
        assert_eq!(super::reviews(None, &[]), None);
    }

    #[test]
    fn formats_messages_as_sentences() {
        assert_eq!(sentence("the branch is pushed"), "The branch is pushed.");
        assert_eq!(sentence("Done."), "Done.");
    }
}
