//! The console's state: a mirror of the [`World`] outside, and the state of the UI. Written only by
//! `update`.

mod conditions;
mod health;
pub mod spend;

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::layout::{Position, Rect, Size};

pub use self::health::Health;
pub(crate) use self::health::remedy_command;
pub use super::ids::PanelId;
use super::{
    effect::PreflightRequest,
    glyphs::Glyphs,
    keymap::{Chord, Keymap},
    layout::{self, Areas},
    overlays::OverlayStack,
    panels::{
        detail::state::DetailPanel, preflight::state::PreflightPanel, runs::state::RunsPanel,
        tasks::state::TasksPanel,
    },
    world::{ClusterConnection, FinishedRun, Level, RunEntry, RunId, World},
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Settings;
use flightdeck_preflight::ActiveRun;

/// Everything the console knows.
#[derive(Debug)]
pub struct Model {
    /// The time of the last tick; the only clock.
    pub now: Timestamp,
    /// The time zone in which times are shown.
    pub zone: TimeZone,
    pub size: Size,
    pub world: World,
    pub settings: Arc<Settings>,
    pub keymap: Arc<Keymap>,
    pub glyphs: Glyphs,
    pub focus: PanelId,
    /// The list last in focus.
    pub list: PanelId,
    pub zoomed: bool,
    /// Width of the lists in percent, on a wide screen.
    pub split: u16,
    pub tasks: TasksPanel,
    pub runs: RunsPanel,
    pub preflight: PreflightPanel,
    pub detail: DetailPanel,
    pub overlays: OverlayStack,
    /// Closed overlays with unsent input, to be restored when they are opened again.
    pub drafts: OverlayStack,
    pub toasts: Vec<Toast>,
    /// Keys pressed so far of a key sequence.
    pub pending: Vec<Chord>,
    /// Name of the launched run, until the watch reports it.
    pub launched_run: Option<String>,
    /// The tag the user chose; `None` for the current one.
    pub tag: Option<String>,
    /// Active runs whose log is followed.
    pub followed: BTreeSet<RunId>,
    /// Ctrl-C was pressed once.
    pub interrupted: bool,
    pub terminal_focused: bool,
    /// Problems of active runs.
    pub health: Health,
    /// Finished runs of the ledger and the cluster, each once.
    pub finished_runs: Vec<FinishedRun>,
    /// Cost of this repository's runs today, in millionths of a US dollar.
    pub spent_today: i64,
    /// What to refresh from the world.
    pub stale: Stale,
}

/// The derived state that is out of date. Refreshed once per burst of deltas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    pub tasks: bool,
    pub runs: bool,
    pub checks: bool,
    pub detail: bool,
    pub commands: bool,
    pub health: bool,
}

/// A transient message, bottom right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub level: Level,
    pub text: String,
    pub until: Timestamp,
}

/// Toasts shown at the same time.
const TOASTS: usize = 3;
/// Age in seconds from which facts about the remote are shown with their age.
const OLD_SECONDS: i64 = 300;
/// How long a toast is shown; errors are shown twice as long.
const TOAST_SECONDS: i64 = 6;

impl Model {
    /// Creates a model with an empty world.
    #[must_use]
    pub fn new(settings: Arc<Settings>, keymap: Arc<Keymap>, size: Size, now: Timestamp) -> Self {
        let mut model = Self {
            now,
            zone: TimeZone::UTC,
            size,
            world: World::default(),
            glyphs: Glyphs::named(&settings.ui.glyphs),
            settings,
            keymap,
            focus: PanelId::Tasks,
            list: PanelId::Tasks,
            zoomed: false,
            split: 42,
            tasks: TasksPanel::default(),
            runs: RunsPanel::default(),
            preflight: PreflightPanel::default(),
            detail: DetailPanel::default(),
            overlays: OverlayStack::default(),
            drafts: OverlayStack::default(),
            toasts: Vec::new(),
            pending: Vec::new(),
            launched_run: None,
            tag: None,
            followed: BTreeSet::new(),
            interrupted: false,
            terminal_focused: true,
            health: Health::default(),
            finished_runs: Vec::new(),
            spent_today: 0,
            stale: Stale::default(),
        };
        model.fit();
        model
    }

    /// The layout for the current screen size; `None` if it is too small.
    #[must_use]
    pub fn areas(&self) -> Option<Areas> {
        self.areas_of(Rect::from((Position::ORIGIN, self.size)))
    }

    /// The layout for a screen; `None` if it is too small.
    #[must_use]
    pub fn areas_of(&self, screen: Rect) -> Option<Areas> {
        layout::areas(screen, self.focus, self.zoomed, self.split)
    }

    /// Focuses a panel.
    pub fn focus_on(&mut self, panel: PanelId) {
        self.focus = panel;
        if panel != PanelId::Detail {
            self.list = panel;
        }
        self.fit();
    }

