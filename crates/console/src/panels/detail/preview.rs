//! The Preview tab: the files the agent gets. For a task they are rendered locally; for a run they are the run's own, with
//! the changes a launch now would make.

use std::collections::BTreeMap;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    DetailPanel,
    page::{self, Page, PageContent, PageFormat},
    tab::{Fetch, Insets, Tab, shown_run},
};
use crate::{
    command::{Command, Context},
    detail_io::{DetailRequest, Fetched, Files},
    draw::{self, RowPen},
    effect::Effects,
    ids::{PanelId, Subject, TabId},
    list::List,
    model::Model,
    panels::{list_view, move_selection},
    theme::{Scope, Theme},
    widgets::{diff, syntax::Syntax, text_view::TextView},
    world::TaskId,
};
use flightdeck_core::{
    runs::{Run, RunKind},
    tasks::project_directory,
    text,
};
use flightdeck_host::{settings::Settings, templates};
use flightdeck_verbs::{self as verbs, Launch};

/// Files in reading order; others follow by name.
const READING_ORDER: &[&str] = &[
    "prompt.md",
    "CLAUDE.md",
    "run.json",
    "settings.local.json",
    "agent.sh",
];

pub(super) struct PreviewTab;

impl Tab for PreviewTab {
    fn id(&self) -> TabId {
        TabId::Preview
    }

    fn title(&self) -> &'static str {
        "Preview"
    }

    fn applies_to(&self, subject: &Subject) -> bool {
        matches!(subject, Subject::Task(_) | Subject::Run(_))
    }

    fn fetch(&self, model: &Model) -> Option<Fetch> {
        let run = &shown_run(model)?.run;
        let config_map = run.status.config_map_name.clone()?;
        Some(Fetch {
            owner: TabId::Preview,
            version: run.spec.context_version.to_string(),
            request: DetailRequest::Files {
                run: model.detail.run()?.clone(),
                config_map,
            },
        })
    }

    fn refresh(&self, model: &mut Model) {
        let rendered = match &model.detail.subject {
            Some(Subject::Task(id)) => Some(render_task(model, id)),
            Some(Subject::Run(id)) => {
                let entry = model.world.runs.get(id);
                entry.map(|entry| render_run(&entry.run, model.controller_settings()))
            }
            Some(Subject::Check(_)) | None => None,
        };
        if let Some(rendered) = rendered {
            model.detail.preview.set_rendered(rendered);
        }
    }

    fn insets(&self, area: Rect) -> Insets {
        Insets {
            above: 2,
            below: 0,
            left: list_width(area),
        }
    }

    fn text<'d>(&self, detail: &'d mut DetailPanel) -> Option<&'d mut TextView> {
        let preview = &mut detail.preview;
        preview.reading.then_some(&mut preview.page.view)
    }

    fn shown_text<'d>(&self, detail: &'d DetailPanel) -> Option<&'d TextView> {
        Some(&detail.preview.page.view)
    }

    fn status(&self, detail: &DetailPanel) -> Vec<(String, Scope)> {
        let preview = &detail.preview;
        let (words, scope) = if preview.changes {
            ("changes", Scope::Accent)
        } else if preview.is_live() {
            ("this run", Scope::Muted)
        } else {
            ("preview", Scope::Muted)
        };
        vec![(words.into(), scope)]
    }

    fn contexts(&self, detail: &DetailPanel) -> [Context; 2] {
        if detail.preview.reading {
            [Context::Text, Context::Detail]
        } else {
            [Context::Items, Context::Detail]
        }
    }

    fn has_raw(&self, detail: &DetailPanel) -> bool {
        detail.preview.is_live()
    }

    fn view(&self, model: &Model, theme: &Theme, area: Rect, inside: Rect, buffer: &mut Buffer) {
        view(model, theme, area, inside, buffer);
    }

    fn command(&self, model: &mut Model, command: Command, _: &mut Effects) -> Option<bool> {
        let preview = &mut model.detail.preview;
        match command {
            Command::Raw => {
                preview.changes = !preview.changes;
                preview.refresh();
            }
            Command::Open if !preview.reading => preview.reading = true,
            Command::Back if preview.reading => {
                if !preview.page.view.clear() {
                    preview.reading = false;
                }
            }
            _ => return None,
        }
        Some(true)
    }

    fn move_selection(&self, detail: &mut DetailPanel, command: Command) -> bool {
        let moved = move_selection(&mut detail.preview.list, command);
        if moved {
            detail.preview.refresh();
        }
        moved
    }

    fn click(&self, detail: &mut DetailPanel, column: u16, line: usize) {
        let width = list_width(detail.area);
        let preview = &mut detail.preview;
        preview.reading = column >= width;
        if !preview.reading {
            preview.list.select_at(preview.list.scroll() + line);
            preview.refresh();
        }
    }

    fn wheel(&self, detail: &mut DetailPanel, lines: isize) {
        detail.preview.page.view.scroll(lines);
    }
}

