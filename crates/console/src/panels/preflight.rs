//! The Pre-flight panel: whether a run would clone what is on disk.

pub(crate) mod state;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{list_view, panel::Panel};
use crate::{
    command::{Command, Context},
    draw::{RowPen, Title},
    effect::{Effects, PreflightEffect},
    ids::{PanelId, Subject},
    list::List,
    model::Model,
    overlays,
    theme::{Scope, Theme},
    world::{Check, Delta, Level},
};
use flightdeck_core::text;
use flightdeck_preflight::Fix;

/// Columns from which a row shows the id of its check.
const WIDE: usize = 84;

/// The panel.
pub(super) struct Preflight;

impl Panel for Preflight {
    fn name(&self) -> &'static str {
        "Pre-flight"
    }

    fn title(&self, model: &Model) -> Title {
        let checks = &model.world.checks;
        let mut state = Vec::new();
        for level in [Level::Fail, Level::Warn] {
            let of_level = checks.lines.iter().filter(|check| check.level == level);
            let number = of_level.count();
            if number > 0 {
                let gap = if state.is_empty() { "" } else { " " };
                let sign = model.glyphs.level(level);
                state.push((format!("{gap}{number} {sign}"), Scope::of_level(level)));
            }
        }
        if checks.running {
            state.insert(0, ("checking ".into(), Scope::Muted));
        } else if state.is_empty() && !checks.lines.is_empty() {
            state.push((format!("all {}", model.glyphs.done), Scope::CheckPass));
        }
        Title {
            state,
            ..Title::default()
        }
    }

    fn contexts(&self, _model: &Model) -> Vec<Context> {
        vec![Context::Preflight, Context::List]
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let list = &model.preflight.list;
        if list.rows().is_empty() {
            let sentence = if model.world.checks.running {
                "Checking ..."
            } else {
                "No checks have run yet."
            };
            let next = [(Command::Recheck, "check")];
            list_view::empty_state(model, theme, area, buffer, sentence, &next);
            return;
        }
        let focused = model.focus == PanelId::Preflight;
        for (at, y) in list.visible().zip(area.y..area.bottom()) {
            let line = Rect::new(area.x, y, area.width, 1);
            let selected = at == list.cursor();
            if let Some(check) = model.world.checks.get(&list.rows()[at]) {
                let pen = RowPen::new(buffer, line);
                row(model, theme, check, selected && focused, pen);
            }
            list_view::highlight_row(theme, buffer, line, selected, focused);
        }
    }

    fn fit(&self, model: &mut Model, content: Rect) {
        model.preflight.list.set_height(content.height.into());
    }

    fn command(&self, model: &mut Model, command: Command, effects: &mut Effects) -> bool {
        match command {
            Command::Recheck => {
                model.world.apply(Delta::Checking);
                effects.push(PreflightEffect::Run(model.preflight_request(true)));
            }
            Command::Fix => {
                let id = selected(model).map(|check| check.id);
                if let Some(id) = id {
                    overlays::open_fix_preview(model, id, effects);
                }
            }
            Command::Describe => model.focus_on(PanelId::Detail),
            _ => return false,
        }
        true
    }

    fn subject(&self, model: &Model) -> Option<Subject> {
        let id = model.preflight.list.selected().cloned();
        id.map(Subject::Check)
    }

    fn copied_text(&self, model: &Model) -> Option<String> {
        selected(model).map(|check| check.message.clone())
    }

    fn list<'m>(&self, model: &'m mut Model) -> Option<&'m mut List<String>> {
        Some(&mut model.preflight.list)
    }
}

fn selected(model: &Model) -> Option<&Check> {
    let id = model.preflight.list.selected()?;
    model.world.checks.get(id)
}

/// Draws a check. A fix is offered only on the row under the cursor, where its key works.
pub(crate) fn row(model: &Model, theme: &Theme, check: &Check, cursor: bool, mut pen: RowPen<'_>) {
    let style = |scope| theme.style(scope);
    let wide = pen.room() > WIDE;
    pen.space(1)
        .left(
            model.glyphs.level(check.level),
            style(Scope::of_level(check.level)),
        )
        .space(1)
        .right_space(1);
    if let Some(fix) = check.fix.filter(|_| cursor && check.level != Level::Pass) {
        pen.right(fix_label(fix), style(Scope::KeyLabel))
            .right_space(1)
            .right(" Enter", style(Scope::Key));
    }
    let words = if check.level == Level::Pass {
        Scope::Muted
    } else {
        Scope::Text
    };
    if wide {
        pen.column(check.id, 15, style(Scope::Muted)).space(1);
    }
    pen.left(&text::sanitize(&check.message), style(words));
}

/// Returns a verb for a fix.
pub(crate) const fn fix_label(fix: Fix) -> &'static str {
    match fix {
        Fix::Commit => "commit",
        Fix::CommitAndPush => "commit and push",
        Fix::Push => "push",
        Fix::Pull => "pull",
        Fix::Switch => "switch branch",
    }
}
