//! The panels. A panel is one file with an implementation of [`Panel`] and one row in [`panel`].

pub mod detail;
pub(crate) mod list_view;
pub mod preflight;
pub mod runs;
pub mod tasks;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::{Command, Context},
    draw::Title,
    effect::Effects,
    field::Field,
    filter::{Filter, FilterColumn},
    ids::{PanelId, Subject},
    list::List,
    model::Model,
    theme::Theme,
    world::{Entry, RunId},
};
use flightdeck_core::runs::health::Remedy;

/// Returns the implementation of a panel.
#[must_use]
pub fn panel(id: PanelId) -> &'static dyn Panel {
    match id {
        PanelId::Tasks => &tasks::Tasks,
        PanelId::Runs => &runs::Runs,
        PanelId::Preflight => &preflight::Preflight,
        PanelId::Detail => &detail::Detail,
    }
}

/// A panel. Implementations are stateless; the state is in the [`Model`].
///
/// The defaults are those of a panel with one list and no filter.
pub trait Panel: Sync {
    /// Returns the name in the title line.
    fn name(&self) -> &'static str;

    /// Returns the rest of the title line.
    fn title(&self, model: &Model) -> Title;

    /// Returns where keys are looked up while the panel has the focus, innermost first, without `Global`.
    fn contexts(&self, model: &Model) -> Vec<Context>;

    /// Draws the content.
    fn view(&self, model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer);

    /// Adapts the state to the size of the content.
    fn fit(&self, model: &mut Model, content: Rect);

    /// Handles a command of this panel. Returns `false` if it has none of that name.
    fn command(&self, model: &mut Model, command: Command, effects: &mut Effects) -> bool;

    /// Returns the selected object, for the Detail panel to show.
    fn subject(&self, model: &Model) -> Option<Subject>;

    /// Returns the run that commands act on.
    fn run<'m>(&self, _model: &'m Model) -> Option<&'m RunId> {
        None
    }

    /// Returns the text that Copy puts on the clipboard.
    fn copied_text(&self, _model: &Model) -> Option<String> {
        None
    }

    /// Returns the list that movement commands act on.
    fn list<'m>(&self, _model: &'m mut Model) -> Option<&'m mut List<String>> {
        None
    }

    /// Returns the filter of the list. Only lists with a filter have marks.
    fn filter<'m>(&self, _model: &'m Model) -> Option<&'m Filter> {
        None
    }

    /// Returns the filter of the list.
    fn filter_mut<'m>(&self, _model: &'m mut Model) -> Option<&'m mut Filter> {
        None
    }

    /// Returns the columns that the filter can name, with their values.
    fn filter_columns(&self, _model: &Model) -> Vec<FilterColumn> {
        Vec::new()
    }

    /// Rebuilds the rows after the filter changed.
    fn refresh(&self, _model: &mut Model) {}

    /// Whether a text field of the panel is open.
    fn is_typing(&self, model: &Model) -> bool {
        self.filter(model).is_some_and(|filter| filter.open)
    }

    /// Returns the open text field.
    fn open_field<'m>(&self, model: &'m mut Model) -> Option<&'m mut Field> {
        let filter = self.filter_mut(model)?;
        filter.open.then_some(&mut filter.field)
    }

    /// Handles a change of the text in the open field.
    fn typed(&self, model: &mut Model, _effects: &mut Effects) {
        self.refresh(model);
    }

    /// Handles a click at a position relative to the content.
    fn click(&self, model: &mut Model, _column: u16, row: u16, _effects: &mut Effects) {
        if let Some(list) = self.list(model) {
            list.select_at(list.scroll() + usize::from(row));
        }
    }

    /// Handles a turn of the mouse wheel, in lines.
    fn wheel(&self, model: &mut Model, lines: isize, _effects: &mut Effects) {
        if let Some(list) = self.list(model) {
            list.wheel(lines);
        }
    }
}

impl Model {
    /// Adapts every panel to the size of the screen.
    pub fn fit(&mut self) {
        if let Some(areas) = self.areas() {
            for id in PanelId::ALL {
                panel(id).fit(self, areas.panel(id).inner);
            }
        }
    }

    /// Adapts the lists to the rows they have: an open filter or a message takes some.
    pub fn fit_lists(&mut self) {
        if let Some(areas) = self.areas() {
            let lists = PanelId::ALL.into_iter().filter(|id| *id != PanelId::Detail);
            for id in lists {
                panel(id).fit(self, areas.panel(id).inner);
            }
        }
    }

    /// Whether a text field of the focused panel is open.
    #[must_use]
    pub fn typing(&self) -> bool {
        panel(self.focus).is_typing(self)
    }

    /// Returns where keys are looked up, innermost first.
    #[must_use]
    pub fn contexts(&self) -> Vec<Context> {
        if let Some(overlay) = self.overlays.last() {
            return overlay.contexts().to_vec();
        }
        let focused = panel(self.focus);
        if focused.is_typing(self) {
            return match focused.filter(self) {
                Some(_) => vec![Context::Filter, Context::Overlay],
                None => vec![Context::Overlay],
            };
        }
        let mut contexts = focused.contexts(self);
        contexts.push(Context::Global);
        contexts
    }

    /// Returns the run that commands act on.
    #[must_use]
    pub fn current_run(&self) -> Option<(&RunId, &Entry)> {
        let id = panel(self.focus).run(self)?;
        Some((id, self.world.runs.get(id)?))
    }
}

/// Returns the full title line of a panel.
#[must_use]
pub fn title(model: &Model, id: PanelId) -> Title {
    let panel = panel(id);
    let digit = PanelId::ALL.iter().position(|other| *other == id);
    let mut title = panel.title(model);
    title.name = format!("{} {}", digit.unwrap_or_default() + 1, panel.name());
    title
}

/// Moves the selection of a list. Returns `false` if the command is not a movement.
pub fn move_selection<K: Clone + Ord>(list: &mut List<K>, command: Command) -> bool {
    match command {
        Command::Up => list.move_by(-1),
        Command::Down => list.move_by(1),
        Command::Top => list.select_at(0),
        Command::Bottom => list.select_at(usize::MAX),
        Command::HalfUp => list.page(-1, true),
        Command::HalfDown => list.page(1, true),
        Command::PageUp => list.page(-1, false),
        Command::PageDown => list.page(1, false),
        _ => return false,
    }
    true
}

/// Returns the command that helps with a health finding, and its label.
#[must_use]
pub const fn help_command(help: Remedy) -> (Command, &'static str) {
    match help {
        Remedy::Stop => (Command::Stop, "stop"),
        Remedy::Events => (Command::Describe, "events"),
        Remedy::Timeline => (Command::NextError, "show"),
    }
}
