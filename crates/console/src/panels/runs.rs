//! The Runs panel: every run of this repository in its real state.

use std::cmp::Ordering;

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    command::Command,
    draw::{RowPen, Title},
    filter::{Filter, Offer},
    list::List,
    model::{Model, PanelId},
    theme::{Scope, Theme},
    world::{Cluster, Entry, Loaded, RunId, World},
};
use flightdeck_core::{
    runs::{Phase, Stage},
    text,
};

/// Names before a colon that the filter knows.
const COLUMNS: &[&str] = &["kind", "name", "phase", "task", "svc", "branch"];

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct RunsPanel {
    pub list: List<RunId>,
    pub filter: Filter,
    /// Runs that are deleted are shown as well.
    pub removed: bool,
    /// Runs of every repository, not only of this one.
    pub everyone: bool,
    pub order: Order,
}

/// Order of the list. Active runs come first in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Name,
    Phase,
    Cost,
}

impl Order {
    const fn next(self) -> Self {
        match self {
            Self::Newest => Self::Name,
            Self::Name => Self::Phase,
            Self::Phase => Self::Cost,
            Self::Cost => Self::Newest,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Newest => "",
            Self::Name => "by name",
            Self::Phase => "by phase",
            Self::Cost => "by cost",
        }
    }
}

impl RunsPanel {
    /// Derives the rows anew: after a change of the runs, the filter or the order.
    pub fn refresh(&mut self, world: &World) {
        let label = world.repository_label();
        let mut test = self.filter.test(COLUMNS);
        let mut shown: Vec<(&RunId, &Entry)> = world
            .runs
            .iter()
            .filter(|(_, entry)| self.removed || !entry.removed)
            .filter(|(_, entry)| {
                self.everyone || label.is_none_or(|label| entry.of_repository(label))
            })
            .filter(|(_, entry)| {
                let run = &entry.run;
                test.matches(&[
                    ("kind", run.kind.as_str()),
                    ("name", run.name()),
                    ("phase", run.phase().as_str()),
                    ("task", &run.tasks.join(",")),
                    ("svc", run.code.as_ref().map_or("", |code| &code.service)),
                    ("branch", &run.spec.source_branch),
                ])
            })
            .collect();
        shown.sort_by(|(a_id, a), (b_id, b)| {
            let own = match self.order {
                Order::Newest => Ordering::Equal,
                Order::Name => a.run.name().cmp(b.run.name()),
                Order::Phase => a.run.phase().as_str().cmp(b.run.phase().as_str()),
                Order::Cost => b.usage().cost_micro_usd.cmp(&a.usage().cost_micro_usd),
            };
            b.active()
                .cmp(&a.active())
                .then(own)
                .then_with(|| b.created().cmp(&a.created()))
                .then_with(|| a_id.cmp(b_id))
        });
        self.list
            .set_rows(shown.into_iter().map(|(id, _)| id.clone()).collect());
        self.list.forget_marks(|id| world.runs.get(id).is_some());
    }

    /// The runs a command would act on: the marked ones, else the selected one.
    pub fn chosen(&self) -> Vec<RunId> {
        if self.list.marked().is_empty() {
            return self.list.selected().cloned().into_iter().collect();
        }
        self.list.marked().iter().cloned().collect()
    }
}

/// Obeys a command of this panel; `false` when it is none.
pub fn command(model: &mut Model, command: Command) -> bool {
    match command {
        Command::Sort => {
            model.runs.order = model.runs.order.next();
            model.runs.refresh(&model.world);
        }
        Command::Everyone => {
            model.runs.everyone = !model.runs.everyone;
            model.runs.refresh(&model.world);
        }
        Command::Open => model.focus_on(PanelId::Detail),
        _ => return false,
    }
    true
}

/// What the filter may say of a column.
pub fn columns(model: &Model) -> Vec<Offer> {
    let runs: Vec<_> = model
        .runs
        .list
        .rows()
        .iter()
        .filter_map(|id| model.world.runs.get(id))
        .map(|entry| (entry.run.kind.as_str(), entry.run.phase()))
        .collect();
    COLUMNS
        .iter()
        .map(|name| Offer {
            name,
            values: match *name {
                "kind" => Offer::by_number(&runs.iter().map(|(kind, _)| *kind).collect::<Vec<_>>()),
                "phase" => {
                    let phases: Vec<String> = runs
                        .iter()
                        .map(|(_, phase)| phase.as_str().to_lowercase())
                        .collect();
                    Offer::by_number(&phases.iter().map(String::as_str).collect::<Vec<_>>())
                }
                _ => Vec::new(),
            },
        })
        .collect()
}

