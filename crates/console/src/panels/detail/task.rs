//! The Task tab: a task with its documents, or the specification of a run.

use std::path::PathBuf;

use super::{
    page::{PageContent, PageFormat, TaggedLines, blank, field, heading},
    tab::{Fetch, Tab, run_content},
};
use crate::{
    command::Command,
    detail_io::DetailRequest,
    glyphs::Glyphs,
    ids::{Subject, TabId},
    model::Model,
    widgets::markdown::{self, tag},
    world::{Plan, RunEntry},
};
use flightdeck_core::{
    runs::{DOCUMENTS, RunKind, documents_directory, naming},
    tasks::{Task, project_directory},
    text,
};

pub(super) struct TaskTab;

impl Tab for TaskTab {
    fn id(&self) -> TabId {
        TabId::Task
    }

    fn title(&self) -> &'static str {
        "Task"
    }

    fn applies_to(&self, subject: &Subject) -> bool {
        matches!(subject, Subject::Task(_) | Subject::Run(_))
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        match model.detail.subject.as_ref()? {
            Subject::Task(id) => Some(of_task(model, id, &model.detail.documents)),
            Subject::Run(_) => run_content(model, |entry| of_run(model, entry)),
            Subject::Check(_) => None,
        }
    }

    fn fetch(&self, model: &Model) -> Option<Fetch> {
        let Some(Subject::Task(id)) = &model.detail.subject else {
            return None;
        };
        let plan = model.world.plan.get()?;
        let written = plan.documents(id);
        if written.count() == 0 {
            return None;
        }
        let project: PathBuf = project_directory(&plan.path)?.into();
        Some(Fetch {
            owner: TabId::Task,
            version: format!("{id} {written:?}"),
            request: DetailRequest::Documents(project.join(documents_directory(&plan.tag, id))),
        })
    }
}

/// Returns the content for a task. `documents` are its documents on disk, by name.
fn of_task(model: &Model, id: &str, documents: &[(String, String)]) -> PageContent {
    let Some((plan, task)) = model
        .world
        .plan
        .get()
        .and_then(|plan| Some((plan, plan.task(id)?)))
    else {
        return PageContent::Empty(
            "This task is no longer in the plan.".into(),
            vec![(Command::Refresh, "reload")],
        );
    };
    let glyphs = &model.glyphs;
    let mut lines = TaggedLines::new();
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
        let names = DOCUMENTS.iter().map(|name| {
            let sign = if missing.contains(name) {
                glyphs.dot
            } else {
                glyphs.done
            };
            // Non-breaking, so that wrapping keeps the sign with its name.
            format!("{sign}\u{a0}{name}")
        });
        field(
            &mut lines,
            "Documents",
            &names.collect::<Vec<_>>().join("   "),
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
    PageContent::Text(PageFormat::Document, lines)
}

/// Returns the content for a run.
fn of_run(model: &Model, entry: &RunEntry) -> PageContent {
    let run = &entry.run;
    let spec = &run.spec;
    let glyphs = &model.glyphs;
    let mut lines = TaggedLines::new();
    let phase = run.phase();
    let stage = run
        .stage()
        .filter(|_| entry.active())
        .map_or_else(String::new, |stage| format!(", {stage}"));
    field(
        &mut lines,
        "Status",
        &format!("{} {}{stage}", glyphs.phase(&phase), phase.as_str()),
    );
    for words in [entry.trouble.as_deref(), run.status.message.as_deref()]
        .into_iter()
        .flatten()
    {
        field(&mut lines, "", words);
    }
    let scope = match run.kind {
        RunKind::Docs => format!("documents of {}", text::count(run.tasks.len(), "task")),
        RunKind::Code => "implementation".into(),
    };
    field(&mut lines, "Scope", &scope);
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
    let budget = text::budget(spec.budget_usd.as_deref());
    field(&mut lines, "Budget", &budget);
    match &spec.tasks_revision {
        Some(revision) => {
            let short = |id: &str| id.chars().take(8).collect::<String>();
            let words = format!(
                "{} at commit {}, blob {}",
                revision.path,
                short(&revision.commit),
                short(&revision.blob)
            );
            field(&mut lines, "Plan", &words);
        }
        None => field(&mut lines, "Plan", "not verified before launch"),
    }
    if let Some(skipped) = &spec.preflight_override {
        field(
            &mut lines,
            "Override",
            &format!(
                "{} by {}: {}",
                skipped.checks.join(", "),
                skipped.by,
                skipped.reason
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
        section(&mut lines, "Prompt addition", words);
    }
    for added in &spec.context {
        section(&mut lines, &added.filename, &added.content);
    }
    PageContent::Text(PageFormat::Document, lines)
}

/// Appends the dependencies of a task, one per line.
fn dependencies(lines: &mut TaggedLines, plan: &Plan, task: &Task, id: &str, glyphs: &Glyphs) {
    for (index, other) in task.dependencies.iter().enumerate() {
        let label = if index == 0 { "Depends on" } else { "" };
        // The id of a subtask's dependency may be relative to the parent.
        let absolute = id
            .split_once('.')
            .map(|(parent, _)| format!("{parent}.{other}"));
        let found = absolute
            .as_deref()
            .and_then(|id| plan.task(id))
            .or_else(|| plan.task(other));
        let words = found.map_or_else(
            || format!("{} {other}  (not in the plan)", glyphs.unknown),
            |found| {
                let why = if found.status.is_done() {
                    ""
                } else {
                    ", blocking"
                };
                format!(
                    "{} {other}  {} ({}{why})",
                    glyphs.status(&found.status),
                    found.title,
                    found.status.as_str()
                )
            },
        );
        field(lines, label, &words);
    }
}

/// Appends a Markdown text below a heading, if there is any text.
fn section(lines: &mut TaggedLines, words: &str, source: &str) {
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
