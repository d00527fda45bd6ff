//! Who is told of what, and when the console looks.

use jiff::{SignedDuration, Timestamp};

use crate::{
    effect::{Effect, Notice},
    harness::Harness,
    msg::Msg,
    world::{Delta, Progress},
};
use flightdeck_core::{
    resources::{Attempt, DocsRun, DocsRunSpec, RunStatus},
    runs::{Run, health::Signals},
};

const NAME: &str = "docs-1";

/// A run whose agent began just now.
fn run(console: &Harness, phase: &str) -> Run {
    let mut object = DocsRun::new(NAME, DocsRunSpec::default());
    object.metadata.uid = Some("r".into());
    let began = console.model.now.to_string();
    object.status = Some(RunStatus {
        phase: Some(phase.into()),
        stage: Some("agent".into()),
        started_at: Some(began.clone()),
        attempts: vec![Attempt {
            stage: "agent".into(),
            context_version: object.spec.run.context_version,
            attempt: 1,
            started_at: Some(began),
            ..Attempt::default()
        }],
        ..RunStatus::default()
    });
    object.into()
}

fn given(watched: bool) -> Harness {
    let mut console = Harness::new(140, 40);
    let run = run(&console, "Running");
    console.runs([run]);
    console.send(Msg::Focus(watched));
    said(
        &mut console,
        Signals {
            last_at: Some(console_now()),
            ..Signals::default()
        },
    );
    console.effects();
    console
}

fn console_now() -> Timestamp {
    Harness::new(1, 1).model.now
}

/// What the agent's stream says now.
fn said(console: &mut Harness, signals: Signals) {
    let progress = Progress {
        signals,
        ..Progress::default()
    };
    console.world([Delta::Progress("r".into(), Box::new(progress))]);
}

fn minutes_later(console: &mut Harness, minutes: i64) {
    let now = console.model.now + SignedDuration::from_mins(minutes);
    console.send(Msg::Tick(now));
}

fn notices(console: &mut Harness) -> Vec<Notice> {
    let effects = console.effects().into_iter();
    effects
        .filter_map(|effect| match effect {
            Effect::Notify(notice) => Some(notice),
            _ => None,
        })
        .collect()
}

/// What is wrong with the run, as the model knows it.
fn wrong(console: &Harness) -> Vec<&str> {
    let findings = console.model.health.of("r").iter();
    findings.map(|finding| finding.message.as_str()).collect()
}

#[test]
fn a_person_who_looks_away_is_told_once_that_an_agent_has_fallen_silent() {
    let mut console = given(false);
    minutes_later(&mut console, 9);
    assert_eq!(notices(&mut console), []);
    minutes_later(&mut console, 1);
    let told = notices(&mut console);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].title, "docs-1 needs you");
    assert_eq!(told[0].body, "no output from the agent for 10m");
    minutes_later(&mut console, 1);
    assert_eq!(notices(&mut console), [], "it was told already");
    assert_eq!(wrong(&console), ["no output from the agent for 11m"]);
}

#[test]
fn a_person_who_looks_sees_it_and_is_not_disturbed() {
    let mut console = given(true);
    minutes_later(&mut console, 10);
    assert_eq!(notices(&mut console), []);
    let screen = console.press("2 4 ]").screen();
    assert!(
        screen.contains("no output from the agent for 10m") && screen.contains("K stops it"),
        "{screen}"
    );
}

#[test]
fn what_is_over_is_no_longer_shown_and_told_anew_when_it_comes_back() {
    let mut console = given(false);
    let waits = |what: Option<&str>| Signals {
        last_at: Some(console_now()),
        waiting_for: what.map(str::to_owned),
        ..Signals::default()
    };
    for _ in 0..2 {
        said(&mut console, waits(Some("permission to use Bash")));
        assert_eq!(notices(&mut console).len(), 1);
        assert_eq!(
            wrong(&console),
            ["the agent waits for permission to use Bash"]
        );
        assert!(console.screen().contains("the agent waits for"));
        said(&mut console, waits(None));
        assert_eq!(wrong(&console), [""; 0]);
        assert!(!console.screen().contains("the agent waits for"));
    }
}

#[test]
fn the_end_of_a_run_is_told_to_a_person_who_looks_away() {
    for (watched, phase, expected) in [
        (false, "Succeeded", Some("docs-1 has finished")),
        (false, "Failed", Some("docs-1 has failed")),
        (true, "Succeeded", None),
    ] {
        let mut console = given(watched);
        let ended = run(&console, phase);
        console.runs([ended]);
        let told = notices(&mut console);
        let title = told.first().map(|notice| notice.title.as_str());
        assert_eq!(title, expected);
    }
}

#[test]
fn a_run_that_had_ended_before_is_no_news() {
    let mut console = Harness::new(140, 40);
    console.send(Msg::Focus(false));
    let ended = run(&console, "Failed");
    console.runs([ended]);
    assert_eq!(notices(&mut console), []);
}

#[test]
fn looking_again_gives_the_title_back() {
    let mut console = given(false);
    console.send(Msg::Focus(true));
    assert!(console.effects().contains(&Effect::Seen));
    console.send(Msg::Focus(true));
    assert!(!console.effects().contains(&Effect::Seen));
}

#[test]
fn nothing_is_looked_for_while_no_run_is_under_way() {
    let mut console = given(false);
    assert!(console.model.next_wake().is_some());
    let ended = run(&console, "Succeeded");
    console.runs([ended]);
    assert_eq!(console.model.health.due(), None);
    assert_eq!(console.model.next_wake(), None);
}
