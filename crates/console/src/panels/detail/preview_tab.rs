//! The Preview tab: the files the agent gets. For a task they are rendered locally; for a run they are the run's own,
//! with the changes a launch now would make.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    page_view::page,
    preview::FileChange,
    state::DetailPanel,
    tab::{Fetch, Insets, Tab, shown_run},
};
use crate::{
    command::{Command, Context},
    detail_io::{DetailRequest, Files},
    draw::{self, RowPen},
    effect::Effects,
    ids::{PanelId, Subject, TabId},
    model::Model,
    panels::list_view,
    theme::{Scope, Theme},
    widgets::text_view::TextView,
    world::TaskId,
};
use flightdeck_core::{
    runs::{Run, RunKind},
    tasks::project_directory,
    text,
};
use flightdeck_host::{settings::Settings, templates};
use flightdeck_verbs::{self as verbs, Launch};

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
        let moved = detail.preview.list.move_selection(command);
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
    let subject = verbs::LaunchSource {
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
        blocking: Vec::new(),
        user: String::new(),
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
    page(model, theme, &preview.page, inside, buffer);
}
