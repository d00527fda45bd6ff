//! Extracts health signals from a stream: repeated calls, failed requests, open questions.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::{
    runs::health::{Repeated, Signals},
    transcript::{Event, SessionOutcome, StreamEvent, ToolUse},
};

/// Calls remembered per agent.
const CALLS_LIMIT: usize = 64;
/// Maximum length of a repeated sequence.
const ROUND_LIMIT: usize = 4;

/// State for updating [`Signals`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SignalTracker {
    /// Fingerprints of recent calls, per agent (sub-agents by the call that started them).
    calls: HashMap<Option<String>, VecDeque<u64>>,
    /// Unanswered calls: id, description, start.
    open: Vec<(String, String, Timestamp)>,
    /// The open call that asks a person.
    question: Option<String>,
}

impl SignalTracker {
    pub(super) fn observe(
        &mut self,
        signals: &mut Signals,
        at: Option<Timestamp>,
        entry: &StreamEvent,
    ) {
        match &entry.event {
            Event::Init { .. } => {
                *self = Self::default();
                signals.ended = false;
                signals.over_budget = false;
                self.clear_waits(signals);
                signals.repeated = None;
                signals.running_tool = None;
            }
            Event::Text(_) | Event::Thinking(_) => self.clear_waits(signals),
            Event::ToolUse(tool) => {
                self.clear_waits(signals);
                self.on_call(signals, at, entry.parent.as_ref(), tool);
            }
            Event::ToolResult(result) => {
                self.open.retain(|(id, ..)| *id != result.id);
                if self.question.as_ref() == Some(&result.id) {
                    self.question = None;
                    signals.waiting_for = None;
                }
                self.update_running_tool(signals);
            }
            // The question is more specific than this event.
            Event::Waiting(_) if self.question.is_some() => {}
            Event::Waiting(what) => signals.waiting_for.clone_from(what),
            Event::RateLimit(limit) => {
                let until = limit
                    .resets_at
                    .and_then(|second| Timestamp::from_second(second).ok());
                signals.limited = limit.is_rejected().then(|| (limit.message(), until));
            }
            Event::ApiError { kind, .. } if kind == "rate_limit" => {
                let words = || ("rate limit reached".to_owned(), None);
                signals.limited.get_or_insert_with(words);
            }
            Event::Retry(retry) => {
                signals.retried = Some((retry.attempt, retry.error.replace('_', " ")));
            }
            Event::Denied { tool, why, .. } => {
                signals.refused += 1;
                let why = why.lines().next().unwrap_or_default();
                signals.last_refused = Some(format!("{tool} ({why})"));
            }
            Event::Result(outcome) => self.on_result(signals, outcome),
            _ => {}
        }
    }

    /// The model responded, so nothing blocks it.
    fn clear_waits(&mut self, signals: &mut Signals) {
        signals.limited = None;
        signals.retried = None;
        signals.waiting_for = None;
        self.question = None;
    }

    fn on_call(
        &mut self,
        signals: &mut Signals,
        at: Option<Timestamp>,
        parent: Option<&String>,
        tool: &ToolUse,
    ) {
        let what = format!("{} {}", tool.name, tool.summary);
        if tool.asks_user() {
            self.question = Some(tool.id.clone());
            signals.waiting_for = Some(format!("an answer: {}", tool.summary));
        }
        if let Some(at) = at {
            self.open.push((tool.id.clone(), what.clone(), at));
            // Bounded, because a call may never be answered.
            if self.open.len() > CALLS_LIMIT {
                self.open.remove(0);
            }
        }
        self.update_running_tool(signals);
        if tool.is_polling() {
            return;
        }
        let calls = self.calls.entry(parent.cloned()).or_default();
        calls.push_back(tool.fingerprint);
        if calls.len() > CALLS_LIMIT {
            calls.pop_front();
        }
        signals.repeated = repetitions(calls.make_contiguous()).map(|(times, round)| Repeated {
            what,
            times,
            round,
        });
    }

    fn update_running_tool(&self, signals: &mut Signals) {
        let first = self.open.first();
        signals.running_tool = first.map(|(_, what, since)| (what.clone(), *since));
    }

    fn on_result(&mut self, signals: &mut Signals, outcome: &SessionOutcome) {
        *self = Self::default();
        signals.ended = true;
        signals.over_budget = outcome.subtype == "error_max_budget_usd";
        signals.refused = signals.refused.max(outcome.denials);
        signals.running_tool = None;
        signals.waiting_for = None;
        signals.repeated = None;
    }
}

/// Returns how often the last sequence of calls was repeated, and its length; `None` without repetition.
fn repetitions(calls: &[u64]) -> Option<(usize, usize)> {
    let counted = (1..=ROUND_LIMIT).map(|round| {
        let mut backwards = calls.rchunks_exact(round);
        let last = backwards.next();
        let same = backwards.take_while(|calls| Some(*calls) == last);
        (1 + same.count(), round)
    });
    // Prefer most repetitions, then the shorter sequence.
    let most = counted.max_by_key(|(times, round)| (*times, std::cmp::Reverse(*round)))?;
    (most.0 > 1).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_repetitions_at_end() {
        for (calls, found) in [
            (&[][..], None),
            (&[1, 2, 3], None),
            (&[1, 1, 1], Some((3, 1))),
            (&[9, 1, 2, 1, 2, 1, 2], Some((3, 2))),
            (&[1, 2, 3, 4, 1, 2, 3, 4], Some((2, 4))),
            (&[1, 1, 1, 2], None),
            (&[1, 2, 2, 1, 2, 2], Some((2, 1))),
        ] {
            assert_eq!(repetitions(calls), found, "{calls:?}");
        }
    }
}
