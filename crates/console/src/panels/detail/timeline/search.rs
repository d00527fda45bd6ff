//! Search in the steps, with the keys and patterns of the log.
//!
//! A match is a step, folded or not. Going to a match unfolds it; going to the next one folds it again.

use std::collections::BTreeSet;

use super::{RowId, Timeline};
use crate::widgets::text_view::Pattern;
use flightdeck_core::transcript::{Step, StepKind};

/// Bytes of steps searched per call: a few milliseconds.
const SLICE: usize = 2 * 1024 * 1024;

/// State of the search.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    pattern: Option<Pattern>,
    /// Numbers of the matching steps.
    found: BTreeSet<usize>,
    /// Steps to search: new and changed ones.
    pending: BTreeSet<usize>,
    prompt: Option<Prompt>,
    /// A jump that waits for the search to finish: the step it starts at, and whether forward.
    jump: Option<(usize, bool)>,
    /// Steps unfolded to show a match.
    unfolded: Vec<usize>,
}

/// The open prompt, with the state to restore.
#[derive(Clone, Debug)]
struct Prompt {
    before: Option<Pattern>,
    origin: Option<RowId>,
    following: bool,
}

impl Timeline {
    /// Opens the prompt.
    pub(crate) fn open_prompt(&mut self) {
        self.search.prompt = Some(Prompt {
            before: self.search.pattern.clone(),
            origin: self.list.selected().copied(),
            following: self.follow,
        });
        self.update_height();
    }

    /// Whether the prompt is open.
    pub(crate) const fn is_searching(&self) -> bool {
        self.search.prompt.is_some()
    }

    /// Searches for the typed pattern from the step that was selected when the prompt was opened.
    pub(crate) fn edit_prompt(&mut self, typed: &str) {
        let Some(prompt) = self.search.prompt.clone() else {
            return;
        };
        self.restore(&prompt);
        self.start(Pattern::new(typed));
        if self.search.pattern.is_some() {
            self.search.jump = Some((prompt.origin.map_or(0, |(number, _)| number), true));
        }
        self.continue_search();
    }

    /// Closes the prompt. Cancelling ends the search; accepting an empty pattern restores the previous one.
    pub(crate) fn close_prompt(&mut self, keep: bool) {
        let Some(prompt) = self.search.prompt.take() else {
            return;
        };
        self.update_height();
        if keep && self.search.pattern.is_some() {
            return;
        }
        self.restore(&prompt);
        self.start(prompt.before.filter(|_| keep));
        self.continue_search();
    }

    fn restore(&mut self, prompt: &Prompt) {
        self.refold();
        self.follow = prompt.following;
        self.refresh();
        if let Some(row) = prompt.origin.filter(|_| !prompt.following) {
            self.list.select(&row);
        }
    }

    fn start(&mut self, pattern: Option<Pattern>) {
        let all = self.steps.dropped()..self.steps.end();
        self.search.pending = if pattern.is_some() {
            all.collect()
        } else {
            BTreeSet::new()
        };
        self.search.found.clear();
        self.search.jump = None;
        self.search.pattern = pattern;
    }

    /// Ends the search. Returns `false` if there was none.
    pub(crate) fn clear(&mut self) -> bool {
        let there = self.search.pattern.is_some();
        self.start(None);
        self.search.unfolded.clear();
        there
    }

    /// Queues new and changed steps.
    pub(super) fn invalidate(&mut self, changed: &BTreeSet<usize>) {
        if self.search.pattern.is_some() {
            self.search.pending.extend(changed);
        }
    }

    /// Searches some of the queued steps. Returns `true` while there are more; call it again after handling input.
    pub(crate) fn continue_search(&mut self) -> bool {
        let Some(pattern) = &self.search.pattern else {
            return false;
        };
        let mut left = SLICE;
        let oldest = self.steps.dropped();
        self.search.found = self.search.found.split_off(&oldest);
        while let Some(number) = self.search.pending.pop_first() {
            let Some(step) = self.steps.get(number) else {
                continue;
            };
            let text = searched_text(step);
            if pattern.matches(&text) {
                self.search.found.insert(number);
            } else {
                self.search.found.remove(&number);
            }
            left = left.saturating_sub(text.len() + 64);
            if left == 0 {
                break;
            }
        }
        let more = !self.search.pending.is_empty();
        if !more && let Some((from, forward)) = self.search.jump.take() {
            self.jump(from, forward);
        }
        more
    }

