//! The offline agent: writes documents from the text of the tasks, or a checklist for a code run, and commits them.
//!
//! It prints the same JSON lines as a real agent, with an optional delay, and has the same input: the `FD_*` variables and
//! its checkout.

mod documents;
mod stream;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use stream::Stream;

use flightdeck_core::{
    runs::{DOCUMENTS, RunKind, documents_directory},
    tasks::{self, LoadError, ReadError, Tag, Task},
};
use flightdeck_host::repository::git::{Git, GitError};

/// Paths of the plan in a project, in order of preference.
const PLANS: [&str; 2] = [".taskmaster/tasks/tasks.json", "tasks/tasks.json"];

/// The agent's input.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The project's directory in the checkout.
    pub project: PathBuf,
    pub kind: RunKind,
    pub run: String,
    pub tag: String,
    /// Task ids.
    pub tasks: Vec<String>,
    /// Replace existing documents.
    pub overwrite: bool,
    /// Delay before each file.
    pub pace: Duration,
}

impl Job {
    /// Reads the variables that every agent gets, and its own `TEMPLATE_AGENT_PACE_MS`.
    pub(super) fn from_environment() -> Result<Self, TemplateAgentError> {
        let get = |name: &str| std::env::var(name).unwrap_or_default();
        let kind = RunKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == get("FD_KIND"))
            .ok_or(TemplateAgentError::NotInARun)?;
        Ok(Self {
            project: std::env::current_dir().map_err(TemplateAgentError::file("."))?,
            kind,
            run: get("FD_RUN"),
            tag: get("FD_TAG"),
            tasks: get("FD_TASKS")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            overwrite: get("FD_OVERWRITE") == "1",
            pace: Duration::from_millis(get("TEMPLATE_AGENT_PACE_MS").parse().unwrap_or(0)),
        })
    }
}

/// Why the agent failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TemplateAgentError {
    #[error("FD_KIND is neither docs nor code: start this agent from a run's agent.sh")]
    NotInARun,
    #[error("no {} found", PLANS.join(" or "))]
    NoPlan,
    #[error("{path}: {source}")]
    Plan { path: String, source: ReadError },
    #[error("{path} has no task {task} in the tag {tag}")]
    NoTask {
        path: String,
        tag: String,
        task: String,
    },
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error(transparent)]
    Git(#[from] GitError),
}

