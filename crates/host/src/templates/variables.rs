//! The variables of templates: one flat set for all templates, always complete.

use serde::Serialize;

use crate::settings::Settings;
use flightdeck_core::{
    resources::{PromptMode, ToolPreset},
    runs::{Run, RunManifest, documents_directory, naming},
};

/// The variables. Paths are relative to the project directory; lists may be empty, options null.
#[derive(Debug, Serialize)]
pub(super) struct Variables<'a> {
    kind: &'static str,
    run: &'a str,
    context_version: i32,
    repository_url: &'a str,
    source_branch: &'a str,
    target_branch: &'a str,
    working_directory: &'a str,
    tag: &'a str,
    tasks_file: String,
    tasks_commit: Option<&'a str>,
    tasks: Vec<Task<'a>>,
    task_count: usize,
    /// `task 4`, or `12 tasks`.
    task_info: String,
    /// The task of a code run; the first task of a docs run.
    task_id: &'a str,
    documents: [Document; 4],
    overwrite: bool,
    agent_name: &'a str,
    model: &'a str,
    service: Option<&'a str>,
    github_user: Option<&'a str>,
    docs_repository_url: Option<&'a str>,
    docs_branch: Option<&'a str>,
    docs_project_directory: Option<&'a str>,
    prompt_modification: Option<&'a str>,
    /// Whether the extra instructions replace the prompt.
    replace: bool,
    context: Vec<Context<'a>>,
    tool_config: &'static str,
    web_tools: bool,
    subagents: bool,
    local_tools: &'a [String],
    remote_tools: &'a [String],
    /// Local and remote tools, in the format of permission rules.
    tools: Vec<String>,
    /// Whether the agent's environment names a tool server.
    tool_server: bool,
    /// Creation time of the run, RFC 3339.
    timestamp: String,
}

#[derive(Debug, Serialize)]
struct Task<'a> {
    id: &'a str,
    directory: String,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Document {
    name: &'static str,
    purpose: &'static str,
}

#[derive(Debug, Serialize)]
struct Context<'a> {
    filename: &'a str,
    content: &'a str,
}

/// The purpose of each of [`flightdeck_core::runs::DOCUMENTS`], for the prompt.
const PURPOSES: [&str; 4] = [
    "What and why: an overview in a paragraph; the context (what exists, what the task depends on and what waits for it); \
     guidance for the implementation (where in the code, in which order, what to watch out for); every subtask of the plan, \
     under its own id.",
    "Instructions that an agent can follow alone, from a fresh checkout to a finished change: numbered steps with the files \
     and commands of each, how to check a step before the next, and when to stop and report instead of going on.",
    "How it is built: the parts and their responsibilities, interfaces and data with their exact shapes, errors and edge \
     cases, what was decided and what was turned down, each with its reason.",
    "When it is done: a list of checkboxes that a person or a test can tick, each observable and each traceable to the \
     plan's details or test strategy; the commands that show it; and what is explicitly not part of the task.",
];

impl<'a> Variables<'a> {
    pub(super) fn new(run: &'a Run, manifest: &'a RunManifest, settings: &Settings) -> Self {
        let spec = &run.spec;
        let code = run.code.as_ref();
        // Plan and documents are copied into the project at the path they have in their own repository.
        let directory = manifest
            .docs
            .as_ref()
            .map_or(&spec.working_directory, |docs| &docs.directory);
        let prefix = naming::directory_prefix(directory);
        let from_root = super::tasks_file(spec.tasks_revision.as_ref(), &prefix);
        let tasks_file = from_root
            .strip_prefix(prefix.as_str())
            .unwrap_or(&from_root)
            .to_owned();
        let agent_env = settings.agents.get(&spec.agent).map(|agent| &agent.env);
        let environment = [Some(&spec.env), agent_env];
        Self {
            kind: run.kind.as_str(),
            run: run.name(),
            context_version: spec.context_version,
            repository_url: &spec.repository_url,
            source_branch: &spec.source_branch,
            target_branch: &manifest.target_branch,
            working_directory: &spec.working_directory,
            tag: &spec.tag,
            tasks_file,
            tasks_commit: spec
                .tasks_revision
                .as_ref()
                .map(|revision| revision.commit.as_str()),
            tasks: run
                .tasks
                .iter()
                .map(|id| Task {
                    id,
                    directory: documents_directory(&spec.tag, id),
                })
                .collect(),
            task_count: run.tasks.len(),
            task_info: match run.tasks.as_slice() {
                [one] => format!("task {one}"),
                many => format!("{} tasks", many.len()),
            },
            task_id: run.tasks.first().map_or("", String::as_str),
            documents: std::array::from_fn(|at| Document {
                name: flightdeck_core::runs::DOCUMENTS[at],
                purpose: PURPOSES[at],
            }),
            overwrite: spec.overwrite && run.kind.writes_documents(),
            agent_name: &spec.agent,
            model: &spec.model,
            service: code.map(|code| code.service.as_str()),
            github_user: spec.github_user.as_deref(),
            docs_repository_url: code.and_then(|code| code.docs_repository_url.as_deref()),
            docs_branch: code.and_then(|code| code.docs_branch.as_deref()),
            docs_project_directory: code.and_then(|code| code.docs_project_directory.as_deref()),
            prompt_modification: spec.prompt_modification.as_deref(),
            replace: spec.prompt_mode == PromptMode::Replace && spec.prompt_modification.is_some(),
            context: spec
                .context
                .iter()
                .map(|file| Context {
                    filename: &file.filename,
                    content: &file.content,
                })
                .collect(),
            tool_config: match spec.tool_config {
                ToolPreset::Minimal => "minimal",
                ToolPreset::Default => "default",
                ToolPreset::Advanced => "advanced",
            },
            web_tools: spec.tool_config != ToolPreset::Minimal,
            subagents: spec.tool_config == ToolPreset::Advanced,
            local_tools: &spec.local_tools,
            remote_tools: &spec.remote_tools,
            tools: spec
                .local_tools
                .iter()
                .chain(&spec.remote_tools)
                .map(|tool| format!("mcp__toolman__{tool}"))
                .collect(),
            tool_server: environment
                .iter()
                .flatten()
                .any(|env| env.contains_key("TOOLMAN_SERVER_URL")),
            timestamp: run
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.to_string())
                .unwrap_or_default(),
        }
    }
}
