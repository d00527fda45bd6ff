//! The Detail panel: tabs about the task or the run that is selected in a list.
//!
//! Everything it shows is in [`Detail`], moved in `update` alone; what it needs from outside it asks for with
//! [`Want`] and is told with [`News`]. A tab asks when it is opened, and again when what it shows has changed outside.

mod check;
mod draw;
mod events;
mod exchange;
mod logs;
mod obey;
mod page;
mod preview;
mod pull_request;
mod refresh;
mod task;
mod timeline;

use std::collections::BTreeMap;

use ratatui::layout::Rect;

pub use check::difference;
pub use draw::{title, view};
pub use exchange::{Fetched, News, Want};
pub use logs::{About, Item, Pick, Source};
pub use obey::{click, command, typed, wheel};
pub use preview::{Files, files_of, files_of_task};
pub use pull_request::next_look;
pub use refresh::refresh;

use self::{logs::Logs, page::Page, preview::Preview, timeline::Timeline};
use crate::{
    command::Context,
    effect::{Effect, Effects},
    field::Field,
    model::Model,
    widgets::{diff::Changes, text_view::TextView},
    world::{RunId, TaskId},
};
use flightdeck_host::forge::PullRequestStatus;

/// What the panel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Run(RunId),
    /// A pre-flight check, by its id.
    Check(String),
}

/// One of the panel's tabs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    Check,
}

impl Tab {
    /// Those of a run, from left to right.
    pub const OF_RUN: &[Self] = &[
        Self::Task,
        Self::Preview,
        Self::Logs,
        Self::Timeline,
        Self::Diff,
        Self::PullRequest,
        Self::Events,
        Self::Yaml,
    ];
    /// Those of a task.
    pub const OF_TASK: &[Self] = &[Self::Task, Self::Preview];
    /// That of a check.
    pub const OF_CHECK: &[Self] = &[Self::Check];

    /// What stands in the tab bar.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Task => "Task",
            Self::Preview => "Preview",
            Self::Logs => "Logs",
            Self::Timeline => "Timeline",
            Self::Diff => "Diff",
            Self::PullRequest => "PR",
            Self::Events => "Events",
            Self::Yaml => "YAML",
            Self::Check => "Check",
        }
    }
}

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    pub subject: Option<Subject>,
    /// The open tab, of a task and of a run: each is remembered.
    task_tab: Tab,
    run_tab: Option<Tab>,
    /// What has been asked for, by tab: asked for again when this would be another.
    asked: BTreeMap<Tab, String>,
    /// Task, Diff, PR, Events and YAML.
    pages: BTreeMap<Tab, Page>,
    preview: Preview,
    logs: Logs,
    timeline: Timeline,
    documents: Vec<(String, String)>,
    difference: Fetched<Changes>,
    pull_request: Fetched<PullRequestStatus>,
    field: Option<Field>,
    /// Errands so far, and the one under way with the tab it is for.
    errands: u64,
    errand: Option<(u64, Tab)>,
    area: Rect,
}

impl Detail {
    /// The run it is about.
    pub const fn run(&self) -> Option<&RunId> {
        match &self.subject {
            Some(Subject::Run(id)) => Some(id),
            _ => None,
        }
    }

    /// The open tab.
    #[must_use]
    pub fn tab(&self) -> Tab {
        match self.subject {
            Some(Subject::Run(_)) => self.run_tab.unwrap_or(Tab::Logs),
            Some(Subject::Check(_)) => Tab::Check,
            _ => self.task_tab,
        }
    }

