//! The [`Panel`] trait.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::{Command, Context},
    draw::Title,
    effect::Effects,
    field::Field,
    filter::{Filter, FilterColumn},
    ids::Subject,
    list::List,
    model::Model,
    theme::Theme,
    world::RunId,
};

/// A panel. Implementations are stateless; the state is in the [`Model`].
///
/// The defaults are those of a panel with one list and no filter.
pub(crate) trait Panel: Sync {
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