/// How a file of the run compares with the one a launch now would get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileChange {
    /// One side is unknown.
    Unknown,
    Same,
    Different,
    OnlyInRun,
    OnlyRendered,
}

/// State of the tab.
#[derive(Clone, Debug, Default)]
pub(super) struct Preview {
    pub(super) list: List<String>,
    pub(super) page: Page,
    /// Keys scroll the file instead of the list.
    reading: bool,
    /// Show the changes instead of the file.
    changes: bool,
    /// The files that a launch now would get.
    rendered: Fetched<Files>,
    /// The files of the run.
    live: Fetched<Files>,
    shown: Option<String>,
}

impl Preview {
    fn set_rendered(&mut self, rendered: Result<Files, String>) {
        self.rendered = rendered.into();
        self.refresh();
    }

    pub(super) fn set_live(&mut self, live: Result<Files, String>) {
        self.live = live.into();
        self.refresh();
    }

    fn change(&self, name: &str) -> FileChange {
        let Some(live) = self.live.ready() else {
            return FileChange::Unknown;
        };
        let rendered = self.rendered.ready().map(|files| files.get(name));
        match (live.get(name), rendered) {
            (_, None) => FileChange::Unknown,
            (Some(one), Some(Some(other))) if one == other => FileChange::Same,
            (Some(_), Some(Some(_))) => FileChange::Different,
            (Some(_), Some(None)) => FileChange::OnlyInRun,
            (None, _) => FileChange::OnlyRendered,
        }
    }

    /// Whether the files are those of the run.
    const fn is_live(&self) -> bool {
        matches!(self.live, Fetched::Ready(_))
    }

    /// Rebuilds the list and the text.
    fn refresh(&mut self) {
        let live = self.live.ready().into_iter().flat_map(BTreeMap::keys);
        let rendered = self.rendered.ready().into_iter().flat_map(BTreeMap::keys);
        let mut names: Vec<String> = live.chain(rendered).cloned().collect();
        names.sort_by_key(|name| (rank(name), name.clone()));
        names.dedup();
        self.list.set_rows(names);
        let name = self.list.selected().cloned();
        if name != self.shown {
            self.page.reset();
            self.shown.clone_from(&name);
        }
        let content = name.map_or_else(|| self.empty(), |name| self.content(&name));
        self.page.show(content);
    }

    fn empty(&self) -> PageContent {
        match (&self.live, &self.rendered) {
            (Fetched::Failed(reason), _) | (_, Fetched::Failed(reason)) => {
                PageContent::sentence(reason.clone())
            }
            _ => PageContent::sentence("Rendering files ..."),
        }
    }

