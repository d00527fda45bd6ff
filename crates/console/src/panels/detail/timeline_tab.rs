//! The Timeline tab: one line per step, with the rows of an open step below.

mod step_row;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};

use self::step_row::StepRow;
use super::{
    logs_tab::LogsTab,
    page_view::empty_state,
    progress,
    state::DetailPanel,
    tab::{Fetch, Insets, Tab},
    timeline::MARGIN,
};
use crate::{
    command::{Command, Context},
    draw::RowPen,
    effect::{DesktopEffect, Effects},
    field::Field,
    ids::{PanelId, TabId},
    model::Model,
    panels::list_view,
    theme::{Scope, Theme},
    widgets::text_view::{self, Pattern, TextView},
};

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
        let moved = timeline.list.move_selection(command);
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
