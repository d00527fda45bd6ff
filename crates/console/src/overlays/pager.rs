//! Scrollable text: help, or the explanation of a check.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    overlay::{Next, Overlay},
    window::{Window, more_below, scrolled},
};
use crate::{
    command::{COMMANDS, Command, Context},
    draw::{self, RowPen},
    effect::Effects,
    model::Model,
    panels::detail::difference,
    theme::{Scope, Theme},
    world::Check,
};

/// One line: words with their style, and a width if they form a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line(Vec<(String, Scope, Option<usize>)>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pager {
    title: String,
    lines: Vec<Line>,
    /// Lines scrolled past.
    scroll: usize,
}

/// Columns of the window on a wide screen.
const WIDTH: u16 = 84;
/// Columns to which sentences are wrapped.
const TEXT_WIDTH: usize = 76;
/// Lines per page; the window is never smaller on a supported screen.
const PAGE: usize = 10;

impl Overlay for Pager {
    fn title(&self) -> String {
        self.title.clone()
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        vec![(Command::Down, "scroll"), (Command::Cancel, "close")]
    }

    fn command(&mut self, _: &mut Model, command: Command, _: &mut Effects) -> Next {
        let last = self.lines.len().saturating_sub(1);
        self.scroll = scrolled(self.scroll, command, PAGE, last);
        Next::Stay
    }

    fn view(&self, _: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let window = Window {
            width: WIDTH,
            height: (self.lines.len() as u16).saturating_add(2),
            title: &self.title,
            danger: false,
        };
        let area = window.draw(theme, screen, buffer);
        let end = self.lines.len().saturating_sub(area.height.into());
        let first = self.scroll.min(end);
        for (line, row) in self.lines.iter().skip(first).zip(area.rows()) {
            let mut pen = RowPen::new(buffer, row);
            for (words, scope, width) in &line.0 {
                match width {
                    Some(width) => pen.column(words, *width, theme.style(*scope)),
                    None => pen.left(words, theme.style(*scope)),
                };
            }
        }
        more_below(end - first, area, theme, buffer);
    }
}

/// Opens what a check found and why it matters, and the differences of the plans if the check is about them.
pub(crate) fn explain_check(model: &mut Model, check: &Check) {
    let comparison = model.world.checks.compared(check.id);
    let mut lines = Vec::new();
    let mut add = |sentence: &str, scope: Scope| {
        let wrapped = draw::wrap(sentence, TEXT_WIDTH).into_iter();
        lines.extend(wrapped.map(|line| Line(vec![(line, scope, None)])));
    };
    add(&check.message, Scope::Text);
    if !check.explanation.is_empty() {
        add("", Scope::Text);
        add(&check.explanation, Scope::Muted);
    }
    if let Some(comparison) = comparison {
        add("", Scope::Text);
        let heading = format!("Your plan compared with {}:", comparison.remote_branch);
        add(&heading, Scope::Muted);
        for (words, scope) in difference(comparison) {
            add(&words, scope);
        }
    }
    model.overlays.push(Pager {
        title: check.title.into(),
        lines,
        scroll: 0,
    });
}

/// Opens help: a short tour, the keys of the current contexts, then all others.
pub(crate) fn open_help(model: &mut Model) {
    let here = model.contexts();
    let columns = description_columns(model);
    let elsewhere = Context::ALL
        .into_iter()
        .filter(|context| !here.contains(context));
    let mut lines = tour(model);
    for context in here.iter().copied().chain(elsewhere) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(heading(context.title()));
        for row in COMMANDS.iter().filter(|row| row.context == context) {
            let keys = model.keymap.keys(context, row.command).join(" ");
            describe(&mut lines, keys, row.doc, columns);
        }
    }
    model.overlays.push(Pager {
        title: "Keys".into(),
        lines,
        scroll: 0,
    });
}

/// The keys of a first session, in the order a new user needs them.
fn tour(model: &Model) -> Vec<Line> {
    let steps: &[(Context, Command, &str)] = &[
        (Context::List, Command::New, "Launch a run"),
        (
            Context::Global,
            Command::FocusRuns,
            "Runs panel (keys below work there)",
        ),
        (Context::Runs, Command::Logs, "Read the run's log"),
        (
            Context::Runs,
            Command::Merge,
            "Merge the run's branch into yours",
        ),
        (Context::List, Command::Cleanup, "Delete finished runs"),
        (
            Context::Runs,
            Command::Deleted,
            "Show deleted runs and their logs",
        ),
    ];
    let columns = description_columns(model);
    let mut lines = vec![heading("Quick start")];
    for (context, command, sentence) in steps {
        if let Some(key) = model.keymap.key_for(&[*context], *command) {
            describe(&mut lines, key, sentence, columns);
        }
    }
    lines
}

/// Columns of the keys.
const KEYS: usize = 16;

/// Columns of the descriptions.
fn description_columns(model: &Model) -> usize {
    let screen = model.areas().map_or(WIDTH, |areas| areas.footer.width);
    usize::from(WIDTH.min(screen)).saturating_sub(KEYS + 5)
}

fn heading(words: &str) -> Line {
    Line(vec![(words.into(), Scope::Strong, None)])
}

fn describe(lines: &mut Vec<Line>, keys: String, description: &str, columns: usize) {
    let mut keys = Some(keys);
    for part in draw::wrap(description, columns) {
        lines.push(Line(vec![
            (keys.take().unwrap_or_default(), Scope::Key, Some(KEYS)),
            (" ".into(), Scope::Text, None),
            (part, Scope::Text, None),
        ]));
    }
}