    fn content(&self, name: &str) -> PageContent {
        let live = self.live.ready().and_then(|files| files.get(name));
        let rendered = self.rendered.ready().and_then(|files| files.get(name));
        if self.changes
            && let (Some(live), Some(rendered)) = (live, rendered)
        {
            let diff = diff::unified(live, rendered);
            if diff.is_empty() {
                return PageContent::sentence("Unchanged since this run.");
            }
            return PageContent::Text(PageFormat::Diff, diff::lines(&diff));
        }
        let text = live.or(rendered).map_or("", String::as_str);
        if text.is_empty() {
            return PageContent::sentence("Empty file.");
        }
        let syntax = Syntax::of_file(name);
        PageContent::Text(PageFormat::Source(syntax), syntax.lines(text))
    }
}

fn rank(name: &str) -> usize {
    let known = READING_ORDER.iter().position(|other| *other == name);
    known.unwrap_or(READING_ORDER.len())
}

/// Renders the files that a launch of `run` now would get.
pub(super) fn render_run(run: &Run, settings: &Settings) -> Result<Files, String> {
    templates::render(run, settings).map_err(|error| error.to_string())
}

/// Renders the files that a docs run of a task would get.
fn render_task(model: &Model, id: &TaskId) -> Result<Files, String> {
    let repository = model.world.repository.get();
    let repository = repository.ok_or_else(|| "Reading the repository ...".to_owned())?;
    let plan = model.world.plan.get();
    let plan = plan.ok_or_else(|| "Reading the plan ...".to_owned())?;
    let task = id.split('.').next().unwrap_or(id).to_owned();
    let directory = project_directory(&plan.path)
        .and_then(|path| path.strip_prefix(&repository.root).ok())
        .map(|path| path.to_string_lossy().into_owned())
        .filter(|path| !path.is_empty());
    let subject = verbs::Subject {
        repository_url: repository.url.clone().unwrap_or_default(),
        branch: repository.branch.clone().unwrap_or_else(|| "HEAD".into()),
        working_directory: directory.unwrap_or_else(|| ".".into()),
        tag: plan.tag.clone(),
        tasks: plan
            .tasks()
            .iter()
            .map(|task| (task.id.clone(), plan.documents(&task.id).is_complete()))
            .collect(),
        revision: None,
        refused: Vec::new(),
        person: String::new(),
    };
    let launch = Launch {
        tasks: vec![task],
        ..Launch::new(RunKind::Docs)
    };
    let run = launch
        .compose(&subject, &model.settings, "preview")
        .map_err(|error| error.to_string())?;
    render_run(&run, model.controller_settings())
}

/// Columns of the file list.
fn list_width(area: Rect) -> u16 {
    (area.width / 3).min(26)
}

fn view(model: &Model, theme: &Theme, area: Rect, inside: Rect, buffer: &mut Buffer) {
    let preview = &model.detail.preview;
    let focused = model.focus == PanelId::Detail && !preview.reading;
    let list = &preview.list;
    let width = list_width(area).saturating_sub(4);
    for (at, y) in list.visible().zip(inside.y..inside.bottom()) {
        let name = &list.rows()[at];
        let line = Rect::new(area.x + 1, y, width, 1);
        let (sign, scope) = match preview.change(name) {
            FileChange::Unknown | FileChange::Same => (" ", Scope::Faint),
            FileChange::Different => ("≠", Scope::Warn),
            FileChange::OnlyInRun => ("+", Scope::Good),
            FileChange::OnlyRendered => ("-", Scope::Muted),
        };
        let mut pen = RowPen::new(buffer, line);
        pen.right(sign, theme.style(scope)).right_space(1);
        pen.left(
            &text::cut_middle(&text::sanitize(name), pen.room()),
            theme.style(Scope::Text),
        );
        list_view::highlight_row(theme, buffer, line, at == list.cursor(), focused);
    }
    if !list.rows().is_empty() {
        let rule = Rect {
            x: inside.x.saturating_sub(2),
            ..inside
        };
        draw::rule(buffer, rule, theme.style(Scope::Border));
    }
    page::view(model, theme, &preview.page, inside, buffer);
}
