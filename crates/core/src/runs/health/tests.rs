//! When each detector fires, and when it is due next.

use super::*;
use crate::resources::{Attempt, DocsRun, DocsRunSpec};

const NOW: i64 = 1_900_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW + minutes * 60).unwrap()
}

fn thresholds() -> Thresholds {
    toml::from_str(include_str!("../../../../../config/health.toml")).unwrap()
}

/// A run whose agent stage started at minute 0.
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
    pod: PodState<'static>,
    cost: i64,
    thresholds: Thresholds,
}

impl Case {
    fn new(signals: Signals) -> Self {
        Self {
            run: run(),
            signals,
            pod: PodState::Running,
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

    fn messages(&self, minute: i64) -> Vec<String> {
        let found = findings(&self.facts(minute)).into_iter();
        found.map(|finding| finding.message).collect()
    }

    fn next_due(&self, minute: i64) -> Option<i64> {
        let due = next_check(&self.facts(minute))?;
        Some((due.as_second() - NOW) / 60)
    }
}

fn signals_at(minute: i64) -> Signals {
    Signals {
        last_at: Some(at(minute)),
        ..Signals::default()
    }
}

#[test]
fn reports_silence_at_threshold() {
    let case = Case::new(signals_at(2));
    assert_eq!(case.messages(11), [""; 0]);
    assert_eq!(case.next_due(3), Some(12), "due at the threshold");
    assert_eq!(case.messages(12), ["no output from the agent for 10m"]);
    assert_eq!(case.next_due(12), Some(13), "the message counts minutes");
}

#[test]
fn running_tool_has_longer_threshold() {
    let mut signals = signals_at(2);
    signals.running_tool = Some(("Bash cargo test".into(), at(2)));
    let case = Case::new(signals);
    assert_eq!(case.messages(31), [""; 0]);
    assert_eq!(
        case.messages(32),
        ["one tool has been running for 30m: Bash cargo test"]
    );
}

#[test]
fn ignores_silence_after_session_end() {
    let mut signals = signals_at(2);
    signals.ended = true;
    let case = Case::new(signals);
    assert_eq!((case.messages(500), case.next_due(500)), (vec![], None));
}

#[test]
fn reports_stream_signals_immediately() {
    let signal = |change: fn(&mut Signals)| {
        let mut signals = signals_at(0);
        change(&mut signals);
        Case::new(signals).messages(1)
    };
    for (messages, words) in [
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
            "rate limit reached (five hour), for 1h more",
        ),
        (
            signal(|s| s.retried = Some((4, "overloaded".into()))),
            "4 failed requests to the model provider: overloaded",
        ),
        (
            signal(|s| s.waiting_for = Some("permission to use Bash".into())),
            "the agent is waiting for permission to use Bash",
        ),
        (
            signal(|s| {
                s.refused = 2;
                s.last_refused = Some("Bash (denied)".into());
            }),
            "2 tool calls denied, last: Bash (denied)",
        ),
        (
            signal(|s| s.over_budget = true),
            "the agent has used up its budget",
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
        assert_eq!(messages, expected);
    }
}

#[test]
fn reports_budget_before_and_when_used_up() {
    let mut case = Case::new(signals_at(0));
    case.run.spec.budget_usd = Some("2.00".into());
    for (cost, messages) in [
        (1_590_000, None),
        (1_600_000, Some("80% of the budget used: $1.60 of $2.00")),
        (2_000_000, Some("budget used up: $2.00 of $2.00")),
    ] {
        case.cost = cost;
        assert_eq!(case.messages(0).first().map(String::as_str), messages);
    }
    case.thresholds.cost_usd = 1.0;
    assert_eq!(case.messages(0), ["budget used up: $2.00 of $1.00"]);
}

#[test]
fn reports_blocked_and_missing_pods() {
    let mut case = Case::new(Signals::default());
    case.pod = PodState::Blocked("waiting: secret \"x\" not found");
    assert_eq!(case.messages(0), ["waiting: secret \"x\" not found"]);
    case.pod = PodState::Absent;
    assert_eq!((case.messages(4), case.next_due(0)), (vec![], Some(5)));
    assert_eq!(case.messages(6), ["no pod has started for 6m"]);
}

#[test]
fn ignores_finished_and_cancelled_runs() {
    let mut case = Case::new(signals_at(0));
    case.run.status.phase = Some("Failed".into());
    assert_eq!((case.messages(99), case.next_due(99)), (vec![], None));
    let mut case = Case::new(signals_at(0));
    case.run.spec.cancel_version = 1;
    assert_eq!((case.messages(99), case.next_due(99)), (vec![], None));
}

#[test]
fn zero_threshold_disables_detector() {
    let mut signals = signals_at(0);
    signals.refused = 9;
    let mut case = Case::new(signals);
    case.thresholds.silent_minutes = 0;
    case.thresholds.refused_calls = 0;
    assert_eq!(case.messages(500), [""; 0]);
}