    /// Goes to the next or the previous match, wrapping at the ends.
    pub(crate) fn next_match(&mut self, forward: bool) {
        if self.search.pattern.is_none() {
            return;
        }
        let here = self.list.selected().map_or(0, |(number, _)| *number);
        let from = if forward { here + 1 } else { here };
        self.search.jump = Some((from, forward));
        self.continue_search();
    }

    fn jump(&mut self, from: usize, forward: bool) {
        let found = &self.search.found;
        let next = if forward {
            found.range(from..).next().or_else(|| found.first())
        } else {
            found.range(..from).next_back().or_else(|| found.last())
        };
        if let Some(number) = next.copied() {
            self.refold();
            self.show(number);
        }
    }

    fn refold(&mut self) {
        for number in std::mem::take(&mut self.search.unfolded) {
            self.opened.remove(&number);
        }
    }

    fn unfold(&mut self, number: usize) {
        if !self.is_open(number) && self.can_open(number) {
            self.closed.remove(&number);
            self.opened.insert(number);
            self.search.unfolded.push(number);
        }
    }

    /// Scrolls to the match in a step, unfolding what hides it.
    fn show(&mut self, number: usize) {
        self.follow = false;
        let mut above = self.steps.get(number).and_then(|step| step.parent);
        while let Some(parent) = above {
            self.unfold(parent);
            above = self.steps.get(parent).and_then(|step| step.parent);
        }
        self.refresh();
        if self.first_match(number).is_none() {
            self.unfold(number);
            self.refresh();
        }
        let row = self.first_match(number).unwrap_or((number, 0));
        // Select the headline first, so that it stays visible if there is room.
        self.list.select(&(number, 0));
        self.list.select(&row);
    }

    /// Returns the first visible row of a step that matches.
    fn first_match(&self, number: usize) -> Option<RowId> {
        let pattern = self.search.pattern.as_ref()?;
        let at = self.list.rows().iter().position(|row| row.0 == number)?;
        let rows = self.list.rows()[at..].iter();
        rows.filter(|row| row.0 == number)
            .copied()
            .find(|row| match self.row(*row) {
                Some(spans) => {
                    let words: String = spans.iter().map(|(text, _)| text.as_str()).collect();
                    pattern.matches(&words)
                }
                // The headline.
                None => self
                    .steps
                    .get(number)
                    .is_some_and(|step| pattern.matches(&headline(step))),
            })
    }

    pub(crate) const fn pattern(&self) -> Option<&Pattern> {
        self.search.pattern.as_ref()
    }

    /// Returns the status of the search: `match 2/7`, `no match`; empty without one.
    #[must_use]
    pub(crate) fn search_status(&self) -> String {
        let Some(pattern) = &self.search.pattern else {
            return String::new();
        };
        let count = self.search.found.len();
        let more = if self.search.pending.is_empty() {
            ""
        } else {
            "+"
        };
        let here = self.list.selected().map(|(number, _)| *number);
        let here = here.filter(|number| self.search.found.contains(number));
        let status = match here {
            Some(number) => {
                let rank = self.search.found.range(..=number).count();
                format!("match {rank}/{count}{more}")
            }
            None if count == 0 && more.is_empty() => "no match".to_owned(),
            None if count == 1 => format!("1 match{more}"),
            None => format!("{count}{more} matches"),
        };
        if pattern.is_literal() {
            format!("matching literally · {status}")
        } else {
            status
        }
    }
}

/// Returns the text of a step that is searched.
fn searched_text(step: &Step) -> String {
    match &step.what {
        StepKind::End(_) | StepKind::Raw { .. } => {
            format!("{}\n{}", headline(step), step.full_text())
        }
        _ => step.full_text(),
    }
}

/// Returns the text of the headline.
fn headline(step: &Step) -> String {
    match &step.what {
        StepKind::Call(call) => format!("{} {}", call.tool.name, call.tool.summary),
        StepKind::Raw { name, .. } => name.clone(),
        StepKind::End(outcome) => outcome.subtype.replace('_', " "),
        _ => step.full_text(),
    }
}
