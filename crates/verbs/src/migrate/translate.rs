//! Translates a TaskRun to a run. Every field is carried over or reported as dropped. Pure.
//!
//! The fields are those of `taskruns.orchestrator.io/v1` of July 2025, in its early and late forms. Tokens and Secrets never
//! appear in the report.

#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{ResourceExt, api::DynamicObject};
use serde_json::Value;

use super::fields::{DroppedField, Fields};
use crate::launch::labels;
use flightdeck_core::{
    remote_url,
    resources::{ContextFile, PromptMode, RunSpec, RunStatus, ToolPreset},
    runs::{CodeDetails, Run, RunKind, naming},
};
use flightdeck_host::settings::Settings;

/// The task ID of TaskRuns that write documents.
const DOCUMENTATION: &str = "999999";

/// The tasks of documentation runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Plans {
    /// Tasks given by the user, for every run.
    pub named: Vec<String>,
    /// The normalized URL of the repository in the working directory, and the tasks of its plan.
    pub here: Option<(String, Vec<String>)>,
}

/// Returns the run, or why there is none, and the dropped fields.
pub(super) fn translate(
    object: &DynamicObject,
    settings: &Settings,
    plans: &Plans,
) -> (Result<Run, String>, Vec<DroppedField>) {
    let mut dropped = Vec::new();
    let run = run(object, settings, plans, &mut dropped);
    (run, dropped)
}

fn run(
    object: &DynamicObject,
    settings: &Settings,
    plans: &Plans,
    dropped: &mut Vec<DroppedField>,
) -> Result<Run, String> {
    if object.metadata.deletion_timestamp.is_some() {
        return Err("the TaskRun is being deleted".to_owned());
    }
    let mut old = Fields::of("spec", object.data.get("spec").cloned());
    let task = old.text("taskId").ok_or("spec.taskId is missing")?;
    let kind = if task == DOCUMENTATION {
        RunKind::Docs
    } else {
        RunKind::Code
    };
    let mut spec = RunSpec {
        suspend: true,
        agent: agent(&mut old, settings, dropped),
        model: old
            .text("model")
            .unwrap_or_else(|| settings.model(kind).to_owned()),
        ..RunSpec::default()
    };
    let repository = repository(&mut old, &mut spec, dropped);
    prompt(&mut old, &mut spec, dropped);
    files(&mut old, &mut spec, dropped);
    let code = kind.changes_code().then(|| service(&mut old, dropped));
    if !kind.shares_workspace()
        && let Some(name) = old.text("serviceName")
    {
        dropped.push(old.dropped(
            "serviceName",
            format!("{name}: a docs run has its own workspace"),
        ));
    }
    let code = platform(&mut old, code, dropped);
    let version = old
        .take("contextVersion")
        .and_then(|version| version.as_i64());
    if let Some(version) = version.filter(|version| *version > 1) {
        let why = format!("{version}: a run starts at 1; earlier attempts stay with the TaskRun");
        dropped.push(old.dropped("contextVersion", why));
    }
    old.report_unknown(dropped);
    if let Some(phase) = object.data.pointer("/status/phase").and_then(Value::as_str) {
        let phase = flightdeck_core::text::sanitize(phase).into_owned();
        dropped.push(DroppedField {
            field: "status".to_owned(),
            why: format!("{phase}: stays with the TaskRun, like its Jobs and logs"),
        });
    }
    spec.repository_url = repository.ok_or("spec.repository.url is missing")?;
    let tasks = match kind {
        RunKind::Code => vec![task],
        RunKind::Docs => documented_tasks(&spec.repository_url, plans)?,
    };
    Ok(Run {
        kind,
        metadata: ObjectMeta {
            name: Some(object.name_any()),
            labels: Some(labels(kind, &spec.repository_url)),
            ..ObjectMeta::default()
        },
        tasks,
        spec,
        code,
        status: RunStatus::default(),
    })
}

/// Returns the tasks of a documentation run. A TaskRun named none; a DocsRun must.
fn documented_tasks(url: &str, plans: &Plans) -> Result<Vec<String>, String> {
    if !plans.named.is_empty() {
        return Ok(plans.named.clone());
    }
    match &plans.here {
        Some((here, tasks)) if *here == remote_url::identity(url) && !tasks.is_empty() => {
            Ok(tasks.clone())
        }
        _ => Err(
            "the TaskRun names no tasks; use --task, or run this in the repository with the plan"
                .to_owned(),
        ),
    }
}

/// Returns the agent; the default one if the settings do not define it.
fn agent(old: &mut Fields, settings: &Settings, dropped: &mut Vec<DroppedField>) -> String {
    let default = &settings.defaults.agent;
    let Some(name) = old.text("agentName") else {
        return default.clone();
    };
    if settings.agents.contains_key(&name) {
        return name;
    }
    let why = format!("{name}: not an agent of the settings; using {default}");
    dropped.push(old.dropped("agentName", why));
    default.clone()
}