    /// The tabs there are.
    #[must_use]
    pub const fn tabs(&self) -> &'static [Tab] {
        match self.subject {
            Some(Subject::Run(_)) => Tab::OF_RUN,
            Some(Subject::Check(_)) => Tab::OF_CHECK,
            _ => Tab::OF_TASK,
        }
    }

    /// Where a key means something while it has the focus, innermost first; `Global` comes after.
    pub fn contexts(&self) -> Vec<Context> {
        if self.shows_list() {
            vec![Context::Items, Context::Detail]
        } else {
            vec![Context::Text, Context::Detail]
        }
    }

    /// Whether the keys move in a list.
    fn shows_list(&self) -> bool {
        match self.tab() {
            Tab::Timeline => true,
            Tab::Preview => !self.preview.reading,
            _ => false,
        }
    }

    /// Whether the open tab may still grow.
    pub fn can_follow(&self) -> bool {
        matches!(self.tab(), Tab::Logs | Tab::Timeline) && !self.logs.ended
    }

    /// Whether the log has parts of earlier attempts.
    pub fn has_earlier_log(&self) -> bool {
        self.logs.has_earlier()
    }

    /// What the log comes from.
    pub fn sources(&self) -> Vec<About> {
        self.logs.about()
    }

    /// Whether the open tab has another form of what it shows.
    pub fn has_raw(&self) -> bool {
        match self.tab() {
            Tab::Logs => true,
            Tab::Preview => self.preview.is_live(),
            _ => false,
        }
    }

    /// Whether a field is open.
    pub const fn typing(&self) -> bool {
        self.field.is_some()
    }

    /// The field being typed into, if one is open. Enter and Esc reach [`command`] as `Accept` and `Cancel`.
    pub const fn open_field(&mut self) -> Option<&mut Field> {
        self.field.as_mut()
    }

    /// The text that the keys move in, if the open tab shows one.
    fn text(&mut self) -> Option<&mut TextView> {
        self.text_of(self.tab())
    }

    fn text_of(&mut self, tab: Tab) -> Option<&mut TextView> {
        match tab {
            Tab::Logs => Some(&mut self.logs.view),
            Tab::Timeline => None,
            Tab::Preview if !self.preview.reading => None,
            Tab::Preview => Some(&mut self.preview.page.view),
            tab => self.pages.get_mut(&tab).map(|page| &mut page.view),
        }
    }

    /// The same, to look at.
    fn shown_text(&self) -> Option<&TextView> {
        match self.tab() {
            Tab::Logs => Some(&self.logs.view),
            Tab::Timeline => None,
            Tab::Preview => Some(&self.preview.page.view),
            tab => self.pages.get(&tab).map(|page| &page.view),
        }
    }

    /// Tells the panel how much room its content has.
    pub fn fit(&mut self, area: Rect) {
        self.area = area;
        let inside = draw::text_area(area, self.tab());
        self.logs.view.resize(inside.width, inside.height);
        self.preview.page.view.resize(inside.width, inside.height);
        for page in self.pages.values_mut() {
            page.view.resize(inside.width, inside.height);
        }
        let rows = usize::from(inside.height);
        self.preview.list.set_height(rows);
        // Of its own size whatever tab is open: it is not laid out anew when another one is.
        let steps = draw::text_area(area, Tab::Timeline);
        let (width, height) = (usize::from(steps.width), usize::from(steps.height));
        self.timeline.fit(width, height);
    }

    /// Makes room for a log that comes from its beginning.
    fn begin_log(&mut self) {
        self.errand = None;
        self.logs = Logs::default();
        self.timeline = Timeline::default();
        self.timeline.follow = true;
        self.fit(self.area);
    }

    fn forget(&mut self) {
        let area = self.area;
        *self = Self {
            subject: self.subject.take(),
            task_tab: self.task_tab,
            run_tab: self.run_tab,
            errands: self.errands,
            ..Self::default()
        };
        self.area = area;
        self.begin_log();
    }
}

/// Shows something else, as the selection in the lists moves.
pub fn show(model: &mut Model, subject: Option<Subject>, effects: &mut Effects) {
    if model.detail.subject != subject {
        model.detail.subject = subject;
        let asked = std::mem::take(&mut model.detail.asked);
        model.detail.forget();
        refresh(model, effects);
        for (tab, leave) in [
            (Tab::Logs, Want::LeaveLog),
            (Tab::PullRequest, Want::LeavePullRequest),
        ] {
            if asked.contains_key(&tab) && !model.detail.asked.contains_key(&tab) {
                effects.push(Effect::Detail(leave));
            }
        }
    }
}

