//! The launch form: edits one [`flightdeck_verbs::Launch`] and shows the checks that it has to pass.

mod request;
mod view;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::{buffer::Buffer, layout::Rect};
use tui_textarea::TextArea;

use super::{
    fix_preview,
    overlay::{Next, Overlay},
};
use crate::{
    command::{Command, Context},
    effect::{Effects, PreflightEffect},
    field::Field,
    model::Model,
    theme::Theme,
    world::{Check, Checks, Delta, Level, Plan, TaskId},
};
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    runs::RunKind,
};
use flightdeck_host::settings::Settings;

/// The check below which the form shows the differences of the plan.
const TASKS_PUSHED: &str = "tasks-pushed";

/// A line of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum FormLine {
    Kind,
    Tasks,
    Agent,
    Model,
    Budget,
    Service,
    DocsRepository,
    DocsBranch,
    DocsDirectory,
    User,
    Tools,
    Overwrite,
    PromptMode,
    Prompt,
    /// A check that failed or warned.
    Check(&'static str),
    Override,
    Reason,
    Launch,
}

/// The tasks of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// All tasks without documents; their number.
    Undocumented(usize),
    Tasks(Vec<TaskId>),
}

#[derive(Clone, Debug)]
pub(crate) struct LaunchForm {
    kind: RunKind,
    choices: Vec<Choice>,
    chosen: usize,
    agents: Vec<String>,
    agent: usize,
    model: Field,
    budget: Field,
    service: Field,
    docs_repository: Field,
    docs_branch: Field,
    docs_directory: Field,
    user: Field,
    /// Whether an empty budget must override the one of the settings.
    has_default_budget: bool,
    tools: ToolPreset,
    overwrite: bool,
    prompt: TextArea<'static>,
    prompt_mode: PromptMode,
    overrides: Field,
    reason: Field,
    /// The line in focus.
    focus: FormLine,
    /// The checks that did not pass, the most severe first.
    checks: Vec<Check>,
    /// Summary of the differences of the plan from the one that pods would clone.
    differences: Option<String>,
    /// The user edited the model, so it is kept when the kind changes.
    model_typed: bool,
}

/// Opens the form, or its draft, for the marked or selected tasks.
pub(crate) fn open(model: &mut Model, effects: &mut Effects) {
    let Some(plan) = model.world.plan.get().cloned() else {
        return;
    };
    let draft = model.drafts.take::<LaunchForm>();
    let mut form = draft.unwrap_or_else(|| LaunchForm::new(&model.settings));
    let marked = !model.tasks.list.marked().is_empty();
    form.choices = choices(&plan, form.kind, &model.tasks.chosen());
    form.chosen = usize::from(marked && form.kind.takes_many_tasks());
    form.focus = FormLine::Tasks;
    form.update_checks(&model.world.checks);
    effects.push(PreflightEffect::Run(form.preflight_request(model, true)));
    model.world.apply(Delta::Checking);
    model.overlays.push(form);
}

/// The selectable tasks, the most likely first.
fn choices(plan: &Plan, kind: RunKind, chosen: &[TaskId]) -> Vec<Choice> {
    if kind.takes_many_tasks() {
        let undocumented = plan.undocumented().count();
        let all = (undocumented > 0).then_some(Choice::Undocumented(undocumented));
        let selected = (!chosen.is_empty()).then(|| Choice::Tasks(chosen.to_vec()));
        let every = Choice::Tasks(plan.tasks().iter().map(|task| task.id.clone()).collect());
        all.into_iter().chain(selected).chain([every]).collect()
    } else {
        let first = chosen.first();
        let rest = plan.tasks().iter().map(|task| &task.id);
        let rest = rest.filter(|id| Some(*id) != first);
        let ids = first.into_iter().chain(rest);
        ids.map(|id| Choice::Tasks(vec![id.clone()])).collect()
    }
}

impl LaunchForm {
    fn new(settings: &Settings) -> Self {
        let agents: Vec<String> = settings.agents.keys().cloned().collect();
        let agent = agents
            .iter()
            .position(|name| *name == settings.defaults.agent);
        let defaults = &settings.defaults;
        let mut prompt = TextArea::default();
        prompt.set_cursor_line_style(ratatui::style::Style::new());
        Self {
            kind: RunKind::Docs,
            choices: Vec::new(),
            chosen: 0,
            agent: agent.unwrap_or_default(),
            agents,
            model: Field::new(settings.model(RunKind::Docs)),
            budget: Field::new(defaults.budget_usd.clone()),
            has_default_budget: defaults.budget().is_some(),
            service: Field::default(),
            docs_repository: Field::default(),
            docs_branch: Field::default(),
            docs_directory: Field::default(),
            user: Field::new(defaults.github_user.clone()),
            tools: ToolPreset::Default,
            overwrite: false,
            prompt,
            prompt_mode: PromptMode::Append,
            overrides: Field::default(),
            reason: Field::default(),
            focus: FormLine::Kind,
            checks: Vec::new(),
            differences: None,
            model_typed: false,
        }
    }

