//! The Detail panel: tabs about the task or the run that is selected in a list.
//!
//! Everything it shows is in [`Detail`], moved in `update` alone; what it needs from outside it asks for with
//! [`Want`] and is told with [`News`]. A tab asks when it is opened, and again when what it shows has changed outside.

mod draw;
mod events;
mod logs;
mod obey;
mod page;
mod preview;
mod pull_request;
mod task;
mod timeline;

use std::{collections::BTreeMap, path::PathBuf};

use ratatui::layout::Rect;

pub use draw::{title, view};
pub use logs::{Item, Source};
pub use obey::{click, command, typed, wheel};
pub use preview::{Files, files_of, files_of_task};

use self::{
    logs::Logs,
    page::{Content, Page, Reading},
    preview::Preview,
    timeline::Timeline,
};
use crate::{
    console::{
        command::{Command, Context},
        effect::{Effect, Effects},
        field::Field,
        model::Model,
        widgets::{diff::Changes, syntax::Syntax, text_view::TextView},
        world::{Entry, RunId, TaskId},
    },
    forge::PullRequestStatus,
    runs::{Run, RunKind, documents_directory},
};

/// What the panel is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Run(RunId),
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
        }
    }
}

/// What the panel asks for. Each is answered by the [`News`] of the same name; of one kind only the newest matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The documents of a task.
    Documents(PathBuf),
    /// The run's files as the cluster holds them.
    Files { run: RunId, config_map: String },
    /// Every line of the run's log, then those that follow until it ends.
    Log {
        run: RunId,
        name: String,
        kind: RunKind,
        /// The cluster has forgotten the run: only the ledger knows its log.
        removed: bool,
    },
    /// The log is no longer looked at.
    LeaveLog,
    /// What the run's branch changes; fetched first where it is not here yet.
    Diff {
        run: RunId,
        repository: PathBuf,
        branch: String,
        /// Commits.
        base: String,
        head: String,
    },
    PullRequest {
        run: RunId,
        /// Address of the repository.
        url: String,
        number: i64,
    },
    /// Write a text to a new file of about that name.
    Save { name: String, text: String },
    /// Call again after the next frame: a search is not through.
    GoOn,
}

/// What the panel is told.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Names and texts, in the order they are read.
    Documents(PathBuf, Vec<(String, String)>),
    Files(RunId, Result<Files, String>),
    /// Lines in the order they were written.
    Log(RunId, Vec<Item>),
    /// Everything there is has arrived, or why no more will.
    LogEnded(RunId, Option<String>),
    /// In unified form.
    Diff(RunId, Result<String, String>),
    PullRequest(RunId, Result<Box<PullRequestStatus>, String>),
    GoOn,
}

/// Something that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fetched<T> {
    #[default]
    Waiting,
    Ready(T),
    /// Why not, as a sentence.
    Failed(String),
}

impl<T> Fetched<T> {
    /// What came.
    pub const fn ready(&self) -> Option<&T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Waiting | Self::Failed(_) => None,
        }
    }
}

