//! Drawing of one row of a step.

use jiff::Timestamp;

use crate::{
    draw::RowPen,
    model::Model,
    panels::detail::timeline::{INDENT, MARGIN, RowId, Timeline},
    theme::{Scope, Theme},
    widgets::text_view::line_layout::Spans,
};
use flightdeck_core::{
    text,
    transcript::{SessionOutcome, Step, StepKind, ToolCall},
};

/// Minimum columns of a tool's name, so that the summaries are aligned.
const NAME: usize = 5;

/// Drawing of one row.
pub(super) struct StepRow<'a> {
    pub(super) model: &'a Model,
    pub(super) theme: &'a Theme,
    pub(super) timeline: &'a Timeline,
    pub(super) step: &'a Step,
    pub(super) pen: RowPen<'a>,
}

impl StepRow<'_> {
    fn left(&mut self, text: &str, scope: Scope) {
        self.pen.left(text, self.theme.style(scope));
    }

    fn right(&mut self, text: &str, scope: Scope) {
        self.pen.right(text, self.theme.style(scope));
    }

    fn spans(&mut self, spans: &Spans) {
        for (text, scope) in spans {
            self.left(text, *scope);
        }
    }

    pub(super) fn draw(&mut self, (number, row): RowId) {
        let depth = self.timeline.depth(number);
        if row > 0 {
            self.pen.space(MARGIN - INDENT);
            self.nest(depth);
            let bar = match self.step.what {
                StepKind::Text { .. } => "  ",
                _ => "▏ ",
            };
            self.left(bar, Scope::Faint);
            if let Some(spans) = self.timeline.row((number, row)) {
                self.spans(spans);
            }
            return;
        }
        self.margin(number, depth);
        let hidden = self.timeline.hidden(number);
        match &self.step.what {
            StepKind::Call(call) => self.call(number, call),
            StepKind::End(outcome) => self.end(outcome),
            StepKind::Session { id, model } => {
                self.left("session", Scope::Muted);
                for word in [model, id].into_iter().flatten() {
                    self.pen.space(1);
                    self.left(&text::sanitize(word), Scope::Muted);
                }
            }
            StepKind::Raw { name, .. } => {
                self.left(&text::sanitize(name), Scope::Faint);
            }
            StepKind::Thinking { text } if text.is_empty() => {
                self.left("thinking (hidden)", Scope::AgentThinking);
            }
            _ => {
                // A text shows several rows while folded; the count would be misleading.
                let one_line = !matches!(self.step.what, StepKind::Text { .. });
                if hidden > 0 && one_line {
                    let more = format!("+{hidden}");
                    self.right(&more, Scope::Faint);
                    self.pen.right_space(1);
                }
                if let Some(spans) = self.timeline.row((number, 0)) {
                    self.spans(spans);
                }
            }
        }
    }

    /// Draws the time, the turn and the fold marker.
    fn margin(&mut self, number: usize, depth: usize) {
        let clock = self.step.at.map_or_else(String::new, |at| self.clock(at));
        self.left(&format!("{clock:<8} "), Scope::LogTimestamp);
        let turn = if self.timeline.begins_turn(number) {
            self.step.turn.to_string()
        } else {
            String::new()
        };
        self.left(&format!("{turn:>3} "), Scope::Muted);
        self.nest(depth);
        let glyphs = &self.model.glyphs;
        let can_open = self.timeline.can_open(number);
        let (sign, scope) = match (&self.step.what, can_open, self.timeline.is_open(number)) {
            (StepKind::Trouble { .. }, ..) => (glyphs.warning, Scope::Warn),
            (StepKind::End(outcome), ..) if outcome.failed() => (glyphs.failed, Scope::Bad),
            (StepKind::End(_), ..) => (glyphs.done, Scope::Good),
            (_, false, _) => (" ", Scope::Faint),
            (_, true, true) => (glyphs.unfolded, Scope::Faint),
            (_, true, false) => (glyphs.folded, Scope::Faint),
        };
        self.left(sign, scope);
        self.pen.space(1);
    }

    fn nest(&mut self, depth: usize) {
        for _ in 0..depth {
            self.left("│ ", Scope::Faint);
        }
    }

    fn clock(&self, at: Timestamp) -> String {
        let at = at.to_zoned(self.model.zone.clone());
        at.strftime("%H:%M:%S").to_string()
    }

    fn call(&mut self, number: usize, call: &ToolCall) {
        let name = tool_name(&call.tool.name);
        self.duration(number, call);
        self.outcome(number, call);
        if let Some(added) = call.tool.added {
            let removed = call.tool.removed.filter(|removed| *removed > 0);
            if let Some(removed) = removed {
                self.right(&format!(" -{removed}"), Scope::DiffRemoved);
            }
            self.right(&format!("+{added}"), Scope::DiffAdded);
            self.pen.right_space(2);
        }
        let scope = if call.failed() {
            Scope::AgentError
        } else {
            Scope::AgentTool
        };
        self.left(&format!("{name:<NAME$} "), scope);
        let about = text::sanitize(&call.tool.summary);
        let room = self.pen.room();
        // Keep the end of a path, and the start of a command.
        let about = if call.tool.path.is_some() {
            text::cut_middle(&about, room)
        } else {
            text::cut_end(&about, room)
        };
        self.left(&about, Scope::Text);
    }

    /// Draws the duration of a call.
    fn duration(&mut self, number: usize, call: &ToolCall) {
        if self.timeline.is_pending(number) {
            let since = self.step.at.map(|at| self.model.now.duration_since(at));
            let seconds = since.map_or(0, |since| since.as_secs().max(0));
            let words = format!("{:>5}", text::duration(seconds));
            self.right(&words, Scope::RunRunning);
            self.pen.right_space(1);
            let glyph = self.model.glyphs.spinner(self.model.now);
            self.right(glyph, Scope::RunRunning);
            self.pen.right_space(1);
            return;
        }
        let duration = call.answer.as_ref().and_then(|answer| answer.took_ms);
        let words = match duration {
            Some(ms) if ms >= 10_000 => text::duration(ms / 1_000),
            Some(ms) if ms >= 100 => format!("{}.{}s", ms / 1_000, ms / 100 % 10),
            _ => String::new(),
        };
        self.right(&format!("{words:>6}"), Scope::Muted);
        self.pen.right_space(1);
    }

    /// Draws the result of a call in a word or two.
    fn outcome(&mut self, number: usize, call: &ToolCall) {
        if call.denied.is_some() {
            self.right("denied", Scope::AgentError);
            self.pen.right_space(2);
            return;
        }
        let below = self.timeline.children_of(number);
        if call.tool.starts_sub_agent() {
            let calls = below.iter().filter(|number| {
                let step = self.timeline.step(**number);
                step.is_some_and(|step| matches!(step.what, StepKind::Call(_)))
            });
            let so_far = call.agent.unwrap_or_default();
            let calls = calls.count().max(so_far.tool_calls.max(0) as usize);
            let mut words = Vec::new();
            if calls > 0 {
                words.push(text::count(calls, "call"));
            }
            if so_far.tokens > 0 {
                words.push(format!("{} tokens", text::compact(so_far.tokens)));
            }
            self.right(&words.join(" · "), Scope::Muted);
            self.pen.right_space(2);
            return;
        }
        let Some(answer) = &call.answer else {
            return;
        };
        if answer.is_error {
            self.right(self.model.glyphs.failed, Scope::AgentError);
            self.pen.right_space(2);
        } else if answer.lines > 1 && call.tool.added.is_none() {
            self.right(&text::count(answer.lines, "line"), Scope::Muted);
            self.pen.right_space(2);
        }
    }

    fn end(&mut self, outcome: &SessionOutcome) {
        let mut words = vec![if outcome.failed() {
            format!("failed: {}", outcome.subtype.replace('_', " "))
        } else {
            "finished".to_owned()
        }];
        if let Some(turns) = outcome.turns {
            words.push(text::count(turns.max(0) as usize, "turn"));
        }
        if let Some(cost) = outcome.cost_micro_usd.filter(|cost| *cost > 0) {
            words.push(text::usd(cost));
        }
        if let Some(ms) = outcome.duration_ms {
            words.push(text::duration(ms / 1_000));
        }
        if outcome.denials > 0 {
            words.push(format!(
                "{} denied",
                text::count(outcome.denials, "tool call")
            ));
        }
        let scope = if outcome.failed() {
            Scope::Bad
        } else {
            Scope::Good
        };
        self.left(&text::sanitize(&words.join(" · ")), scope);
    }
}

/// Returns a readable tool name: `github create_issue` for `mcp__github__create_issue`.
fn tool_name(name: &str) -> String {
    let name = text::sanitize(name);
    match name
        .strip_prefix("mcp__")
        .and_then(|rest| rest.split_once("__"))
    {
        Some((server, tool)) => format!("{server} {tool}"),
        None => name.into_owned(),
    }
}
