//! The launch form. It edits exactly one [`flightdeck_verbs::Launch`]; what it shows beside the fields are the checks that a launch
//! would have to pass.

mod request;
mod view;

use crossterm::event::{KeyCode, KeyEvent};
use tui_textarea::TextArea;

use crate::{
    command::Command,
    effect::{Effect, Effects},
    field::Field,
    model::Model,
    world::{Check, Checks, Delta, Level, Plan, TaskId},
};
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    runs::RunKind,
};
use flightdeck_host::settings::Settings;

use self::request::launch;
use super::Overlay;

/// The check that has a line more: which tasks are not what would be cloned.
const PUSHED: &str = "tasks-pushed";

/// One line of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Kind,
    Tasks,
    Agent,
    Model,
    Budget,
    Service,
    User,
    Tools,
    Overwrite,
    PromptMode,
    Prompt,
    /// A check that fails or warns.
    Check(&'static str),
    Override,
    Reason,
    Launch,
}

/// Which tasks a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// Every task that lacks documents; how many there are.
    Undocumented(usize),
    Tasks(Vec<TaskId>),
}

/// What is being filled in.
#[derive(Clone, Debug)]
pub struct Form {
    kind: RunKind,
    choices: Vec<Choice>,
    chosen: usize,
    agents: Vec<String>,
    agent: usize,
    model: Field,
    budget: Field,
    service: Field,
    user: Field,
    tools: ToolPreset,
    overwrite: bool,
    prompt: TextArea<'static>,
    prompt_mode: PromptMode,
    overrides: Field,
    reason: Field,
    /// The line that has the keys.
    focus: Slot,
    /// Checks that a launch meets, as they stand.
    checks: Vec<Check>,
    /// How the plan differs from the one that would be cloned, in a few words, where that is refused.
    differs: Option<String>,
    /// The model was typed by the person, and stays when the kind changes.
    model_typed: bool,
}

/// Opens the form for what is selected or marked.
pub fn open(model: &mut Model, effects: &mut Effects) {
    let Some(plan) = model.world.plan.get().cloned() else {
        return;
    };
    let mut form = match model.draft.take() {
        Some(draft) => *draft,
        None => Form::new(&model.settings),
    };
    let marked = !model.tasks.list.marked().is_empty();
    form.choices = choices(&plan, form.kind, &model.tasks.chosen());
    form.chosen = usize::from(marked && form.kind.takes_many_tasks());
    form.focus = Slot::Tasks;
    form.sync(&model.world.checks);
    effects.push(Effect::Inspect(form.inquiry(model, true)));
    model.world.apply(Delta::Checking);
    model.overlays.push(Overlay::Form(Box::new(form)));
}

/// The tasks one can run, the most likely first.
fn choices(plan: &Plan, kind: RunKind, chosen: &[TaskId]) -> Vec<Choice> {
    if kind.takes_many_tasks() {
        let undocumented = plan.undocumented().count();
        let all = (undocumented > 0).then_some(Choice::Undocumented(undocumented));
        let these = (!chosen.is_empty()).then(|| Choice::Tasks(chosen.to_vec()));
        let every = Choice::Tasks(plan.tasks().iter().map(|task| task.id.clone()).collect());
        all.into_iter().chain(these).chain([every]).collect()
    } else {
        let first = chosen.first();
        let rest = plan.tasks().iter().map(|task| &task.id);
        let rest = rest.filter(|id| Some(*id) != first);
        let ids = first.into_iter().chain(rest);
        ids.map(|id| Choice::Tasks(vec![id.clone()])).collect()
    }
}

impl Form {
    fn new(settings: &Settings) -> Self {
        let agents: Vec<String> = settings.agents.keys().cloned().collect();
        let agent = agents
            .iter()
            .position(|name| *name == settings.defaults.agent);
        let mut prompt = TextArea::default();
        prompt.set_cursor_line_style(ratatui::style::Style::new());
        Self {
            kind: RunKind::Docs,
            choices: Vec::new(),
            chosen: 0,
            agent: agent.unwrap_or_default(),
            agents,
            model: Field::new(settings.model(RunKind::Docs)),
            budget: Field::default(),
            service: Field::default(),
            user: Field::default(),
            tools: ToolPreset::Default,
            overwrite: false,
            prompt,
            prompt_mode: PromptMode::Append,
            overrides: Field::default(),
            reason: Field::default(),
            focus: Slot::Kind,
            checks: Vec::new(),
            differs: None,
            model_typed: false,
        }
    }

    /// The lines that apply, in order.
    fn slots(&self) -> Vec<Slot> {
        let mut slots = vec![
            Slot::Kind,
            Slot::Tasks,
            Slot::Agent,
            Slot::Model,
            Slot::Budget,
        ];
        slots.extend(self.kind.shares_workspace().then_some(Slot::Service));
        slots.extend([Slot::User, Slot::Tools]);
        slots.extend(self.kind.writes_documents().then_some(Slot::Overwrite));
        slots.push(Slot::Prompt);
        slots.extend((!self.prompt.is_empty()).then_some(Slot::PromptMode));
        slots.extend(self.checks.iter().map(|check| Slot::Check(check.id)));
        if self.checks.iter().any(|check| check.level == Level::Fail) {
            slots.extend([Slot::Override, Slot::Reason]);
        }
        slots.push(Slot::Launch);
        slots
    }

