//! `runs retry` and `runs context`: requests a new attempt of a run, optionally with additional context.
//!
//! An attempt continues the run's own branch and the agent's session, unless it is told to start over.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, LaunchSource, Render, Verb, VerbError, View};
use flightdeck_core::{
    remote_url,
    resources::{ContextFile, TasksRevision},
    runs::Run,
    text,
};
use flightdeck_preflight::{Level, PreflightRequest, RemoteQuery, Report, Sources};

/// Maximum size of one context file in bytes, as in the CRD.
pub const CONTEXT_LIMIT: usize = 16_384;

/// Retries a run that has ended.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// Name of the run.
    pub name: String,
    /// Start from the source branch with a new session. Discards work that was not pushed; pushed branches stay.
    #[arg(long)]
    #[serde(default)]
    pub start_over: bool,
}

impl Retry {
    /// A retry that continues.
    #[must_use]
    pub const fn new(name: String) -> Self {
        Self {
            name,
            start_over: false,
        }
    }
}

/// Adds `context-v<n>.md` to a run and requests a new attempt, which starts when the current one has ended.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct AddContext {
    /// Name of the run.
    pub name: String,
    /// Markdown for the agent; `-` reads it from standard input.
    #[arg(default_value = "", value_parser = text_or_stdin, hide_default_value = true)]
    pub text: String,
    /// Read the Markdown from a file; `-` for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "text", value_parser = file_or_stdin)]
    #[serde(skip)]
    pub file: Option<String>,
    /// Start from the source branch with a new session. Discards work that was not pushed; pushed branches stay.
    #[arg(long)]
    #[serde(default)]
    pub start_over: bool,
}

/// Returns the argument, or the standard input for `-`.
fn text_or_stdin(argument: &str) -> Result<String, String> {
    if argument == "-" {
        read_context(std::io::stdin().lock(), "standard input")
    } else {
        Ok(argument.to_owned())
    }
}

/// Returns the content of a file, or the standard input for `-`.
fn file_or_stdin(path: &str) -> Result<String, String> {
    if path == "-" {
        return text_or_stdin(path);
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    read_context(file, path)
}

fn read_context(from: impl std::io::Read, name: &str) -> Result<String, String> {
    let mut text = String::new();
    // One byte more, so that a text that is too long is refused instead of cut off.
    let mut from = from.take(CONTEXT_LIMIT as u64 + 1);
    std::io::Read::read_to_string(&mut from, &mut text)
        .map_err(|error| format!("{name}: {error}"))?;
    if text.len() > CONTEXT_LIMIT {
        return Err(format!("{name} has more than {CONTEXT_LIMIT} bytes"));
    }
    Ok(text)
}

/// Returns the context version of the next attempt of a run that has ended.
pub(crate) fn next_version(run: &Run) -> Result<i32, VerbError> {
    if run.ended() {
        Ok(run.spec.context_version + 1)
    } else {
        Err(VerbError::Conflict(format!(
            "run {} has not ended; stop it first",
            run.name()
        )))
    }
}

/// Returns the current revision of the plan, if the remote has the plan on disk and the repository and branch are the run's.
async fn revision_now(run: &Run, start: &Path) -> Option<TasksRevision> {
    let request = PreflightRequest {
        tag: Some(run.spec.tag.clone()),
        ..PreflightRequest::new(run.kind)
    };
    let sources = Sources::repository(start.to_owned(), RemoteQuery::Fresh);
    let facts = flightdeck_preflight::gather(&request, sources).await;
    let report = Report::of(&facts);
    let subject = LaunchSource::new(&facts, &report).ok()?;
    let verified = report
        .check("tasks-pushed")
        .is_some_and(|check| check.level == Level::Pass);
    let same_source = remote_url::identity(&subject.repository_url)
        == remote_url::identity(&run.spec.repository_url)
        && subject.branch == run.spec.source_branch
        && subject.working_directory == run.spec.working_directory;
    subject.revision.filter(|_| verified && same_source)
}

/// A new attempt of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub name: String,
    pub context_version: i32,
    /// Name of the added context file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_file: Option<String>,
    /// Whether it starts only when the current attempt has ended.
    pub queued: bool,
    /// What it starts from.
    pub start: AttemptStart,
    /// Cost of the earlier attempts, in millionths of a US dollar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spent_micro_usd: Option<i64>,
}

/// What an attempt starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AttemptStart {
    /// The branch that earlier attempts pushed, with the agent's session.
    Branch(String),
    /// The work in the workspace, with the agent's session.
    Workspace,
    /// The source branch, with a new session.
    Source(String),
}

impl AttemptStart {
    /// Returns what the next attempt of `run` starts from.
    #[must_use]
    pub fn of(run: &Run, start_over: bool) -> Self {
        let status = &run.status;
        let pushed = status.branch.as_ref().filter(|_| status.commit.is_some());
        match pushed {
            _ if start_over => Self::Source(run.spec.source_branch.clone()),
            Some(branch) => Self::Branch(branch.clone()),
            None => Self::Workspace,
        }
    }

    /// Describes the start, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Branch(branch) => format!("continues {branch} and the agent's session"),
            Self::Workspace => {
                "continues the work in the workspace and the agent's session".to_owned()
            }
            Self::Source(branch) => format!(
                "starts over from {branch}; discards work that was not pushed, and the agent's session"
            ),
        }
    }
}