impl TemplateAgentError {
    fn file(path: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// `flightdeck agent template`: runs in the current directory and prints its stream. Returns 1 on failure.
pub(crate) async fn main() -> ExitCode {
    let mut stream = Stream::new(io::stdout());
    let started = Instant::now();
    let ended = match Job::from_environment() {
        Ok(job) => run(&job, &mut stream).await,
        Err(error) => Err(error),
    };
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match ended {
        Ok(summary) => {
            stream.result(&summary, false, milliseconds);
            ExitCode::SUCCESS
        }
        Err(error) => {
            stream.result(&error.to_string(), true, milliseconds);
            ExitCode::FAILURE
        }
    }
}

/// Writes and commits the documents. Returns the final message.
pub(crate) async fn run<W: Write>(
    job: &Job,
    stream: &mut Stream<W>,
) -> Result<String, TemplateAgentError> {
    stream.init(&job.run, &job.project);
    let (path, tag) = read_plan(job, stream)?;
    let mut written = 0;
    for id in &job.tasks {
        let Some(task) = tag.task(id) else {
            return Err(TemplateAgentError::NoTask {
                path,
                tag: job.tag.clone(),
                task: id.clone(),
            });
        };
        let files = match job.kind {
            RunKind::Docs => documents_of(job, &tag, task),
            RunKind::Code => vec![(
                format!("docs/flightdeck/task-{id}.md"),
                documents::checklist(task),
            )],
        };
        if files.is_empty() {
            stream.text(&format!("Task {id} already has its documents."));
            continue;
        }
        stream.text(&format!("Task {id}: {}", task.title));
        for (path, content) in &files {
            tokio::time::sleep(job.pace).await;
            write(&job.project.join(path), content)?;
            stream.wrote(path, content);
            written += 1;
        }
        commit(job, task, &files).await?;
    }
    Ok(format!(
        "Wrote {} for {}.",
        flightdeck_core::text::count(written, "file"),
        flightdeck_core::text::count(job.tasks.len(), "task")
    ))
}

fn read_plan<W: Write>(
    job: &Job,
    stream: &mut Stream<W>,
) -> Result<(String, Tag), TemplateAgentError> {
    let path = PLANS
        .into_iter()
        .find(|path| job.project.join(path).is_file())
        .ok_or(TemplateAgentError::NoPlan)?;
    let bytes = tasks::load(&job.project.join(path))?;
    stream.read(path, String::from_utf8_lossy(&bytes).lines().count());
    let mut file = tasks::read(&bytes).map_err(|source| TemplateAgentError::Plan {
        path: path.to_owned(),
        source,
    })?;
    let index = file.tags.iter().position(|tag| tag.name == job.tag);
    let tag = index.map(|index| file.tags.swap_remove(index));
    Ok((path.to_owned(), tag.unwrap_or_default()))
}

/// Returns the documents of a task to write: all of them, or only the missing ones.
fn documents_of(job: &Job, tag: &Tag, task: &Task) -> Vec<(String, String)> {
    let directory = documents_directory(&job.tag, &task.id);
    DOCUMENTS
        .iter()
        .map(|document| (format!("{directory}/{document}"), *document))
        .filter(|(path, _)| job.overwrite || !job.project.join(path).is_file())
        .map(|(path, document)| (path, documents::render(document, tag, task)))
        .collect()
}

fn write(path: &Path, content: &str) -> Result<(), TemplateAgentError> {
    let shown = || path.display().to_string();
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(TemplateAgentError::file(shown()))?;
    }
    std::fs::write(path, content).map_err(TemplateAgentError::file(shown()))
}

/// Commits the files of one task if they changed.
async fn commit(
    job: &Job,
    task: &Task,
    files: &[(String, String)],
) -> Result<(), TemplateAgentError> {
    let paths: Vec<_> = files.iter().map(|(path, _)| path).collect();
    let git = || Git::new(&job.project).env("GIT_LITERAL_PATHSPECS", "1");
    git()
        .args(["add", "--force", "--"])
        .args(&paths)
        .run()
        .await?;
    let unchanged = git()
        .args(["diff", "--cached", "--quiet", "--"])
        .args(&paths)
        .run()
        .await
        .is_ok();
    if unchanged {
        return Ok(());
    }
    let message = match job.kind {
        RunKind::Docs => format!("docs(task-{}): {}", task.id, task.title),
        RunKind::Code => format!("docs(task-{}): checklist for {}", task.id, task.title),
    };
    git()
        .args(["commit", "--quiet", "--only", "-m", &message, "--"])
        .args(&paths)
        .run()
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rejects_a_plan_over_the_limit() {
        let project = tempfile::tempdir().unwrap();
        let plan = project.path().join(PLANS[0]);
        fs::create_dir_all(plan.parent().unwrap()).unwrap();
        // Sparse: takes no space.
        let file = fs::File::create(plan).unwrap();
        file.set_len(tasks::MAX_FILE_SIZE + 1).unwrap();
        let job = Job {
            project: project.path().to_owned(),
            kind: RunKind::Docs,
            run: "docs-1".into(),
            tag: "master".into(),
            tasks: vec!["1".into()],
            overwrite: false,
            pace: Duration::ZERO,
        };
        let refused = read_plan(&job, &mut Stream::new(Vec::new()));
        assert!(matches!(
            refused,
            Err(TemplateAgentError::Load(LoadError::TooLarge { .. }))
        ));
    }
}
