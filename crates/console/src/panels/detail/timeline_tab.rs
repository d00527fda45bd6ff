//! The Timeline tab: one line per step, with the rows of an open step below.

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use super::{
    DetailPanel,
    logs_tab::LogsTab,
    progress,
    tab::{Fetch, Insets, Tab},
    timeline::{INDENT, MARGIN, RowId, Timeline},
    view::empty_state,
};
use crate::{
    command::{Command, Context},
    draw::RowPen,
    effect::{DesktopEffect, Effects},
    field::Field,
    ids::{PanelId, TabId},
    model::Model,
    panels::{list_view, move_selection},
    theme::{Scope, Theme},
    widgets::text_view::{self, Pattern, TextView, line_layout::Spans},
};
use flightdeck_core::{
    text,
    transcript::{SessionOutcome, Step, StepKind, ToolCall},
};

/// Minimum columns of a tool's name, so that the summaries are aligned.
const NAME: usize = 5;

pub(super) struct TimelineTab;

impl Tab for TimelineTab {
    fn id(&self) -> TabId {
        TabId::Timeline
    }

    fn title(&self) -> &'static str {
        "Timeline"
    }

    // The timeline is built from the log.
    fn fetch(&self, model: &Model) -> Option<Fetch> {
        LogsTab.fetch(model)
    }

    fn refresh(&self, _model: &mut Model) {}

    fn insets(&self, area: Rect) -> Insets {
        LogsTab.insets(area)
    }

    fn text<'d>(&self, _detail: &'d mut DetailPanel) -> Option<&'d mut TextView> {
        None
    }

    fn shown_text<'d>(&self, _detail: &'d DetailPanel) -> Option<&'d TextView> {
        None
    }

    fn status(&self, detail: &DetailPanel) -> Vec<(String, Scope)> {
        let mut pieces = vec![(detail.timeline.search_status(), Scope::Muted)];
        if detail.timeline.follow && !detail.logs.ended {
            pieces.push(("following".into(), Scope::Muted));
        }
        pieces
    }

    fn contexts(&self, _detail: &DetailPanel) -> [Context; 2] {
        [Context::Items, Context::Detail]
    }

    fn can_follow(&self, detail: &DetailPanel) -> bool {
        !detail.logs.ended
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, inside: Rect, buffer: &mut Buffer) {
        progress::view(model, theme, area, buffer);
        view(model, theme, inside, buffer);
    }

    fn command(&self, model: &mut Model, command: Command, effects: &mut Effects) -> Option<bool> {
        let detail = &mut model.detail;
        let timeline = &mut detail.timeline;
        match command {
            Command::Search => {
                timeline.open_prompt();
                detail.field = Some(Field::default());
            }
            Command::Open => timeline.toggle(),
            Command::Follow => timeline.toggle_follow(),
            Command::Copy => effects.push(DesktopEffect::Copy(timeline.copied_text()?)),
            Command::Expand => timeline.toggle_edits(),
            Command::SearchNext => timeline.next_match(true),
            Command::SearchPrevious => timeline.next_match(false),
            Command::NextError => timeline.next_problem(),
            Command::Back => return Some(timeline.clear()),
            _ => return None,
        }
        Some(true)
    }

    fn move_selection(&self, detail: &mut DetailPanel, command: Command) -> bool {
        let timeline = &mut detail.timeline;
        let moved = move_selection(&mut timeline.list, command);
        if moved {
            // Moving to the last row resumes following.
            timeline.follow = timeline.list.cursor() + 1 == timeline.list.rows().len();
        }
        moved
    }

    fn typed(&self, detail: &mut DetailPanel, words: &str) {
        detail.timeline.edit_prompt(words);
    }

    fn close_prompt(&self, detail: &mut DetailPanel, keep: bool) {
        detail.timeline.close_prompt(keep);
    }

    fn click(&self, detail: &mut DetailPanel, _column: u16, line: usize) {
        let timeline = &mut detail.timeline;
        let row = timeline.list.scroll() + line;
        if row == timeline.list.cursor() {
            timeline.toggle();
        } else {
            timeline.list.select_at(row);
        }
    }

    fn wheel(&self, detail: &mut DetailPanel, lines: isize) {
        detail.timeline.list.wheel(lines);
    }
}

/// Draws the tab.
fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let timeline = &model.detail.timeline;
    let list = &timeline.list;
    if list.rows().is_empty() {
        let sentence = if model.detail.logs.ended {
            "No agent steps. See the log for all lines."
        } else {
            "The agent has not started. Its turns and tool calls appear here."
        };
        let next = [(Command::PreviousTab, "log")];
        empty_state(model, theme, area, buffer, sentence, &next);
    }
    let focused = model.focus == PanelId::Detail;
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect {
            y,
            height: 1,
            ..area
        };
        let id = list.rows()[at];
        if let Some(step) = timeline.step(id.0) {
            let pen = RowPen::new(buffer, line);
            let mut row = StepRow {
                model,
                theme,
                timeline,
                step,
                pen,
            };
            row.draw(id);
        }
        list_view::highlight_row(theme, buffer, line, at == list.cursor(), focused);
        if let Some(pattern) = timeline.pattern() {
            let scope = if at == list.cursor() {
                Scope::MatchCurrent
            } else {
                Scope::Match
            };
            mark_matches(buffer, line, pattern, theme.style(scope));
        }
    }
    if timeline.is_searching() {
        let typed = model.detail.field.as_ref().map_or("", Field::text);
        let status = timeline.search_status();
        let hint = if typed.is_empty() {
            text_view::SEARCH_HINT
        } else {
            &status
        };
        let row = Rect {
            y: area.bottom().saturating_sub(1),
            height: 1,
            ..area
        };
        text_view::prompt(theme, row, buffer, ("/", typed, hint));
    }
}

/// Marks the matches in a drawn row, right of its margin.
fn mark_matches(buffer: &mut Buffer, line: Rect, pattern: &Pattern, style: Style) {
    let mut words = String::new();
    // Offset of each cell in `words`, and its column.
    let mut cells = Vec::new();
    for x in line.x + (MARGIN as u16).min(line.width)..line.right() {
        if let Some(cell) = buffer.cell((x, line.y)) {
            cells.push((words.len(), x));
            words.push_str(cell.symbol());
        }
    }
    for found in pattern.find(&words) {
        let covered = cells.iter().filter(|(at, _)| found.contains(at));
        for (_, x) in covered {
            buffer.set_style(Rect::new(*x, line.y, 1, 1), style);
        }
    }
}

/// Drawing of one row.
struct StepRow<'a> {
    model: &'a Model,
    theme: &'a Theme,
    timeline: &'a Timeline,
    step: &'a Step,
    pen: RowPen<'a>,
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

    fn draw(&mut self, (number, row): RowId) {
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
        // The end of a path matters, and the beginning of a command.
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
