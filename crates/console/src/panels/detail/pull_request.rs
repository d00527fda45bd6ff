//! The PR tab: the run's pull request and how it stands, or why there is none and what to press.

use std::time::Duration;

use crate::{command::Command, widgets::markdown::tag, world::Entry};
use flightdeck_core::{
    resources::Condition,
    runs::{Phase, Stage, reason},
};
use flightdeck_host::forge::{Checks, ForgeError, PullRequestStatus, PullState, Reviews};

use super::{
    Fetched,
    page::{Content, Lines, Reading},
    task::field,
};

/// Until the next look at the forge while something is under way there, and else.
const SOON: Duration = Duration::from_secs(10);
const CALM: Duration = Duration::from_secs(30);
/// Looks are never further apart.
const RAREST: Duration = Duration::from_secs(300);
/// After so long without a change nobody looks any more.
const ENOUGH: Duration = Duration::from_secs(3600);

/// How long until the forge is asked again, `unchanged` after its answer last changed; `None` when not at all: a pull
/// request that is done does not change, one that rests is left alone until a person asks, and most failures stay.
#[must_use]
pub fn next_look(
    found: Result<&PullRequestStatus, &ForgeError>,
    unchanged: Duration,
) -> Option<Duration> {
    let soonest = match found {
        Ok(found) if found.pull_request.state != PullState::Open => return None,
        Ok(found) if found.mergeable.is_none() => SOON,
        Ok(found) if found.checks.is_some_and(|checks| checks.pending > 0) => SOON,
        Err(error) if !error.is_passing() => return None,
        Ok(_) | Err(_) => CALM,
    };
    (unchanged < ENOUGH).then(|| (unchanged / 4).clamp(soonest, RAREST))
}

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
        standing(&mut lines, status);
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
    let url = status.pull_request_url.as_deref().unwrap_or("unknown");
    field(&mut lines, "Page", url);
    // What was asked for beside it and could not be had is all that its condition says beyond the address.
    let note = ready(entry).map(|condition| condition.message.as_str());
    if let Some(note) = note.filter(|note| !note.is_empty() && *note != url) {
        field(&mut lines, "Note", note);
    }
    Content::Text(Reading::Document, lines)
}

/// How it stands at the forge.
fn standing(lines: &mut Lines, status: &PullRequestStatus) {
    let pull = &status.pull_request;
    let state = match (pull.state, pull.draft, pull.auto_merge) {
        (PullState::Open, true, _) => "open, a draft",
        (PullState::Open, false, true) => {
            "open; merges by itself once its base branch's conditions are met"
        }
        (PullState::Open, false, false) => "open",
        (PullState::Closed, ..) => "closed without merging",
        (PullState::Merged, ..) => "merged",
    };
    field(lines, "State", state);
    field(lines, "Branches", &format!("{} ← {}", pull.base, pull.head));
    field(lines, "Commit", &pull.head_commit);
    if let Some(checks) = &status.checks {
        field(lines, "Checks", &counted(checks));
    }
    if let Some(said) = reviewed(status.reviews.as_ref(), &status.reviewers) {
        field(lines, "Reviews", &said);
    }
    if pull.state == PullState::Open {
        let merges = match status.mergeable {
            Some(true) => "without conflict",
            Some(false) => "not: it has conflicts with its base",
            None => "not known yet",
        };
        field(lines, "Merges", merges);
    }
    if !status.labels.is_empty() {
        field(lines, "Labels", &status.labels.join(", "));
    }
}

fn counted(checks: &Checks) -> String {
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
    if said.is_empty() { "none".into() } else { said }
}

/// Who has said what, and who is waited for; `None` when nobody was asked and nobody spoke.
fn reviewed(reviews: Option<&Reviews>, waited: &[String]) -> Option<String> {
    let no_one = Reviews::default();
    let reviews = reviews.unwrap_or(&no_one);
    let said = [
        ("approved by", reviews.approved.as_slice()),
        ("changes asked for by", &reviews.changes_requested),
        ("waits for", waited),
    ];
    let said: Vec<String> = said
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(words, names)| format!("{words} {}", names.join(", ")))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn ready(entry: &Entry) -> Option<&Condition> {
    let mut conditions = entry.run.status.conditions.iter();
    conditions.find(|condition| condition.r#type == "PullRequestReady")
}

/// Why there is none, and what to press.
fn none(entry: &Entry) -> Content {
    let run = &entry.run;
    let branch = run.branch();
    let condition = ready(entry);
    let why = condition.map_or("", |condition| condition.reason.as_str());
    let said = condition
        .map(|condition| condition.message.as_str())
        .filter(|message| !message.is_empty());
    // The agent's work is as good as it was, so that only its publishing is tried again.
    let because = run.status.reason.as_deref().unwrap_or_default();
    let publishing = run.status.stage.as_deref() == Some(Stage::Publish.as_str())
        && [reason::PUSH_FAILED, reason::PULL_REQUEST_FAILED].contains(&because);
    let again = (
        Command::Retry,
        if publishing {
            "publish again"
        } else {
            "try again"
        },
    );
    if entry.pushed() {
        let sentence = match (why, said) {
            (reason::NO_FORGE, _) => format!(
                "There is no pull request: the remote is no forge that is known. The work is on the branch {branch}."
            ),
            (_, Some(said)) => sentence(said),
            _ => format!("There is no pull request. The work is on the branch {branch}."),
        };
        let mut keys = vec![
            (Command::Merge, "bring it home"),
            (Command::PreviousTab, "what it changes"),
        ];
        if run.phase() == Phase::Failed {
            keys.insert(0, again);
        }
        return Content::Nothing(sentence, keys);
    }
    match run.phase() {
        Phase::Succeeded => {
            Content::sentence("There is no pull request: nothing was left to change.")
        }
        Phase::Failed => Content::Nothing(
            said.map_or_else(
                || "There is no pull request: the run failed before it pushed anything.".into(),
                |said| format!("There is no pull request: {}", ended(said)),
            ),
            vec![again],
        ),
        Phase::Cancelled => Content::Nothing(
            "There is no pull request: the run was stopped.".into(),
            vec![again],
        ),
        _ => Content::sentence(format!(
            "The pull request is opened when the run is published: {} ← {branch}.",
            run.spec.source_branch
        )),
    }
}

/// A message of a status as a sentence.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    ended(&first.chain(letters.as_str().chars()).collect::<String>())
}

/// With the stop that messages lack.
fn ended(message: &str) -> String {
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
    fn the_forge_is_asked_ever_less_often_and_in_the_end_not_at_all() {
        let seconds = |status: Result<&PullRequestStatus, &ForgeError>, unchanged| {
            let next = next_look(status, Duration::from_secs(unchanged));
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
        };
        assert_eq!(seconds(Err(&token), 0), None);
    }

    #[test]
    fn reviews_name_who_spoke_and_who_is_waited_for() {
        let reviews = Reviews {
            approved: vec!["ann".into(), "bob".into()],
            changes_requested: vec!["eve".into()],
        };
        assert_eq!(
            reviewed(Some(&reviews), &["team-leads".into()]).unwrap(),
            "approved by ann, bob; changes asked for by eve; waits for team-leads"
        );
        assert_eq!(reviewed(None, &[]), None);
    }

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(sentence("the branch is pushed"), "The branch is pushed.");
        assert_eq!(sentence("Done."), "Done.");
    }
}
