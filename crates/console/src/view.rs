//! Draws the screen from the model: header, panels, footer, the top overlay, toasts.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    command::{COMMANDS, Command, Context},
    draw::{self, RowPen},
    ids::PanelId,
    layout::{Areas, SMALLEST},
    model::Model,
    panels,
    theme::{Scope, Theme},
    world::{ClusterConnection, Level},
};
use flightdeck_core::{tasks, text};

/// Maximum hints in the footer.
const HINTS: usize = 10;

/// Draws into `screen`, which may differ from the size in the model.
pub(crate) fn view(model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
    buffer.set_style(screen, theme.style(Scope::Text));
    let Some(areas) = model.areas_of(screen) else {
        too_small(theme, screen, buffer);
        return;
    };
    header(model, theme, areas.header, buffer);
    body(model, theme, &areas, buffer);
    footer(model, theme, areas.footer, buffer);
    // Only the topmost one: nested boxes would be noise.
    if let Some(overlay) = model.overlays.last() {
        overlay.view(model, theme, screen, buffer);
    }
    toasts(model, theme, &areas, buffer);
}

fn too_small(theme: &Theme, screen: Rect, buffer: &mut Buffer) {
    let sentence = format!(
        "Flightdeck needs at least {}x{} cells; this terminal has {}x{}.",
        SMALLEST.width, SMALLEST.height, screen.width, screen.height
    );
    draw::paragraph(buffer, screen, &sentence, theme.style(Scope::Muted));
}

fn body(model: &Model, theme: &Theme, areas: &Areas, buffer: &mut Buffer) {
    // The focused panel last, so that its colour wins on shared borders.
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
            panels::panel(panel).view(model, theme, area.inner, buffer);
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
    // Other colours would be unreadable on a coloured header.
    let style = |scope| {
        if real {
            base
        } else {
            base.patch(foreground(theme, scope))
        }
    };
    let wide = area.width >= 100;
    let mut pen = RowPen::new(buffer, area);
    pen.space(1).right_space(1);
    let (target, scope) = target(model, wide);
    pen.right(&target, style(scope)).right_space(2);
    if let Some((controller, scope)) = controller(model, wide) {
        pen.right(&controller, style(scope)).right_space(2);
    }
    let spent = text::usd(model.spent_today);
    if model.spent_today > 0 && wide {
        let spent = format!("{spent} today");
        pen.right(&spent, style(Scope::Text)).right_space(2);
    }
    pen.left("flightdeck", style(Scope::Strong)).space(2);
    let Some(repository) = model.world.repository.get() else {
        let reason = model
            .world
            .repository
            .error()
            .map_or("reading repository ...", String::as_str);
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
            pen.space(2).left("detached HEAD", style(Scope::Bad));
        }
    }
    let mut distance = Vec::new();
    for (count, word, sign) in [
        (repository.ahead, "ahead", "↑"),
        (repository.behind, "behind", "↓"),
        (repository.changed, "changed", "~"),
    ] {
        if count > 0 {
            distance.push(if wide {
                format!("{count} {word}")
            } else {
                format!("{sign}{count}")
            });
        }
    }
    if !distance.is_empty() {
        let gap = if wide { ", " } else { " " };
        pen.space(2).left(&distance.join(gap), style(Scope::Warn));
    }
    if let Some(pushed) = repository.tasks_pushed {
        let (state, scope) = match (pushed, wide) {
            (true, true) => ("plan in sync".into(), Scope::Good),
            (true, false) => (format!("plan {}", model.glyphs.done), Scope::Good),
            (false, true) => {
                let remote = text::sanitize(&repository.remote);
                (format!("plan differs from {remote}"), Scope::Bad)
            }
            (false, false) => ("plan ≠".into(), Scope::Bad),
        };
        pen.space(2).left(&state, style(scope));
    }
    if let Some(age) = model.remote_age() {
        let age = text::age(age);
        let state = match (repository.offline, wide) {
            (true, true) => format!("offline, last seen {age} ago"),
            (true, false) => format!("offline {age}"),
            (false, true) => format!("fetched {age} ago"),
            (false, false) => age,
        };
        pen.space(2).left(&state, style(Scope::Warn));
    }
    // On a narrow screen the cost has the lowest priority.
    if model.spent_today > 0 && !wide && pen.room() > text::width(&spent) + 2 {
        pen.right(&spent, style(Scope::Text)).right_space(2);
    }
    // The Tasks panel shows the tag too, so this is optional.
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

/// Returns the state of the controller from pre-flight; unless `wide`, only problems.
fn controller(model: &Model, wide: bool) -> Option<(String, Scope)> {
    let check = model.world.checks.get("controller")?;
    let sign = model.glyphs.level(check.level);
    match check.level {
        Level::Pass if wide => Some(("controller ok".into(), Scope::Muted)),
        Level::Pass => None,
        Level::Warn => Some((format!("controller {sign}"), Scope::Warn)),
        Level::Fail => Some((format!("controller {sign}"), Scope::Bad)),
    }
}

/// Returns the target of the connection and its state.
fn target(model: &Model, wide: bool) -> (String, Scope) {
    let (target, state, scope) = match &model.world.cluster {
        ClusterConnection::Connecting => return ("connecting ...".into(), Scope::Muted),
        ClusterConnection::Failed(_, again) => {
            let seconds = again.duration_since(model.now).as_secs().max(0);
            let when = if wide { ", retry in" } else { "" };
            return (format!("no cluster{when} {seconds}s"), Scope::Bad);
        }
        ClusterConnection::Connected(target) => (target, "", Scope::Muted),
        ClusterConnection::Lost(target, _) => (target, " (reconnecting)", Scope::Warn),
    };
    let label = text::sanitize(&target.label);
    let namespace = text::sanitize(&target.namespace);
    if wide {
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
            (Command::Accept, "apply"),
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
                } else if model.meets(row.applies)
                    && !shown.iter().any(|(_, hint)| *hint == row.hint)
                {
                    shown.push((key, row.hint));
                }
            }
        }
    }
    shown.truncate(HINTS - always.len().min(HINTS));
    // The global hints have a fixed place at the right.
    let width = |(key, hint): &(String, &str)| text::width(key) + text::width(hint) + 3;
    let reserved = always.iter().map(width).sum::<usize>() as u16;
    let right = Rect {
        x: area.right().saturating_sub(reserved),
        width: reserved.min(area.width),
        ..area
    };
    let left = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(reserved + 1),
        ..area
    };
    for (part, hints) in [(left, &shown), (right, &always)] {
        let mut pen = RowPen::new(buffer, part);
        let hints = hints.iter().map(|(key, hint)| (key.as_str(), *hint));
        draw::hints(&mut pen, theme, hints);
    }
}

/// Draws the toasts at the bottom right.
fn toasts(model: &Model, theme: &Theme, areas: &Areas, buffer: &mut Buffer) {
    // Keep the prompt of a panel visible, and in Detail the usage line below it.
    let below = match (model.typing(), model.focus) {
        (false, _) => 2,
        (true, PanelId::Detail) => 4,
        (true, _) => 3,
    };
    let mut y = areas.footer.y.saturating_sub(below);
    for toast in model.toasts.iter().rev() {
        // Use the whole width of a narrow screen, but leave part of a wide one visible.
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
