//! Notifications and health checks over time.

use jiff::{SignedDuration, Timestamp};

use crate::{
    effect::{Effect, Notice, TerminalEffect},
    harness::Harness,
    msg::Msg,
    world::{Delta, Progress},
};
use flightdeck_core::{
    resources::{Attempt, DocsRun, DocsRunSpec, RunStatus},
    runs::{Run, health::Signals},
};

const NAME: &str = "docs-1";

/// A run whose agent just started.
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

fn given(focused: bool) -> Harness {
    let mut console = Harness::new(140, 40);
    let run = run(&console, "Running");
    console.world([Delta::Repository(Err("not in a git repository".into()))]);
    console.runs([run]);
    console.send(Msg::Focus(focused));
    report(
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

/// Reports the signals of the agent.
fn report(console: &mut Harness, signals: Signals) {
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
            Effect::Terminal(TerminalEffect::Notify(notice)) => Some(notice),
            _ => None,
        })
        .collect()
}

/// The findings of the run.
fn findings(console: &Harness) -> Vec<&str> {
    let found = console.model.health.of("r").iter();
    found.map(|finding| finding.message.as_str()).collect()
}

#[test]
fn notifies_once_of_a_silent_agent() {
    let mut console = given(false);
    minutes_later(&mut console, 9);
    assert_eq!(notices(&mut console), []);
    minutes_later(&mut console, 1);
    let sent = notices(&mut console);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].title, "docs-1 needs attention");
    assert_eq!(sent[0].body, "no output from the agent for 10m");
    minutes_later(&mut console, 1);
    assert_eq!(notices(&mut console), [], "already sent");
    assert_eq!(findings(&console), ["no output from the agent for 11m"]);
}

#[test]
fn sends_no_notification_while_focused() {
    let mut console = given(true);
    minutes_later(&mut console, 10);
    assert_eq!(notices(&mut console), []);
    let screen = console.press("2 4 ]").screen();
    assert!(
        screen.contains("no output from the agent for 10m") && screen.contains("K stop"),
        "{screen}"
    );
}

#[test]
fn notifies_again_after_recovery() {
    let mut console = given(false);
    let waits = |what: Option<&str>| Signals {
        last_at: Some(console_now()),
        waiting_for: what.map(str::to_owned),
        ..Signals::default()
    };
    for _ in 0..2 {
        report(&mut console, waits(Some("permission to use Bash")));
        assert_eq!(notices(&mut console).len(), 1);
        assert_eq!(
            findings(&console),
            ["the agent is waiting for permission to use Bash"]
        );
        assert!(console.screen().contains("the agent is waiting for"));
        report(&mut console, waits(None));
        assert_eq!(findings(&console), [""; 0]);
        assert!(!console.screen().contains("the agent is waiting for"));
    }
}

#[test]
fn notifies_of_finished_runs_while_unfocused() {
    for (focused, phase, expected) in [
        (false, "Succeeded", Some("docs-1 finished")),
        (false, "Failed", Some("docs-1 failed")),
        (true, "Succeeded", None),
    ] {
        let mut console = given(focused);
        let ended = run(&console, phase);
        console.runs([ended]);
        let sent = notices(&mut console);
        let title = sent.first().map(|notice| notice.title.as_str());
        assert_eq!(title, expected);
    }
}

#[test]
fn ignores_runs_finished_before_start() {
    let mut console = Harness::new(140, 40);
    console.send(Msg::Focus(false));
    let ended = run(&console, "Failed");
    console.runs([ended]);
    assert_eq!(notices(&mut console), []);
}

#[test]
fn focus_restores_title() {
    let mut console = given(false);
    console.send(Msg::Focus(true));
    assert!(
        console
            .effects()
            .contains(&TerminalEffect::ClearNotice.into())
    );
    console.send(Msg::Focus(true));
    assert!(
        !console
            .effects()
            .contains(&TerminalEffect::ClearNotice.into())
    );
}

#[test]
fn no_health_checks_without_active_runs() {
    let mut console = given(false);
    assert!(console.model.next_wake().is_some());
    let ended = run(&console, "Succeeded");
    console.runs([ended]);
    assert_eq!(console.model.health.due(), None);
    assert_eq!(console.model.next_wake(), None);
}
