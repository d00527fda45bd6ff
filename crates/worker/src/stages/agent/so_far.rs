//! What the agent used so far: written down while it works, so that it is known also when its container is killed, and
//! kept from attempt to attempt, so that a session that goes on is not paid twice.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::stages::{error::StageError, place, write_report};
use flightdeck_core::{resources::Usage, runs::StageReport, transcript::Transcript};

/// Least time between two times that it is written down.
const PACE: Duration = Duration::from_secs(1);

/// The last session, as the run's folder keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSession {
    pub id: String,
    /// What its stream told of the whole session.
    usage: Usage,
}

impl LastSession {
    /// The one of an earlier attempt, if there was any.
    pub fn read(path: &Path) -> Option<Self> {
        place::read_json(path).ok()
    }

    /// Keeps the session of a transcript for the next attempt.
    pub fn keep(path: &Path, transcript: &Transcript) -> Result<(), StageError> {
        let Some(id) = transcript.session.clone() else {
            return Ok(());
        };
        let usage = transcript.usage();
        place::write_json(path, &Self { id, usage })
    }
}

/// What this attempt used. A session that goes on tells what all of it used: of that, what was told before is taken off.
pub fn used(transcript: &Transcript, earlier: Option<&LastSession>) -> Usage {
    let mut usage = transcript.usage();
    let earlier = earlier.filter(|earlier| transcript.session.as_ref() == Some(&earlier.id));
    let (Some(earlier), Some(outcome)) = (earlier, &transcript.outcome) else {
        return usage;
    };
    let before = earlier.usage;
    // Less than before: an agent that counts each attempt for itself.
    if usage.cost_micro_usd >= before.cost_micro_usd {
        usage.cost_micro_usd -= before.cost_micro_usd;
        if outcome.whole_session {
            for (now, before) in [
                (&mut usage.input_tokens, before.input_tokens),
                (&mut usage.output_tokens, before.output_tokens),
                (&mut usage.cache_read_tokens, before.cache_read_tokens),
            ] {
                *now = now.saturating_sub(before).max(0);
            }
        }
    }
    usage
}

/// The report of an attempt that has not ended.
pub fn report(transcript: &Transcript, earlier: Option<&LastSession>) -> StageReport {
    let usage = used(transcript, earlier);
    StageReport {
        session_id: transcript.session.clone(),
        usage: (usage != Usage::default()).then_some(usage),
        ..StageReport::default()
    }
}

/// Writes it down while it changes.
#[derive(Default)]
pub struct SoFar {
    written: Option<(Instant, StageReport)>,
}

impl SoFar {
    /// Takes a look at the transcript.
    pub fn note(&mut self, transcript: &Transcript, earlier: Option<&LastSession>) {
        let recent = |(at, _): &(Instant, StageReport)| at.elapsed() < PACE;
        if self.written.as_ref().is_some_and(recent) {
            return;
        }
        let report = report(transcript, earlier);
        let last = self.written.as_ref().map(|(_, report)| report);
        if report == StageReport::default() || last == Some(&report) {
            return;
        }
        // The report at the end says it when this cannot be written.
        let _ = write_report(&report);
        self.written = Some((Instant::now(), report));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(session: &str, cost: f64, tokens: i64) -> Transcript {
        let mut transcript = Transcript::default();
        let line = serde_json::json!({
            "type": "result", "subtype": "success", "session_id": session, "num_turns": 3, "total_cost_usd": cost,
            "modelUsage": { "opus": { "inputTokens": tokens, "outputTokens": 0 } },
        });
        transcript.add(None, &line.to_string());
        transcript
    }

    #[test]
    fn a_session_that_goes_on_in_another_attempt_is_not_paid_twice() {
        let first = ended("s", 0.5, 100);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        LastSession::keep(&path, &first).unwrap();
        let kept = LastSession::read(&path);
        let more = used(&ended("s", 0.75, 140), kept.as_ref());
        assert_eq!(
            (more.cost_micro_usd, more.input_tokens, more.turns),
            (250_000, 40, 3)
        );
        for (other, cost) in [("t", 0.75), ("s", 0.25)] {
            let own = used(&ended(other, cost, 140), kept.as_ref());
            assert_eq!(own.cost_micro_usd, (cost * 1e6) as i64, "{other}");
            assert_eq!(own.input_tokens, 140);
        }
    }

    #[test]
    fn what_an_earlier_version_kept_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        std::fs::write(&path, "\"s\"").unwrap();
        assert_eq!(LastSession::read(&path), None);
        assert_eq!(LastSession::read(&folder.path().join("none")), None);
    }
}
