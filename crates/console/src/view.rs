//! The whole screen from the model: header, panels, footer, what lies over them. Pure; nothing is remembered here.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    command::{COMMANDS, Command, Context},
    draw::{self, RowPen},
    layout::{Areas, SMALLEST},
    model::{Model, PanelId},
    panels,
    theme::{Scope, Theme},
    world::{Cluster, Level},
};
use flightdeck_core::{tasks, text};

/// Most hints in the footer.
const HINTS: usize = 10;

/// Draws everything into `screen`. The layout follows `screen` alone: it may differ from the model's size.
pub fn view(model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
    buffer.set_style(screen, theme.style(Scope::Text));
    let Some(areas) = model.areas_of(screen) else {
        too_small(theme, screen, buffer);
        return;
    };
    header(model, theme, areas.header, buffer);
    body(model, theme, &areas, buffer);
    footer(model, theme, areas.footer, buffer);
    // Only the topmost one: boxes over boxes would be noise, and Esc leads back to those below.
    if let Some(overlay) = model.overlays.last() {
        overlay.view(model, theme, screen, buffer);
    }
    toasts(model, theme, &areas, buffer);
}

fn too_small(theme: &Theme, screen: Rect, buffer: &mut Buffer) {
    let sentence = format!(
        "Flightdeck needs {} columns and {} rows; this terminal has {} and {}.",
        SMALLEST.width, SMALLEST.height, screen.width, screen.height
    );
    draw::paragraph(buffer, screen, &sentence, theme.style(Scope::Muted));
}

fn body(model: &Model, theme: &Theme, areas: &Areas, buffer: &mut Buffer) {
    // The focused panel last: its lines lie over those it shares.
    let others = PanelId::ALL
        .into_iter()
        .filter(|panel| *panel != model.focus);
    for panel in others.chain([model.focus]) {
        let area = areas.panel(panel);
        if area.outer.is_empty() {
            continue;
        }
        let focused = panel == model.focus;
        let title = panels::title(model, panel);
        draw::frame(buffer, theme, area, &title, focused);
        if !area.inner.is_empty() {
            panels::view(model, theme, panel, area.inner, buffer);
        }
    }
}

fn header(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let real = model
        .world
        .cluster
        .target()
        .is_some_and(|target| !target.embedded);
    let base = theme.style(if real {
        Scope::HeaderCluster
    } else {
        Scope::Header
    });
    buffer.set_style(area, base);
    // On a coloured header the header's own colour is the only one that can be read.
    let style = |scope| {
        if real {
            base
        } else {
            base.patch(foreground(theme, scope))
        }
    };
    let words = area.width >= 100;
    let mut pen = RowPen::new(buffer, area);
    pen.space(1).right_space(1);
    let (target, scope) = target(model, words);
    pen.right(&target, style(scope)).right_space(2);
    if let Some((controller, scope)) = controller(model, words) {
        pen.right(&controller, style(scope)).right_space(2);
    }
    let spent = panels::runs::dollars(model.spent_today);
    if model.spent_today > 0 && words {
        let spent = format!("{spent} today");
        pen.right(&spent, style(Scope::Text)).right_space(2);
    }
    pen.left("flightdeck", style(Scope::Strong)).space(2);
    let Some(repository) = model.world.repository.get() else {
        let reason = model
            .world
            .repository
            .error()
            .map_or("reading the repository ...", String::as_str);
        pen.left(&text::sanitize(reason), style(Scope::Muted));
        return;
    };
    let room = pen.room();
    pen.left(
        &text::cut_middle(&text::sanitize(&repository.name), room / 4),
        style(Scope::Text),
    );
    match &repository.branch {
        Some(branch) => {
            let branch = text::sanitize(branch);
            pen.space(2)
                .left(&text::cut_middle(&branch, room / 3), style(Scope::Accent));
        }
        None => {
            pen.space(2).left("no branch", style(Scope::Bad));
        }
    }
    let mut distance = Vec::new();
    for (count, word, sign) in [
        (repository.ahead, "ahead", "↑"),
        (repository.behind, "behind", "↓"),
        (repository.changed, "changed", "~"),
    ] {
        if count > 0 {
            distance.push(if words {
                format!("{count} {word}")
            } else {
                format!("{sign}{count}")
            });
        }
    }
    if !distance.is_empty() {
        let gap = if words { ", " } else { " " };
        pen.space(2).left(&distance.join(gap), style(Scope::Warn));
    }
    if let Some(pushed) = repository.tasks_pushed {
        let (sign, scope) = if pushed {
            ("=", Scope::Good)
        } else {
            ("≠", Scope::Bad)
        };
        let name = if words { "tasks.json" } else { "tasks" };
        pen.space(2).left(
            &format!("{name} {sign} {}", text::sanitize(&repository.remote)),
            style(scope),
        );
    }
    if let Some(age) = model.remote_age() {
        let age = text::age(age);
        let said = match (repository.offline, words) {
            (true, true) => format!("offline, as of {age} ago"),
            (true, false) => format!("offline {age}"),
            (false, true) => format!("as of {age} ago"),
            (false, false) => age,
        };
        pen.space(2).left(&said, style(Scope::Warn));
    }
    // On a narrow screen nothing gives way to it.
    if model.spent_today > 0 && !words && pen.room() > text::width(&spent) + 2 {
        pen.right(&spent, style(Scope::Text)).right_space(2);
    }
    // The list bears it too: here it takes only what room is left.
    let tag = model.world.plan.get().map(|plan| plan.tag.as_str());
    if let Some(tag) = tag.filter(|tag| *tag != tasks::DEFAULT_TAG) {
        let tag = text::sanitize(tag);
        let words = format!("tag {}", text::cut_end(&tag, room / 5));
        if pen.room() > text::width(&words) + 2 {
            pen.space(2).left(&words, style(Scope::Text));
        }
    }
}

