//! The Task tab: what a task asks for and what has been written about it; of a run, what it was told to do.

use crate::{
    command::Command,
    glyphs::Glyphs,
    model::Model,
    widgets::markdown::{self, tag},
    world::{Entry, Plan},
};
use flightdeck_core::{
    runs::{DOCUMENTS, RunKind, naming},
    tasks::Task,
    text,
};

use super::page::{Content, Lines, Reading};

/// What is said of a task; `documents` are those read from disk, by name.
pub fn of_task(model: &Model, id: &str, documents: &[(String, String)]) -> Content {
    let Some((plan, task)) = model
        .world
        .plan
        .get()
        .and_then(|plan| Some((plan, plan.task(id)?)))
    else {
        return Content::Nothing(
            "This task is no longer in the plan.".into(),
            vec![(Command::Refresh, "read again")],
        );
    };
    let glyphs = &model.glyphs;
    let mut lines = Lines::new();
    field(
        &mut lines,
        "Status",
        &format!("{} {}", glyphs.status(&task.status), task.status.as_str()),
    );
    field(&mut lines, "Priority", task.priority.as_str());
    if let Some(found) = plan.complexity(id) {
        let recommended = found
            .recommended_subtasks
            .filter(|_| task.subtasks.is_empty())
            .map_or_else(String::new, |number| {
                format!("; {} recommended", text::count(number as usize, "subtask"))
            });
        let level = found.level().as_str();
        let words = format!("{} of 10, {level}{recommended}", found.score);
        field(&mut lines, "Complexity", &words);
    }
    dependencies(&mut lines, plan, task, id, glyphs);
    if let Some((_, why)) = plan.next.as_ref().filter(|(next, _)| next == id) {
        field(&mut lines, "Next", why);
    }
    if !id.contains('.') {
        let missing: Vec<&str> = plan.documents(id).missing().collect();
        let said = DOCUMENTS.iter().map(|name| {
            let there = !missing.contains(name);
            let sign = if there { glyphs.done } else { glyphs.dot };
            // The two stay together when the line is broken.
            format!("{sign}\u{a0}{name}")
        });
        field(
            &mut lines,
            "Documents",
            &said.collect::<Vec<_>>().join("   "),
        );
    }
    section(&mut lines, "", &task.description);
    section(&mut lines, "Details", &task.details);
    section(&mut lines, "Test strategy", &task.test_strategy);
    if !task.subtasks.is_empty() {
        heading(&mut lines, "Subtasks");
        for subtask in &task.subtasks {
            let sign = glyphs.status(&subtask.status);
            lines.push((
                format!("{sign} {}  {}", task.subtask_id(subtask), subtask.title),
                tag::LIST,
            ));
        }
    }
    for (name, source) in documents {
        lines.extend([blank(), (name.clone(), tag::DOCUMENT), blank()]);
        lines.extend(markdown::lines(source));
    }
    Content::Text(Reading::Document, lines)
}

/// What is said of a run.
pub fn of_run(model: &Model, entry: &Entry) -> Content {
    let run = &entry.run;
    let spec = &run.spec;
    let glyphs = &model.glyphs;
    let mut lines = Lines::new();
    let phase = run.phase();
    let stage = run
        .stage()
        .filter(|_| entry.active())
        .map_or_else(String::new, |stage| format!(", {stage}"));
    field(
        &mut lines,
        "State",
        &format!("{} {}{stage}", glyphs.phase(&phase), phase.as_str()),
    );
    for words in [entry.trouble.as_deref(), run.status.message.as_deref()]
        .into_iter()
        .flatten()
    {
        field(&mut lines, "", words);
    }
    let asks = match run.kind {
        RunKind::Docs => format!("documents of {}", text::count(run.tasks.len(), "task")),
        RunKind::Code => "an implementation".into(),
    };
    field(&mut lines, "Asks for", &asks);
    field(
        &mut lines,
        "Branch",
        &format!("{} → {}", spec.source_branch, run.branch()),
    );
    let model_name = if spec.model.is_empty() {
        String::new()
    } else {
        format!(", model {}", spec.model)
    };
    field(&mut lines, "Agent", &format!("{}{model_name}", spec.agent));
    let budget = spec
        .budget_usd
        .as_ref()
        .map_or_else(|| "no limit".into(), |budget| format!("${budget}"));
    field(&mut lines, "Budget", &budget);
    match &spec.tasks_revision {
        Some(revision) => {
            let short = |id: &str| id.chars().take(8).collect::<String>();
            let said = format!(
                "{} as of commit {}, blob {}",
                revision.path,
                short(&revision.commit),
                short(&revision.blob)
            );
            field(&mut lines, "Plan", &said);
        }
        None => field(&mut lines, "Plan", "not verified before the launch"),
    }
    if let Some(passed) = &spec.preflight_override {
        field(
            &mut lines,
            "Passed over",
            &format!(
                "{} by {}: {}",
                passed.checks.join(", "),
                passed.by,
                passed.reason
            ),
        );
    }
    let annotations = run.metadata.annotations.as_ref();
    if let Some(person) = annotations.and_then(|all| all.get(naming::ANNOTATION_LAUNCHED_BY)) {
        field(&mut lines, "Launched by", person);
    }
    heading(&mut lines, "Tasks");
    for id in &run.tasks {
        let task = model.world.plan.get().and_then(|plan| plan.task(id));
        let title = task.map_or("", |task| task.title.as_str());
        let sign = task.map_or(glyphs.unknown, |task| glyphs.status(&task.status));
        lines.push((format!("{sign} {id}  {title}"), tag::LIST));
    }
    if let Some(words) = &spec.prompt_modification {
        section(&mut lines, "Added to the prompt", words);
    }
    for added in &spec.context {
        section(&mut lines, &added.filename, &added.content);
    }
    Content::Text(Reading::Document, lines)
}

fn dependencies(lines: &mut Lines, plan: &Plan, task: &Task, id: &str, glyphs: &Glyphs) {
    for (index, other) in task.dependencies.iter().enumerate() {
        let label = if index == 0 { "Depends on" } else { "" };
        // A subtask's dependency may name its neighbour.
        let absolute = id
            .split_once('.')
            .map(|(parent, _)| format!("{parent}.{other}"));
        let found = absolute
            .as_deref()
            .and_then(|id| plan.task(id))
            .or_else(|| plan.task(other));
        let said = found.map_or_else(
            || format!("{} {other}  which is not in the plan", glyphs.unknown),
            |found| {
                let why = if found.status.is_done() {
                    ""
                } else {
                    ", which this waits for"
                };
                format!(
                    "{} {other}  {} ({}{why})",
                    glyphs.status(&found.status),
                    found.title,
                    found.status.as_str()
                )
            },
        );
        field(lines, label, &said);
    }
}

fn blank() -> (String, u16) {
    (String::new(), tag::PARAGRAPH)
}

/// A label and a value on one line.
pub fn field(lines: &mut Lines, label: &str, value: &str) {
    let value = value.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    lines.push((format!("{label}\t{value}"), tag::FIELD));
}

/// A heading with room above it.
pub fn heading(lines: &mut Lines, words: &str) {
    if !lines.is_empty() {
        lines.push(blank());
    }
    lines.push((words.to_owned(), tag::HEADING + 2));
}

fn section(lines: &mut Lines, words: &str, source: &str) {
    if source.trim().is_empty() {
        return;
    }
    if words.is_empty() {
        lines.push(blank());
    } else {
        heading(lines, words);
    }
    lines.extend(markdown::lines(source));
}
