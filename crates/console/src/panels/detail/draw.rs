//! Drawing the Detail panel: the tab bar, and below it what the open tab shows.

mod items;
mod progress;
mod timeline;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Command,
    draw::{RowPen, Title},
    model::Model,
    panels,
    theme::{Scope, Theme},
    widgets::text_view,
    world::Entry,
};
use flightdeck_core::text;

use self::{
    items::preview,
    progress::{finding_line, stage_line, totals},
    timeline::timeline,
};
use super::{Detail, Subject, Tab, logs::Shown, page::Page};

/// Columns between two tabs.
const GAP: u16 = 2;

/// Rows above what a tab shows.
pub(super) const fn text_top(tab: Tab) -> u16 {
    match tab {
        Tab::Logs | Tab::Timeline => 3,
        _ => 2,
    }
}

/// Where a tab's text or list goes within the panel's content.
pub(super) fn text_area(area: Rect, tab: Tab) -> Rect {
    let top = text_top(tab).min(area.height);
    let below = match tab {
        Tab::Logs | Tab::Timeline => 1,
        _ => 0,
    };
    let left = match tab {
        Tab::Preview => files_width(area),
        _ => 1,
    };
    Rect {
        x: area.x + left.min(area.width),
        y: area.y + top,
        width: area.width.saturating_sub(left + 1),
        height: area.height.saturating_sub(top + below),
    }
}

/// Columns of the list of files.
pub(super) fn files_width(area: Rect) -> u16 {
    (area.width / 3).min(26)
}

/// The tab at a column of the tab bar.
pub(super) fn tab_at(detail: &Detail, column: u16) -> Option<Tab> {
    let mut x = 1;
    detail.tabs().iter().copied().find(|tab| {
        let from = x;
        x += tab.name().len() as u16 + GAP;
        (from..x).contains(&column)
    })
}

/// The title line.
pub fn title(model: &Model) -> Title {
    let detail = &model.detail;
    let about = match &detail.subject {
        Some(Subject::Task(id)) => {
            let task = model.world.plan.get().and_then(|plan| plan.task(id));
            task.map_or_else(|| id.clone(), |task| format!("{id} {}", task.title))
        }
        Some(Subject::Run(id)) => model
            .world
            .runs
            .get(id)
            .map_or_else(String::new, |entry| entry.run.name().to_owned()),
        Some(Subject::Check(id)) => model
            .world
            .checks
            .get(id)
            .map_or_else(|| id.clone(), |check| check.title.to_owned()),
        None => String::new(),
    };
    let mut state: Vec<(String, Scope)> = Vec::new();
    let mut say = |words: String, scope| {
        if !words.is_empty() {
            if !state.is_empty() {
                state.push((" · ".into(), Scope::Muted));
            }
            state.push((words, scope));
        }
    };
    match detail.tab() {
        Tab::Logs => {
            match detail.logs.shown {
                Shown::All => {}
                Shown::Picked => {
                    let (shown, all) = detail.logs.picked();
                    say(format!("{shown} of {all} sources"), Scope::Accent);
                }
                Shown::Only(one) => say(format!("only {one}"), Scope::Accent),
                Shown::Earlier(1) => say("the time before".into(), Scope::Accent),
                Shown::Earlier(times) => say(format!("{times} times before"), Scope::Accent),
            }
            if detail.logs.raw() {
                say("raw".into(), Scope::Accent);
            }
        }
        Tab::Preview if detail.preview.difference => say("difference".into(), Scope::Accent),
        Tab::Preview if detail.preview.is_live() => say("as the run has them".into(), Scope::Muted),
        Tab::Preview => say("as they would be".into(), Scope::Muted),
        Tab::Diff => {
            if let Some(changes) = detail.difference.ready() {
                let files = text::count(changes.files, "file");
                say(
                    format!("{files} +{} -{}", changes.added, changes.removed),
                    Scope::Muted,
                );
            }
        }
        Tab::Timeline => {
            say(detail.timeline.state(), Scope::Muted);
            if detail.timeline.follow && !detail.logs.ended {
                say("following".into(), Scope::Muted);
            }
        }
        _ => {}
    }
    if let Some(view) = detail.shown_text() {
        say(view.state(), Scope::Muted);
    }
    Title {
        about: text::sanitize(&about).into_owned(),
        state,
        ..Title::default()
    }
}

