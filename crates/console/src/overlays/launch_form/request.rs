//! The result of the form: the launch, its pre-flight request, and the confirmation.

use super::{Choice, FormLine, LaunchForm};
use crate::{
    effect::{PreflightRequest, RunEffect},
    field::Field,
    model::Model,
    overlays::confirm::Confirm,
    world::{Check, Level},
};
use flightdeck_core::text;

impl LaunchForm {
    /// The launch as filled in.
    fn launch(&self) -> flightdeck_verbs::Launch {
        let filled = |field: &Field| {
            let text = field.text().trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let prompt = self.prompt.lines().join("\n").trim().to_owned();
        let prompt = (!prompt.is_empty()).then_some(prompt);
        let docs_repository = filled(&self.docs_repository).filter(|_| self.kind.needs_documents());
        let (tasks, all) = match self.choices.get(self.chosen) {
            Some(Choice::Tasks(ids)) => (ids.clone(), false),
            Some(Choice::Undocumented(_)) => (Vec::new(), true),
            None => (Vec::new(), false),
        };
        flightdeck_verbs::Launch {
            tasks,
            all,
            model: filled(&self.model),
            service: filled(&self.service).filter(|_| self.kind.shares_workspace()),
            docs_branch: filled(&self.docs_branch).filter(|_| docs_repository.is_some()),
            docs_directory: filled(&self.docs_directory).filter(|_| docs_repository.is_some()),
            docs_repository,
            github_user: filled(&self.user),
            overwrite: self.overwrite && self.kind.writes_documents(),
            tools: Some(self.tools),
            prompt_mode: prompt.as_ref().map(|_| self.prompt_mode),
            prompt,
            agent: self.agents.get(self.agent).cloned(),
            budget: filled(&self.budget).or_else(|| {
                self.has_default_budget
                    .then(|| flightdeck_verbs::NO_LIMIT.to_owned())
            }),
            overrides: self
                .overrides
                .text()
                .split([',', ' '])
                .filter(|id| !id.is_empty())
                .map(str::to_owned)
                .collect(),
            reason: filled(&self.reason),
            ..flightdeck_verbs::Launch::new(self.kind)
        }
    }

    /// The pre-flight request for this launch.
    pub(crate) fn preflight_request(
        &self,
        model: &Model,
        contact_remote: bool,
    ) -> PreflightRequest {
        let launch = self.launch();
        let plan = model.world.plan.get();
        let mut request = flightdeck_preflight::PreflightRequest::from(&launch);
        if launch.all {
            let undocumented = plan.into_iter().flat_map(|plan| plan.undocumented());
            request.tasks = undocumented.cloned().collect();
        }
        model.preflight_request_for(request, contact_remote)
    }

    /// The first failed check without an override and a reason.
    pub(super) fn blocking(&self) -> Option<&Check> {
        let launch = self.launch();
        let passed = |check: &Check| {
            launch.reason.is_some() && launch.overrides.iter().any(|id| id == check.id)
        };
        self.checks
            .iter()
            .find(|check| check.level == Level::Fail && !passed(check))
    }

    /// The confirmation, which lists everything that was filled in.
    fn confirm(&self, model: &Model) -> Confirm {
        let launch = self.launch();
        let target = model.world.cluster.target();
        let repository = model.world.repository.get();
        let mut facts = vec![(
            "run".to_owned(),
            format!("{} run: {}", self.kind, self.kind.summary()),
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
                |branch| format!("{branch} (cloned; also the PR base)"),
            ),
        );
        if let Some(repository) = &launch.docs_repository {
            let branch = launch.docs_branch.as_deref().unwrap_or("default branch");
            let directory = launch
                .docs_directory
                .as_deref()
                .unwrap_or("repository root");
            fact("documents", format!("{repository}, {branch}, {directory}"));
        }
        fact("agent", launch.agent.clone().unwrap_or_default());
        fact("model", launch.model.clone().unwrap_or_default());
        fact("budget", {
            let budget = launch.budget.as_deref();
            text::budget(budget.filter(|budget| *budget != flightdeck_verbs::NO_LIMIT))
        });
        if !launch.overrides.is_empty() {
            let passed = launch.overrides.join(", ");
            let reason = launch.reason.clone().unwrap_or_default();
            fact("override", format!("{passed}: {reason}"));
        }
        let embedded = target.is_some_and(|target| target.embedded);
        Confirm {
            title: "Launch".into(),
            facts,
            sentence: if embedded {
                "The agent runs on this machine under your own account, without a sandbox.".into()
            } else {
                String::new()
            },
            yes: "Launch".into(),
            effects: vec![
                RunEffect::Launch(self.preflight_request(model, true), Box::new(launch)).into(),
            ],
            chosen: true,
            ..Confirm::default()
        }
    }

    /// Asks for confirmation, or moves to the check that blocks the launch.
    pub(super) fn submit(&mut self, model: &mut Model) {
        if let Some(check) = self.blocking() {
            self.focus = FormLine::Check(check.id);
            return;
        }
        let confirm = self.confirm(model);
        model.overlays.push(confirm);
    }

    /// Describes the selected tasks.
    pub(super) fn tasks_words(&self, model: &Model) -> String {
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