impl<T> From<Result<T, String>> for Fetched<T> {
    fn from(result: Result<T, String>) -> Self {
        result.map_or_else(Self::Failed, Self::Ready)
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
    /// A [`Want::GoOn`] is under way.
    going_on: bool,
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
            _ => self.task_tab,
        }
    }

    /// The tabs there are.
    #[must_use]
    pub const fn tabs(&self) -> &'static [Tab] {
        match self.subject {
            Some(Subject::Run(_)) => Tab::OF_RUN,
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
        match self.tab() {
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
        self.timeline.list.set_height(rows);
    }

    /// Makes room for a log that comes from its beginning.
    fn begin_log(&mut self) {
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
            going_on: self.going_on,
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
        let followed = model.detail.asked.contains_key(&Tab::Logs);
        model.detail.forget();
        refresh(model, effects);
        if followed && !model.detail.asked.contains_key(&Tab::Logs) {
            effects.push(Effect::Detail(Want::LeaveLog));
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
        _ => detail.task_tab = tab,
    }
    detail.fit(detail.area);
    refresh(model, effects);
}

/// Brings what the open tab shows up to date with the world, and asks for what it lacks.
pub fn refresh(model: &mut Model, effects: &mut Effects) {
    if let Some((key, want)) = lacks(model) {
        let asked = model.detail.asked.insert(want.tab(), key.clone());
        if asked.as_ref() != Some(&key) {
            if asked.is_some() && matches!(want, Want::Log { .. }) {
                model.detail.begin_log();
            }
            effects.push(Effect::Detail(want));
        }
    }
    let tab = model.detail.tab();
    if tab == Tab::Preview {
        let rendered = match &model.detail.subject {
            Some(Subject::Task(id)) => Some(files_of_task(model, id)),
            Some(Subject::Run(id)) => {
                let entry = model.world.runs.get(id);
                entry.map(|entry| files_of(&entry.run, &model.settings))
            }
            None => None,
        };
        if let Some(rendered) = rendered {
            model.detail.preview.set_rendered(rendered);
        }
    } else if let Some(content) = content(model, tab) {
        let fresh = !model.detail.pages.contains_key(&tab);
        model.detail.pages.entry(tab).or_default().show(content);
        if fresh {
            model.detail.fit(model.detail.area);
        }
    }
    go_on(model, effects);
}

/// What a tab of one text shows; `None` for the other tabs, and without a subject.
fn content(model: &Model, tab: Tab) -> Option<Content> {
    let detail = &model.detail;
    let id = match detail.subject.as_ref()? {
        Subject::Task(id) => {
            return (tab == Tab::Task).then(|| task::of_task(model, id, &detail.documents));
        }
        Subject::Run(id) => id,
    };
    let Some(entry) = model.world.runs.get(id) else {
        return Some(Content::sentence("This run is gone."));
    };
    Some(match tab {
        Tab::Task => task::of_run(model, entry),
        Tab::Diff => difference(entry, &detail.difference),
        Tab::PullRequest => pull_request::content(entry, &detail.pull_request),
        Tab::Events => {
            let found = model.world.owned.events_of(id);
            events::content(entry, &found, &model.zone)
        }
        Tab::Yaml => yaml(&entry.run),
        Tab::Preview | Tab::Logs | Tab::Timeline => return None,
    })
}

/// What the open tab needs from outside, with what makes asking once enough.
fn lacks(model: &Model) -> Option<(String, Want)> {
    let detail = &model.detail;
    let tab = detail.tab();
    let id = match detail.subject.as_ref()? {
        Subject::Task(id) => {
            let plan = model.world.plan.get().filter(|_| tab == Tab::Task)?;
            let present = plan.documents(id);
            if present.count() == 0 {
                return None;
            }
            let project = crate::tasks::project_directory(&plan.path)?;
            let directory = project.join(documents_directory(&plan.tag, id));
            return Some((format!("{id} {present:?}"), Want::Documents(directory)));
        }
        Subject::Run(id) => id,
    };
    let entry = model.world.runs.get(id)?;
    let (run, status) = (&entry.run, &entry.run.status);
    let name = run.name().to_owned();
    let version = run.metadata.resource_version.clone().unwrap_or_default();
    let id = id.clone();
    match tab {
        Tab::Preview => {
            let config_map = status.config_map_name.clone().filter(|_| !entry.removed)?;
            Some((
                run.spec.context_version.to_string(),
                Want::Files {
                    run: id,
                    config_map,
                },
            ))
        }
        Tab::Logs | Tab::Timeline => {
            let want = Want::Log {
                run: id,
                name,
                kind: run.kind,
                removed: entry.removed,
            };
            Some((
                format!("{} {}", run.spec.context_version, entry.removed),
                want,
            ))
        }
        Tab::Diff => {
            let (base, head) = (status.base_commit.clone()?, status.commit.clone()?);
            let repository = model.world.repository.get()?.root.clone();
            let want = Want::Diff {
                run: id,
                repository,
                branch: run.branch(),
                base,
                head: head.clone(),
            };
            Some((head, want))
        }
        Tab::PullRequest => {
            let number = status.pull_request_number?;
            let url = run.spec.repository_url.clone();
            Some((
                version,
                Want::PullRequest {
                    run: id,
                    url,
                    number,
                },
            ))
        }
        Tab::Task | Tab::Events | Tab::Yaml => None,
    }
}

impl Want {
    /// The tab it is for.
    const fn tab(&self) -> Tab {
        match self {
            Self::Documents(_) => Tab::Task,
            Self::Files { .. } => Tab::Preview,
            Self::Diff { .. } => Tab::Diff,
            Self::PullRequest { .. } => Tab::PullRequest,
            Self::Log { .. } | Self::LeaveLog | Self::Save { .. } | Self::GoOn => Tab::Logs,
        }
    }
}

fn difference(entry: &Entry, found: &Fetched<Changes>) -> Content {
    if !entry.pushed() {
        let sentence = if entry.active() {
            "The run has not pushed anything yet: what it changes is shown here once it is published."
        } else {
            "The run pushed nothing, so there is nothing to compare."
        };
        return Content::Nothing(sentence.into(), vec![(Command::Logs, "its log")]);
    }
    match found {
        Fetched::Waiting => Content::sentence(format!(
            "Comparing {} with its base ...",
            entry.run.branch()
        )),
        Fetched::Failed(reason) => {
            Content::Nothing(reason.clone(), vec![(Command::Refresh, "try again")])
        }
        Fetched::Ready(changes) if changes.lines.is_empty() => {
            Content::sentence("The branch changes nothing.")
        }
        Fetched::Ready(changes) => Content::Text(Reading::Difference, changes.lines.clone()),
    }
}

/// The run as the cluster has it, less what only machines read.
fn yaml(run: &Run) -> Content {
    let mut shown = run.clone();
    shown.metadata.managed_fields = None;
    let status = serde_json::to_value(&shown.status).unwrap_or_default();
    let mut object = shown.into_resource();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("status".into(), status);
    }
    match serde_yaml::to_string(&object) {
        Ok(text) => Content::Text(Reading::Source(Syntax::Yaml), Syntax::Yaml.lines(&text)),
        Err(error) => Content::sentence(format!("The run cannot be written as YAML: {error}")),
    }
}

