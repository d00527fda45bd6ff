//! The Timeline tab: what an agent said, called and met, step by step, each folded to a line or a few until it is opened.

mod inside;
mod seek;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use self::{inside::Inside, seek::Seek};
use crate::{list::List, widgets::text_view::lay::Spans};
use flightdeck_core::transcript::{Step, StepKind, Steps, ToolCall, Transcript, parse_line};

/// A row of the tab: the number of a step, and which of its rows (0 is the step's own line).
pub type RowId = (usize, usize);

/// Columns before what a step says: the time, the turn, the sign of what can be opened.
pub const MARGIN: usize = 15;
/// Columns by which the steps of a sub-agent are indented.
pub const INDENT: usize = 2;
/// Deepest indentation, in sub-agents: deeper ones stand below the same column.
const DEEPEST: usize = 4;

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    pub list: List<RowId>,
    /// What the agent's lines add up to.
    pub transcript: Transcript,
    steps: Steps,
    /// Steps that a person opened, and those that a person closed though they are open by themselves.
    opened: BTreeSet<usize>,
    closed: BTreeSet<usize>,
    /// Every edit shows what it changes.
    edits: bool,
    /// Rows of steps that have been looked at, for the width there is.
    laid: BTreeMap<usize, Inside>,
    /// Steps of sub-agents by the step of the call that started them.
    children: HashMap<usize, Vec<usize>>,
    width: usize,
    /// Rows there are, the one that is typed in included.
    height: usize,
    seek: Seek,
    /// Whether the newest step is kept in sight.
    pub follow: bool,
}

impl Timeline {
    /// Takes one line of the agent's log in; [`Self::settle`] comes after a batch.
    pub fn add(&mut self, at: Timestamp, line: &str) {
        let entries = parse_line(line);
        for entry in &entries {
            self.transcript.add_entry(Some(at), entry);
        }
        self.steps.add_entries(Some(at), line, &entries);
    }

    /// Derives the rows anew, after lines came or a step was opened.
    pub fn settle(&mut self) {
        let changed = self.steps.take_changed();
        self.look_again(&changed);
        for number in &changed {
            self.laid.remove(number);
        }
        let oldest = self.steps.dropped();
        for number in changed.range(oldest..).copied() {
            let parent = self.steps.get(number).and_then(|step| step.parent);
            if let Some(parent) = parent {
                let children = self.children.entry(parent).or_default();
                if children.is_empty() {
                    self.laid.remove(&parent);
                }
                if children.last().is_none_or(|last| *last < number) {
                    children.push(number);
                }
            }
            // Whoever reads in a sub-agent's steps keeps them when it has ended.
            if !self.follow && !self.steps.is_pending(number) && self.children.contains_key(&number)
            {
                self.opened.insert(number);
            }
        }
        self.children.retain(|parent, _| *parent >= oldest);
        let mut rows = Vec::with_capacity(self.list.rows().len() + changed.len());
        for number in oldest..self.steps.end() {
            let top = self
                .steps
                .get(number)
                .is_some_and(|step| step.parent.is_none_or(|parent| parent < oldest));
            if top {
                self.rows_of(number, &mut rows);
            }
        }
        self.list.set_rows(rows);
        if self.follow {
            self.list.select_at(usize::MAX);
        }
    }

    fn rows_of(&mut self, number: usize, rows: &mut Vec<RowId>) {
        rows.push((number, 0));
        let open = self.is_open(number);
        let shown = self.inside(number).map_or(0, |inside| inside.shown(open));
        let children = self.children.get(&number).filter(|_| open).cloned();
        for child in children.unwrap_or_default() {
            self.rows_of(child, rows);
        }
        rows.extend((1..=shown).map(|row| (number, row)));
    }

    /// The rows of a step: worked out once, and only for steps that show any.
    fn inside(&mut self, number: usize) -> Option<&Inside> {
        if !self.laid.contains_key(&number) {
            let step = self.steps.get(number)?;
            // A call without a fault is one line until it is opened.
            let quiet = matches!(&step.what, StepKind::Call(call) if !call.failed());
            if quiet && !self.is_open(number) {
                return None;
            }
            let room = self
                .width
                .saturating_sub(MARGIN + INDENT * self.depth(number));
            let delegated = self.children.contains_key(&number);
            self.laid.insert(number, Inside::of(step, delegated, room));
        }
        self.laid.get(&number)
    }

    /// Opens or closes the selected step.
    pub fn toggle(&mut self) {
        let Some((number, _)) = self.list.selected().copied() else {
            return;
        };
        if !self.can_open(number) {
            return;
        }
        let open = self.is_open(number);
        self.opened.remove(&number);
        self.closed.remove(&number);
        if self.is_open(number) == open {
            let changed = if open {
                &mut self.closed
            } else {
                &mut self.opened
            };
            changed.insert(number);
        }
        self.follow = false;
        self.settle();
        self.show_open(number);
    }

