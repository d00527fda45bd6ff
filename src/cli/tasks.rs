//! `flightdeck tasks ...`: the plan in the shell.

mod card;
mod json;
mod open;
mod validate;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::open::Opened;
use super::{Format, Session, output};
use flightdeck_core::{
    tasks::{self, Status, Task, TaskFilter},
    text,
};
use flightdeck_verbs::SetStatus;

/// Columns of a title in a table.
const TITLE: usize = 100;

/// `tasks ...`
#[derive(Debug, Subcommand)]
pub enum Tasks {
    /// The tasks of a tag, in file order.
    List(List),
    /// The task to take next, by the rule of task-master next.
    Next(Choice),
    /// One task, whole: what it is about, what it waits for, what waits for it.
    Show(Show),
    /// The tags of the plan, counted.
    Tags(Choice),
    /// What is wrong with the plan, and what was tolerated in reading it. Exits 1 where something is wrong.
    Validate(Choice),
    /// Give a task another status; nothing else in the file changes.
    SetStatus(SetStatusArguments),
}

/// Which plan, and how it is printed.
#[derive(Clone, Debug, Args)]
pub struct Choice {
    /// The task file. Default: the nearest tasks.json.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The tag. Default: the one in use.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `tasks list`
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub choice: Choice,
    /// Only tasks with one of these statuses, as the file has them.
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub status: Vec<String>,
    /// Subtasks in lines of their own (JSON always has them).
    #[arg(long)]
    pub subtasks: bool,
    /// Only tasks that match, as in the console: status:pending,review priority:high ready:yes id:3 words of the title, !word.
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
}

/// `tasks show`
#[derive(Debug, Args)]
pub struct Show {
    /// 3, or 3.2 for a subtask.
    pub id: String,
    #[command(flatten)]
    pub choice: Choice,
}

/// `tasks set-status`
#[derive(Debug, Args)]
pub struct SetStatusArguments {
    #[command(flatten)]
    pub set: SetStatus,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// Runs the command; its exit code.
pub async fn tasks(session: &Session, command: Tasks) -> anyhow::Result<u8> {
    match command {
        Tasks::List(arguments) => list(&Opened::open(session, &arguments.choice)?, &arguments),
        Tasks::Next(choice) => next(&Opened::open(session, &choice)?, choice.output),
        Tasks::Show(arguments) => {
            let opened = Opened::open(session, &arguments.choice)?;
            show(&opened, arguments.id.trim(), arguments.choice.output)
        }
        Tasks::Tags(choice) => tags(&Opened::open(session, &choice)?, choice.output),
        Tasks::Validate(choice) => validate::validate(session, &choice),
        Tasks::SetStatus(arguments) => set_status(session, &arguments).await,
    }
}

fn list(opened: &Opened, arguments: &List) -> anyhow::Result<u8> {
    let mut query = TaskFilter::parse(&arguments.query.join(" "));
    let view = json::View::new(opened);
    let kept = opened.tag().tasks.iter().filter(|task| {
        let wanted = &arguments.status;
        let wanted = wanted.is_empty() || wanted.iter().any(|word| word == task.status.as_str());
        wanted && query.matches(&task.id, task, view.is_ready(&task.id))
    });
    match arguments.choice.output {
        Format::Name => kept
            .map(|task| text::sanitize(&task.id))
            .try_for_each(|id| output::line(&id))?,
        Format::Table => table(opened, &view, kept, arguments.subtasks)?,
        format => {
            let tasks: Vec<json::TaskView<'_>> = kept.map(|task| view.task(task)).collect();
            output::value(format, &tasks)?;
        }
    }
    Ok(0)
}

fn table<'a>(
    opened: &Opened,
    view: &json::View<'_>,
    tasks: impl Iterator<Item = &'a Task>,
    subtasks: bool,
) -> anyhow::Result<()> {
    let next = tasks::next(opened.tag()).map(|next| next.id);
    let waiting = tasks::open_dependencies(opened.tag());
    let row = |id: String, task: &Task, documents: String| -> [String; 7] {
        let open = !task.status.is_done() && task.status != Status::Cancelled;
        let waits = waiting.get(&id).filter(|_| open);
        let waits = waits.map_or_else(String::new, |waits| {
            let ids: Vec<&str> = waits.iter().map(|wait| wait.id.as_str()).collect();
            text::cut_end(&ids.join(","), 16).into_owned()
        });
        let ready = match () {
            () if next.as_ref() == Some(&id) => "next",
            () if view.is_ready(&id) => "ready",
            () => "",
        };
        [
            id,
            task.status.as_str().to_owned(),
            task.priority.as_str().to_owned(),
            ready.to_owned(),
            waits,
            documents,
            text::cut_end(&text::sanitize(&task.title), TITLE).into_owned(),
        ]
    };
    let mut rows = Vec::new();
    for task in tasks {
        let documents = opened.documents(&task.id).count();
        rows.push(row(task.id.clone(), task, format!("{documents}/4")));
        let below = task.subtasks.iter().filter(|_| subtasks);
        rows.extend(below.map(|subtask| row(task.subtask_id(subtask), subtask, String::new())));
    }
    let heads = [
        "ID",
        "STATUS",
        "PRIORITY",
        "READY",
        "WAITS FOR",
        "DOCS",
        "TITLE",
    ];
    output::table(heads, &rows)?;
    Ok(())
}