/// Draws the content.
pub fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let detail = &model.detail;
    let Some(subject) = &detail.subject else {
        let next = [
            (Command::Refresh, "read again"),
            (Command::Help, "all keys"),
        ];
        panels::empty(
            model,
            theme,
            area,
            buffer,
            "Select a task or a run in a list to see it here.",
            &next,
        );
        return;
    };
    tabs(detail, theme, area, buffer);
    let tab = detail.tab();
    let inside = text_area(area, tab);
    let entry = match subject {
        Subject::Run(id) => model.world.runs.get(id),
        Subject::Task(_) | Subject::Check(_) => None,
    };
    match tab {
        Tab::Logs => {
            if let Some(entry) = entry {
                stage_line(model, theme, entry, row(area, 1), buffer);
                finding_line(model, theme, entry, row(area, 2), buffer);
                totals(
                    model,
                    theme,
                    entry,
                    row(area, area.height.saturating_sub(1)),
                    buffer,
                );
            }
            let view = &detail.logs.view;
            if view.is_empty() {
                no_log(model, theme, entry, inside, buffer);
            } else if view.passes_nothing() && !model.typing() {
                let next = [(Command::Back, "clear it")];
                let sentence = "No line passes the filter.";
                panels::empty(model, theme, widened(inside), buffer, sentence, &next);
            }
            // What is typed is seen, also where there is nothing to look in yet.
            text_view::draw(view, theme, inside, buffer);
        }
        Tab::Timeline => {
            if let Some(entry) = entry {
                stage_line(model, theme, entry, row(area, 1), buffer);
                finding_line(model, theme, entry, row(area, 2), buffer);
                totals(
                    model,
                    theme,
                    entry,
                    row(area, area.height.saturating_sub(1)),
                    buffer,
                );
            }
            timeline(model, theme, inside, buffer);
        }
        Tab::Preview => preview(model, theme, area, buffer),
        tab => {
            if let Some(shown) = detail.pages.get(&tab) {
                page(model, theme, shown, inside, buffer);
            }
        }
    }
}

/// A row of `area`, less a column on either side.
fn row(area: Rect, y: u16) -> Rect {
    let inside = Rect {
        x: area.x + 1,
        y: area.y + y,
        width: area.width.saturating_sub(2),
        height: 1,
    };
    inside.intersection(area)
}

fn page(model: &Model, theme: &Theme, page: &Page, area: Rect, buffer: &mut Buffer) {
    match &page.nothing {
        Some((sentence, next)) => {
            panels::empty(model, theme, widened(area), buffer, sentence, next);
        }
        None => text_view::draw(&page.view, theme, area, buffer),
    }
}

/// An empty state leaves its own column free on both sides.
fn widened(area: Rect) -> Rect {
    Rect {
        x: area.x.saturating_sub(1),
        width: area.width + 2,
        ..area
    }
}

fn tabs(detail: &Detail, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, row(area, 0));
    for tab in detail.tabs() {
        let scope = if *tab == detail.tab() {
            Scope::TabActive
        } else {
            Scope::Tab
        };
        pen.left(tab.name(), theme.style(scope)).space(GAP.into());
    }
}

fn no_log(model: &Model, theme: &Theme, entry: Option<&Entry>, area: Rect, buffer: &mut Buffer) {
    let logs = &model.detail.logs;
    let sentence = match (&logs.trouble, entry) {
        (Some(trouble), _) => trouble.as_str(),
        (None, Some(entry)) if entry.trouble.is_some() => {
            entry.trouble.as_deref().unwrap_or_default()
        }
        (None, Some(entry)) if entry.active() => {
            "Nothing has been said yet: the first pod is being started."
        }
        (None, _) if logs.ended => "This run left no log.",
        (None, _) => "Reading the log ...",
    };
    let next = [(Command::NextTab, "other tabs")];
    panels::empty(model, theme, widened(area), buffer, sentence, &next);
}
