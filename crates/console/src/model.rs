//! The console's whole state: the [`World`] outside, and what the person has done with it. Written only by
//! [`super::update()`].

mod applies;
mod health;
pub mod spend;

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use ratatui::layout::{Position, Rect, Size};

pub use self::health::Health;
use super::{
    command::Context,
    effect::Inquiry,
    glyphs::Glyphs,
    keymap::{Chord, Keymap},
    layout::{self, Areas},
    overlays::{Advice, Form, Overlay},
    panels::{detail::Detail, preflight::Preflight, runs::RunsPanel, tasks::Tasks},
    world::{Cluster, Entry, FinishedRun, Level, RunId, TaskId, World},
};
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Settings;
use flightdeck_preflight::ActiveRun;

/// The four panels, by the digit that focuses them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PanelId {
    #[default]
    Tasks,
    Runs,
    Preflight,
    Detail,
}

impl PanelId {
    /// In the order of their digits.
    pub const ALL: [Self; 4] = [Self::Tasks, Self::Runs, Self::Preflight, Self::Detail];
    /// Those that list something.
    pub const LISTS: [Self; 3] = [Self::Tasks, Self::Runs, Self::Preflight];

    /// Its title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tasks => "Tasks",
            Self::Runs => "Runs",
            Self::Preflight => "Pre-flight",
            Self::Detail => "Detail",
        }
    }
}

/// Everything the console knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// As of the last message; the only clock.
    pub now: Timestamp,
    /// In which times of day are shown.
    pub zone: TimeZone,
    pub size: Size,
    pub world: World,
    pub settings: Arc<Settings>,
    pub keymap: Arc<Keymap>,
    pub glyphs: Glyphs,
    pub focus: PanelId,
    /// The list that has, or last had, the focus.
    pub list: PanelId,
    pub zoomed: bool,
    /// Share of the lists in percent, on a wide screen.
    pub split: u16,
    pub tasks: Tasks,
    pub runs: RunsPanel,
    pub preflight: Preflight,
    pub detail: Detail,
    /// The last one is on top.
    pub overlays: Vec<Overlay>,
    pub toasts: Vec<Toast>,
    /// The beginning of a sequence of keys.
    pub pending: Vec<Chord>,
    /// Name of the run that was launched and has not been seen yet.
    pub awaited: Option<String>,
    /// The tag the person chose; `None` for the one in use.
    pub tag: Option<String>,
    /// Runs under way whose log is followed to know how far they are.
    pub followed: BTreeSet<RunId>,
    /// What was filled in when the launch form was closed.
    pub draft: Option<Box<Form>>,
    /// Words for a run that were written and not taken yet.
    pub advice: Option<Box<Advice>>,
    /// Ctrl-C was pressed once.
    pub interrupted: bool,
    /// The terminal has the focus.
    pub watched: bool,
    /// What is wrong with the runs under way.
    pub health: Health,
    /// Runs that have ended, as the ledger and the cluster know them, each once.
    pub ended: Vec<FinishedRun>,
    /// What this repository's runs have cost today, in millionths of a US dollar.
    pub spent_today: i64,
    /// Lists that no longer show what the world is.
    pub stale: Stale,
}

/// What is to be derived anew before anybody looks: many changes at once cost one derivation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stale {
    pub tasks: bool,
    pub runs: bool,
    pub checks: bool,
    pub detail: bool,
    pub commands: bool,
    pub health: bool,
}

/// A passing remark, bottom right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub level: Level,
    pub text: String,
    pub until: Timestamp,
}

/// Most toasts on screen.
const TOASTS: usize = 3;
/// Seconds after which what is known of the remote is shown with its age.
const OLD_SECONDS: i64 = 300;
/// Seconds a toast stays.
const TOAST_SECONDS: i64 = 6;

