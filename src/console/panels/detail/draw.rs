//! Drawing the Detail panel: the tab bar, and below it what the open tab shows.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    console::{
        command::Command,
        draw::{RowPen, Title},
        model::{Model, PanelId},
        panels,
        theme::{Scope, Theme},
        widgets::text_view,
        world::Entry,
    },
    runs::{Phase, Stage},
    text,
};

use super::{
    Detail, Subject, Tab,
    logs::Shown,
    page::Page,
    preview::Compared,
    timeline::{Kind, RowId, Step},
};

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
            if let Shown::Only(stage) = detail.logs.shown {
                say(format!("only {stage}"), Scope::Accent);
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
        Tab::Timeline if detail.timeline.follow && !detail.logs.ended => {
            say("following".into(), Scope::Muted);
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
        Subject::Task(_) => None,
    };
    match tab {
        Tab::Logs => {
            if let Some(entry) = entry {
                stage_line(model, theme, entry, row(area, 1), buffer);
                totals(
                    model,
                    theme,
                    entry,
                    row(area, area.height.saturating_sub(1)),
                    buffer,
                );
            }
            if detail.logs.view.is_empty() {
                no_log(model, theme, entry, inside, buffer);
            } else {
                text_view::draw(&detail.logs.view, theme, inside, buffer);
            }
        }
        Tab::Timeline => {
            if let Some(entry) = entry {
                stage_line(model, theme, entry, row(area, 1), buffer);
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

/// `prep ✓ 4s ─ agent ▶ 2m41s ─ publish ·     documents 17/48`
fn stage_line(model: &Model, theme: &Theme, entry: &Entry, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, area);
    let style = |scope| theme.style(scope);
    if let Some((written, expected)) = entry.documents() {
        let scope = if written == expected {
            Scope::Good
        } else {
            Scope::Text
        };
        pen.right(&format!("{written}/{expected}"), style(scope))
            .right("documents ", style(Scope::Muted));
        pen.right_space(2);
    }
    for (index, stage) in Stage::ALL.into_iter().enumerate() {
        if index > 0 {
            pen.left(&format!(" {} ", model.glyphs.dash), style(Scope::Faint));
        }
        let (sign, scope, took) = stage_state(model, entry, stage);
        let waits = scope == Scope::Faint;
        pen.left(
            stage.as_str(),
            style(if waits { Scope::Muted } else { Scope::Text }),
        );
        pen.space(1).left(sign, style(scope));
        if let Some(took) = took {
            pen.space(1)
                .left(&text::duration(took), style(Scope::Muted));
        }
    }
}

/// Sign of a stage, its scope, and how many seconds it took so far.
fn stage_state(model: &Model, entry: &Entry, stage: Stage) -> (&'static str, Scope, Option<i64>) {
    let run = &entry.run;
    let glyphs = &model.glyphs;
    let mut attempts = run.status.attempts.iter().rev();
    let current = attempts.find(|attempt| {
        attempt.stage == stage.as_str() && attempt.context_version == run.spec.context_version
    });
    let Some(attempt) = current else {
        return (glyphs.dot, Scope::Faint, None);
    };
    let time = |at: &Option<String>| {
        at.as_deref()
            .and_then(|at| at.parse::<jiff::Timestamp>().ok())
    };
    let (began, ended) = (time(&attempt.started_at), time(&attempt.finished_at));
    let until = ended.or_else(|| entry.active().then_some(model.now));
    let took = began
        .zip(until)
        .map(|(began, until)| until.duration_since(began).as_secs());
    match (ended, attempt.exit_code) {
        (None, None) if entry.active() && entry.trouble.is_none() => {
            (glyphs.running, Scope::RunRunning, took)
        }
        (None, None) if entry.active() => (glyphs.blocked, Scope::Warn, took),
        (_, Some(0)) => (glyphs.done, Scope::RunSucceeded, took),
        _ if run.phase() == Phase::Cancelled => (glyphs.cancelled, Scope::RunCancelled, took),
        _ => (glyphs.failed, Scope::RunFailed, took),
    }
}

/// `turn 14 · 41k tokens · $0.42 · context 58%`
fn totals(model: &Model, theme: &Theme, entry: &Entry, area: Rect, buffer: &mut Buffer) {
    let transcript = &model.detail.logs.transcript;
    let mut usage = transcript.usage();
    let known = entry.usage();
    if usage.turns == 0 {
        usage = known;
    }
    // A log cut short may miss the line that says what it cost.
    usage.cost_micro_usd = usage.cost_micro_usd.max(known.cost_micro_usd);
    let mut words = Vec::new();
    if usage.turns > 0 {
        let turns = text::count(usage.turns as usize, "turn");
        words.push(if entry.active() {
            format!("turn {}", usage.turns)
        } else {
            turns
        });
    }
    let tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens;
    if tokens > 0 {
        words.push(format!("{} tokens", short(tokens)));
    }
    if usage.cost_micro_usd > 0 {
        words.push(panels::runs::dollars(usage.cost_micro_usd));
    }
    let window = transcript
        .outcome
        .as_ref()
        .and_then(|outcome| outcome.context_window);
    let context = window
        .map(|window| (transcript.context_tokens, window))
        .or(entry.progress.context);
    if let Some((used, fits)) = context.filter(|(used, fits)| *used > 0 && *fits > 0) {
        words.push(format!("context {}%", used * 100 / fits));
    }
    if transcript.tool_calls > 0 {
        words.push(text::count(transcript.tool_calls, "tool call"));
    }
    if transcript.tool_errors > 0 {
        words.push(format!("{} failed", transcript.tool_errors));
    }
    let mut pen = RowPen::new(buffer, area);
    let fallen = model.detail.logs.view.standing().fallen;
    if fallen > 0 {
        pen.right(
            &format!("{fallen} lines out of memory"),
            theme.style(Scope::Warn),
        )
        .right_space(2);
    }
    pen.left(&words.join(" · "), theme.style(Scope::Muted));
}

/// `950`, `41k`, `1.2M`
fn short(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

fn preview(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
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

fn timeline(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
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