    /// The lines of the form, in order.
    fn lines(&self) -> Vec<FormLine> {
        let mut lines = vec![
            FormLine::Kind,
            FormLine::Tasks,
            FormLine::Agent,
            FormLine::Model,
            FormLine::Budget,
        ];
        lines.extend(self.kind.shares_workspace().then_some(FormLine::Service));
        if self.kind.needs_documents() {
            lines.push(FormLine::DocsRepository);
            if !self.docs_repository.text().trim().is_empty() {
                lines.extend([FormLine::DocsBranch, FormLine::DocsDirectory]);
            }
        }
        lines.extend([FormLine::User, FormLine::Tools]);
        lines.extend(self.kind.writes_documents().then_some(FormLine::Overwrite));
        lines.push(FormLine::Prompt);
        lines.extend((!self.prompt.is_empty()).then_some(FormLine::PromptMode));
        lines.extend(self.checks.iter().map(|check| FormLine::Check(check.id)));
        if self.checks.iter().any(|check| check.level == Level::Fail) {
            lines.extend([FormLine::Override, FormLine::Reason]);
        }
        lines.push(FormLine::Launch);
        lines
    }

    /// Shows the current results of the checks, except those that passed.
    fn update_checks(&mut self, checks: &Checks) {
        self.checks = checks
            .lines
            .iter()
            .filter(|check| check.level != Level::Pass)
            .cloned()
            .collect();
        self.checks
            .sort_by_key(|check| std::cmp::Reverse(check.level));
        self.differences = checks.compared(TASKS_PUSHED).map(|compared| {
            let summary = compared.comparison.summary();
            format!(
                "{summary} compared with {}; Enter lists them",
                compared.remote_branch
            )
        });
        if !self.lines().contains(&self.focus) {
            self.focus = FormLine::Launch;
        }
    }

    /// Moves to the next or the previous field. Returns `true` if the checks depend on the field that was left.
    fn step(&mut self, forwards: bool) -> bool {
        // Only fields that are typed into: for the others the checks run when the choice changes.
        let checked = matches!(
            self.focus,
            FormLine::User
                | FormLine::Service
                | FormLine::DocsRepository
                | FormLine::DocsBranch
                | FormLine::DocsDirectory
        );
        let lines = self.lines();
        let at = lines
            .iter()
            .position(|line| *line == self.focus)
            .unwrap_or(0);
        let step = if forwards { 1 } else { lines.len() - 1 };
        self.focus = lines[(at + step) % lines.len()].clone();
        checked
    }

    /// Selects the next or the previous choice. Returns `true` if the checks depend on it.
    fn change(&mut self, forwards: bool, settings: &Settings) -> bool {
        let step = |at: usize, count: usize| match (forwards, count) {
            (_, 0) => 0,
            (true, count) => (at + 1) % count,
            (false, count) => (at + count - 1) % count,
        };
        match self.focus {
            FormLine::Kind => {
                self.kind = RunKind::ALL[step(self.kind as usize, 2)];
                if !self.model_typed {
                    self.model = Field::new(settings.model(self.kind));
                }
                return true;
            }
            FormLine::Tasks => {
                self.chosen = step(self.chosen, self.choices.len());
                return true;
            }
            FormLine::Agent => {
                self.agent = step(self.agent, self.agents.len());
                return true;
            }
            FormLine::Tools => {
                self.tools = match (self.tools, forwards) {
                    (ToolPreset::Minimal, true) | (ToolPreset::Advanced, false) => {
                        ToolPreset::Default
                    }
                    (ToolPreset::Default, true) | (ToolPreset::Minimal, false) => {
                        ToolPreset::Advanced
                    }
                    (ToolPreset::Advanced, true) | (ToolPreset::Default, false) => {
                        ToolPreset::Minimal
                    }
                }
            }
            FormLine::Overwrite => self.overwrite = !self.overwrite,
            FormLine::PromptMode => {
                self.prompt_mode = match self.prompt_mode {
                    PromptMode::Append => PromptMode::Replace,
                    PromptMode::Replace => PromptMode::Append,
                }
            }
            _ => {}
        }
        false
    }
}

impl Overlay for LaunchForm {
    fn title(&self) -> String {
        "New run".into()
    }

