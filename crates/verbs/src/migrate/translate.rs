//! One TaskRun as a run: every field is carried over or said to be lost. Pure.
//!
//! Fields of a TaskRun as the public platform's definitions have them (`taskruns.orchestrator.io/v1`, July 2025, early and
//! late forms). Values of tokens and Secrets are never repeated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{ResourceExt, api::DynamicObject};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::launch::labels;
use flightdeck_core::{
    remote_url,
    resources::{ContextFile, PromptMode, RunSpec, RunStatus, ToolPreset},
    runs::{CodeDetails, Run, RunKind, naming},
};
use flightdeck_host::settings::Settings;

/// The task id that marked a TaskRun as one that writes documents.
const DOCUMENTATION: &str = "999999";

/// A field of a TaskRun without a counterpart in runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct DroppedField {
    /// As in the TaskRun: `spec.agentName`.
    pub field: String,
    /// What becomes of it instead.
    pub why: String,
}

/// Where the tasks of a documentation run are known from.
#[derive(Clone, Debug, Default)]
pub(super) struct Plans {
    /// Named by the person, for every run.
    pub named: Vec<String>,
    /// The normalised address of the repository one is in, and the tasks of its plan.
    pub here: Option<(String, Vec<String>)>,
}

/// A part of the TaskRun: what is taken from it is dealt with, what stays is not known.
struct Part {
    at: String,
    fields: Map<String, Value>,
}