/// The title line.
pub fn title(model: &Model) -> Title {
    let runs = &model.runs;
    let shown = runs.list.rows();
    let mut state = super::list_state(
        &runs.list,
        &runs.filter,
        (shown.len(), model.world.runs.iter().count()),
    );
    if state.is_empty() && !shown.is_empty() {
        let entries = shown.iter().filter_map(|id| model.world.runs.get(id));
        let active = entries.filter(|entry| entry.active()).count();
        state.push((shown.len().to_string(), Scope::Muted));
        if active > 0 {
            state.push((format!(" · {active} active"), Scope::RunRunning));
        }
    }
    let connection = match &model.world.cluster {
        Cluster::Connecting => Some(("connecting", Scope::Muted)),
        Cluster::Lost(..) => Some(("reconnecting", Scope::Warn)),
        Cluster::Failed(..) => Some(("no cluster", Scope::Bad)),
        Cluster::Connected(_) => None,
    };
    if let Some((words, scope)) = connection {
        if !state.is_empty() {
            state.push((" · ".into(), Scope::Muted));
        }
        state.push((words.into(), scope));
    }
    let order = runs.order.name();
    if !order.is_empty() {
        state.insert(0, (format!("{order} · "), Scope::Muted));
    }
    // Without a label there is nothing to tell this repository's runs by: all are listed.
    let repository = &model.world.repository;
    let unscoped =
        !matches!(repository, Loaded::Waiting) && model.world.repository_label().is_none();
    let about = match (runs.everyone || unscoped, runs.removed) {
        (true, true) => "all repositories, incl. deleted",
        (true, false) => "all repositories",
        (false, true) => "incl. deleted",
        (false, false) => "",
    };
    Title {
        about: about.into(),
        state,
        ..Title::default()
    }
}

/// Draws the list.
pub fn view(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let area = super::filter_line(model, PanelId::Runs, theme, area, buffer);
    let list = &model.runs.list;
    if list.rows().is_empty() {
        nothing(model, theme, area, buffer);
        return;
    }
    let names = list.rows()[list.visible()].iter();
    let longest = names
        .filter_map(|id| model.world.runs.get(id))
        .map(|entry| text::width(entry.run.name()))
        .max();
    let name_columns = longest
        .unwrap_or(8)
        .clamp(8, usize::from(area.width) / 2 - 4);
    let range = list.open_range().unwrap_or(0..0);
    for (at, y) in list.visible().zip(area.y..area.bottom()) {
        let line = Rect::new(area.x, y, area.width, 1);
        let id = &list.rows()[at];
        if let Some(entry) = model.world.runs.get(id) {
            let marked = list.marked().contains(id) || range.contains(&at);
            let mut pen = RowPen::new(buffer, line);
            row(model, theme, entry, marked, name_columns, &mut pen);
        }
        let focused = model.focus == PanelId::Runs;
        super::emphasis(theme, buffer, line, at == list.cursor(), focused);
    }
}

fn nothing(model: &Model, theme: &Theme, area: Rect, buffer: &mut Buffer) {
    let (sentence, next): (&str, &[(Command, &str)]) = match &model.world.cluster {
        _ if !model.runs.filter.is_empty() => {
            ("No run matches the filter.", &[(Command::Back, "clear it")])
        }
        Cluster::Failed(reason, _) => (reason, &[(Command::Refresh, "try now")]),
        Cluster::Connecting => ("Connecting ...", &[]),
        _ if !model.world.runs.complete() => ("Listing the runs ...", &[]),
        _ if model.runs.removed => (
            "No runs here, and none that was deleted.",
            &[(Command::New, "launch one"), (Command::Help, "all keys")],
        ),
        _ => (
            "No runs here. An agent can write the documents of your tasks.",
            &[
                (Command::New, "launch one"),
                (Command::Deleted, "deleted runs"),
                (Command::Help, "all keys"),
            ],
        ),
    };
    super::empty(model, theme, area, buffer, sentence, next);
}

