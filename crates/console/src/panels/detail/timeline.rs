//! State of the Timeline tab: the agent's texts, tool calls and errors as steps, folded to a few lines until opened.

mod search;
mod step_body;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use self::{search::Search, step_body::StepBody};
use crate::{list::List, widgets::text_view::line_layout::Spans};
use flightdeck_core::transcript::{Step, StepKind, Steps, ToolCall, Transcript, parse_line};

/// A row of the tab: the number of a step, and the row within the step. Row 0 is the headline.
pub(super) type RowId = (usize, usize);

/// Columns of the time, the turn and the fold marker.
pub(super) const MARGIN: usize = 15;
/// Indentation of the steps of a sub-agent.
pub(super) const INDENT: usize = 2;
/// Maximum depth of indentation.
const DEEPEST: usize = 4;

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    pub list: List<RowId>,
    /// Totals of the agent's lines.
    pub transcript: Transcript,
    steps: Steps,
    /// Steps opened by the user, and steps closed by the user that are open by default.
    opened: BTreeSet<usize>,
    closed: BTreeSet<usize>,
    /// All edits are open by default.
    edits: bool,
    /// Cached bodies of shown steps, for the current width.
    bodies: BTreeMap<usize, StepBody>,
    /// Steps of a sub-agent, by the step that called it.
    children: HashMap<usize, Vec<usize>>,
    width: usize,
    /// Rows of the tab, including the prompt.
    height: usize,
    search: Search,
    /// Keep the newest step selected.
    pub follow: bool,
}

impl Timeline {
    /// Adds a line of the agent's log. Call [`Self::refresh`] after a batch.
    pub(super) fn add(&mut self, at: Timestamp, line: &str) {
        let entries = parse_line(line);
        for entry in &entries {
            self.transcript.add_entry(Some(at), entry);
        }
        self.steps.add_entries(Some(at), line, &entries);
    }