/// Goes to a tab.
pub fn go(model: &mut Model, tab: Tab, effects: &mut Effects) {
    let detail = &mut model.detail;
    if detail.typing() {
        obey::close_field(detail, false);
    }
    match detail.subject {
        Some(Subject::Run(_)) => detail.run_tab = Some(tab),
        Some(Subject::Check(_)) => {}
        _ => detail.task_tab = tab,
    }
    // Nobody asks the forge for what is not on the screen.
    if tab != Tab::PullRequest && detail.asked.remove(&Tab::PullRequest).is_some() {
        effects.push(Effect::Detail(Want::LeavePullRequest));
    }
    detail.fit(detail.area);
    if detail.tab() == Tab::Timeline {
        detail.timeline.settle();
    }
    refresh(model, effects);
}

/// Shows other parts of the log.
pub fn show_sources(model: &mut Model, pick: Pick, effects: &mut Effects) {
    model.detail.logs.pick(pick);
    go_on(model, effects);
}

/// Takes in what was asked for.
pub fn news(model: &mut Model, news: News, effects: &mut Effects) {
    let detail = &mut model.detail;
    let own = |run: &RunId| matches!(&detail.subject, Some(Subject::Run(id)) if id == run);
    match news {
        News::Files(run, files) if own(&run) => detail.preview.set_live(files),
        News::LogBegins(run) if own(&run) => {
            if !detail.logs.view.is_empty() {
                detail.begin_log();
            }
        }
        News::Log(run, items) if own(&run) => {
            let agents = items.iter().filter(|item| {
                item.source
                    .as_ref()
                    .is_some_and(|source| source.stage == flightdeck_core::runs::Stage::Agent)
            });
            for item in agents {
                detail.timeline.add(item.at, &item.text);
            }
            // Nobody waits for what is not looked at.
            if detail.tab() == Tab::Timeline {
                detail.timeline.settle();
            }
            let offset = model.zone.to_offset(model.now).seconds();
            detail.logs.view.set_utc_offset(offset.into());
            detail.logs.add(&items);
        }
        News::LookOn => {}
        News::LogEnded(run, why) if own(&run) => detail.logs.end(why),
        News::Diff(run, result) if own(&run) => {
            detail.difference = result.map(|text| Changes::read(&text)).into();
        }
        News::PullRequest(run, result) if own(&run) => {
            detail.pull_request = result.map(|found| *found).into();
        }
        News::Documents(_, documents) if detail.run().is_none() => detail.documents = documents,
        News::Searched(number, errand) => {
            let Some((_, tab)) = detail.errand.take_if(|(known, _)| *known == number) else {
                effects.redraw = false;
                return;
            };
            if let Some(view) = detail.text_of(tab) {
                view.take(*errand);
            }
        }
        // Of something that was shown before.
        _ => {
            effects.redraw = false;
            return;
        }
    }
    refresh(model, effects);
}

/// Goes on with what is being looked for: what is more than a moment's work is done elsewhere, one errand at a time.
fn go_on(model: &mut Model, effects: &mut Effects) {
    let detail = &mut model.detail;
    let tab = detail.tab();
    if tab == Tab::Timeline {
        if detail.timeline.look_on() {
            effects.push(Effect::Detail(Want::LookOn));
        }
        return;
    }
    let Some(view) = detail.text() else { return };
    if view.work()
        && detail.errand.is_none()
        && let Some(errand) = detail.text().and_then(TextView::errand)
    {
        detail.errands += 1;
        detail.errand = Some((detail.errands, tab));
        let want = Want::Search(detail.errands, Box::new(errand));
        effects.push(Effect::Detail(want));
    }
}

#[cfg(test)]
mod tests;