/// Sets the branch, the user and the directory of the repository. Returns its URL.
fn repository(
    old: &mut Fields,
    spec: &mut RunSpec,
    dropped: &mut Vec<DroppedField>,
) -> Option<String> {
    let mut repository = old.object("repository");
    let url = repository.text("url").or_else(|| repository.text("path"));
    spec.source_branch = repository.text("branch").unwrap_or_else(|| {
        dropped.push(repository.dropped("branch", "missing; using main, the default of TaskRuns"));
        "main".to_owned()
    });
    spec.github_user = repository.text("githubUser");
    credentials(&mut repository, dropped);
    repository.report_unknown(dropped);
    if let Some(directory) = old.text("workingDirectory") {
        spec.working_directory = directory;
    }
    url
}

/// Drops credentials, without their values.
fn credentials(fields: &mut Fields, dropped: &mut Vec<DroppedField>) {
    for field in ["token", "auth"] {
        if fields.take(field).is_some() {
            let why = "credentials come from the Secret of githubUser";
            dropped.push(fields.dropped(field, why));
        }
    }
}

/// Returns the code details with the documents repository, which only code runs have.
fn platform(
    old: &mut Fields,
    code: Option<CodeDetails>,
    dropped: &mut Vec<DroppedField>,
) -> Option<CodeDetails> {
    let mut platform = old.object("platformRepository");
    let (url, branch) = (platform.text("url"), platform.text("branch"));
    if let Some(user) = platform.text("githubUser") {
        let why = format!("{user}: a run clones all repositories as one user");
        dropped.push(platform.dropped("githubUser", why));
    }
    credentials(&mut platform, dropped);
    platform.report_unknown(dropped);
    match code {
        Some(code) if url.is_some() => Some(CodeDetails {
            docs_repository_url: url,
            docs_branch: branch,
            ..code
        }),
        code => {
            if url.is_some() {
                dropped
                    .push(platform.dropped("url", "a docs run writes to the repository it clones"));
            }
            code
        }
    }
}

/// Sets the prompt and the tools.
fn prompt(old: &mut Fields, spec: &mut RunSpec, dropped: &mut Vec<DroppedField>) {
    spec.prompt_modification = old.text("promptModification");
    let word = |fields: &mut Fields, field: &str| fields.text(field).map(Value::String);
    if let Some(mode) = word(old, "promptMode") {
        match serde_json::from_value::<PromptMode>(mode.clone()) {
            Ok(PromptMode::Replace) if spec.prompt_modification.is_none() => {
                dropped
                    .push(old.dropped("promptMode", "replace: there is no prompt to use instead"));
            }
            Ok(mode) => spec.prompt_mode = mode,
            Err(_) => {
                dropped.push(old.dropped("promptMode", format!("{mode}: unknown; using append")));
            }
        }
    }
    if let Some(preset) = word(old, "toolConfig") {
        match serde_json::from_value::<ToolPreset>(preset.clone()) {
            Ok(preset) => spec.tool_config = preset,
            Err(_) => {
                dropped
                    .push(old.dropped("toolConfig", format!("{preset}: unknown; using default")));
            }
        }
    }
    spec.local_tools = old.texts("localTools");
    spec.remote_tools = old.texts("remoteTools");
    let tools = old.take("agentTools");
    for tool in tools.iter().filter_map(Value::as_array).flatten() {
        let name = tool["name"].as_str().unwrap_or_default();
        let why = "tools are selected by toolConfig, localTools and remoteTools";
        dropped.push(old.dropped(&format!("agentTools[{name}]"), why));
    }
}

/// Adds the context files. Other files are read from the repository.
fn files(old: &mut Fields, spec: &mut RunSpec, dropped: &mut Vec<DroppedField>) {
    let files = old.take("markdownFiles");
    for file in files.iter().filter_map(Value::as_array).flatten() {
        let text = |field: &str| file[field].as_str().unwrap_or_default().to_owned();
        let filename = text("filename");
        if text("fileType") == "context" {
            spec.context.push(ContextFile {
                filename,
                content: text("content"),
            });
        } else {
            let why = "documents are read from the cloned repository";
            dropped.push(old.dropped(&format!("markdownFiles[{filename}]"), why));
        }
    }
}

/// Returns the code details with the service, as a DNS label.
fn service(old: &mut Fields, dropped: &mut Vec<DroppedField>) -> CodeDetails {
    let name = old.text("serviceName").unwrap_or_default();
    let service = naming::slug(&name, 63);
    if service != name {
        let why = format!("{name}: not a DNS label; using {service:?}");
        dropped.push(old.dropped("serviceName", why));
    }
    CodeDetails {
        service,
        ..CodeDetails::default()
    }
}
