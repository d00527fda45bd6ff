//! Looking for something in the steps: the same words and keys as in the log.
//!
//! What is found is a step, whether or not what it says is unfolded; going to it unfolds what hides it, and folds it again when
//! the next one is gone to.

use std::collections::BTreeSet;

use super::{RowId, Timeline};
use crate::widgets::text_view::Pattern;
use flightdeck_core::transcript::{Step, StepKind};

/// Bytes of steps that are looked at in one go: a few milliseconds.
const AT_ONCE: usize = 2 * 1024 * 1024;

/// What is being looked for, and where it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Seek {
    pattern: Option<Pattern>,
    /// Numbers of the steps that hold it.
    found: BTreeSet<usize>,
    /// Steps that have not been looked at since they changed.
    unread: BTreeSet<usize>,
    prompt: Option<Prompt>,
    /// A jump that waits for its answer: from which step, and whether forward.
    jump: Option<(usize, bool)>,
    /// Steps that were unfolded to show what was found.
    unfolded: Vec<usize>,
}

/// A search being typed.
#[derive(Clone, Debug)]
struct Prompt {
    before: Option<Pattern>,
    origin: Option<RowId>,
    following: bool,
}

impl Timeline {
    /// Begins to type a search.
    pub fn ask(&mut self) {
        self.seek.prompt = Some(Prompt {
            before: self.seek.pattern.clone(),
            origin: self.list.selected().copied(),
            following: self.follow,
        });
        self.make_room();
    }

    /// Whether a search is being typed.
    pub const fn asks(&self) -> bool {
        self.seek.prompt.is_some()
    }

    /// Looks for what is typed so far, from where the person was when they began.
    pub fn edit(&mut self, typed: &str) {
        let Some(prompt) = self.seek.prompt.clone() else {
            return;
        };
        self.go_back(&prompt);
        self.look_for(Pattern::new(typed));
        if self.seek.pattern.is_some() {
            self.seek.jump = Some((prompt.origin.map_or(0, |(number, _)| number), true));
        }
        self.look_on();
    }

    /// Ends the prompt. Escape ends the search as well; Enter on nothing goes on with the one before.
    pub fn answer(&mut self, keep: bool) {
        let Some(prompt) = self.seek.prompt.take() else {
            return;
        };
        self.make_room();
        if keep && self.seek.pattern.is_some() {
            return;
        }
        self.go_back(&prompt);
        self.look_for(prompt.before.filter(|_| keep));
        self.look_on();
    }

    fn go_back(&mut self, prompt: &Prompt) {
        self.fold_again();
        self.follow = prompt.following;
        self.settle();
        if let Some(row) = prompt.origin.filter(|_| !prompt.following) {
            self.list.select(&row);
        }
    }

    fn look_for(&mut self, pattern: Option<Pattern>) {
        let all = self.steps.dropped()..self.steps.end();
        self.seek.unread = if pattern.is_some() {
            all.collect()
        } else {
            BTreeSet::new()
        };
        self.seek.found.clear();
        self.seek.jump = None;
        self.seek.pattern = pattern;
    }

    /// Takes the search back; `false` when there was none.
    pub fn clear(&mut self) -> bool {
        let there = self.seek.pattern.is_some();
        self.look_for(None);
        self.seek.unfolded.clear();
        there
    }

    /// Steps that are new or have changed are to be looked at.
    pub(super) fn look_again(&mut self, changed: &BTreeSet<usize>) {
        if self.seek.pattern.is_some() {
            self.seek.unread.extend(changed);
        }
    }

    /// Looks at some of the steps that were not looked at yet; true while there are more, when the owner is to come back.
    pub fn look_on(&mut self) -> bool {
        let Some(pattern) = &self.seek.pattern else {
            return false;
        };
        let mut left = AT_ONCE;
        let oldest = self.steps.dropped();
        self.seek.found = self.seek.found.split_off(&oldest);
        while let Some(number) = self.seek.unread.pop_first() {
            let Some(step) = self.steps.get(number) else {
                continue;
            };
            let text = searched(step);
            if pattern.is_in(&text) {
                self.seek.found.insert(number);
            } else {
                self.seek.found.remove(&number);
            }
            left = left.saturating_sub(text.len() + 64);
            if left == 0 {
                break;
            }
        }
        let more = !self.seek.unread.is_empty();
        if !more && let Some((from, forward)) = self.seek.jump.take() {
            self.jump(from, forward);
        }
        more
    }

