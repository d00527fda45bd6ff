//! The PR tab: the run's pull request, or why there is none and what to press.

use crate::{
    console::{command::Command, widgets::markdown::tag, world::Entry},
    forge::{PullRequestStatus, PullState},
    runs::{Phase, reason},
};

use super::{
    Fetched,
    page::{Content, Lines, Reading},
    task::field,
};

/// What is said of a run's pull request; `found` is what the forge answers.
pub fn content(entry: &Entry, found: &Fetched<PullRequestStatus>) -> Content {
    let run = &entry.run;
    let status = &run.status;
    let Some(number) = status.pull_request_number else {
        return none(entry);
    };
    let mut lines: Lines = Vec::new();
    let title = found.ready().map_or_else(
        || format!("Pull request #{number}"),
        |found| format!("#{number}  {}", found.pull_request.title),
    );
    lines.extend([(title, tag::HEADING + 1), (String::new(), tag::PARAGRAPH)]);
    if let Some(status) = found.ready() {
        let pull = &status.pull_request;
        let state = match (pull.state, pull.draft) {
            (PullState::Open, true) => "open, a draft",
            (PullState::Open, false) => "open",
            (PullState::Closed, _) => "closed without merging",
            (PullState::Merged, _) => "merged",
        };
        field(&mut lines, "State", state);
        field(
            &mut lines,
            "Branches",
            &format!("{} ← {}", pull.base, pull.head),
        );
        field(&mut lines, "Commit", &pull.head_commit);
        if let Some(checks) = &status.checks {
            let said = [
                (checks.passed, "passed"),
                (checks.failed, "failed"),
                (checks.pending, "pending"),
            ];
            let said = said
                .iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, word)| format!("{count} {word}"));
            let said = said.collect::<Vec<_>>().join(", ");
            field(
                &mut lines,
                "Checks",
                if said.is_empty() { "none" } else { &said },
            );
        }
        if pull.state == PullState::Open {
            let merges = match status.mergeable {
                Some(true) => "without conflict",
                Some(false) => "not: it has conflicts with its base",
                None => "not known yet",
            };
            field(&mut lines, "Merges", merges);
        }
        if !status.reviewers.is_empty() {
            field(&mut lines, "Waits for", &status.reviewers.join(", "));
        }
        if !status.labels.is_empty() {
            field(&mut lines, "Labels", &status.labels.join(", "));
        }
    } else {
        let state = match found {
            Fetched::Failed(reason) => format!("unknown: {reason}"),
            _ => "asking the forge ...".into(),
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
    field(
        &mut lines,
        "Page",
        status.pull_request_url.as_deref().unwrap_or("unknown"),
    );
    for note in found
        .ready()
        .iter()
        .flat_map(|found| &found.pull_request.notes)
    {
        field(&mut lines, "Note", note);
    }
    Content::Text(Reading::Document, lines)
}

fn none(entry: &Entry) -> Content {
    let run = &entry.run;
    let condition = run
        .status
        .conditions
        .iter()
        .find(|condition| condition.r#type == "PullRequestReady");
    let why = condition.map_or("", |condition| condition.reason.as_str());
    let said = condition
        .map(|condition| condition.message.as_str())
        .filter(|message| !message.is_empty());
    let branch = run.branch();
    if entry.pushed() {
        let sentence = match (why, said) {
            (reason::NO_FORGE, _) => format!(
                "There is no pull request: the remote is no forge that is known. The work is on the branch {branch}."
            ),
            (_, Some(said)) => {
                format!("There is no pull request: {said} The work is on the branch {branch}.")
            }
            _ => format!("There is no pull request. The work is on the branch {branch}."),
        };
        return Content::Nothing(
            sentence,
            vec![
                (Command::Merge, "bring it home"),
                (Command::PreviousTab, "what it changes"),
            ],
        );
    }
    match run.phase() {
        Phase::Succeeded => {
            Content::sentence("There is no pull request: nothing was left to change.")
        }
        Phase::Failed => Content::Nothing(
            "There is no pull request: the run failed before it pushed anything.".into(),
            vec![(Command::Retry, "try again")],
        ),
        Phase::Cancelled => Content::Nothing(
            "There is no pull request: the run was stopped.".into(),
            vec![(Command::Retry, "try again")],
        ),
        _ => Content::sentence(format!(
            "The pull request is opened when the run is published: {} ← {branch}.",
            run.spec.source_branch
        )),
    }
}
