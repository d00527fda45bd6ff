//! Watches a stream for what tells how its agent is: calls repeated, requests refused, a question nobody answers.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::{
    runs::health::{Repeated, Signals},
    transcript::{Entry, Event, Outcome, ToolUse},
};

/// Calls that are remembered of one agent, for finding rounds.
const REMEMBERED: usize = 64;
/// Most calls of a round.
const ROUND: usize = 4;

/// What is remembered to keep the signals.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Watch {
    /// Fingerprints of the last calls, of the agent and of each sub-agent (by the call that started it).
    calls: HashMap<Option<String>, VecDeque<u64>>,
    /// Calls that have not been answered: id, what, since when.
    open: Vec<(String, String, Timestamp)>,
    /// The call that asks a person, while it is not answered.
    question: Option<String>,
}

impl Watch {
    pub(super) fn see(&mut self, signals: &mut Signals, at: Option<Timestamp>, entry: &Entry) {
        match &entry.event {
            Event::Init { .. } => {
                *self = Self::default();
                signals.ended = false;
                signals.over_budget = false;
                self.goes_on(signals);
                signals.repeated = None;
                signals.at_work = None;
            }
            Event::Text(_) | Event::Thinking(_) => self.goes_on(signals),
            Event::ToolUse(tool) => {
                self.goes_on(signals);
                self.called(signals, at, entry.parent.as_ref(), tool);
            }
            Event::ToolResult(result) => {
                self.open.retain(|(id, ..)| *id != result.id);
                if self.question.as_ref() == Some(&result.id) {
                    self.question = None;
                    signals.waits_for = None;
                }
                self.at_work(signals);
            }
            // The question itself says more than that there is one.
            Event::Waiting(_) if self.question.is_some() => {}
            Event::Waiting(what) => signals.waits_for.clone_from(what),
            Event::RateLimit(limit) => {
                let until = limit
                    .resets_at
                    .and_then(|second| Timestamp::from_second(second).ok());
                signals.limited = limit.rejects().then(|| (limit.words(), until));
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
            Event::Result(outcome) => self.ended(signals, outcome),
            _ => {}
        }
    }

    /// The model answered: nothing holds it up.
    fn goes_on(&mut self, signals: &mut Signals) {
        signals.limited = None;
        signals.retried = None;
        signals.waits_for = None;
        self.question = None;
    }

    fn called(
        &mut self,
        signals: &mut Signals,
        at: Option<Timestamp>,
        parent: Option<&String>,
        tool: &ToolUse,
    ) {
        let what = format!("{} {}", tool.name, tool.summary);
        if tool.asks() {
            self.question = Some(tool.id.clone());
            signals.waits_for = Some(format!("an answer: {}", tool.summary));
        }
        if let Some(at) = at {
            self.open.push((tool.id.clone(), what.clone(), at));
            // One that is never answered is not waited for for ever.
            if self.open.len() > REMEMBERED {
                self.open.remove(0);
            }
        }
        self.at_work(signals);
        if tool.polls() {
            return;
        }
        let calls = self.calls.entry(parent.cloned()).or_default();
        calls.push_back(tool.fingerprint);
        if calls.len() > REMEMBERED {
            calls.pop_front();
        }
        signals.repeated =
            rounds(calls.make_contiguous()).map(|(times, round)| Repeated { what, times, round });
    }

    fn at_work(&self, signals: &mut Signals) {
        let first = self.open.first();
        signals.at_work = first.map(|(_, what, since)| (what.clone(), *since));
    }

    fn ended(&mut self, signals: &mut Signals, outcome: &Outcome) {
        *self = Self::default();
        signals.ended = true;
        signals.over_budget = outcome.subtype == "error_max_budget_usd";
        signals.refused = signals.refused.max(outcome.denials);
        signals.at_work = None;
        signals.waits_for = None;
        signals.repeated = None;
    }
}

/// How often the last calls were made one after the other, and how many of them make a round; `None` when the last round
/// is the first of its kind.
fn rounds(calls: &[u64]) -> Option<(usize, usize)> {
    let counted = (1..=ROUND).map(|round| {
        let mut backwards = calls.rchunks_exact(round);
        let last = backwards.next();
        let same = backwards.take_while(|calls| Some(*calls) == last);
        (1 + same.count(), round)
    });
    // The most rounds, and of two ways to count them the shorter round.
    let most = counted.max_by_key(|(times, round)| (*times, std::cmp::Reverse(*round)))?;
    (most.0 > 1).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_found_whatever_their_length_and_only_at_the_end() {
        for (calls, found) in [
            (&[][..], None),
            (&[1, 2, 3], None),
            (&[1, 1, 1], Some((3, 1))),
            (&[9, 1, 2, 1, 2, 1, 2], Some((3, 2))),
            (&[1, 2, 3, 4, 1, 2, 3, 4], Some((2, 4))),
            (&[1, 1, 1, 2], None),
            (&[1, 2, 2, 1, 2, 2], Some((2, 1))),
        ] {
            assert_eq!(rounds(calls), found, "{calls:?}");
        }
    }
}