impl Part {
    fn of(at: &str, value: Option<Value>) -> Self {
        let fields = match value {
            Some(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        Self {
            at: at.to_owned(),
            fields,
        }
    }

    fn take(&mut self, field: &str) -> Option<Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// A text that says something.
    fn text(&mut self, field: &str) -> Option<String> {
        let text = match self.take(field)? {
            Value::String(text) => text.trim().to_owned(),
            other => other.to_string(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// A list of texts, or one text with commas, as some versions wrote it.
    fn texts(&mut self, field: &str) -> Vec<String> {
        let texts: Vec<String> = match self.take(field) {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let texts = texts.iter().map(|text| text.trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    fn part(&mut self, field: &str) -> Self {
        let at = format!("{}.{field}", self.at);
        let value = self.take(field);
        Self::of(&at, value)
    }

    fn lost(&self, field: &str, why: impl Into<String>) -> DroppedField {
        DroppedField {
            field: format!("{}.{field}", self.at),
            why: why.into(),
        }
    }

    /// Fields that were asked for by nobody.
    fn unknown(&self, lost: &mut Vec<DroppedField>) {
        lost.extend(
            self.fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(field, _)| self.lost(field, "no counterpart is known")),
        );
    }
}

/// The run, or why there can be none; and what is lost in either case.
pub(super) fn translate(
    object: &DynamicObject,
    settings: &Settings,
    plans: &Plans,
) -> (Result<Run, String>, Vec<DroppedField>) {
    let mut lost = Vec::new();
    let run = run(object, settings, plans, &mut lost);
    (run, lost)
}

fn run(
    object: &DynamicObject,
    settings: &Settings,
    plans: &Plans,
    lost: &mut Vec<DroppedField>,
) -> Result<Run, String> {
    if object.metadata.deletion_timestamp.is_some() {
        return Err("it is being deleted".to_owned());
    }
    let mut old = Part::of("spec", object.data.get("spec").cloned());
    let task = old.text("taskId").ok_or("spec.taskId is missing")?;
    let kind = if task == DOCUMENTATION {
        RunKind::Docs
    } else {
        RunKind::Code
    };
    let mut spec = RunSpec {
        suspend: true,
        agent: agent(&mut old, settings, lost),
        model: old
            .text("model")
            .unwrap_or_else(|| settings.model(kind).to_owned()),
        ..RunSpec::default()
    };
    let repository = repository(&mut old, &mut spec, lost);
    prompt(&mut old, &mut spec, lost);
    files(&mut old, &mut spec, lost);
    let code = kind.changes_code().then(|| service(&mut old, lost));
    if !kind.shares_workspace()
        && let Some(name) = old.text("serviceName")
    {
        lost.push(old.lost(
            "serviceName",
            format!("{name}: a docs run has a workspace of its own"),
        ));
    }
    let code = platform(&mut old, code, lost);
    let version = old
        .take("contextVersion")
        .and_then(|version| version.as_i64());
    if let Some(version) = version.filter(|version| *version > 1) {
        let why = format!("{version}: a run begins at 1; earlier attempts stay with the TaskRun");
        lost.push(old.lost("contextVersion", why));
    }
    old.unknown(lost);
    if let Some(phase) = object.data.pointer("/status/phase").and_then(Value::as_str) {
        let phase = flightdeck_core::text::sanitize(phase).into_owned();
        lost.push(DroppedField {
            field: "status".to_owned(),
            why: format!("{phase}: stays with the TaskRun, as do its Jobs and their logs"),
        });
    }
    spec.repository_url =
        repository.ok_or("spec.repository.url is missing: nothing says what to clone")?;
    let tasks = match kind {
        RunKind::Code => vec![task],
        RunKind::Docs => documented(&spec.repository_url, plans)?,
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

/// The older documentation runs documented whatever was there; a DocsRun names its tasks.
fn documented(url: &str, plans: &Plans) -> Result<Vec<String>, String> {
    if !plans.named.is_empty() {
        return Ok(plans.named.clone());
    }
    match &plans.here {
        Some((here, tasks)) if *here == remote_url::identity(url) && !tasks.is_empty() => {
            Ok(tasks.clone())
        }
        _ => Err("it names no tasks; name them with --task, or run this in the repository whose plan has them".to_owned()),
    }
}

fn agent(old: &mut Part, settings: &Settings, lost: &mut Vec<DroppedField>) -> String {
    let default = &settings.defaults.agent;
    let Some(name) = old.text("agentName") else {
        return default.clone();
    };
    if settings.agents.contains_key(&name) {
        return name;
    }
    let why = format!("{name}: no agent of the settings has this name; the agent is {default}");
    lost.push(old.lost("agentName", why));
    default.clone()
}

/// What is cloned, by whom. The address, where there is one.
fn repository(old: &mut Part, spec: &mut RunSpec, lost: &mut Vec<DroppedField>) -> Option<String> {
    let mut repository = old.part("repository");
    let url = repository.text("url").or_else(|| repository.text("path"));
    spec.source_branch = repository.text("branch").unwrap_or_else(|| {
        lost.push(repository.lost("branch", "is not said; main, as it was then"));
        "main".to_owned()
    });
    spec.github_user = repository.text("githubUser");
    credentials(&mut repository, lost);
    repository.unknown(lost);
    if let Some(directory) = old.text("workingDirectory") {
        spec.working_directory = directory;
    }
    url
}

/// A token in a spec is forgotten, and never repeated.
fn credentials(part: &mut Part, lost: &mut Vec<DroppedField>) {
    for field in ["token", "auth"] {
        if part.take(field).is_some() {
            let why = "credentials come from Secrets that the settings name, by githubUser";
            lost.push(part.lost(field, why));
        }
    }
}

/// The repository of the documents, which only a code run reads apart.
fn platform(
    old: &mut Part,
    code: Option<CodeDetails>,
    lost: &mut Vec<DroppedField>,
) -> Option<CodeDetails> {
    let mut platform = old.part("platformRepository");
    let (url, branch) = (platform.text("url"), platform.text("branch"));
    if let Some(user) = platform.text("githubUser") {
        let why = format!("{user}: a run clones everything as one user");
        lost.push(platform.lost("githubUser", why));
    }
    credentials(&mut platform, lost);
    platform.unknown(lost);
    match code {
        Some(code) if url.is_some() => Some(CodeDetails {
            docs_repository_url: url,
            docs_branch: branch,
            ..code
        }),
        code => {
            if url.is_some() {
                lost.push(platform.lost("url", "a docs run writes into the repository it clones"));
            }
            code
        }
    }
}

fn prompt(old: &mut Part, spec: &mut RunSpec, lost: &mut Vec<DroppedField>) {
    spec.prompt_modification = old.text("promptModification");
    let word = |part: &mut Part, field: &str| part.text(field).map(Value::String);
    if let Some(mode) = word(old, "promptMode") {
        match serde_json::from_value::<PromptMode>(mode.clone()) {
            Ok(PromptMode::Replace) if spec.prompt_modification.is_none() => {
                lost.push(old.lost(
                    "promptMode",
                    "replace, but nothing to put in the prompt's place",
                ));
            }
            Ok(mode) => spec.prompt_mode = mode,
            Err(_) => lost.push(old.lost("promptMode", format!("{mode} is not known; append"))),
        }
    }
    if let Some(preset) = word(old, "toolConfig") {
        match serde_json::from_value::<ToolPreset>(preset.clone()) {
            Ok(preset) => spec.tool_config = preset,
            Err(_) => lost.push(old.lost("toolConfig", format!("{preset} is not known; default"))),
        }
    }
    spec.local_tools = old.texts("localTools");
    spec.remote_tools = old.texts("remoteTools");
    let tools = old.take("agentTools");
    for tool in tools.iter().filter_map(Value::as_array).flatten() {
        let name = tool["name"].as_str().unwrap_or_default();
        let why = "what an agent may do is chosen by toolConfig, localTools and remoteTools";
        lost.push(old.lost(&format!("agentTools[{name}]"), why));
    }
}

/// Added context is carried over; the rest is read from the repository.
fn files(old: &mut Part, spec: &mut RunSpec, lost: &mut Vec<DroppedField>) {
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
            let why = "documents are read from the repository that is cloned";
            lost.push(old.lost(&format!("markdownFiles[{filename}]"), why));
        }
    }
}

fn service(old: &mut Part, lost: &mut Vec<DroppedField>) -> CodeDetails {
    let name = old.text("serviceName").unwrap_or_default();
    let service = naming::slug(&name, 63);
    if service != name {
        let why = format!("{name}: a service is a DNS label; it becomes {service:?}");
        lost.push(old.lost("serviceName", why));
    }
    CodeDetails {
        service,
        ..CodeDetails::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task_run(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "orchestrator.io/v1", "kind": "TaskRun",
            "metadata": { "name": "task-3", "uid": "u" }, "spec": spec,
        }))
        .unwrap()
    }

    fn of(spec: &Value) -> (Result<Run, String>, Vec<(String, String)>) {
        let plans = Plans {
            named: vec![],
            here: Some(("github.com/acme/shop".into(), vec!["1".into(), "2".into()])),
        };
        let (run, lost) = translate(&task_run(spec), &Settings::shipped(), &plans);
        let lost = lost.into_iter().map(|lost| (lost.field, lost.why));
        (run, lost.collect())
    }

    #[test]
    fn every_field_is_carried_over_or_said_to_be_lost() {
        let (run, lost) = of(&json!({
            "taskId": 3, "serviceName": "Shop_API", "agentName": "claude-agent-1", "model": "opus", "contextVersion": 4,
            "markdownFiles": [
                { "filename": "task.md", "content": "x", "fileType": "task" },
                { "filename": "context-v2.md", "content": "Use Postgres.", "fileType": "context" },
            ],
            "agentTools": [{ "name": "bash", "enabled": true }],
            "repository": { "url": "https://github.com/acme/shop.git", "branch": "dev", "githubUser": "ada", "token": "ghp_s3cret", "depth": 1 },
            "platformRepository": { "url": "https://github.com/acme/docs", "branch": "main", "githubUser": "bot" },
            "workingDirectory": "apps/web", "promptModification": "Be brief.", "promptMode": "replace",
            "localTools": ["git"], "remoteTools": "search, fetch", "toolConfig": "advanced", "nobodyKnows": true,
        }));
        let run = run.unwrap();
        run.validate().unwrap();
        let code = run.code.clone().unwrap();
        assert!(run.spec.suspend);
        assert_eq!(
            (run.kind, run.tasks.as_slice(), code.service.as_str()),
            (RunKind::Code, ["3".to_owned()].as_slice(), "shop-api")
        );
        assert_eq!(
            code.docs_repository_url.as_deref(),
            Some("https://github.com/acme/docs")
        );
        assert_eq!(code.docs_branch.as_deref(), Some("main"));
        let spec = &run.spec;
        assert_eq!(
            (
                spec.source_branch.as_str(),
                spec.github_user.as_deref(),
                spec.working_directory.as_str()
            ),
            ("dev", Some("ada"), "apps/web")
        );
        assert_eq!(
            (
                spec.agent.as_str(),
                spec.model.as_str(),
                spec.prompt_mode,
                spec.tool_config
            ),
            ("claude", "opus", PromptMode::Replace, ToolPreset::Advanced)
        );
        assert_eq!(
            (spec.local_tools.len(), spec.remote_tools.as_slice()),
            (1, ["search".to_owned(), "fetch".to_owned()].as_slice())
        );
        assert_eq!(spec.context[0].content, "Use Postgres.");
        let fields: Vec<&str> = lost.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.agentName",
                "spec.repository.token",
                "spec.repository.depth",
                "spec.agentTools[bash]",
                "spec.markdownFiles[task.md]",
                "spec.serviceName",
                "spec.platformRepository.githubUser",
                "spec.contextVersion",
                "spec.nobodyKnows",
            ]
        );
        assert!(!format!("{lost:?} {run:?}").contains("s3cret"));
    }

    #[test]
    fn the_magic_number_is_a_docs_run_of_the_tasks_that_are_known() {
        let docs = |url: &str| json!({ "taskId": 999_999, "serviceName": "docs-generator", "agentName": "claude-docs-opus", "repository": { "url": url } });
        let run = of(&docs("git@github.com:acme/shop.git")).0.unwrap();
        assert_eq!(
            (run.kind, run.tasks.len(), run.spec.model.as_str()),
            (RunKind::Docs, 2, "opus")
        );
        assert_eq!(run.spec.source_branch, "main");
        let elsewhere = of(&docs("https://github.com/acme/other")).0.unwrap_err();
        assert!(elsewhere.contains("--task"), "{elsewhere}");
    }

    #[test]
    fn what_says_too_little_becomes_no_run() {
        for (spec, why) in [
            (json!({}), "spec.taskId is missing"),
            (json!({ "taskId": 1 }), "spec.repository.url is missing"),
            (
                json!({ "taskId": 1, "repository": "x" }),
                "spec.repository.url is missing",
            ),
        ] {
            let said = of(&spec).0.unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
