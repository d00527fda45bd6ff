//! The Preview tab: the files of a run, and the one that is read.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{files_width, page, text_area};
use crate::{
    draw::{self, RowPen},
    model::{Model, PanelId},
    panels::{
        self,
        detail::{Tab, preview::Compared},
    },
    theme::{Scope, Theme},
};
use flightdeck_core::text;

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
    if !list.rows().is_empty() {
        let rule = Rect {
            x: inside.x.saturating_sub(2),
            ..inside
        };
        draw::rule(buffer, rule, theme.style(Scope::Border));
    }
    page(model, theme, &preview.page, inside, buffer);
}