fn row(
    model: &Model,
    theme: &Theme,
    entry: &Entry,
    marked: bool,
    name_columns: usize,
    pen: &mut RowPen<'_>,
) {
    let style = |scope| theme.style(scope);
    let run = &entry.run;
    let phase = run.phase();
    let (scope, name) = if entry.removed {
        (Scope::Faint, Scope::Muted)
    } else {
        (phase_scope(&phase), Scope::Text)
    };
    let glyph = if entry.active() && phase == Phase::Running {
        model.glyphs.spinner(model.now)
    } else {
        model.glyphs.phase(&phase)
    };
    let mark = if marked { model.glyphs.marked } else { " " };
    pen.left(mark, style(Scope::Mark))
        .left(glyph, style(scope))
        .space(1)
        .left(run.kind.as_str(), style(Scope::Muted))
        .space(1)
        .column(&text::sanitize(run.name()), name_columns, style(name))
        .space(2)
        .right_space(1);
    let age = entry.created().map(|at| model.now.duration_since(at));
    let age = age.map_or_else(String::new, |age| text::age(age.as_secs()));
    pen.right(&format!("{age:>3}"), style(Scope::Muted))
        .right_space(1);
    let usage = entry.usage();
    if usage.cost_micro_usd > 0 && pen.room() > 24 {
        pen.right(&dollars(usage.cost_micro_usd), style(Scope::Muted))
            .right_space(1);
    }
    // What it has used so far: as much of it as leaves room for what it does.
    let tokens = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens;
    if tokens > 0 && pen.room() > 56 {
        pen.right(&format!("{:>5}", short(tokens)), style(Scope::Muted))
            .right_space(1);
    }
    if usage.turns > 0 && pen.room() > 52 {
        pen.right(&format!("{:>4}t", usage.turns), style(Scope::Muted))
            .right_space(1);
    }
    let (what, scope) = state_words(model, entry);
    pen.left(&what, style(scope));
    // In fewer columns it would be no more than a riddle.
    if let Some(doing) = doing(model, entry)
        && pen.room() > 14
    {
        pen.space(2).left(doing, style(Scope::Muted));
    }
}

/// What the agent of a run does now, where nothing else is to be said of it. Remote text.
fn doing<'m>(model: &Model, entry: &'m Entry) -> Option<&'m str> {
    let run = &entry.run;
    let works = entry.active()
        && !run.cancelled()
        && run.phase() == Phase::Running
        && run.stage() == Some(Stage::Agent)
        && model.health.of(run.uid()).is_empty();
    entry.progress.doing.as_deref().filter(|_| works)
}

/// What a run is doing, or how it ended, in a few words.
fn state_words(model: &Model, entry: &Entry) -> (String, Scope) {
    let run = &entry.run;
    let status = &run.status;
    if entry.removed {
        return ("deleted; its log is kept".into(), Scope::Faint);
    }
    if run.metadata.deletion_timestamp.is_some() {
        return ("being deleted".into(), Scope::Muted);
    }
    if entry.active() {
        if run.cancelled() {
            return ("stopping".into(), Scope::Muted);
        }
        if let Some(finding) = model.health.of(run.uid()).first() {
            let scope = if finding.needs_action {
                Scope::Warn
            } else {
                Scope::Muted
            };
            return (text::sanitize(&finding.message).into_owned(), scope);
        }
    }
    let said = status.message.as_deref().or(status.reason.as_deref());
    let said = text::sanitize(said.unwrap_or_default()).into_owned();
    let scope = phase_scope(&run.phase());
    let words = match run.phase() {
        Phase::Pending if said.is_empty() => "pending".into(),
        Phase::Pending | Phase::Failed => said,
        Phase::Running => {
            let stage = run.stage();
            let documents = entry.documents().filter(|_| stage == Some(Stage::Agent));
            let documents =
                documents.map_or_else(String::new, |(done, all)| format!(" {done}/{all}"));
            let since = status.started_at.as_deref().and_then(|at| model.since(at));
            let took = since.map_or_else(String::new, |took| format!(" {}", text::age(took)));
            let stage = stage.map_or("starting", Stage::as_str);
            format!("{stage}{documents}{took}")
        }
        Phase::Succeeded => match (status.pull_request_number, entry.documents()) {
            (Some(number), _) => format!("PR #{number}"),
            (None, Some((done, all))) => format!("documents {done}/{all}"),
            (None, None) => "pushed".into(),
        },
        Phase::Cancelled => "stopped".into(),
        Phase::Other(word) => text::sanitize(&word).into_owned(),
    };
    (words, scope)
}

/// Millionths of a dollar as people write money.
pub fn dollars(micro: i64) -> String {
    format!("${:.2}", micro as f64 / 1e6)
}

/// `950`, `41k`, `1.2M`
pub fn short(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// Scope of a phase.
pub const fn phase_scope(phase: &Phase) -> Scope {
    match phase {
        Phase::Pending => Scope::RunPending,
        Phase::Running => Scope::RunRunning,
        Phase::Succeeded => Scope::RunSucceeded,
        Phase::Failed => Scope::RunFailed,
        Phase::Cancelled => Scope::RunCancelled,
        Phase::Other(_) => Scope::Run,
    }
}
