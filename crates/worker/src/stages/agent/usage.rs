//! The agent's usage. Reported while it works, so that it is known even if the container is killed, and saved between
//! attempts, so that a continued session is not counted twice.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::stages::{environment, error::StageError, write_report};
use flightdeck_core::{resources::Usage, runs::StageReport, transcript::Transcript};

/// Minimum time between two reports.
const INTERVAL: Duration = Duration::from_secs(1);

/// The last session, as saved in the run's folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastSession {
    pub id: String,
    /// Usage of the whole session.
    usage: Usage,
}

impl LastSession {
    /// Returns the previous attempt's session, if one was saved.
    pub(super) fn read(path: &Path) -> Option<Self> {
        environment::read_json(path).ok()
    }

    /// Saves the session of a transcript for the next attempt.
    pub(super) fn save(path: &Path, transcript: &Transcript) -> Result<(), StageError> {
        let Some(id) = transcript.session.clone() else {
            return Ok(());
        };
        let usage = transcript.usage();
        environment::write_json(path, &Self { id, usage })
    }
}

/// Returns the usage of this attempt: a continued session reports its total, so the previous attempts' share is subtracted.
pub(crate) fn used(transcript: &Transcript, previous: Option<&LastSession>) -> Usage {
    let mut usage = transcript.usage();
    let previous = previous.filter(|last| transcript.session.as_ref() == Some(&last.id));
    let (Some(previous), Some(outcome)) = (previous, &transcript.outcome) else {
        return usage;
    };
    let before = previous.usage;
    // A lower total means that the agent counts each attempt on its own.
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

/// Returns the report of an attempt that is still running.
pub(crate) fn report(transcript: &Transcript, previous: Option<&LastSession>) -> StageReport {
    let usage = used(transcript, previous);
    StageReport {
        session_id: transcript.session.clone(),
        usage: (usage != Usage::default()).then_some(usage),
        ..StageReport::default()
    }
}

/// Writes the usage as it changes.
#[derive(Default)]
pub(crate) struct UsageReporter {
    written: Option<(Instant, StageReport)>,
}

impl UsageReporter {
    /// Writes a report if the usage changed and the last report is old enough.
    pub(super) fn update(&mut self, transcript: &Transcript, previous: Option<&LastSession>) {
        let recent = |(at, _): &(Instant, StageReport)| at.elapsed() < INTERVAL;
        if self.written.as_ref().is_some_and(recent) {
            return;
        }
        let report = report(transcript, previous);
        let last = self.written.as_ref().map(|(_, report)| report);
        if report == StageReport::default() || last == Some(&report) {
            return;
        }
        // Ignore a failed write: the final report contains the same.
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
    fn does_not_count_a_continued_session_twice() {
        let first = ended("s", 0.5, 100);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        LastSession::save(&path, &first).unwrap();
        let saved = LastSession::read(&path);
        let more = used(&ended("s", 0.75, 140), saved.as_ref());
        assert_eq!(
            (more.cost_micro_usd, more.input_tokens, more.turns),
            (250_000, 40, 3)
        );
        for (other, cost) in [("t", 0.75), ("s", 0.25)] {
            let own = used(&ended(other, cost, 140), saved.as_ref());
            assert_eq!(own.cost_micro_usd, (cost * 1e6) as i64, "{other}");
            assert_eq!(own.input_tokens, 140);
        }
    }

    #[test]
    fn ignores_a_missing_or_invalid_session_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        std::fs::write(&path, "\"s\"").unwrap();
        assert_eq!(LastSession::read(&path), None);
        assert_eq!(LastSession::read(&folder.path().join("none")), None);
    }
}