    fn contexts(&self) -> &'static [Context] {
        &[Context::Form, Context::Overlay]
    }

    fn hints(&self) -> Vec<(Command, &'static str)> {
        let here = match self.focus {
            FormLine::Launch => Some((Command::Accept, "launch")),
            FormLine::Check(_) => Some((Command::Accept, "fix or explain")),
            FormLine::Kind
            | FormLine::Tasks
            | FormLine::Agent
            | FormLine::Tools
            | FormLine::Overwrite
            | FormLine::PromptMode => Some((Command::Right, "change")),
            FormLine::Model
            | FormLine::Budget
            | FormLine::Service
            | FormLine::DocsRepository
            | FormLine::DocsBranch
            | FormLine::DocsDirectory
            | FormLine::User
            | FormLine::Prompt
            | FormLine::Override
            | FormLine::Reason => None,
        };
        let always = [
            (Command::NextField, "next"),
            (Command::PreviousField, "previous"),
        ];
        let launch = (self.focus != FormLine::Launch).then_some((Command::Launch, "launch"));
        let launch = launch.into_iter().chain([(Command::Cancel, "close")]);
        here.into_iter().chain(always).chain(launch).collect()
    }

    fn keeps_draft(&self) -> bool {
        true
    }

    fn takes_text(&self) -> bool {
        matches!(
            self.focus,
            FormLine::Model
                | FormLine::Budget
                | FormLine::Service
                | FormLine::DocsRepository
                | FormLine::DocsBranch
                | FormLine::DocsDirectory
                | FormLine::User
                | FormLine::Override
                | FormLine::Reason
                | FormLine::Prompt
        )
    }

    fn open_field(&mut self) -> Option<&mut Field> {
        match self.focus {
            FormLine::Model => Some(&mut self.model),
            FormLine::Budget => Some(&mut self.budget),
            FormLine::Service => Some(&mut self.service),
            FormLine::DocsRepository => Some(&mut self.docs_repository),
            FormLine::DocsBranch => Some(&mut self.docs_branch),
            FormLine::DocsDirectory => Some(&mut self.docs_directory),
            FormLine::User => Some(&mut self.user),
            FormLine::Override => Some(&mut self.overrides),
            FormLine::Reason => Some(&mut self.reason),
            FormLine::Kind
            | FormLine::Tasks
            | FormLine::Agent
            | FormLine::Tools
            | FormLine::Overwrite
            | FormLine::PromptMode
            | FormLine::Prompt
            | FormLine::Check(_)
            | FormLine::Launch => None,
        }
    }

    fn typed(&mut self) {
        self.model_typed |= self.focus == FormLine::Model;
    }

    fn text_area_key(&mut self, key: KeyEvent) -> bool {
        let leaves = matches!(
            key.code,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Esc | KeyCode::F(_)
        );
        if self.focus != FormLine::Prompt || leaves {
            return false;
        }
        // Up on the first line and Down on the last one leave the text area.
        let (row, last) = (self.prompt.cursor().0, self.prompt.lines().len() - 1);
        if (key.code == KeyCode::Up && row == 0) || (key.code == KeyCode::Down && row == last) {
            return false;
        }
        self.prompt.input(key);
        true
    }

    fn text_area_paste(&mut self, pasted: &str) {
        if self.focus == FormLine::Prompt {
            self.prompt.insert_str(pasted);
        }
    }

    fn refresh(&mut self, model: &Model) {
        self.update_checks(&model.world.checks);
    }

    fn command(&mut self, model: &mut Model, command: Command, effects: &mut Effects) -> Next {
        let run_checks = match command {
            Command::NextField | Command::Down => self.step(true),
            Command::PreviousField | Command::Up => self.step(false),
            Command::Right | Command::Left => {
                let before = self.kind;
                let changed = self.change(command == Command::Right, &model.settings);
                if self.kind != before
                    && let Some(plan) = model.world.plan.get()
                {
                    self.choices = choices(plan, self.kind, &model.tasks.chosen());
                    self.chosen = 0;
                }
                changed
            }
            Command::Accept => match self.focus {
                FormLine::Launch => {
                    self.submit(model);
                    false
                }
                FormLine::Check(id) => {
                    let request = self.preflight_request(model, true);
                    fix_preview::open_for(model, id, request, effects);
                    false
                }
                _ => self.step(true),
            },
            Command::Launch => {
                self.submit(model);
                false
            }
            _ => false,
        };
        if run_checks {
            effects.push(PreflightEffect::Run(self.preflight_request(model, false)));
        }
        Next::Stay
    }

    fn view(&self, model: &Model, theme: &Theme, screen: Rect, buffer: &mut Buffer) {
        self.draw(model, theme, screen, buffer);
    }
}
