//! `tasks list`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FromPlan, PlanArgs, TaskItem, json::Converter, selection::Selection};
use crate::{Context, Render, Table, Verb, VerbError, View};
use flightdeck_core::{
    tasks::{self, Status, Task, TaskFilter},
    text,
};

/// Maximum width of a title in a table.
const TITLE_WIDTH: usize = 100;

/// Lists tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ListTasks {
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
    /// Only tasks with one of these statuses.
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    #[serde(default)]
    pub status: Vec<String>,
    /// Show subtasks on lines of their own (JSON always contains them).
    #[arg(long)]
    #[serde(default)]
    pub subtasks: bool,
    /// Only matching tasks, like status:pending,review priority:high ready:yes id:3 word !word.
    #[arg(value_name = "QUERY")]
    #[serde(default)]
    pub query: Vec<String>,
}

/// Tasks, in file order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub(crate) struct TaskList {
    tasks: Vec<TaskItem>,
    #[serde(skip)]
    #[schemars(skip)]
    rows: Vec<Vec<String>>,
}

impl Verb for ListTasks {
    const NAME: &'static str = "tasks list";
    const ABOUT: &'static str = "List the tasks of a tag";
    type Output = FromPlan<TaskList>;

    async fn run(self, context: &Context) -> Result<FromPlan<TaskList>, VerbError> {
        let plan = self.plan.clone();
        plan.read(context, move |selection| Ok(self.list(selection)))
            .await
    }
}

impl ListTasks {
    fn list(&self, selection: &Selection) -> TaskList {
        let mut query = TaskFilter::parse(&self.query.join(" "));
        let converter = Converter::new(selection);
        let selected = selection.tag().tasks.iter().filter(|task| {
            let status = task.status.as_str();
            let wanted = self.status.is_empty() || self.status.iter().any(|word| word == status);
            wanted && query.matches(&task.id, task, converter.is_ready(&task.id))
        });
        let selected: Vec<&Task> = selected.collect();
        TaskList {
            rows: rows(selection, &converter, &selected, self.subtasks),
            tasks: selected.iter().map(|task| converter.task(task)).collect(),
        }
    }
}

impl Render for TaskList {
    fn names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.id.clone()).collect()
    }

    fn view(&self) -> View {
        View::Table(Table::new(
            &[
                "ID",
                "STATUS",
                "PRIORITY",
                "READY",
                "OPEN DEPS",
                "DOCS",
                "TITLE",
            ],
            self.rows.clone(),
        ))
    }
}

/// Returns the rows of the table, with subtasks below their tasks if wanted.
fn rows(
    selection: &Selection,
    converter: &Converter<'_>,
    tasks: &[&Task],
    subtasks: bool,
) -> Vec<Vec<String>> {
    let next = tasks::next(selection.tag()).map(|next| next.id);
    let waiting = tasks::open_dependencies(selection.tag());
    let row = |id: String, task: &Task, documents: String| -> Vec<String> {
        let open = !task.status.is_done() && task.status != Status::Cancelled;
        let waits = waiting.get(&id).filter(|_| open);
        let waits = waits.map_or_else(String::new, |waits| {
            let ids: Vec<&str> = waits.iter().map(|wait| wait.id.as_str()).collect();
            text::cut_end(&ids.join(","), 16).into_owned()
        });
        let ready = if next.as_ref() == Some(&id) {
            "next"
        } else if converter.is_ready(&id) {
            "ready"
        } else {
            ""
        };
        vec![
            id,
            task.status.as_str().to_owned(),
            task.priority.as_str().to_owned(),
            ready.to_owned(),
            waits,
            documents,
            text::cut_end(&text::sanitize(&task.title), TITLE_WIDTH).into_owned(),
        ]
    };
    let mut rows = Vec::new();
    for task in tasks {
        let documents = selection.documents(&task.id).count();
        rows.push(row(task.id.clone(), task, format!("{documents}/4")));
        let below = task.subtasks.iter().filter(|_| subtasks);
        rows.extend(below.map(|subtask| row(task.subtask_id(subtask), subtask, String::new())));
    }
    rows
}
