//! Progress of a run around the Logs and Timeline tabs: stages and findings above, usage below.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{page_view::row, tab::shown_run};
use crate::{
    command::Context,
    draw::RowPen,
    model::{Model, remedy_command},
    theme::{Scope, Theme},
    world::RunEntry,
};
use flightdeck_core::{
    runs::{Phase, Stage, estimate::estimate},
    text,
};

/// Draws the lines above and below the content of the shown run.
pub(super) fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let Some(entry) = shown_run(model) else {
        return;
    };
    let last = area.height.saturating_sub(1);
    stage_line(model, theme, entry, row(area, 1), buffer);
    finding_line(model, theme, entry, row(area, 2), buffer);
    usage_line(model, theme, entry, row(area, last), buffer);
}

/// Draws `prep ✓ 4s ─ agent ▶ 2m41s ─ publish ·     docs 17/48`.
fn stage_line(model: &Model, theme: &Theme, entry: &RunEntry, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, area);
    let style = |scope| theme.style(scope);
    if let Some((written, expected)) = entry.documents() {
        let scope = if written == expected {
            Scope::Good
        } else {
            Scope::Text
        };
        pen.right(&format!("{written}/{expected}"), style(scope))
            .right("docs ", style(Scope::Muted));
        pen.right_space(2);
    }
    for (index, stage) in Stage::ALL.into_iter().enumerate() {
        if index > 0 {
            pen.left(&format!(" {} ", model.glyphs.dash), style(Scope::Faint));
        }
        let (sign, scope, seconds) = stage_state(model, entry, stage);
        let waits = scope == Scope::Faint;
        pen.left(
            stage.as_str(),
            style(if waits { Scope::Muted } else { Scope::Text }),
        );
        pen.space(1).left(sign, style(scope));
        if let Some(seconds) = seconds {
            pen.space(1)
                .left(&text::duration(seconds), style(Scope::Muted));
        }
    }
}

/// Returns the glyph of a stage, its scope, and its duration so far in seconds.
fn stage_state(
    model: &Model,
    entry: &RunEntry,
    stage: Stage,
) -> (&'static str, Scope, Option<i64>) {
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
    let (started, finished) = (time(&attempt.started_at), time(&attempt.finished_at));
    let until = finished.or_else(|| entry.active().then_some(model.now));
    let seconds = started
        .zip(until)
        .map(|(started, until)| until.duration_since(started).as_secs());
    match (finished, attempt.exit_code) {
        (None, None) if entry.active() && entry.trouble.is_none() => {
            (glyphs.running, Scope::RunRunning, seconds)
        }
        (None, None) if entry.active() => (glyphs.blocked, Scope::Warn, seconds),
        (_, Some(0)) => (glyphs.done, Scope::RunSucceeded, seconds),
        _ if run.phase() == Phase::Cancelled => (glyphs.cancelled, Scope::RunCancelled, seconds),
        _ => (glyphs.failed, Scope::RunFailed, seconds),
    }
}

/// Draws the worst health finding and the key that helps.
fn finding_line(model: &Model, theme: &Theme, entry: &RunEntry, area: Rect, buffer: &mut Buffer) {
    let findings = model.health.of(entry.run.uid());
    let Some(finding) = findings.first() else {
        return;
    };
    let scope = if finding.needs_action {
        Scope::Warn
    } else {
        Scope::Muted
    };
    let mut pen = RowPen::new(buffer, area);
    if findings.len() > 1 {
        pen.right(
            &format!("+{} more", findings.len() - 1),
            theme.style(Scope::Muted),
        )
        .right_space(1);
    }
    let help = finding.remedy.and_then(|remedy| {
        let (command, words) = remedy_command(remedy);
        let keys = &model.keymap;
        let key = keys
            .key_for(&model.contexts(), command)
            .or_else(|| keys.key_for(&Context::ALL, command))?;
        Some((key, words))
    });
    if let Some((key, words)) = help {
        pen.right(words, theme.style(Scope::KeyLabel))
            .right(&format!("{key} "), theme.style(Scope::Key))
            .right_space(2);
    }
    pen.left(model.glyphs.warning, theme.style(scope)).space(1);
    pen.left(&text::sanitize(&finding.message), theme.style(scope));
}

