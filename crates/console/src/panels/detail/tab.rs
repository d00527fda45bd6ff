//! The [`Tab`] trait.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{page::PageContent, page_view, state::DetailPanel};
use crate::{
    command::{Command, Context},
    detail_io::DetailRequest,
    effect::Effects,
    ids::{Subject, TabId},
    model::Model,
    theme::{Scope, Theme},
    widgets::text_view::TextView,
    world::RunEntry,
};

/// A request of a tab, and when it has to be repeated.
pub(super) struct Fetch {
    /// The tab that owns the request: Logs and Timeline share one.
    pub owner: TabId,
    /// The request is repeated when this changes.
    pub version: String,
    pub request: DetailRequest,
}

/// Rows and columns around the content of a tab.
#[derive(Clone, Copy)]
pub(super) struct Insets {
    pub above: u16,
    pub below: u16,
    pub left: u16,
}

/// A tab of the Detail panel. Implementations are stateless; the state is in [`DetailPanel`].
///
/// The defaults are those of a run's tab that shows one text: such a tab implements only [`Self::content`].
pub(super) trait Tab: Sync {
    fn id(&self) -> TabId;

    /// Returns the label in the tab bar.
    fn title(&self) -> &'static str;

    /// Whether the tab exists for a subject.
    fn applies_to(&self, subject: &Subject) -> bool {
        matches!(subject, Subject::Run(_))
    }

    /// Returns the text of the tab.
    fn content(&self, _model: &Model) -> Option<PageContent> {
        None
    }

    /// Returns the request for the data that the tab needs.
    fn fetch(&self, _model: &Model) -> Option<Fetch> {
        None
    }

    /// Returns the request that ends the one of [`Self::fetch`].
    fn stop(&self) -> Option<DetailRequest> {
        None
    }

    /// Whether to stop the request while another tab is open.
    fn stops_when_hidden(&self) -> bool {
        false
    }

    /// Updates the state from the world.
    fn refresh(&self, model: &mut Model) {
        let Some(content) = self.content(model) else {
            return;
        };
        let detail = &mut model.detail;
        let fresh = !detail.pages.contains_key(&self.id());
        detail.pages.entry(self.id()).or_default().show(content);
        if fresh {
            detail.fit(detail.area);
        }
    }

    fn insets(&self, _area: Rect) -> Insets {
        Insets {
            above: 2,
            below: 0,
            left: 1,
        }
    }

    /// Returns the text that keys scroll and search. `None` for a tab with a list.
    fn text<'d>(&self, detail: &'d mut DetailPanel) -> Option<&'d mut TextView> {
        detail.page_mut(self.id())
    }

    /// Returns the text whose status is in the title.
    fn shown_text<'d>(&self, detail: &'d DetailPanel) -> Option<&'d TextView> {
        detail.page(self.id())
    }

    /// Returns the pieces of the title before the status of the text.
    fn status(&self, _detail: &DetailPanel) -> Vec<(String, Scope)> {
        Vec::new()
    }

    /// Returns where keys are looked up, innermost first.
    fn contexts(&self, _detail: &DetailPanel) -> [Context; 2] {
        [Context::Text, Context::Detail]
    }

    /// Whether the content can grow.
    fn can_follow(&self, _detail: &DetailPanel) -> bool {
        false
    }

    /// Whether the tab has a raw or alternative view.
    fn has_raw(&self, _detail: &DetailPanel) -> bool {
        false
    }

    /// Draws the tab into the panel's content below the tab bar. `inside` is `area` without the insets.
    fn view(&self, model: &Model, theme: &Theme, _area: Rect, inside: Rect, buffer: &mut Buffer) {
        if let Some(page) = model.detail.pages.get(&self.id()) {
            page_view::page(model, theme, page, inside, buffer);
        }
    }

    /// Handles a command. `None` leaves it to the text or the list; `Some(false)` rejects it.
    fn command(
        &self,
        _model: &mut Model,
        _command: Command,
        _effects: &mut Effects,
    ) -> Option<bool> {
        None
    }

    /// Moves the selection of the tab's list. Returns `false` if the command is not a movement.
    fn move_selection(&self, _detail: &mut DetailPanel, _command: Command) -> bool {
        false
    }

    /// Handles a change of the search or filter being typed.
    fn typed(&self, detail: &mut DetailPanel, words: &str) {
        if let Some(view) = self.text(detail) {
            view.edit_prompt(|typed| words.clone_into(typed));
        }
    }

    /// Ends the search or filter being typed.
    fn close_prompt(&self, detail: &mut DetailPanel, keep: bool) {
        if let Some(view) = self.text(detail) {
            view.close_prompt(keep);
        }
    }

    /// Handles a click on a line of the content.
    fn click(&self, _detail: &mut DetailPanel, _column: u16, _line: usize) {}

    /// Handles a turn of the mouse wheel.
    fn wheel(&self, detail: &mut DetailPanel, lines: isize) {
        if let Some(view) = self.text(detail) {
            view.scroll(lines);
        }
    }
}

/// Returns the content that `show` derives from the shown run.
pub(super) fn run_content(
    model: &Model,
    show: impl FnOnce(&RunEntry) -> PageContent,
) -> Option<PageContent> {
    let id = model.detail.run()?;
    Some(match model.world.runs.get(id) {
        Some(entry) => show(entry),
        None => PageContent::sentence("This run no longer exists."),
    })
}

/// Returns the shown run.
pub(super) fn shown_run(model: &Model) -> Option<&RunEntry> {
    model.world.runs.get(model.detail.run()?)
}
