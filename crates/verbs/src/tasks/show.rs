//! `tasks show`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FromPlan, PlanArgs, TaskDetails, card, json::Converter, selection::Selection};
use crate::{Context, Render, Verb, VerbError, View};

/// Shows one task.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ShowTask {
    /// ID of the task, like 3, or 3.2 for a subtask.
    pub id: String,
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// One task with all details.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct ShownTask {
    task: TaskDetails,
    #[serde(skip)]
    #[schemars(skip)]
    lines: Vec<String>,
}

impl Verb for ShowTask {
    const NAME: &'static str = "tasks show";
    const ABOUT: &'static str = "Show one task with its dependencies and the tasks it blocks";
    type Output = FromPlan<ShownTask>;

    async fn run(self, context: &Context) -> Result<FromPlan<ShownTask>, VerbError> {
        let show = move |selection: &Selection| {
            let id = self.id.trim();
            let (parent, task) = selection.find(id)?;
            Ok(ShownTask {
                task: Converter::new(selection).details(id, parent, task),
                lines: card::lines(selection, id, parent, task),
            })
        };
        self.plan.read(context, show).await
    }
}

impl Render for ShownTask {
    fn names(&self) -> Vec<String> {
        vec![self.task.task.id.clone()]
    }

    fn view(&self) -> View {
        View::Text(self.lines.clone())
    }
}
