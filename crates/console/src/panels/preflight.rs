//! The Pre-flight panel: whether what a pod would clone is what the person sees.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Command,
    draw::{RowPen, Title},
    effect::{Effect, Effects},
    list::List,
    model::{Model, PanelId},
    overlays,
    theme::{Scope, Theme},
    world::{Check, Checks, Delta, Level},
};
use flightdeck_core::text;
use flightdeck_preflight::Fix;

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct Preflight {
    /// Ids of checks; what is worst comes first, then the order of the table.
    pub list: List<String>,
}

impl Preflight {
    /// Derives the rows anew. The worst is in sight, unless somebody is `here` and has the keys.
    pub fn refresh(&mut self, checks: &Checks, here: bool) {
        let mut lines: Vec<&Check> = checks.lines.iter().collect();
        lines.sort_by_key(|check| std::cmp::Reverse(check.level));
        let ids = lines.into_iter().map(|check| check.id.to_owned());
        self.list.set_rows(ids.collect());
        if !here {
            self.list.select_at(0);
        }
    }
}

/// The selected check.
pub fn selected(model: &Model) -> Option<&Check> {
    let id = model.preflight.list.selected()?;
    model.world.checks.get(id)
}

/// Obeys a command of this panel; `false` when it is none.
pub fn command(model: &mut Model, command: Command, effects: &mut Effects) -> bool {
    match command {
        Command::Recheck => {
            model.world.apply(Delta::Checking);
            effects.push(Effect::Inspect(model.inquiry(true)));
        }
        Command::Fix => {
            let id = selected(model).map(|check| check.id);
            if let Some(id) = id {
                overlays::sheet(model, id, effects);
            }
        }
        Command::Describe => model.focus_on(PanelId::Detail),
        _ => return false,
    }
    true
}

/// The title line.
pub fn title(model: &Model) -> Title {
    let checks = &model.world.checks;
    let mut state = Vec::new();
    for (level, scope) in [
        (Level::Fail, Scope::CheckFail),
        (Level::Warn, Scope::CheckWarn),
    ] {
        let of_level = checks.lines.iter().filter(|check| check.level == level);
        let number = of_level.count();
        if number > 0 {
            let gap = if state.is_empty() { "" } else { " " };
            let sign = model.glyphs.level(level);
            state.push((format!("{gap}{number} {sign}"), scope));
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

/// Draws the list.
pub fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let list = &model.preflight.list;
    if list.rows().is_empty() {
        let sentence = if model.world.checks.running {
            "Checking ..."
        } else {
            "Nothing has been checked yet."
        };
        let next = [(Command::Recheck, "check")];
        super::empty(model, theme, area, buffer, sentence, &next);
        return;
    }
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect::new(area.x, y, area.width, 1);
        if let Some(check) = model.world.checks.get(&list.rows()[at]) {
            let here = at == list.cursor() && model.focus == PanelId::Preflight;
            row(model, theme, check, here, RowPen::new(buffer, line));
        }
        let focused = model.focus == PanelId::Preflight;
        super::emphasis(theme, buffer, line, at == list.cursor(), focused);
    }
}

/// Draws one check; `here` says that it has the keys, and is where a fix is offered.
pub fn row(model: &Model, theme: &Theme, check: &Check, here: bool, mut pen: RowPen<'_>) {
    let style = |scope| theme.style(scope);
    let sign = model.glyphs.level(check.level);
    // The sentence names the thing; the check's own name is a help only where there is room for both.
    let named = pen.room() > 84;
    pen.space(1)
        .left(sign, style(level_scope(check.level)))
        .space(1)
        .right_space(1);
    if let Some(fix) = check.fix.filter(|_| here && check.level != Level::Pass) {
        pen.right(fix_words(fix), style(Scope::KeyLabel))
            .right_space(1)
            .right(" Enter", style(Scope::Key));
    }
    let words = if check.level == Level::Pass {
        Scope::Muted
    } else {
        Scope::Text
    };
    if named {
        pen.column(check.id, 15, style(Scope::Muted)).space(1);
    }
    pen.left(&text::sanitize(&check.message), style(words));
}

/// A fix in a word or two.
pub const fn fix_words(fix: Fix) -> &'static str {
    match fix {
        Fix::Commit => "commit",
        Fix::CommitAndPush => "commit and push",
        Fix::Push => "push",
        Fix::Pull => "pull",
        Fix::Switch => "switch branch",
    }
}

/// Scope of a level.
pub const fn level_scope(level: Level) -> Scope {
    match level {
        Level::Pass => Scope::CheckPass,
        Level::Warn => Scope::CheckWarn,
        Level::Fail => Scope::CheckFail,
    }
}
