//! Tabs that list things: the files of a run, the steps of its agent.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{files_width, page, text_area, widened};
use crate::{
    console::{
        command::Command,
        draw::RowPen,
        model::{Model, PanelId},
        panels::{
            self,
            detail::{
                Tab,
                preview::Compared,
                timeline::{Kind, RowId, Step},
            },
        },
        theme::{Scope, Theme},
    },
    text,
};

pub(super) fn preview(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let preview = &model.detail.preview;
    let inside = text_area(area, Tab::Preview);
    let focused = model.focus == PanelId::Detail;
    let list = &preview.list;
    let width = files_width(area).saturating_sub(4);
    for (at, y) in list.visible().zip(inside.y..inside.bottom()) {
        let name = &list.rows()[at];
        let line = Rect::new(area.x + 1, y, width, 1);
        let (sign, scope) = match preview.compared(name) {
            Compared::Alone | Compared::Same => (" ", Scope::Faint),
            Compared::Different => ("≠", Scope::Warn),
            Compared::Extra => ("+", Scope::Good),
            Compared::Missing => ("-", Scope::Muted),
        };
        let mut pen = RowPen::new(buffer, line);
        pen.right(sign, theme.style(scope)).right_space(1);
        pen.left(
            &text::cut_middle(&text::sanitize(name), pen.room()),
            theme.style(Scope::Text),
        );
        let here = focused && !preview.reading;
        panels::emphasis(theme, buffer, line, at == list.cursor(), here);
    }
    let rule = inside.x.saturating_sub(1);
    if !list.rows().is_empty() {
        for y in inside.y..inside.bottom() {
            buffer.set_string(rule.saturating_sub(1), y, "│", theme.style(Scope::Border));
        }
    }
    page(model, theme, &preview.page, inside, buffer);
}

pub(super) fn timeline(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let timeline = &model.detail.timeline;
    let list = &timeline.list;
    if list.rows().is_empty() {
        let sentence = if model.detail.logs.ended {
            "The agent said nothing that can be told as steps; the log has every line."
        } else {
            "The agent has not begun. Its turns and tool calls appear here while it works."
        };
        panels::empty(
            model,
            theme,
            widened(area),
            buffer,
            sentence,
            &[(Command::PreviousTab, "the log")],
        );
        return;
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
            timeline_row(model, theme, step, id, RowPen::new(buffer, line));
        }
        panels::emphasis(theme, buffer, line, at == list.cursor(), focused);
    }
}

fn timeline_row(
    model: &Model,
    theme: &Theme,
    step: &Step,
    (index, part): RowId,
    mut pen: RowPen<'_>,
) {
    let style = |scope| theme.style(scope);
    let timeline = &model.detail.timeline;
    let nested = if step.nested { 2 } else { 0 };
    if part > 0 {
        let words = step.inside.get(part - 1).map_or("", String::as_str);
        pen.space(18 + nested).left("▏ ", style(Scope::Faint));
        pen.left(
            words,
            style(if step.failed {
                Scope::AgentError
            } else {
                Scope::Muted
            }),
        );
        return;
    }
    let clock = step
        .at
        .to_zoned(model.zone.clone())
        .strftime("%H:%M:%S")
        .to_string();
    pen.left(&clock, style(Scope::LogTimestamp)).space(1);
    let turn = if timeline.begins_turn(index) {
        step.turn.to_string()
    } else {
        String::new()
    };
    pen.left(&format!("{turn:>4} "), style(Scope::Muted))
        .space(nested);
    let folded = match (step.inside.is_empty(), timeline.is_open(index)) {
        (true, _) => " ",
        (false, true) => model.glyphs.unfolded,
        (false, false) => model.glyphs.folded,
    };
    pen.left(folded, style(Scope::Faint)).space(1);
    if let Some(took) = step.took.filter(|took| *took >= 100) {
        let took = if took < 10_000 {
            format!("{}.{}s", took / 1_000, took / 100 % 10)
        } else {
            text::duration(took / 1_000)
        };
        pen.right(&format!("{took:>6}"), style(Scope::Muted))
            .right_space(1);
    }
    if step.kind == Kind::Tool {
        if let Some((added, removed)) = step.changed {
            let removed = if removed > 0 {
                format!(" -{removed}")
            } else {
                String::new()
            };
            pen.right(&removed, style(Scope::DiffRemoved))
                .right(&format!("+{added}"), style(Scope::DiffAdded));
            pen.right_space(2);
        }
        let sign = if step.failed {
            model.glyphs.failed
        } else {
            " "
        };
        pen.left(sign, style(Scope::AgentError)).space(1);
        pen.column(&step.name, 7, style(step.scope())).space(1);
        pen.left(
            &text::cut_middle(&step.summary, pen.room()),
            style(Scope::Text),
        );
    } else {
        pen.space(2).left(&step.summary, style(step.scope()));
    }
}
