//! The panels. A panel is one file with an implementation of [`Panel`] and one row in [`panel`](panel()).

pub(crate) mod detail;
pub(crate) mod list_view;
mod panel;
pub(crate) mod preflight;
pub(crate) mod runs;
pub(crate) mod tasks;

pub(crate) use self::panel::Panel;
use crate::{
    command::Context,
    draw::Title,
    effect::Effects,
    ids::PanelId,
    model::Model,
    world::{RunEntry, RunId},
};

/// Returns the implementation of a panel.
#[must_use]
pub(crate) fn panel(id: PanelId) -> &'static dyn Panel {
    match id {
        PanelId::Tasks => &tasks::Tasks,
        PanelId::Runs => &runs::Runs,
        PanelId::Preflight => &preflight::Preflight,
        PanelId::Detail => &detail::Detail,
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
    pub fn current_run(&self) -> Option<(&RunId, &RunEntry)> {
        let id = panel(self.focus).run(self)?;
        Some((id, self.world.runs.get(id)?))
    }
}

/// Returns the full title line of a panel.
#[must_use]
pub(crate) fn title(model: &Model, id: PanelId) -> Title {
    let panel = panel(id);
    let digit = PanelId::ALL.iter().position(|other| *other == id);
    let mut title = panel.title(model);
    title.name = format!("{} {}", digit.unwrap_or_default() + 1, panel.name());
    title
}

/// Shows the selection of the list last in focus in the Detail panel.
pub(crate) fn show_selection(model: &mut Model, effects: &mut Effects) {
    let subject = panel(model.list).subject(model);
    if subject != model.detail.subject {
        detail::show(model, subject, effects);
        effects.redraw = true;
    }
}
