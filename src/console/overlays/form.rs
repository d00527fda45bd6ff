//! The launch form. It edits exactly one [`verbs::Launch`]; what it shows beside the fields are the checks that a launch
//! would have to pass.

mod view;

use crossterm::event::{KeyCode, KeyEvent};
use tui_textarea::TextArea;

use crate::{
    console::{
        command::Command,
        effect::{Effect, Effects, Inquiry},
        field::Field,
        model::Model,
        world::{Check, Checks, Delta, Level, Plan, TaskId},
    },
    resources::{PromptMode, ToolPreset},
    runs::RunKind,
    settings::Settings,
    text, verbs,
};

use super::{Confirm, Overlay};

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
    form.chosen = usize::from(marked && form.kind == RunKind::Docs);
    form.focus = Slot::Tasks;
    form.sync(&model.world.checks);
    effects.push(Effect::Inspect(form.inquiry(model, true)));
    model.world.apply(Delta::Checking);
    model.overlays.push(Overlay::Form(Box::new(form)));
}

/// The tasks one can run, the most likely first.
fn choices(plan: &Plan, kind: RunKind, chosen: &[TaskId]) -> Vec<Choice> {
    match kind {
        RunKind::Docs => {
            let undocumented = plan.undocumented().count();
            let all = (undocumented > 0).then_some(Choice::Undocumented(undocumented));
            let these = (!chosen.is_empty()).then(|| Choice::Tasks(chosen.to_vec()));
            let every = Choice::Tasks(plan.tasks().iter().map(|task| task.id.clone()).collect());
            all.into_iter().chain(these).chain([every]).collect()
        }
        RunKind::Code => {
            let first = chosen.first();
            let rest = plan.tasks().iter().map(|task| &task.id);
            let rest = rest.filter(|id| Some(*id) != first);
            let ids = first.into_iter().chain(rest);
            ids.map(|id| Choice::Tasks(vec![id.clone()])).collect()
        }
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
            model_typed: false,
        }
    }

    /// What would be launched.
    pub fn launch(&self) -> verbs::Launch {
        let filled = |field: &Field| {
            let text = field.text().trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let prompt = self.prompt.lines().join("\n").trim().to_owned();
        let prompt = (!prompt.is_empty()).then_some(prompt);
        let (tasks, all) = match self.choices.get(self.chosen) {
            Some(Choice::Tasks(ids)) => (ids.clone(), false),
            Some(Choice::Undocumented(_)) => (Vec::new(), true),
            None => (Vec::new(), false),
        };
        verbs::Launch {
            tasks,
            all,
            model: filled(&self.model),
            service: filled(&self.service).filter(|_| self.kind == RunKind::Code),
            github_user: filled(&self.user),
            overwrite: self.overwrite && self.kind == RunKind::Docs,
            tools: Some(self.tools),
            prompt_mode: prompt.as_ref().map(|_| self.prompt_mode),
            prompt,
            agent: self.agents.get(self.agent).cloned(),
            budget: filled(&self.budget),
            overrides: self
                .overrides
                .text()
                .split([',', ' '])
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
            reason: filled(&self.reason),
            ..verbs::Launch::new(self.kind)
        }
    }

    /// What pre-flight is asked for this launch.
    pub fn inquiry(&self, model: &Model, ask: bool) -> Inquiry {
        let launch = self.launch();
        let plan = model.world.plan.get();
        let tasks = if launch.all {
            let undocumented = plan.into_iter().flat_map(|plan| plan.undocumented());
            undocumented.cloned().collect()
        } else {
            launch.tasks
        };
        model.inquiry_for(self.kind, tasks, launch.agent, ask)
    }

    /// The lines that apply, in order.
    fn slots(&self) -> Vec<Slot> {
        let docs = self.kind == RunKind::Docs;
        let mut slots = vec![
            Slot::Kind,
            Slot::Tasks,
            Slot::Agent,
            Slot::Model,
            Slot::Budget,
        ];
        slots.extend((!docs).then_some(Slot::Service));
        slots.extend([Slot::User, Slot::Tools]);
        slots.extend(docs.then_some(Slot::Overwrite));
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
    pub fn area_paste(&mut self, pasted: &str) -> bool {
        if self.focus != Slot::Prompt {
            return false;
        }
        self.prompt.insert_str(pasted);
        true
    }

    /// Text was typed.
    pub fn typed(&mut self) {
        self.model_typed |= self.focus == Slot::Model;
    }

    fn step(&mut self, forwards: bool) {
        let slots = self.slots();
        let at = slots
            .iter()
            .position(|slot| *slot == self.focus)
            .unwrap_or(0);
        let step = if forwards { 1 } else { slots.len() - 1 };
        self.focus = slots[(at + step) % slots.len()].clone();
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
            Slot::Agent => self.agent = step(self.agent, self.agents.len()),
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

    /// Checks that refuse and have not been passed by name with a reason.
    fn refusing(&self) -> Option<&Check> {
        let launch = self.launch();
        let passed = |check: &Check| {
            launch.reason.is_some() && launch.overrides.iter().any(|id| id == check.id)
        };
        self.checks
            .iter()
            .find(|check| check.level == Level::Fail && !passed(check))
    }

    /// What is about to happen, for the last question.
    fn confirm(&self, model: &Model) -> Confirm {
        let launch = self.launch();
        let target = model.world.cluster.target();
        let repository = model.world.repository.get();
        let mut facts = vec![(
            "run".to_owned(),
            match self.kind {
                RunKind::Docs => "docs run: write the documents of tasks".to_owned(),
                RunKind::Code => "code run: implement a task".to_owned(),
            },
        )];
        let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
        fact(
            "target",
            target.map_or_else(
                || "not connected yet".into(),
                |target| format!("{}, namespace {}", target.label, target.namespace),
            ),
        );
        fact("tasks", self.tasks_words(model));
        let branch = repository.and_then(|repository| repository.branch.clone());
        fact(
            "branch",
            branch.map_or_else(
                || "none".into(),
                |branch| format!("{branch} is cloned, and is the base of the pull request"),
            ),
        );
        fact("agent", launch.agent.clone().unwrap_or_default());
        fact("model", launch.model.clone().unwrap_or_default());
        fact(
            "budget",
            launch
                .budget
                .as_ref()
                .map_or_else(|| "no limit".into(), |usd| format!("${usd}")),
        );
        if !launch.overrides.is_empty() {
            let passed = launch.overrides.join(", ");
            let reason = launch.reason.clone().unwrap_or_default();
            fact("passing", format!("{passed}: {reason}"));
        }
        let embedded = target.is_some_and(|target| target.embedded);
        Confirm {
            title: "Launch".into(),
            facts,
            sentence: if embedded {
                "The agent runs on this machine as your own account, not in a sandbox.".into()
            } else {
                String::new()
            },
            yes: "Launch".into(),
            effects: vec![Effect::Launch(self.inquiry(model, true), Box::new(launch))],
            chosen: true,
            ..Confirm::default()
        }
    }

    /// The tasks in words.
    fn tasks_words(&self, model: &Model) -> String {
        match self.choices.get(self.chosen) {
            Some(Choice::Undocumented(count)) => format!("all tasks without documents ({count})"),
            Some(Choice::Tasks(ids)) => match (ids.as_slice(), model.world.plan.get()) {
                ([id], Some(plan)) => {
                    let title = plan.task(id).map_or("", |task| &task.title);
                    format!("{id}  {}", text::sanitize(title))
                }
                (ids, Some(plan)) if ids.len() == plan.tasks().len() => {
                    format!("all tasks ({})", ids.len())
                }
                (ids, _) => format!("{} ({})", ids.join(", "), text::count(ids.len(), "task")),
            },
            None => "none".into(),
        }
    }
}

pub(super) fn command(model: &mut Model, command: Command, effects: &mut Effects) {
    let settings = model.settings.clone();
    let chosen = model.tasks.chosen();
    let plan = model.world.plan.get().cloned();
    let Some(Overlay::Form(form)) = model.overlays.last_mut() else {
        return;
    };
    match command {
        Command::NextField | Command::Down => form.step(true),
        Command::PreviousField | Command::Up => form.step(false),
        Command::Right | Command::Left => {
            let before = form.kind;
            if form.turn(command == Command::Right, &settings) {
                if let Some(plan) = plan.filter(|_| form.kind != before) {
                    form.choices = choices(&plan, form.kind, &chosen);
                    form.chosen = 0;
                }
                let form = form.clone();
                effects.push(Effect::Inspect(form.inquiry(model, false)));
            }
        }
        Command::Accept => match form.focus.clone() {
            Slot::Launch => launch(model),
            Slot::Check(id) => super::sheet::open(model, id, effects),
            _ => form.step(true),
        },
        Command::Launch => launch(model),
        _ => {}
    }
}

/// Asks for the last time, or goes to what refuses.
fn launch(model: &mut Model) {
    let Some(Overlay::Form(form)) = model.overlays.last() else {
        return;
    };
    if let Some(check) = form.refusing().cloned() {
        // The form says that pre-flight refuses; the check itself says why, and what Enter does about it.
        if let Some(Overlay::Form(form)) = model.overlays.last_mut() {
            form.focus = Slot::Check(check.id);
        }
        return;
    }
    let confirm = form.confirm(model);
    model.overlays.push(Overlay::Confirm(confirm));
}