/// Takes in what was asked for.
pub fn news(model: &mut Model, news: News, effects: &mut Effects) {
    let detail = &mut model.detail;
    let own = |run: &RunId| matches!(&detail.subject, Some(Subject::Run(id)) if id == run);
    match news {
        News::Files(run, files) if own(&run) => detail.preview.set_live(files),
        News::Log(run, items) if own(&run) => {
            let agents = items.iter().filter(|item| {
                item.source
                    .as_ref()
                    .is_some_and(|source| source.stage == crate::runs::Stage::Agent)
            });
            for item in agents {
                detail.timeline.add(item.at, &item.text);
            }
            detail.timeline.settle();
            let offset = model.zone.to_offset(model.now).seconds();
            detail.logs.view.set_utc_offset(offset.into());
            detail.logs.add(&items);
        }
        News::LogEnded(run, why) if own(&run) => detail.logs.end(why),
        News::Diff(run, result) if own(&run) => {
            detail.difference = result.map(|text| Changes::read(&text)).into();
        }
        News::PullRequest(run, result) if own(&run) => {
            detail.pull_request = result.map(|found| *found).into();
        }
        News::Documents(_, documents) if detail.run().is_none() => detail.documents = documents,
        News::GoOn => detail.going_on = false,
        // Of something that was shown before.
        _ => {
            effects.redraw = false;
            return;
        }
    }
    refresh(model, effects);
}

/// Goes on with a search that is not through, a slice a message, so that keys and frames come in between.
fn go_on(model: &mut Model, effects: &mut Effects) {
    let detail = &mut model.detail;
    let more = detail.text().is_some_and(TextView::work);
    if more && !detail.going_on {
        detail.going_on = true;
        effects.push(Effect::Detail(Want::GoOn));
    }
}

#[cfg(test)]
mod tests;