    /// Goes to the next step that holds what is looked for, or the one before, and around at the end.
    pub fn next_match(&mut self, forward: bool) {
        if self.seek.pattern.is_none() {
            return;
        }
        let here = self.list.selected().map_or(0, |(number, _)| *number);
        let from = if forward { here + 1 } else { here };
        self.seek.jump = Some((from, forward));
        self.look_on();
    }

    fn jump(&mut self, from: usize, forward: bool) {
        let found = &self.seek.found;
        let next = if forward {
            found.range(from..).next().or_else(|| found.first())
        } else {
            found.range(..from).next_back().or_else(|| found.last())
        };
        if let Some(number) = next.copied() {
            self.fold_again();
            self.show(number);
        }
    }

    fn fold_again(&mut self) {
        for number in std::mem::take(&mut self.seek.unfolded) {
            self.opened.remove(&number);
        }
    }

    fn unfold(&mut self, number: usize) {
        if !self.is_open(number) && self.can_open(number) {
            self.closed.remove(&number);
            self.opened.insert(number);
            self.seek.unfolded.push(number);
        }
    }

    /// Brings what was found in a step into sight.
    fn show(&mut self, number: usize) {
        self.follow = false;
        let mut above = self.steps.get(number).and_then(|step| step.parent);
        while let Some(parent) = above {
            self.unfold(parent);
            above = self.steps.get(parent).and_then(|step| step.parent);
        }
        self.settle();
        if self.found_in(number).is_none() {
            self.unfold(number);
            self.settle();
        }
        let row = self.found_in(number).unwrap_or((number, 0));
        // What the match stands in is in sight as well, where there is room.
        self.list.select(&(number, 0));
        self.list.select(&row);
    }

    /// The first row of a step that is shown and holds what is looked for.
    fn found_in(&self, number: usize) -> Option<RowId> {
        let pattern = self.seek.pattern.as_ref()?;
        let at = self.list.rows().iter().position(|row| row.0 == number)?;
        let own = self.list.rows()[at..].iter();
        own.filter(|row| row.0 == number)
            .copied()
            .find(|row| match self.row(*row) {
                Some(spans) => {
                    let words: String = spans.iter().map(|(text, _)| text.as_str()).collect();
                    pattern.is_in(&words)
                }
                // The step's own line.
                None => self
                    .steps
                    .get(number)
                    .is_some_and(|step| pattern.is_in(&headline(step))),
            })
    }

    /// What is looked for.
    pub const fn pattern(&self) -> Option<&Pattern> {
        self.seek.pattern.as_ref()
    }

    /// How the search stands: `match 2/7`, `no match`; empty without one.
    #[must_use]
    pub fn state(&self) -> String {
        let Some(pattern) = &self.seek.pattern else {
            return String::new();
        };
        let count = self.seek.found.len();
        let more = if self.seek.unread.is_empty() { "" } else { "+" };
        let here = self.list.selected().map(|(number, _)| *number);
        let here = here.filter(|number| self.seek.found.contains(number));
        let said = match here {
            Some(number) => {
                let rank = self.seek.found.range(..=number).count();
                format!("match {rank}/{count}{more}")
            }
            None if count == 0 && more.is_empty() => "no match".to_owned(),
            None if count == 1 => format!("1 match{more}"),
            None => format!("{count}{more} matches"),
        };
        if pattern.is_literal() {
            format!("as typed · {said}")
        } else {
            said
        }
    }
}

/// All of a step that a search looks at.
fn searched(step: &Step) -> String {
    match &step.what {
        StepKind::End(_) | StepKind::Raw { .. } => {
            format!("{}\n{}", headline(step), step.full_text())
        }
        _ => step.full_text(),
    }
}

/// What stands on a step's own line.
fn headline(step: &Step) -> String {
    match &step.what {
        StepKind::Call(call) => format!("{} {}", call.tool.name, call.tool.summary),
        StepKind::Raw { name, .. } => name.clone(),
        StepKind::End(outcome) => outcome.subtype.replace('_', " "),
        _ => step.full_text(),
    }
}