    /// Selects a step, with as much of what is open of it as fits.
    fn show_open(&mut self, number: usize) {
        self.list.select(&(number, 0));
        let (steps, depth) = (&self.steps, self.steps.depth(number));
        self.list
            .reveal_below(|row| row.0 == number || steps.depth(row.0) > depth);
    }

    /// The selected step in full, as it came; `None` without one.
    pub fn selected_text(&self) -> Option<String> {
        let (number, _) = self.list.selected()?;
        self.steps.get(*number).map(Step::full_text)
    }

    /// Opens every edit, or folds those that no person opened.
    pub fn toggle_edits(&mut self) {
        self.edits = !self.edits;
        let selected = self.list.selected().copied();
        self.settle();
        if let Some((number, _)) = selected.filter(|_| !self.follow) {
            self.show_open(number);
        }
    }

    /// Goes to the next step that went wrong, and around at the end.
    pub fn next_trouble(&mut self) {
        let rows = self.list.rows();
        let bad = |row: &&RowId| row.1 == 0 && self.steps.get(row.0).is_some_and(is_trouble);
        let after = rows.iter().skip(self.list.cursor() + 1).find(bad);
        let found = after.or_else(|| rows.iter().find(bad)).copied();
        if let Some((number, _)) = found {
            self.follow = false;
            self.show_open(number);
        }
    }

    /// Keeps the newest step in sight, or no longer.
    pub fn toggle_follow(&mut self) {
        self.follow = !self.follow;
        self.settle();
    }

    /// Whether a step shows all there is of it.
    pub fn is_open(&self, number: usize) -> bool {
        if self.opened.contains(&number) {
            return true;
        }
        let by_itself = self.steps.get(number).is_some_and(|step| match &step.what {
            StepKind::Call(call) if self.children.contains_key(&number) => {
                call.answer.is_none() && self.steps.is_pending(number)
            }
            StepKind::Call(call) => self.edits && changes(call),
            StepKind::End(outcome) => outcome.failed(),
            _ => false,
        });
        by_itself && !self.closed.contains(&number)
    }

    /// Whether there is more of a step than is shown while it is folded.
    pub fn can_open(&self, number: usize) -> bool {
        if self.children.contains_key(&number) {
            return true;
        }
        match self.laid.get(&number) {
            Some(inside) => inside.folds(),
            None => self.steps.get(number).is_some_and(
                |step| matches!(&step.what, StepKind::Call(call) if inside::has_inside(call)),
            ),
        }
    }

    /// A step by its number.
    pub fn step(&self, number: usize) -> Option<&Step> {
        self.steps.get(number)
    }

    /// One of a step's rows; row 0 is what stands on its own line, where that is a text.
    pub fn row(&self, (number, row): RowId) -> Option<&Spans> {
        self.laid.get(&number)?.row(row)
    }

    /// Rows of a step that are not shown.
    pub fn hidden(&self, number: usize) -> usize {
        let open = self.is_open(number);
        self.laid
            .get(&number)
            .map_or(0, |inside| inside.hidden(open))
    }

    /// Whether the tool of a step's call is at work.
    pub fn at_work(&self, number: usize) -> bool {
        self.steps.is_pending(number)
    }

    /// Steps of the sub-agent that a step's call started.
    pub fn steps_below(&self, number: usize) -> &[usize] {
        self.children.get(&number).map_or(&[], Vec::as_slice)
    }

    /// By how much a step is indented: in how many sub-agents it is, to a bound.
    pub fn depth(&self, number: usize) -> usize {
        self.steps.depth(number).min(DEEPEST)
    }

    /// Whether a step of the main agent begins a turn.
    pub fn begins_turn(&self, number: usize) -> bool {
        let Some(step) = self.steps.get(number).filter(|step| step.parent.is_none()) else {
            return false;
        };
        let mut before = (self.steps.dropped()..number).rev();
        let before =
            before.find_map(|number| self.steps.get(number).filter(|step| step.parent.is_none()));
        step.turn > before.map_or(0, |before| before.turn)
    }

    /// A search being typed takes a row.
    fn make_room(&mut self) {
        let typed = usize::from(self.asks());
        self.list.set_height(self.height.saturating_sub(typed));
    }

    /// Tells it how much room there is.
    pub fn fit(&mut self, width: usize, height: usize) {
        self.height = height;
        self.make_room();
        if self.width != width {
            self.width = width;
            self.laid.clear();
            self.settle();
        }
    }
}

/// Whether a call changes a file.
fn changes(call: &ToolCall) -> bool {
    let patch = call
        .answer
        .as_ref()
        .and_then(|answer| answer.patch.as_ref());
    patch.is_some() || !call.edits().is_empty()
}

/// Whether a step went wrong.
fn is_trouble(step: &Step) -> bool {
    match &step.what {
        StepKind::Call(call) => call.failed(),
        StepKind::Trouble { .. } => true,
        StepKind::End(outcome) => outcome.failed(),
        _ => false,
    }
}