fn next(opened: &Opened, format: Format) -> anyhow::Result<u8> {
    let next = tasks::next(opened.tag());
    match format {
        Format::Json | Format::Yaml => {
            let view = json::View::new(opened);
            output::value(format, &next.map(|next| view.found(&next.id, next.task)))?;
        }
        Format::Name => {
            if let Some(next) = next {
                output::line(&text::sanitize(&next.id))?;
            }
        }
        Format::Table => match next {
            Some(next) => {
                let line = format!("{}  {}", next.id, next.task.title);
                output::line(&text::sanitize(&line))?;
                output::notice(&next.why());
            }
            None => output::notice(&nothing_next(opened)),
        },
    }
    Ok(0)
}

/// Why there is no next task.
fn nothing_next(opened: &Opened) -> String {
    let open = |task: &&Task| matches!(task.status, Status::Pending | Status::InProgress);
    let waiting = tasks::open_dependencies(opened.tag());
    let name = text::sanitize(&opened.tag().name);
    if opened.tag().tasks.is_empty() {
        return format!("tag {name} has no tasks");
    }
    let open: Vec<&Task> = opened.tag().tasks.iter().filter(open).collect();
    let first = open
        .iter()
        .find_map(|task| Some((&task.id, waiting.get(&task.id)?.first()?)));
    first.map_or_else(
        || format!("nothing in tag {name} is pending or in progress"),
        |(id, wait)| {
            let open = text::count(open.len(), "task");
            text::sanitize(&format!("{open} open, and all wait: {id} {wait}")).into_owned()
        },
    )
}

fn show(opened: &Opened, id: &str, format: Format) -> anyhow::Result<u8> {
    let (parent, task) = opened.find(id)?;
    match format {
        Format::Name => output::line(&text::sanitize(id))?,
        Format::Table => output::line(&card::card(opened, id, parent, task))?,
        format => {
            let view = json::View::new(opened);
            output::value(format, &view.whole(id, parent, task))?;
        }
    }
    Ok(0)
}

fn tags(opened: &Opened, format: Format) -> anyhow::Result<u8> {
    let summaries = tasks::summaries(&opened.file);
    match format {
        Format::Name => summaries
            .iter()
            .try_for_each(|tag| output::line(&text::sanitize(&tag.name)))?,
        Format::Table => {
            let rows: Vec<[String; 6]> = summaries
                .into_iter()
                .map(|tag| {
                    let current = if tag.name == opened.tag().name {
                        "*"
                    } else {
                        ""
                    };
                    [
                        current.to_owned(),
                        tag.name,
                        tag.tasks.to_string(),
                        tag.done.to_string(),
                        tag.ready.to_string(),
                        tag.subtasks.to_string(),
                    ]
                })
                .collect();
            output::table(["", "TAG", "TASKS", "DONE", "READY", "SUBTASKS"], &rows)?;
        }
        format => {
            let current = &opened.tag().name;
            output::value(format, &json::tags(&summaries, current))?;
        }
    }
    Ok(0)
}

async fn set_status(session: &Session, arguments: &SetStatusArguments) -> anyhow::Result<u8> {
    let set = arguments.set.run(&session.place.repo).await?;
    match arguments.output {
        Format::Table => {
            for change in &set.changes {
                output::line(&format!(
                    "{}  {} -> {}  {}",
                    text::sanitize(&change.id),
                    text::sanitize(change.old.as_str()),
                    change.new.as_str(),
                    text::sanitize(&change.title)
                ))?;
            }
            if set.changes.is_empty() {
                output::notice(&format!(
                    "{} is {} already; nothing was written",
                    text::sanitize(&arguments.set.id),
                    arguments.set.status.trim()
                ));
            }
        }
        Format::Name => set
            .changes
            .iter()
            .try_for_each(|change| output::line(&text::sanitize(&change.id)))?,
        format => {
            let changes: Vec<serde_json::Value> = set
                .changes
                .iter()
                .map(|change| {
                    serde_json::json!({
                        "id": change.id, "title": change.title,
                        "from": change.old.as_str(), "to": change.new.as_str(),
                    })
                })
                .collect();
            let value = serde_json::json!({ "file": set.file, "tag": set.tag, "changes": changes });
            output::value(format, &value)?;
        }
    }
    Ok(0)
}