    /// Shows a toast. A repeated text replaces the earlier one.
    pub fn toast(&mut self, level: Level, text: impl Into<String>) {
        let seconds = if level == Level::Fail {
            2 * TOAST_SECONDS
        } else {
            TOAST_SECONDS
        };
        let text = text.into();
        self.toasts.retain(|toast| toast.text != text);
        self.toasts.push(Toast {
            level,
            text,
            until: self.now + SignedDuration::from_secs(seconds),
        });
        let surplus = self.toasts.len().saturating_sub(TOASTS);
        self.toasts.drain(..surplus);
    }

    /// The next time at which the screen changes without a message: a spinner, an age, the end of a toast. `None` if it is
    /// static.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let toast = self.toasts.iter().map(|toast| toast.until).min();
        let visible = self
            .areas()
            .is_some_and(|areas| !areas.panel(PanelId::Runs).inner.is_empty());
        let rows = self.runs.list.rows();
        let shown = if visible {
            &rows[self.runs.list.visible()]
        } else {
            &[]
        };
        let moving = shown
            .iter()
            .filter_map(|id| self.world.runs.get(id))
            .any(RunEntry::active);
        let detail = self.detail.run().and_then(|id| self.world.runs.get(id));
        let moving = moving || detail.is_some_and(RunEntry::active);
        // Animate slowly without the focus.
        let step = if self.terminal_focused { 100 } else { 1_000 };
        let next = (self.now.as_millisecond().div_euclid(step) + 1) * step;
        let spinner = Timestamp::from_millisecond(next).ok().filter(|_| moving);
        let ages = [
            self.remote_age_changes(),
            self.next_connect_second(),
            self.health.due(),
        ];
        let ages = ages.into_iter().flatten();
        toast.into_iter().chain(spinner).chain(ages).min()
    }

    /// The settings with which runs are rendered: the controller's if known, else this console's.
    #[must_use]
    pub fn controller_settings(&self) -> &Settings {
        self.world.settings.as_deref().unwrap_or(&self.settings)
    }

    /// Age in seconds of the facts about the remote, if it should be shown: the remote does not answer, or was not
    /// contacted for a while.
    #[must_use]
    pub fn remote_age(&self) -> Option<i64> {
        let repository = self.world.repository.get()?;
        let age = self.now.duration_since(repository.as_of?).as_secs();
        (repository.offline || age >= OLD_SECONDS).then_some(age.max(0))
    }

    /// The next time at which the shown age of the remote facts changes.
    fn remote_age_changes(&self) -> Option<Timestamp> {
        let as_of = self.world.repository.get()?.as_of?;
        let seconds = match self.remote_age() {
            None => OLD_SECONDS,
            Some(age) if age < 60 => age + 1,
            Some(age) => (age / 60 + 1) * 60,
        };
        as_of.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// The next second of the countdown to the next connection attempt.
    fn next_connect_second(&self) -> Option<Timestamp> {
        let ClusterConnection::Failed(_, again) = &self.world.cluster else {
            return None;
        };
        let next = Timestamp::from_second(self.now.as_second() + 1).ok()?;
        (*again > self.now).then_some(next)
    }

    /// The pre-flight request without an open form: a docs run of the marked or selected tasks.
    #[must_use]
    pub fn preflight_request(&self, contact_remote: bool) -> PreflightRequest {
        let launch = flightdeck_preflight::PreflightRequest {
            tasks: self.tasks.chosen(),
            ..flightdeck_preflight::PreflightRequest::new(RunKind::Docs)
        };
        self.preflight_request_for(launch, contact_remote)
    }

    /// The pre-flight request for a launch with the current tag. An agent that is not selected is the default one.
    #[must_use]
    pub fn preflight_request_for(
        &self,
        launch: flightdeck_preflight::PreflightRequest,
        contact_remote: bool,
    ) -> PreflightRequest {
        let label = self
            .world
            .repository
            .get()
            .and_then(|repository| repository.label.as_deref());
        let active = self.world.runs.iter().map(|(_, entry)| entry);
        let active = active
            .filter(|entry| entry.active() && label.is_some_and(|label| entry.of_repository(label)))
            .map(|entry| ActiveRun::from(&entry.run));
        let target = self.world.cluster.target();
        let default_agent = || self.settings.defaults.agent.clone();
        PreflightRequest {
            launch: flightdeck_preflight::PreflightRequest {
                tag: self.tag.clone(),
                agent: Some(launch.agent.unwrap_or_else(default_agent)),
                ..launch
            },
            active: active.collect(),
            embedded: target.is_none_or(|target| target.embedded),
            contact_remote,
        }
    }

    /// Seconds since `at` (RFC 3339); `None` if it cannot be parsed.
    #[must_use]
    pub fn since(&self, at: &str) -> Option<i64> {
        let at: Timestamp = at.parse().ok()?;
        Some(self.now.duration_since(at).as_secs())
    }
}