/// Draws `turn 14 · $0.42 of $5.00 · context 58% · 2m41s, about 4m left · 41k in · 5k out`, as much as fits.
fn usage_line(model: &Model, theme: &Theme, entry: &RunEntry, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, area);
    let dropped = model.detail.logs.view.status().dropped;
    if dropped > 0 {
        pen.right(
            &format!("{dropped} older lines dropped"),
            theme.style(Scope::Warn),
        )
        .right_space(2);
    }
    let mut first = true;
    for (words, scope) in usage_pieces(model, entry) {
        let gap = if first { 0 } else { 3 };
        if text::width(&words) + gap > pen.room() {
            continue;
        }
        if !first {
            pen.left(" · ", theme.style(Scope::Faint));
        }
        pen.left(&words, theme.style(scope));
        first = false;
    }
}

/// Returns the pieces of the line by descending importance.
fn usage_pieces(model: &Model, entry: &RunEntry) -> Vec<(String, Scope)> {
    let transcript = &model.detail.timeline.transcript;
    let mut usage = transcript.usage();
    let known = entry.usage();
    if usage.turns < known.turns {
        usage = known;
    }
    // A truncated log may lack its last line, which has the cost.
    usage.cost_micro_usd = usage.cost_micro_usd.max(known.cost_micro_usd);
    let mut words: Vec<(String, Scope)> = Vec::new();
    let mut add = |piece: String| words.push((piece, Scope::Muted));
    if usage.turns > 0 {
        add(if entry.active() {
            format!("turn {}", usage.turns)
        } else {
            text::count(usage.turns as usize, "turn")
        });
    }
    if usage.cost_micro_usd > 0 {
        let cost = text::usd(usage.cost_micro_usd);
        let budget = entry.run.spec.budget_usd.as_deref();
        let budget = budget.and_then(|budget| budget.parse::<f64>().ok());
        add(match budget {
            Some(budget) => format!("{cost} of {}", text::usd((budget * 1e6).round() as i64)),
            None => cost,
        });
    }
    if let Some(context) = context_share(model, entry) {
        add(context);
    }
    if let Some(time) = time_words(model, entry) {
        add(time);
    }
    for (tokens, what) in [
        (usage.input_tokens, "in"),
        (usage.output_tokens, "out"),
        (usage.cache_read_tokens, "cached"),
    ] {
        if tokens > 0 {
            add(format!("{} {what}", text::compact(tokens)));
        }
    }
    if transcript.tool_calls > 0 {
        add(text::count(transcript.tool_calls, "tool call"));
    }
    if transcript.tool_errors > 0 {
        add(format!("{} failed", transcript.tool_errors));
    }
    words
}

/// Returns `context 58%`, with a `~` while the size of the context window is a guess.
fn context_share(model: &Model, entry: &RunEntry) -> Option<String> {
    let transcript = &model.detail.timeline.transcript;
    let progress = &entry.progress;
    let used = transcript.context_tokens.max(progress.context);
    let known = transcript.context_window.or(progress.context_window);
    let (window, sign) = known.map_or_else(
        || {
            let name = transcript.model.as_deref().or(progress.model.as_deref());
            // The suffix of models with the large window.
            let large = name.is_some_and(|name| name.ends_with("[1m]"));
            let usual = model.settings.health.context_window;
            (if large { 1_000_000 } else { usual }, "~")
        },
        |window| (window, ""),
    );
    (used > 0 && window > 0).then(|| format!("context {sign}{}%", used * 100 / window))
}

/// Returns `2m41s, about 4m left`.
fn time_words(model: &Model, entry: &RunEntry) -> Option<String> {
    let elapsed = entry.elapsed(model.now)?;
    let so_far = text::duration(elapsed);
    if !entry.active() {
        return Some(so_far);
    }
    let estimate = estimate(&entry.run, model.finished_runs.iter());
    Some(match estimate {
        Some(estimate) if estimate.seconds > elapsed => {
            let left = text::age(estimate.seconds - elapsed);
            format!("{so_far}, about {left} left")
        }
        Some(estimate) => format!("{so_far}, usually {}", text::age(estimate.seconds)),
        None => so_far,
    })
}
