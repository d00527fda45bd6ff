//! `tasks next`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FromPlan, PlanArgs, TaskItem, json::Converter, selection::Selection};
use crate::{Context, Render, Verb, VerbError, View};
use flightdeck_core::{
    tasks::{self, Status, Task},
    text,
};

/// Returns the next task.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NextTask {
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// The next task, or `null`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct Next {
    task: Option<TaskItem>,
    /// Why this task, or why none.
    #[serde(skip)]
    why: String,
}

impl Verb for NextTask {
    const NAME: &'static str = "tasks next";
    const ABOUT: &'static str = "Show the task to work on next, as chosen by task-master next";
    type Output = FromPlan<Next>;

    async fn run(self, context: &Context) -> Result<FromPlan<Next>, VerbError> {
        let next = |selection: &Selection| {
            let next = tasks::next(selection.tag());
            let why = match &next {
                Some(next) => next.why(),
                None => why_none(selection),
            };
            let converter = Converter::new(selection);
            Ok(Next {
                task: next.map(|next| converter.found(&next.id, next.task)),
                why,
            })
        };
        self.plan.read(context, next).await
    }
}

impl Render for Next {
    fn names(&self) -> Vec<String> {
        self.task.iter().map(|task| task.id.clone()).collect()
    }

    fn view(&self) -> View {
        let line = |task: &TaskItem| format!("{}  {}", task.id, task.title);
        View::Text(self.task.iter().map(line).collect())
    }

    fn notices(&self) -> Vec<String> {
        vec![self.why.clone()]
    }
}

/// Explains why there is no next task.
fn why_none(selection: &Selection) -> String {
    let open = |task: &&Task| matches!(task.status, Status::Pending | Status::InProgress);
    let tag = selection.tag();
    let waiting = tasks::open_dependencies(tag);
    if tag.tasks.is_empty() {
        return format!("tag {} has no tasks", tag.name);
    }
    let open: Vec<&Task> = tag.tasks.iter().filter(open).collect();
    let first = open
        .iter()
        .find_map(|task| Some((&task.id, waiting.get(&task.id)?.first()?)));
    first.map_or_else(
        || format!("no task of tag {} is pending or in progress", tag.name),
        |(id, wait)| {
            let open = text::count(open.len(), "open task");
            format!("{open}, all blocked: {id} {wait}")
        },
    )
}
