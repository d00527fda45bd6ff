//! How far a run is: the line of its stages above a log, and what it used below.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    console::{
        draw::RowPen,
        model::Model,
        panels,
        theme::{Scope, Theme},
        world::Entry,
    },
    runs::{Phase, Stage},
    text,
};

/// `prep ✓ 4s ─ agent ▶ 2m41s ─ publish ·     documents 17/48`
pub(super) fn stage_line(
    model: &Model,
    theme: &Theme,
    entry: &Entry,
    area: Rect,
    buffer: &mut Buffer,
) {
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
pub(super) fn totals(model: &Model, theme: &Theme, entry: &Entry, area: Rect, buffer: &mut Buffer) {
    let transcript = &model.detail.timeline.transcript;
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
    let context = transcript
        .context_window
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
pub(super) fn short(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}
