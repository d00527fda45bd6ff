//! When each detector speaks, and when it looks again.

use super::*;
use crate::resources::{Attempt, DocsRun, DocsRunSpec};

const NOW: i64 = 1_900_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW + minutes * 60).unwrap()
}

fn thresholds() -> Thresholds {
    toml::from_str(include_str!("../../../../../config/health.toml")).unwrap()
}

/// A run whose agent stage began at minute 0.
fn run() -> Run {
    let mut run = Run::from(DocsRun::new("docs-1", DocsRunSpec::default()));
    run.spec.context_version = 1;
    run.status.phase = Some("Running".into());
    run.status.attempts.push(Attempt {
        stage: "agent".into(),
        context_version: 1,
        attempt: 1,
        started_at: Some(at(0).to_string()),
        ..Attempt::default()
    });
    run
}

struct Case {
    run: Run,
    signals: Signals,
    pod: Pod<'static>,
    cost: i64,
    thresholds: Thresholds,
}

impl Case {
    fn new(signals: Signals) -> Self {
        Self {
            run: run(),
            signals,
            pod: Pod::Running,
            cost: 0,
            thresholds: thresholds(),
        }
    }

    fn facts(&self, minute: i64) -> Facts<'_> {
        Facts {
            now: at(minute),
            run: &self.run,
            signals: &self.signals,
            pod: self.pod,
            cost_micro_usd: self.cost,
            thresholds: &self.thresholds,
        }
    }

    fn said(&self, minute: i64) -> Vec<String> {
        let found = findings(&self.facts(minute)).into_iter();
        found.map(|finding| finding.sentence).collect()
    }

    fn due(&self, minute: i64) -> Option<i64> {
        let due = due(&self.facts(minute))?;
        Some((due.as_second() - NOW) / 60)
    }
}

fn heard(minute: i64) -> Signals {
    Signals {
        last_at: Some(at(minute)),
        ..Signals::default()
    }
}

#[test]
fn a_silent_agent_is_found_at_the_minute_that_was_set_and_not_looked_at_before() {
    let case = Case::new(heard(2));
    assert_eq!(case.said(11), [""; 0]);
    assert_eq!(case.due(3), Some(12), "nothing to look at until then");
    assert_eq!(case.said(12), ["the agent has said nothing for 10m"]);
    assert_eq!(case.due(12), Some(13), "the sentence counts minutes");
}

#[test]
fn a_tool_at_work_may_be_silent_for_longer() {
    let mut signals = heard(2);
    signals.at_work = Some(("Bash cargo test".into(), at(2)));
    let case = Case::new(signals);
    assert_eq!(case.said(31), [""; 0]);
    assert_eq!(
        case.said(32),
        ["one tool has been at work for 30m: Bash cargo test"]
    );
}

#[test]
fn an_agent_that_is_done_may_be_silent_for_ever() {
    let mut signals = heard(2);
    signals.ended = true;
    let case = Case::new(signals);
    assert_eq!((case.said(500), case.due(500)), (vec![], None));
}

#[test]
fn what_happens_in_the_stream_is_found_at_once() {
    let signal = |change: fn(&mut Signals)| {
        let mut signals = heard(0);
        change(&mut signals);
        Case::new(signals).said(1)
    };
    for (said, words) in [
        (
            signal(|s| {
                s.repeated = Some(Repeated {
                    what: "Bash make".into(),
                    times: 5,
                    round: 1,
                });
            }),
            "the same call 5 times in a row: Bash make",
        ),
        (
            signal(|s| {
                s.repeated = Some(Repeated {
                    what: "Bash make".into(),
                    times: 6,
                    round: 2,
                });
            }),
            "the same 2 calls 6 times in a row: Bash make",
        ),
        (
            signal(|s| s.limited = Some(("rate limit reached (five hour)".into(), Some(at(61))))),
            "rate limit reached (five hour), for another 1h",
        ),
        (
            signal(|s| s.retried = Some((4, "overloaded".into()))),
            "the model's provider has not answered 4 times: overloaded",
        ),
        (
            signal(|s| s.waits_for = Some("leave to use Bash".into())),
            "the agent waits for leave to use Bash",
        ),
        (
            signal(|s| {
                s.refused = 2;
                s.last_refused = Some("Bash (denied)".into());
            }),
            "2 tool calls were refused, the last: Bash (denied)",
        ),
        (
            signal(|s| s.over_budget = true),
            "the agent has spent its budget",
        ),
        (signal(|s| s.retried = Some((3, "overloaded".into()))), ""),
        (
            signal(|s| {
                s.repeated = Some(Repeated {
                    times: 4,
                    round: 1,
                    ..Repeated::default()
                });
            }),
            "",
        ),
    ] {
        let expected: &[&str] = if words.is_empty() { &[] } else { &[words] };
        assert_eq!(said, expected);
    }
}

#[test]
fn money_is_told_before_it_is_spent_and_when_it_is() {
    let mut case = Case::new(heard(0));
    case.run.spec.budget_usd = Some("2.00".into());
    for (cost, said) in [
        (1_590_000, None),
        (
            1_600_000,
            Some("80% of the budget is spent: $1.60 of $2.00"),
        ),
        (2_000_000, Some("the budget is spent: $2.00 of $2.00")),
    ] {
        case.cost = cost;
        assert_eq!(case.said(0).first().map(String::as_str), said);
    }
    case.thresholds.cost_usd = 1.0;
    assert_eq!(case.said(0), ["the budget is spent: $2.00 of $1.00"]);
}

#[test]
fn a_pod_that_cannot_start_is_told_and_one_that_never_comes_after_a_while() {
    let mut case = Case::new(Signals::default());
    case.pod = Pod::Held("waiting: secret \"x\" not found");
    assert_eq!(case.said(0), ["waiting: secret \"x\" not found"]);
    case.pod = Pod::Absent;
    assert_eq!((case.said(4), case.due(0)), (vec![], Some(5)));
    assert_eq!(case.said(6), ["no pod has started for 6m"]);
}

#[test]
fn nothing_is_wrong_with_a_run_that_has_ended_or_is_being_stopped() {
    let mut case = Case::new(heard(0));
    case.run.status.phase = Some("Failed".into());
    assert_eq!((case.said(99), case.due(99)), (vec![], None));
    let mut case = Case::new(heard(0));
    case.run.spec.cancel_version = 1;
    assert_eq!((case.said(99), case.due(99)), (vec![], None));
}

#[test]
fn a_detector_that_is_turned_off_finds_nothing() {
    let mut signals = heard(0);
    signals.refused = 9;
    let mut case = Case::new(signals);
    case.thresholds.silent_minutes = 0;
    case.thresholds.refused_calls = 0;
    assert_eq!(case.said(500), [""; 0]);
}