    /// Takes over what the checks say now; what they pass is not shown.
    pub fn sync(&mut self, checks: &Checks) {
        let lines = checks.lines.iter();
        self.checks = lines
            .filter(|check| check.level != Level::Pass)
            .cloned()
            .collect();
        self.checks
            .sort_by_key(|check| std::cmp::Reverse(check.level));
        self.differs = checks.compared(PUSHED).map(|compared| {
            let summary = compared.comparison.summary();
            format!("{summary} against {}; Enter lists them", compared.place)
        });
        if !self.slots().contains(&self.focus) {
            self.focus = Slot::Launch;
        }
    }

    /// The field that has the keys.
    pub const fn open_field(&mut self) -> Option<&mut Field> {
        match self.focus {
            Slot::Model => Some(&mut self.model),
            Slot::Budget => Some(&mut self.budget),
            Slot::Service => Some(&mut self.service),
            Slot::User => Some(&mut self.user),
            Slot::Override => Some(&mut self.overrides),
            Slot::Reason => Some(&mut self.reason),
            _ => None,
        }
    }

    /// Whether letters are text where the focus is.
    pub const fn takes_text(&self) -> bool {
        matches!(
            self.focus,
            Slot::Model
                | Slot::Budget
                | Slot::Service
                | Slot::User
                | Slot::Override
                | Slot::Reason
                | Slot::Prompt
        )
    }

    /// Lets the text area have a key; `false` when the key is not for it.
    pub fn area_key(&mut self, key: KeyEvent) -> bool {
        let leaves = matches!(
            key.code,
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Esc | KeyCode::F(_)
        );
        if self.focus != Slot::Prompt || leaves {
            return false;
        }
        // At its edges the keys that move between lines leave it.
        let (row, last) = (self.prompt.cursor().0, self.prompt.lines().len() - 1);
        if (key.code == KeyCode::Up && row == 0) || (key.code == KeyCode::Down && row == last) {
            return false;
        }
        self.prompt.input(key);
        true
    }

    /// Lets the text area have pasted text.
    pub fn area_paste(&mut self, pasted: &str) {
        if self.focus == Slot::Prompt {
            self.prompt.insert_str(pasted);
        }
    }

    /// Text was typed.
    pub fn typed(&mut self) {
        self.model_typed |= self.focus == Slot::Model;
    }

    /// Goes to the next or the previous field; `true` when the one that was left is something the checks look at.
    fn step(&mut self, forwards: bool) -> bool {
        let looked_at = matches!(self.focus, Slot::User | Slot::Service);
        let slots = self.slots();
        let at = slots
            .iter()
            .position(|slot| *slot == self.focus)
            .unwrap_or(0);
        let step = if forwards { 1 } else { slots.len() - 1 };
        self.focus = slots[(at + step) % slots.len()].clone();
        looked_at
    }

    /// Goes to the next or the previous choice; `true` when what is checked changed with it.
    fn turn(&mut self, forwards: bool, settings: &Settings) -> bool {
        let step = |at: usize, count: usize| match (forwards, count) {
            (_, 0) => 0,
            (true, count) => (at + 1) % count,
            (false, count) => (at + count - 1) % count,
        };
        match self.focus {
            Slot::Kind => {
                self.kind = RunKind::ALL[step(self.kind as usize, 2)];
                if !self.model_typed {
                    self.model = Field::new(settings.model(self.kind));
                }
                return true;
            }
            Slot::Tasks => {
                self.chosen = step(self.chosen, self.choices.len());
                return true;
            }
            Slot::Agent => {
                self.agent = step(self.agent, self.agents.len());
                return true;
            }
            Slot::Tools => {
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
            Slot::Overwrite => self.overwrite = !self.overwrite,
            Slot::PromptMode => {
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

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let settings = model.settings.clone();
    let chosen = model.tasks.chosen();
    let plan = model.world.plan.get().cloned();
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else {
        return;
    };
    let asks_anew = match command {
        Command::NextField | Command::Down => form.step(true),
        Command::PreviousField | Command::Up => form.step(false),
        Command::Right | Command::Left => {
            let before = form.kind;
            let turned = form.turn(command == Command::Right, &settings);
            if let Some(plan) = plan.filter(|_| form.kind != before) {
                form.choices = choices(&plan, form.kind, &chosen);
                form.chosen = 0;
            }
            turned
        }
        Command::Accept => match form.focus.clone() {
            Slot::Launch => return launch(model),
            Slot::Check(id) => return super::sheet::open(model, id, effects),
            _ => form.step(true),
        },
        Command::Launch => return launch(model),
        _ => false,
    };
    if asks_anew {
        let form = form.clone();
        effects.push(Effect::Inspect(form.inquiry(model, false)));
    }
}
