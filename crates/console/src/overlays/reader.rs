//! Lines to read: help, an explanation, an error in full.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::{COMMANDS, Command, Context},
    draw::{self, RowPen},
    model::Model,
    panels::detail::difference,
    theme::{Scope, Theme},
    world::{Check, Compared},
};

use super::Overlay;

/// One line, in pieces with what they mean; a piece may have a width of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(pub Vec<(String, Scope, Option<usize>)>);

/// A text to scroll in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    pub title: String,
    pub lines: Vec<Line>,
    pub scroll: usize,
}

/// Columns of the widest window.
const WIDTH: u16 = 84;
/// Lines a page moves; the window is never smaller than this on a screen that is large enough.
const PAGE: usize = 10;

impl Reader {
    /// Obeys a movement.
    pub fn command(&mut self, command: Command) {
        let last = self.lines.len().saturating_sub(1);
        self.scroll = super::scrolled(self.scroll, command, PAGE, last);
    }

    /// Draws it.
    pub fn view(&self, _model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        let height = (self.lines.len() as u16).saturating_add(2);
        let area = super::window(screen, WIDTH, height, &self.title, false, theme, buffer);
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
        if first < end {
            let more = format!(" {} more ", end - first);
            let row = Rect::new(area.x, area.bottom(), area.width, 1);
            RowPen::new(buffer, row).right(&more, theme.style(Scope::Muted));
        }
    }
}

/// What a check found and why it matters; with it how the plans differ, where it is about that.
pub fn explanation(check: &Check, compared: Option<&Compared>) -> Overlay {
    let mut sentences = vec![(check.message.as_str(), Scope::Text)];
    if !check.explanation.is_empty() {
        sentences.extend([
            ("", Scope::Text),
            (check.explanation.as_str(), Scope::Muted),
        ]);
    }
    let heading = compared.map(|compared| format!("Your plan against {}:", compared.place));
    let difference = compared.map(difference).unwrap_or_default();
    if let Some(heading) = &heading {
        sentences.extend([("", Scope::Text), (heading, Scope::Muted)]);
        let lines = difference.iter();
        sentences.extend(lines.map(|(words, scope)| (words.as_str(), *scope)));
    }
    Overlay::Reader(Reader::of(check.title, &sentences))
}

/// Every key that means something where the focus is, then those of everywhere else.
pub fn help(model: &Model) -> Overlay {
    let here = model.contexts();
    let columns = sentence_columns(model);
    let there = Context::ALL
        .into_iter()
        .filter(|context| !here.contains(context));
    let mut lines = job(model);
    for context in here.iter().copied().chain(there) {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line(vec![(context.title().into(), Scope::Strong, None)]));
        for row in COMMANDS.iter().filter(|row| row.context == context) {
            let keys = model.keymap.keys(context, row.command).join(" ");
            explain(&mut lines, keys, row.doc, columns);
        }
    }
    Overlay::Reader(Reader {
        title: "Keys".into(),
        lines,
        scroll: 0,
    })
}

/// From the first run to the last log, in the order a newcomer needs it.
fn job(model: &Model) -> Vec<Line> {
    let steps: &[(Context, Command, &str)] = &[
        (Context::List, Command::New, "Launch a run."),
        (
            Context::Global,
            Command::FocusRuns,
            "Go to the runs; what follows is pressed there.",
        ),
        (Context::Runs, Command::Logs, "Read the run's log."),
        (
            Context::Runs,
            Command::Merge,
            "Bring what it made into your branch.",
        ),
        (
            Context::List,
            Command::Cleanup,
            "Delete the runs nobody needs any more.",
        ),
        (
            Context::Runs,
            Command::Deleted,
            "See the deleted ones again, with their logs.",
        ),
    ];
    let columns = sentence_columns(model);
    let mut lines = vec![Line(vec![("In short".into(), Scope::Strong, None)])];
    for (context, command, sentence) in steps {
        if let Some(key) = model.keymap.key_for(&[*context], *command) {
            explain(&mut lines, key, sentence, columns);
        }
    }
    lines
}

/// Columns of the keys in help.
const KEYS: usize = 16;

/// Columns of a sentence beside its keys.
fn sentence_columns(model: &Model) -> usize {
    let screen = model.areas().map_or(WIDTH, |areas| areas.footer.width);
    usize::from(WIDTH.min(screen)).saturating_sub(KEYS + 5)
}

fn explain(lines: &mut Vec<Line>, keys: String, sentence: &str, columns: usize) {
    let mut keys = Some(keys);
    for part in draw::wrap(sentence, columns) {
        lines.push(Line(vec![
            (keys.take().unwrap_or_default(), Scope::Key, Some(KEYS)),
            (" ".into(), Scope::Text, None),
            (part, Scope::Text, None),
        ]));
    }
}
