//! The Detail panel: tabs about the task or the run that is selected in a list.
//!
//! Everything it shows is in [`Detail`], moved in `update` alone; what it needs from outside it asks for with
//! [`Want`] and is told with [`News`].

use ratatui::{buffer::Buffer, layout::Rect};

use crate::console::{
    command::{Command, Context},
    draw::Title,
    effect::Effects,
    field::Field,
    model::Model,
    theme::Theme,
    world::{RunId, TaskId},
};

/// What the panel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Run(RunId),
}

/// One of the panel's tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    #[default]
    Task,
    Preview,
    Logs,
    Timeline,
    Diff,
    PullRequest,
    Events,
    Yaml,
}

/// What the panel asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {}

/// What the panel is told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {}

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    pub subject: Option<Subject>,
    pub tab: Tab,
}

impl Detail {
    /// The run it is about.
    pub const fn run(&self) -> Option<&RunId> {
        match &self.subject {
            Some(Subject::Run(id)) => Some(id),
            _ => None,
        }
    }

    /// Where a key means something while it has the focus, innermost first; `Global` comes after.
    pub fn contexts(&self) -> Vec<Context> {
        vec![Context::Text, Context::Detail]
    }

    /// Whether a field is open.
    pub const fn typing(&self) -> bool {
        false
    }

    /// The field being typed into, if one is open. Enter and Esc reach [`command`] as `Accept` and `Cancel`.
    pub const fn open_field(&mut self) -> Option<&mut Field> {
        None
    }
}

/// Shows something else, as the selection in the lists moves.
pub fn show(model: &mut Model, subject: Option<Subject>, _effects: &mut Effects) {
    model.detail.subject = subject;
}

/// Goes to a tab.
pub fn go(model: &mut Model, tab: Tab, _effects: &mut Effects) {
    model.detail.tab = tab;
}

/// What is typed into the open field has changed.
pub fn typed(_model: &mut Model, _effects: &mut Effects) {}

/// Takes in what was asked for.
pub fn news(_model: &mut Model, news: News, _effects: &mut Effects) {
    match news {}
}

/// Obeys a command; `false` when it is none of this panel's.
pub fn command(_model: &mut Model, _command: Command, _effects: &mut Effects) -> bool {
    false
}

/// A click, in columns and rows from the content's corner.
pub fn click(_model: &mut Model, _column: u16, _row: u16, _effects: &mut Effects) {}

/// A turn of the wheel, in lines.
pub fn wheel(_model: &mut Model, _lines: isize, _effects: &mut Effects) {}

/// The title line.
pub fn title(_model: &Model) -> Title {
    Title::default()
}

/// Draws the content.
pub fn view(_model: &Model, _theme: &Theme, _area: Rect, _buffer: &mut Buffer) {}
