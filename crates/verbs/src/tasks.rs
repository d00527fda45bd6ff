//! `tasks list`, `next`, `show` and `tags`.

mod card;
mod json;
mod selection;
mod validate;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use self::json::{TagItem, TaskDetails, TaskItem};
pub use self::validate::ValidateTasks;
use self::{json::Converter, selection::Selection};
use super::{Context, Render, Table, Verb, VerbError, View};
use flightdeck_core::{
    tasks::{self, Status, Task, TaskFilter},
    text,
};

/// Maximum width of a title in a table.
const TITLE_WIDTH: usize = 100;

/// Which plan and tag to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct PlanArgs {
    /// Task file. Default: the nearest tasks.json.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Tag. Default: the current tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
}

/// Runs `work` with the start directory on a blocking thread.
async fn blocking<T: Send + 'static>(
    context: &Context,
    work: impl FnOnce(&Path) -> Result<T, VerbError> + Send + 'static,
) -> Result<T, VerbError> {
    let start = context.start.clone();
    tokio::task::spawn_blocking(move || work(&start))
        .await
        .map_err(|error| VerbError::Failed(error.to_string()))?
}

/// Lists tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ListTasks {
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
pub struct TaskList {
    tasks: Vec<TaskItem>,
    #[serde(skip)]
    #[schemars(skip)]
    rows: Vec<Vec<String>>,
    #[serde(skip)]
    #[schemars(skip)]
    warnings: Vec<String>,
}

impl Verb for ListTasks {
    const NAME: &'static str = "tasks list";
    const ABOUT: &'static str = "List the tasks of a tag";
    type Output = TaskList;

    async fn run(self, context: &Context) -> Result<TaskList, VerbError> {
        blocking(context, move |start| self.list(start)).await
    }
}

impl ListTasks {
    fn list(&self, start: &Path) -> Result<TaskList, VerbError> {
        let selection = Selection::read(start, &self.plan)?;
        let mut query = TaskFilter::parse(&self.query.join(" "));
        let converter = Converter::new(&selection);
        let selected = selection.tag().tasks.iter().filter(|task| {
            let status = task.status.as_str();
            let wanted = self.status.is_empty() || self.status.iter().any(|word| word == status);
            wanted && query.matches(&task.id, task, converter.is_ready(&task.id))
        });
        let selected: Vec<&Task> = selected.collect();
        Ok(TaskList {
            rows: rows(&selection, &converter, &selected, self.subtasks),
            tasks: selected.iter().map(|task| converter.task(task)).collect(),
            warnings: selection.warnings.clone(),
        })
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

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

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

/// Returns the next task.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct NextTask {
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// The next task, or `null`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Next {
    task: Option<TaskItem>,
    /// Why this task, or why none.
    #[serde(skip)]
    why: String,
    #[serde(skip)]
    warnings: Vec<String>,
}

impl Verb for NextTask {
    const NAME: &'static str = "tasks next";
    const ABOUT: &'static str = "Show the task to work on next, as chosen by task-master next";
    type Output = Next;

    async fn run(self, context: &Context) -> Result<Next, VerbError> {
        blocking(context, move |start| {
            let selection = Selection::read(start, &self.plan)?;
            let next = tasks::next(selection.tag());
            let why = match &next {
                Some(next) => next.why(),
                None => why_none(&selection),
            };
            let converter = Converter::new(&selection);
            Ok(Next {
                task: next.map(|next| converter.found(&next.id, next.task)),
                why,
                warnings: selection.warnings.clone(),
            })
        })
        .await
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

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
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

/// Shows one task.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ShowTask {
    /// ID of the task, like 3, or 3.2 for a subtask.
    pub id: String,
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// One task with all details.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ShownTask {
    task: TaskDetails,
    #[serde(skip)]
    #[schemars(skip)]
    lines: Vec<String>,
    #[serde(skip)]
    #[schemars(skip)]
    warnings: Vec<String>,
}

impl Verb for ShowTask {
    const NAME: &'static str = "tasks show";
    const ABOUT: &'static str = "Show one task with its dependencies and the tasks it blocks";
    type Output = ShownTask;

    async fn run(self, context: &Context) -> Result<ShownTask, VerbError> {
        blocking(context, move |start| {
            let selection = Selection::read(start, &self.plan)?;
            let id = self.id.trim();
            let (parent, task) = selection.find(id)?;
            Ok(ShownTask {
                task: Converter::new(&selection).details(id, parent, task),
                lines: card::lines(&selection, id, parent, task),
                warnings: selection.warnings.clone(),
            })
        })
        .await
    }
}

impl Render for ShownTask {
    fn names(&self) -> Vec<String> {
        vec![self.task.task.id.clone()]
    }

    fn view(&self) -> View {
        View::Text(self.lines.clone())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}

/// Lists tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct ListTags {
    #[command(flatten)]
    #[serde(flatten)]
    pub plan: PlanArgs,
}

/// Tags, in file order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct TagList {
    tags: Vec<TagItem>,
    #[serde(skip)]
    #[schemars(skip)]
    warnings: Vec<String>,
}

impl Verb for ListTags {
    const NAME: &'static str = "tasks tags";
    const ABOUT: &'static str = "List the tags of the plan";
    type Output = TagList;

    async fn run(self, context: &Context) -> Result<TagList, VerbError> {
        blocking(context, move |start| {
            let selection = Selection::read(start, &self.plan)?;
            let current = &selection.tag().name;
            let tags = tasks::summaries(&selection.file).into_iter();
            Ok(TagList {
                tags: tags.map(|tag| TagItem::new(tag, current)).collect(),
                warnings: selection.warnings.clone(),
            })
        })
        .await
    }
}

impl Render for TagList {
    fn names(&self) -> Vec<String> {
        self.tags.iter().map(|tag| tag.name.clone()).collect()
    }

    fn view(&self) -> View {
        let row = |tag: &TagItem| {
            vec![
                if tag.current { "*" } else { "" }.to_owned(),
                tag.name.clone(),
                tag.tasks.to_string(),
                tag.done.to_string(),
                tag.ready.to_string(),
                tag.subtasks.to_string(),
            ]
        };
        View::Table(Table::new(
            &["", "TAG", "TASKS", "DONE", "READY", "SUBTASKS"],
            self.tags.iter().map(row).collect(),
        ))
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }
}
