//! Drawing of the Runs panel.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Command,
    draw::RowPen,
    ids::PanelId,
    model::Model,
    panels::{list_view, panel::Panel},
    theme::{Scope, Theme},
    world::{ClusterConnection, RunEntry},
};
use flightdeck_core::{
    runs::{Phase, Stage},
    text,
};

/// Draws the list.
pub(super) fn view(
    panel: &dyn Panel,
    model: &Model,
    theme: &Theme,
    area: Rect,
    buffer: &mut Buffer,
) {
    let area = list_view::filter_line(model, panel, theme, area, buffer);
    let list = &model.runs.list;
    if list.rows().is_empty() {
        empty(model, theme, area, buffer);
        return;
    }
    let names = list.rows()[list.visible()].iter();
    let longest = names
        .filter_map(|id| model.world.runs.get(id))
        .map(|entry| text::width(entry.run.name()))
        .max();
    let name_columns = longest
        .unwrap_or(8)
        .clamp(8, usize::from(area.width) / 2 - 4);
    let range = list.open_range().unwrap_or(0..0);
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect::new(area.x, y, area.width, 1);
        let id = &list.rows()[at];
        if let Some(entry) = model.world.runs.get(id) {
            let marked = list.marked().contains(id) || range.contains(&at);
            let mut pen = RowPen::new(buffer, line);
            row(model, theme, entry, marked, name_columns, &mut pen);
        }
        let focused = model.focus == PanelId::Runs;
        list_view::highlight_row(theme, buffer, line, at == list.cursor(), focused);
    }
}

/// Draws the reason why the list is empty.
fn empty(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let (sentence, next): (&str, &[(Command, &str)]) = match &model.world.cluster {
        _ if !model.runs.filter.is_empty() => (
            "No run matches the filter.",
            &[(Command::Back, "clear filter")],
        ),
        ClusterConnection::Failed(reason, _) => (reason, &[(Command::Refresh, "retry now")]),
        ClusterConnection::Connecting => ("Connecting ...", &[]),
        _ if !model.world.runs.complete() => ("Loading runs ...", &[]),
        _ if model.runs.removed => (
            "No runs, including deleted ones.",
            &[(Command::New, "new run"), (Command::Help, "keys")],
        ),
        _ => (
            "No runs yet. Launch one to have an agent write docs or code.",
            &[
                (Command::New, "new run"),
                (Command::Deleted, "deleted runs"),
                (Command::Help, "keys"),
            ],
        ),
    };
    list_view::empty_state(model, theme, area, buffer, sentence, next);
}

fn row(
    model: &Model,
    theme: &Theme,
    entry: &RunEntry,
    marked: bool,
    name_columns: usize,
    pen: &mut RowPen<'_>,
) {
    let style = |scope| theme.style(scope);
    let run = &entry.run;
    let phase = run.phase();
    let (scope, name) = if entry.removed {
        (Scope::Faint, Scope::Muted)
    } else {
        (Scope::of_phase(&phase), Scope::Text)
    };
    let glyph = if entry.active() && phase == Phase::Running {
        model.glyphs.spinner(model.now)
    } else {
        model.glyphs.phase(&phase)
    };
    let mark = if marked { model.glyphs.marked } else { " " };
    pen.left(mark, style(Scope::Mark))
        .left(glyph, style(scope))
        .space(1)
        .left(run.kind.as_str(), style(Scope::Muted))
        .space(1)
        .column(&text::sanitize(run.name()), name_columns, style(name))
        .space(2)
        .right_space(1);
    let age = entry.created().map(|at| model.now.duration_since(at));
    let age = age.map_or_else(String::new, |age| text::age(age.as_secs()));
    pen.right(&format!("{age:>3}"), style(Scope::Muted))
        .right_space(1);
    let usage = entry.usage();
    if usage.cost_micro_usd > 0 && pen.room() > 24 {
        pen.right(&text::usd(usage.cost_micro_usd), style(Scope::Muted))
            .right_space(1);
    }
    // Usage, as much as leaves room for the activity.
    let tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens;
    if tokens > 0 && pen.room() > 56 {
        pen.right(
            &format!("{:>5}", text::compact(tokens)),
            style(Scope::Muted),
        )
        .right_space(1);
    }
    if usage.turns > 0 && pen.room() > 52 {
        pen.right(&format!("{:>4}t", usage.turns), style(Scope::Muted))
            .right_space(1);
    }
    let (what, scope) = state_words(model, entry);
    pen.left(&what, style(scope));
    // Unreadable in fewer columns.
    if let Some(doing) = doing(model, entry)
        && pen.room() > 14
    {
        pen.space(2).left(doing, style(Scope::Muted));
    }
}

/// Returns the current activity of a healthy run's agent. The text is remote and not sanitised.
fn doing<'m>(model: &Model, entry: &'m RunEntry) -> Option<&'m str> {
    let run = &entry.run;
    let healthy = entry.active()
        && !run.cancelled()
        && run.phase() == Phase::Running
        && run.stage() == Some(Stage::Agent)
        && model.health.of(run.uid()).is_empty();
    entry.progress.doing.as_deref().filter(|_| healthy)
}

/// Returns the state of a run in a few words.
fn state_words(model: &Model, entry: &RunEntry) -> (String, Scope) {
    let run = &entry.run;
    let status = &run.status;
    if entry.removed {
        return ("deleted".into(), Scope::Faint);
    }
    if run.metadata.deletion_timestamp.is_some() {
        return ("deleting".into(), Scope::Muted);
    }
    if entry.active() {
        if run.cancelled() {
            return ("stopping".into(), Scope::Muted);
        }
        if let Some(finding) = model.health.of(run.uid()).first() {
            let scope = if finding.needs_action {
                Scope::Warn
            } else {
                Scope::Muted
            };
            return (text::sanitize(&finding.message).into_owned(), scope);
        }
    }
    let message = status.message.as_deref().or(status.reason.as_deref());
    let message = text::sanitize(message.unwrap_or_default()).into_owned();
    let scope = Scope::of_phase(&run.phase());
    let words = match run.phase() {
        Phase::Pending if message.is_empty() => "pending".into(),
        Phase::Pending | Phase::Failed => message,
        Phase::Running => {
            let stage = run.stage();
            let documents = entry.documents().filter(|_| stage == Some(Stage::Agent));
            let documents =
                documents.map_or_else(String::new, |(done, all)| format!(" {done}/{all}"));
            let since = status.started_at.as_deref().and_then(|at| model.since(at));
            let elapsed = since.map_or_else(String::new, |since| format!(" {}", text::age(since)));
            let stage = stage.map_or("starting", Stage::as_str);
            format!("{stage}{documents}{elapsed}")
        }
        Phase::Succeeded => match (status.pull_request_number, entry.documents()) {
            (Some(number), _) => format!("PR #{number}"),
            (None, Some((done, all))) => format!("docs {done}/{all}"),
            (None, None) => "pushed".into(),
        },
        Phase::Cancelled => "stopped".into(),
        Phase::Other(word) => text::sanitize(&word).into_owned(),
    };
    (words, scope)
}