impl Attempt {
    /// Returns the attempt after those of `run`.
    fn next(run: &Run, context_file: Option<String>, start_over: bool) -> Self {
        Self {
            name: run.name().to_owned(),
            context_version: run.spec.context_version + 1,
            context_file,
            queued: !run.ended(),
            start: AttemptStart::of(run, start_over),
            spent_micro_usd: run.status.usage.map(|usage| usage.cost_micro_usd),
        }
    }
}

impl Verb for Retry {
    const NAME: &'static str = "runs retry";
    const ABOUT: &'static str = "Start a new attempt of a run that has ended";
    type Output = Attempt;

    /// Requests the attempt. Uses the current plan if pre-flight can verify it in the repository of the working directory;
    /// otherwise the plan of the launch.
    async fn run(self, context: &Context) -> Result<Attempt, VerbError> {
        let cluster = context.cluster().await?;
        let revision = revision_now(&cluster.run(&self.name).await?, &context.start).await;
        let retry = |run: &Run, _: &Value| {
            let mut spec = json!({
                "contextVersion": next_version(run)?,
                "continueSession": !self.start_over,
            });
            if let Some(revision) = &revision {
                spec["tasksRevision"] = json!(revision);
            }
            Ok(spec)
        };
        let run = cluster.change_spec(&self.name, "retrying", retry).await?;
        Ok(Attempt::next(&run, None, self.start_over))
    }
}

impl AddContext {
    /// Context for an attempt that continues.
    #[must_use]
    pub const fn new(name: String, text: String) -> Self {
        Self {
            name,
            text,
            file: None,
            start_over: false,
        }
    }

    /// Returns the text.
    ///
    /// # Errors
    /// If it is empty or exceeds the limit of the CRD.
    fn content(&self) -> Result<&str, VerbError> {
        let text = self.file.as_ref().unwrap_or(&self.text);
        if text.trim().is_empty() {
            let sentence =
                "the context is empty; give it as text, with --file, or with - from standard input";
            return Err(VerbError::Usage(sentence.into()));
        }
        if text.len() > CONTEXT_LIMIT {
            return Err(VerbError::Usage(format!(
                "the context has {} bytes; the limit is {CONTEXT_LIMIT}",
                text.len()
            )));
        }
        Ok(text)
    }
}

impl Verb for AddContext {
    const NAME: &'static str = "runs context";
    const ABOUT: &'static str =
        "Add context for the agent; it starts a new attempt when the current one has ended";
    type Output = Attempt;

    async fn run(self, context: &Context) -> Result<Attempt, VerbError> {
        let text = self.content()?;
        let cluster = context.cluster().await?;
        let add = |run: &Run, spec: &Value| {
            let version = run.spec.context_version + 1;
            let added = ContextFile {
                filename: context_file(version),
                content: text.to_owned(),
            };
            let mut wanted = run.clone();
            wanted.spec.context.push(added.clone());
            cluster.check_files(&wanted)?;
            let mut files = spec["context"].as_array().cloned().unwrap_or_default();
            files.push(json!(added));
            Ok(json!({
                "contextVersion": version,
                "context": files,
                "continueSession": !self.start_over,
            }))
        };
        let run = cluster
            .change_spec(&self.name, "adding context to", add)
            .await?;
        let file = context_file(run.spec.context_version + 1);
        Ok(Attempt::next(&run, Some(file), self.start_over))
    }
}

/// Returns the name of the file that the agent reads in an attempt.
fn context_file(version: i32) -> String {
    format!("context-v{version}.md")
}

impl Render for Attempt {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn view(&self) -> View {
        View::Notices
    }

    fn notices(&self) -> Vec<String> {
        let (name, version) = (&self.name, self.context_version);
        let file = self.context_file.as_ref();
        let with = file.map_or_else(String::new, |file| format!(" with {file}"));
        let what = if self.queued {
            format!(
                "Queued attempt v{version} of {name}{with}; it starts when the current one has ended"
            )
        } else {
            format!("Retrying {name}{with}, attempt v{version}")
        };
        let mut notices = vec![what, format!("It {}", self.start.describe())];
        if let Some(spent) = self.spent_micro_usd.filter(|spent| *spent > 0) {
            notices.push(format!("Earlier attempts cost {}", text::usd(spent)));
        }
        notices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::{
        resources::{RunSpec, RunStatus},
        runs::RunKind,
    };

    #[test]
    fn attempt_names_what_it_starts_from() {
        let run = |commit: Option<&str>| Run {
            kind: RunKind::Docs,
            metadata: kube::core::ObjectMeta::default(),
            tasks: vec!["1".into()],
            spec: RunSpec {
                source_branch: "main".into(),
                ..RunSpec::default()
            },
            code: None,
            status: RunStatus {
                branch: Some("docs/x".into()),
                commit: commit.map(str::to_owned),
                ..RunStatus::default()
            },
        };
        for (commit, start_over, expected) in [
            (Some("b"), false, AttemptStart::Branch("docs/x".into())),
            (None, false, AttemptStart::Workspace),
            (Some("b"), true, AttemptStart::Source("main".into())),
        ] {
            assert_eq!(AttemptStart::of(&run(commit), start_over), expected);
        }
    }

    #[test]
    fn context_is_read_up_to_its_limit() {
        assert_eq!(read_context(&b"# more"[..], "a.md").unwrap(), "# more");
        let long = vec![b'x'; CONTEXT_LIMIT + 1];
        let error = read_context(&long[..], "a.md").unwrap_err();
        assert_eq!(error, "a.md has more than 16384 bytes");
        assert!(read_context(&b"\xff"[..], "a.md").is_err());
        let empty = AddContext::new("docs-x".into(), " ".into());
        assert!(empty.content().unwrap_err().to_string().contains("--file"));
    }
}
