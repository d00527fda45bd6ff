//! How far a run is: the line of its stages above a log, and what it used below.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Context,
    draw::RowPen,
    model::Model,
    panels::{
        self,
        runs::{dollars, short},
    },
    theme::{Scope, Theme},
    world::Entry,
};
use flightdeck_core::{
    runs::{Phase, Stage, estimate::estimate},
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

/// What is wrong with the run, the worst of it, and the key that helps.
pub(super) fn finding_line(
    model: &Model,
    theme: &Theme,
    entry: &Entry,
    area: Rect,
    buffer: &mut Buffer,
) {
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
    let help = finding.remedy.and_then(|help| {
        let (command, words) = panels::help(help);
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

/// `turn 14 · 41k in · 5k out · $0.42 of $5.00 · context 58% · 2m41s, about 4m left`, the first of it first where room is
/// scarce.
pub(super) fn totals(model: &Model, theme: &Theme, entry: &Entry, area: Rect, buffer: &mut Buffer) {
    let mut pen = RowPen::new(buffer, area);
    let fallen = model.detail.logs.view.standing().fallen;
    if fallen > 0 {
        pen.right(
            &format!("{fallen} lines out of memory"),
            theme.style(Scope::Warn),
        )
        .right_space(2);
    }
    let mut first = true;
    for (words, scope) in total_words(model, entry) {
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

/// The pieces of the line, the most telling first.
fn total_words(model: &Model, entry: &Entry) -> Vec<(String, Scope)> {
    let transcript = &model.detail.timeline.transcript;
    let mut usage = transcript.usage();
    let known = entry.usage();
    if usage.turns < known.turns {
        usage = known;
    }
    // A log cut short may miss the line that says what it cost.
    usage.cost_micro_usd = usage.cost_micro_usd.max(known.cost_micro_usd);
    let mut words: Vec<(String, Scope)> = Vec::new();
    let mut say = |said: String| words.push((said, Scope::Muted));
    if usage.turns > 0 {
        say(if entry.active() {
            format!("turn {}", usage.turns)
        } else {
            text::count(usage.turns as usize, "turn")
        });
    }
    if usage.cost_micro_usd > 0 {
        let cost = dollars(usage.cost_micro_usd);
        let budget = entry.run.spec.budget_usd.as_deref();
        let budget = budget.and_then(|budget| budget.parse::<f64>().ok());
        say(match budget {
            Some(budget) => format!("{cost} of ${budget:.2}"),
            None => cost,
        });
    }
    if let Some(context) = context_share(model, entry) {
        say(context);
    }
    if let Some(time) = time_words(model, entry) {
        say(time);
    }
    for (tokens, what) in [
        (usage.input_tokens, "in"),
        (usage.output_tokens, "out"),
        (usage.cache_read_tokens, "cached"),
    ] {
        if tokens > 0 {
            say(format!("{} {what}", short(tokens)));
        }
    }
    if transcript.tool_calls > 0 {
        say(text::count(transcript.tool_calls, "tool call"));
    }
    if transcript.tool_errors > 0 {
        say(format!("{} failed", transcript.tool_errors));
    }
    words
}

/// `context 58%`; with a `~` while the stream has not said how much fits.
fn context_share(model: &Model, entry: &Entry) -> Option<String> {
    let transcript = &model.detail.timeline.transcript;
    let progress = &entry.progress;
    let used = transcript.context_tokens.max(progress.context);
    let told = transcript.context_window.or(progress.context_window);
    let (fits, sign) = told.map_or_else(
        || {
            let known = transcript.model.as_deref().or(progress.model.as_deref());
            // The name of a model with the large window ends so.
            let large = known.is_some_and(|model| model.ends_with("[1m]"));
            let usual = model.settings.health.context_window;
            (if large { 1_000_000 } else { usual }, "~")
        },
        |fits| (fits, ""),
    );
    (used > 0 && fits > 0).then(|| format!("context {sign}{}%", used * 100 / fits))
}

/// `2m41s, about 4m left`
fn time_words(model: &Model, entry: &Entry) -> Option<String> {
    let elapsed = entry.elapsed(model.now)?;
    let took = text::duration(elapsed);
    if !entry.active() {
        return Some(took);
    }
    let estimate = estimate(&entry.run, model.ended.iter());
    Some(match estimate {
        Some(estimate) if estimate.seconds > elapsed => {
            let left = text::age(estimate.seconds - elapsed);
            format!("{took}, about {left} left")
        }
        Some(estimate) => format!("{took}, usually {}", text::age(estimate.seconds)),
        None => took,
    })
}