    /// Rebuilds the rows after lines were added or a step was opened.
    pub(super) fn refresh(&mut self) {
        let changed = self.steps.take_changed();
        self.invalidate(&changed);
        for number in &changed {
            self.bodies.remove(number);
        }
        let oldest = self.steps.dropped();
        for number in changed.range(oldest..).copied() {
            let parent = self.steps.get(number).and_then(|step| step.parent);
            if let Some(parent) = parent {
                let children = self.children.entry(parent).or_default();
                if children.is_empty() {
                    self.bodies.remove(&parent);
                }
                if children.last().is_none_or(|last| *last < number) {
                    children.push(number);
                }
            }
            // Keep the steps of a finished sub-agent open while the user reads them.
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
        let shown = self.body(number).map_or(0, |body| body.shown(open));
        let children = self.children.get(&number).filter(|_| open).cloned();
        for child in children.unwrap_or_default() {
            self.rows_of(child, rows);
        }
        rows.extend((1..=shown).map(|row| (number, row)));
    }

    /// Returns the body of a step, laid out on first use. `None` for a step that shows none.
    fn body(&mut self, number: usize) -> Option<&StepBody> {
        if !self.bodies.contains_key(&number) {
            let step = self.steps.get(number)?;
            // A successful call is one line until it is opened.
            let quiet = matches!(&step.what, StepKind::Call(call) if !call.failed());
            if quiet && !self.is_open(number) {
                return None;
            }
            let room = self
                .width
                .saturating_sub(MARGIN + INDENT * self.depth(number));
            let delegated = self.children.contains_key(&number);
            self.bodies
                .insert(number, StepBody::of(step, delegated, room));
        }
        self.bodies.get(&number)
    }

    /// Opens or closes the selected step.
    pub(super) fn toggle(&mut self) {
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
        self.refresh();
        self.select_open(number);
    }

    /// Selects a step and scrolls as much of its body into view as fits.
    fn select_open(&mut self, number: usize) {
        self.list.select(&(number, 0));
        let (steps, depth) = (&self.steps, self.steps.depth(number));
        self.list
            .reveal_below(|row| row.0 == number || steps.depth(row.0) > depth);
    }

    /// Returns the full original text of the selected step.
    pub(super) fn copied_text(&self) -> Option<String> {
        let (number, _) = self.list.selected()?;
        self.steps.get(*number).map(Step::full_text)
    }

    /// Opens all edits, or closes those not opened by the user.
    pub(super) fn toggle_edits(&mut self) {
        self.edits = !self.edits;
        let selected = self.list.selected().copied();
        self.refresh();
        if let Some((number, _)) = selected.filter(|_| !self.follow) {
            self.select_open(number);
        }
    }

    /// Selects the next failed step, wrapping at the end.
    pub(super) fn next_problem(&mut self) {
        let rows = self.list.rows();
        let bad = |row: &&RowId| row.1 == 0 && self.steps.get(row.0).is_some_and(is_problem);
        let after = rows.iter().skip(self.list.cursor() + 1).find(bad);
        let found = after.or_else(|| rows.iter().find(bad)).copied();
        if let Some((number, _)) = found {
            self.follow = false;
            self.select_open(number);
        }
    }

    /// Starts or stops following the newest step.
    pub(super) fn toggle_follow(&mut self) {
        self.follow = !self.follow;
        self.refresh();
    }

    /// Whether a step shows its full body.
    pub(super) fn is_open(&self, number: usize) -> bool {
        if self.opened.contains(&number) {
            return true;
        }
        let by_default = self.steps.get(number).is_some_and(|step| match &step.what {
            StepKind::Call(call) if self.children.contains_key(&number) => {
                call.answer.is_none() && self.steps.is_pending(number)
            }
            StepKind::Call(call) => self.edits && is_edit(call),
            StepKind::End(outcome) => outcome.failed(),
            _ => false,
        });
        by_default && !self.closed.contains(&number)
    }

    /// Whether opening a step shows more.
    pub(super) fn can_open(&self, number: usize) -> bool {
        if self.children.contains_key(&number) {
            return true;
        }
        match self.bodies.get(&number) {
            Some(body) => body.folds(),
            None => self.steps.get(number).is_some_and(
                |step| matches!(&step.what, StepKind::Call(call) if step_body::has_body(call)),
            ),
        }
    }

    pub(super) fn step(&self, number: usize) -> Option<&Step> {
        self.steps.get(number)
    }

    /// Returns a row of a step's body. Row 0 exists only if the headline is text.
    pub(super) fn row(&self, (number, row): RowId) -> Option<&Spans> {
        self.bodies.get(&number)?.row(row)
    }

    /// Returns the number of hidden rows of a step.
    pub(super) fn hidden(&self, number: usize) -> usize {
        let open = self.is_open(number);
        self.bodies.get(&number).map_or(0, |body| body.hidden(open))
    }

    /// Whether the tool call of a step has no result yet.
    pub(super) fn is_pending(&self, number: usize) -> bool {
        self.steps.is_pending(number)
    }

    /// Returns the steps of the sub-agent that a step called.
    pub(super) fn children_of(&self, number: usize) -> &[usize] {
        self.children.get(&number).map_or(&[], Vec::as_slice)
    }

    /// Returns the indentation level of a step: its depth in sub-agents, limited.
    pub(super) fn depth(&self, number: usize) -> usize {
        self.steps.depth(number).min(DEEPEST)
    }

    /// Whether a step of the main agent begins a turn.
    pub(super) fn begins_turn(&self, number: usize) -> bool {
        let Some(step) = self.steps.get(number).filter(|step| step.parent.is_none()) else {
            return false;
        };
        let mut before = (self.steps.dropped()..number).rev();
        let before =
            before.find_map(|number| self.steps.get(number).filter(|step| step.parent.is_none()));
        step.turn > before.map_or(0, |before| before.turn)
    }

    /// Reserves a row for an open prompt.
    fn update_height(&mut self) {
        let typed = usize::from(self.is_searching());
        self.list.set_height(self.height.saturating_sub(typed));
    }

    /// Adapts the rows to the size of the tab.
    pub(super) fn fit(&mut self, width: usize, height: usize) {
        self.height = height;
        self.update_height();
        if self.width != width {
            self.width = width;
            self.bodies.clear();
            self.refresh();
        }
    }
}

/// Whether a call edits a file.
fn is_edit(call: &ToolCall) -> bool {
    let patch = call
        .answer
        .as_ref()
        .and_then(|answer| answer.patch.as_ref());
    patch.is_some() || !call.edits().is_empty()
}

/// Whether a step failed.
fn is_problem(step: &Step) -> bool {
    match &step.what {
        StepKind::Call(call) => call.failed(),
        StepKind::Trouble { .. } => true,
        StepKind::End(outcome) => outcome.failed(),
        _ => false,
    }
}