fn foreground(theme: &Theme, scope: Scope) -> ratatui::style::Style {
    let mut style = theme.style(scope);
    style.bg = None;
    style
}

/// Whether somebody acts on runs, as pre-flight found it; on a narrow screen only bad news.
fn controller(model: &Model, words: bool) -> Option<(String, Scope)> {
    let check = model.world.checks.get("controller")?;
    let sign = model.glyphs.level(check.level);
    match check.level {
        Level::Pass if words => Some(("controller ok".into(), Scope::Muted)),
        Level::Pass => None,
        Level::Warn => Some((format!("controller {sign}"), Scope::Warn)),
        Level::Fail => Some((format!("controller {sign}"), Scope::Bad)),
    }
}

fn target(model: &Model, words: bool) -> (String, Scope) {
    let (target, state, scope) = match &model.world.cluster {
        Cluster::Connecting => return ("connecting ...".into(), Scope::Muted),
        Cluster::Failed(_, again) => {
            let seconds = again.duration_since(model.now).as_secs().max(0);
            let when = if words { ", again in" } else { "" };
            return (format!("no cluster{when} {seconds}s"), Scope::Bad);
        }
        Cluster::Connected(target) => (target, "", Scope::Muted),
        Cluster::Lost(target, _) => (target, " (reconnecting)", Scope::Warn),
    };
    let label = text::sanitize(&target.label);
    let namespace = text::sanitize(&target.namespace);
    if words {
        (format!("target {label}/{namespace}{state}"), scope)
    } else {
        (format!("{label}{state}"), scope)
    }
}

fn footer(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    if !model.pending.is_empty() {
        let keys: Vec<String> = model.pending.iter().map(ToString::to_string).collect();
        RowPen::new(buffer, area)
            .space(1)
            .left(&keys.join(" "), theme.style(Scope::Key))
            .left(" ...", theme.style(Scope::Muted));
        return;
    }
    let contexts = model.contexts();
    let mut shown: Vec<(String, &str)> = Vec::new();
    let mut always = shown.clone();
    if let Some(overlay) = model.overlays.last() {
        for (command, hint) in overlay.hints() {
            let key = if overlay.takes_text() {
                model.keymap.key_beside_text(&contexts, command)
            } else {
                model.keymap.key_for(&contexts, command)
            };
            shown.extend(key.map(|key| (key, hint)));
        }
    } else if model.typing() {
        for (command, hint) in [
            (Command::Accept, "keep"),
            (Command::Complete, "complete"),
            (Command::Cancel, "clear"),
        ] {
            let key = model.keymap.key_beside_text(&contexts, command);
            shown.extend(key.map(|key| (key, hint)));
        }
    } else {
        for context in &contexts {
            for row in COMMANDS
                .iter()
                .filter(|row| row.context == *context && !row.hint.is_empty())
            {
                let Some(key) = model.keymap.key_for(&[*context], row.command) else {
                    continue;
                };
                if *context == Context::Global {
                    always.push((key, row.hint));
                } else if (row.applies)(model) && !shown.iter().any(|(_, hint)| *hint == row.hint) {
                    shown.push((key, row.hint));
                }
            }
        }
    }
    shown.truncate(HINTS - always.len().min(HINTS));
    // What always helps keeps its place at the right, whatever else there is to say.
    let width = |(key, hint): &(String, &str)| text::width(key) + text::width(hint) + 3;
    let kept = always.iter().map(width).sum::<usize>() as u16;
    let right = Rect {
        x: area.right().saturating_sub(kept),
        width: kept.min(area.width),
        ..area
    };
    let left = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(kept + 1),
        ..area
    };
    for (part, hints) in [(left, &shown), (right, &always)] {
        let mut pen = RowPen::new(buffer, part);
        let hints = hints.iter().map(|(key, hint)| (key.as_str(), *hint));
        draw::hints(&mut pen, theme, hints);
    }
}

fn toasts(model: &Model, theme: &Theme, areas: &Areas, buffer: &mut Buffer) {
    // Bottom right; above the line that is typed at the bottom of a panel, below which a log has its totals.
    let below = match (model.typing(), model.focus) {
        (false, _) => 2,
        (true, PanelId::Detail) => 4,
        (true, _) => 3,
    };
    let mut y = areas.footer.y.saturating_sub(below);
    for toast in model.toasts.iter().rev() {
        // On a narrow screen a sentence needs all of it; on a wide one it leaves what lies below in sight.
        let columns = usize::from(areas.footer.width);
        let room = (columns * 2 / 3).max(columns.min(80)).saturating_sub(6);
        let words = text::sanitize(&toast.text);
        let words = text::cut_end(&words, room);
        let width = text::width(&words) as u16 + 4;
        let area = Rect::new(areas.footer.right().saturating_sub(width + 1), y, width, 1);
        let scope = match toast.level {
            Level::Pass => Scope::Good,
            Level::Warn => Scope::Warn,
            Level::Fail => Scope::Bad,
        };
        draw::blank(buffer, area, theme.style(Scope::Text));
        RowPen::new(buffer, area)
            .space(1)
            .left(model.glyphs.level(toast.level), theme.style(scope))
            .space(1)
            .left(&words, theme.style(Scope::Text));
        buffer.set_style(area, {
            let mut style = ratatui::style::Style::new();
            style.bg = theme.style(Scope::Selection).bg;
            style
        });
        y = y.saturating_sub(1);
    }
}