impl Model {
    /// Nothing known yet.
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
            tasks: Tasks::default(),
            runs: RunsPanel::default(),
            preflight: Preflight::default(),
            detail: Detail::default(),
            overlays: Vec::new(),
            toasts: Vec::new(),
            pending: Vec::new(),
            awaited: None,
            tag: None,
            followed: BTreeSet::new(),
            draft: None,
            advice: None,
            interrupted: false,
            watched: true,
            health: Health::default(),
            ended: Vec::new(),
            spent_today: 0,
            stale: Stale::default(),
        };
        model.fit();
        model
    }

    /// The layout of a screen of the current size; `None` when it is too small.
    #[must_use]
    pub fn areas(&self) -> Option<Areas> {
        self.areas_of(Rect::from((Position::ORIGIN, self.size)))
    }

    /// The layout of `screen`; `None` when it is too small.
    #[must_use]
    pub fn areas_of(&self, screen: Rect) -> Option<Areas> {
        layout::areas(screen, self.focus, self.zoomed, self.split)
    }

    /// Tells the lists and the details how many rows they have.
    pub fn fit(&mut self) {
        self.fit_lists();
        if let Some(areas) = self.areas() {
            self.detail.fit(areas.panel(PanelId::Detail).inner);
        }
    }

    /// Tells the lists how many rows they have: a line being typed, or a remark, takes some.
    pub fn fit_lists(&mut self) {
        if let Some(areas) = self.areas() {
            let height = |panel| usize::from(areas.panel(panel).inner.height);
            let taken = self.tasks.taken(&self.world.plan);
            let rows = height(PanelId::Tasks).saturating_sub(taken);
            self.tasks.list.set_height(rows);
            let taken = usize::from(self.runs.filter.open);
            let rows = height(PanelId::Runs).saturating_sub(taken);
            self.runs.list.set_height(rows);
            self.preflight.list.set_height(height(PanelId::Preflight));
        }
    }

    /// Gives a panel the focus.
    pub fn focus_on(&mut self, panel: PanelId) {
        self.focus = panel;
        if panel != PanelId::Detail {
            self.list = panel;
        }
        self.fit();
    }

    /// Says something in passing.
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

    /// Whether a line is being typed in the focused panel.
    #[must_use]
    pub const fn typing(&self) -> bool {
        match self.focus {
            PanelId::Tasks => self.tasks.filter.open,
            PanelId::Runs => self.runs.filter.open,
            PanelId::Preflight => false,
            PanelId::Detail => self.detail.typing(),
        }
    }

    /// The next moment at which something visible changes by itself: a spinner or an age of a run under way, the end of a
    /// toast. `None` when the screen can rest.
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
            .any(Entry::active);
        let detail = self.detail.run().and_then(|id| self.world.runs.get(id));
        let moving = moving || detail.is_some_and(Entry::active);
        // Nobody looks at a terminal without the focus that closely.
        let step = if self.watched { 100 } else { 1_000 };
        let next = (self.now.as_millisecond().div_euclid(step) + 1) * step;
        let spinner = Timestamp::from_millisecond(next).ok().filter(|_| moving);
        let ages = [self.remote_ages(), self.connects_again(), self.health.due()];
        let ages = ages.into_iter().flatten();
        toast.into_iter().chain(spinner).chain(ages).min()
    }

    /// What runs are rendered with: the settings of the controller, or this console's own where those are not known.
    #[must_use]
    pub fn controller_settings(&self) -> &Settings {
        self.world.settings.as_deref().unwrap_or(&self.settings)
    }

    /// How old what is said of the remote is, in seconds, when that is worth a word: it does not answer, or was not asked
    /// for a while.
    #[must_use]
    pub fn remote_age(&self) -> Option<i64> {
        let repository = self.world.repository.get()?;
        let age = self.now.duration_since(repository.as_of?).as_secs();
        (repository.offline || age >= OLD_SECONDS).then_some(age.max(0))
    }

    /// When the age of what is said of the remote reads differently.
    fn remote_ages(&self) -> Option<Timestamp> {
        let as_of = self.world.repository.get()?.as_of?;
        let seconds = match self.remote_age() {
            None => OLD_SECONDS,
            Some(age) if age < 60 => age + 1,
            Some(age) => (age / 60 + 1) * 60,
        };
        as_of.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    /// The next second on the way to another try at the cluster.
    fn connects_again(&self) -> Option<Timestamp> {
        let Cluster::Failed(_, again) = &self.world.cluster else {
            return None;
        };
        let next = Timestamp::from_second(self.now.as_second() + 1).ok()?;
        (*again > self.now).then_some(next)
    }

    /// Where a key means something now, innermost first.
    #[must_use]
    pub fn contexts(&self) -> Vec<Context> {
        if let Some(overlay) = self.overlays.last() {
            return overlay.contexts();
        }
        if self.typing() {
            return match self.focus {
                PanelId::Detail => vec![Context::Overlay],
                _ => vec![Context::Filter, Context::Overlay],
            };
        }
        match self.focus {
            PanelId::Tasks => vec![Context::Tasks, Context::List, Context::Global],
            PanelId::Runs => vec![Context::Runs, Context::List, Context::Global],
            PanelId::Preflight => vec![Context::Preflight, Context::List, Context::Global],
            PanelId::Detail => {
                let mut contexts = self.detail.contexts();
                contexts.push(Context::Global);
                contexts
            }
        }
    }

    /// The run that a command would act on: the selected one, or the one whose details have the focus.
    #[must_use]
    pub fn current_run(&self) -> Option<(&RunId, &Entry)> {
        let id = match self.focus {
            PanelId::Runs => self.runs.list.selected()?,
            PanelId::Detail => self.detail.run()?,
            PanelId::Tasks | PanelId::Preflight => return None,
        };
        Some((id, self.world.runs.get(id)?))
    }

    /// What pre-flight is asked when no form is open: a docs run of what is selected or marked.
    #[must_use]
    pub fn inquiry(&self, ask: bool) -> Inquiry {
        self.inquiry_for(RunKind::Docs, self.tasks.chosen(), None, ask)
    }

    /// What pre-flight is asked for a launch; the default agent where none is named.
    #[must_use]
    pub fn inquiry_for(
        &self,
        kind: RunKind,
        tasks: Vec<TaskId>,
        agent: Option<String>,
        ask: bool,
    ) -> Inquiry {
        let label = self
            .world
            .repository
            .get()
            .and_then(|repository| repository.label.as_deref());
        let active = self.world.runs.iter().map(|(_, entry)| entry);
        let active = active
            .filter(|entry| entry.active() && label.is_some_and(|label| entry.of_repository(label)))
            .map(|entry| ActiveRun {
                name: entry.run.name().to_owned(),
                kind: entry.run.kind,
                tag: entry.run.spec.tag.clone(),
                tasks: entry.run.tasks.clone(),
                service: entry.run.code.as_ref().map(|code| code.service.clone()),
            });
        let target = self.world.cluster.target();
        Inquiry {
            kind,
            tasks,
            tag: self.tag.clone(),
            agent: agent.unwrap_or_else(|| self.settings.defaults.agent.clone()),
            active: active.collect(),
            embedded: target.is_none_or(|target| target.embedded),
            github_user: None,
            service: None,
            ask,
        }
    }

    /// Seconds from `at` (RFC 3339) until now; `None` when it is no time.
    #[must_use]
    pub fn since(&self, at: &str) -> Option<i64> {
        let at: Timestamp = at.parse().ok()?;
        Some(self.now.duration_since(at).as_secs())
    }
}
