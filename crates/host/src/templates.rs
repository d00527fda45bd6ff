//! Renders the files of a run from `templates/`, for the run's ConfigMap and for previews.
//!
//! Files ending in `.hbs` are handlebars templates, rendered in strict mode: a missing variable is an error. Other
//! files are copied unchanged; scripts are never templates, so values cannot be injected into them. This module does
//! not depend on who uses the files.

mod manifest_parts;
mod pull_request;
mod variables;

use std::{collections::BTreeMap, path::Path};

use handlebars::Handlebars;

use crate::settings::Settings;
use flightdeck_core::{
    resources::TasksRevision,
    runs::{MANIFEST_FILE, Run, RunKind, RunManifest},
};
pub use manifest_parts::{KNOWN_HOSTS, PASSWD};
pub use pull_request::validate_pull_request_options;
use variables::Variables;

/// Builds the table of shipped templates, named by their paths below `templates/`.
macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $name)))),+]
    };
}

/// All shipped templates by their paths below `templates/`.
pub const SHIPPED: &[(&str, &str)] = shipped![
    "agents/claude.sh",
    "agents/template.sh",
    "code/CLAUDE.md.hbs",
    "code/client-config.json.hbs",
    "code/coding-guidelines.md.hbs",
    "code/github-guidelines.md.hbs",
    "code/mcp.json.hbs",
    "code/pr-body.md.hbs",
    "code/pr-title.hbs",
    "code/prompt.md.hbs",
    "code/settings.local.json.hbs",
    "docs/CLAUDE.md.hbs",
    "docs/mcp.json.hbs",
    "docs/pr-body.md.hbs",
    "docs/pr-title.hbs",
    "docs/prompt.md.hbs",
    "docs/settings.local.json.hbs",
    "hooks/early-test.sh",
    "hooks/stop-commit.sh",
];

/// Maximum total size of a run's files: a ConfigMap (1 MiB) with room for its metadata.
pub const SIZE_LIMIT: usize = 1000 * 1024;

/// Why a run's files could not be rendered. Messages name template and variable.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("cannot parse template {name}: {message}")]
    Parse { name: String, message: String },
    #[error("cannot render template {name}: {message}")]
    Render { name: String, message: String },
    #[error("template {name} does not render to JSON (line {line}, column {column}): {message}")]
    NotJson {
        name: String,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("cannot read template {file}: {source}")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "agent {agent} is not configured; known agents: {known}. Add [agents.{agent}] to the settings or choose another agent"
    )]
    UnknownAgent { agent: String, known: String },
    #[error("agent {agent} has no start script; add agents/{agent}.sh to the template directory")]
    NoScript { agent: String },
    #[error(
        "the files of this run have {size} bytes, over the ConfigMap limit of {SIZE_LIMIT}; the largest is {file} with {largest}: shorten the context or instructions added to it"
    )]
    TooLarge {
        size: usize,
        file: String,
        largest: usize,
    },
}

/// A set of templates: the shipped ones, with the user's files replacing those of the same name.
#[derive(Clone, Debug)]
pub struct Templates {
    sources: BTreeMap<String, String>,
}

impl Default for Templates {
    fn default() -> Self {
        let sources = SHIPPED
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Self {
            sources: sources.collect(),
        }
    }
}

impl Templates {
    /// Loads the shipped templates, replaced by files of the same name below `directory` (`docs/prompt.md.hbs`,
    /// `agents/mine.sh`). Other files are ignored, except scripts of further agents.
    pub fn with_overrides(directory: &Path) -> Result<Self, TemplateError> {
        let mut templates = Self::default();
        let mut names: Vec<String> = templates.sources.keys().cloned().collect();
        if let Ok(entries) = std::fs::read_dir(directory.join("agents")) {
            let files = entries.flatten().map(|entry| entry.file_name());
            names.extend(
                files
                    .filter_map(|file| file.into_string().ok())
                    .filter(|file| Path::new(file).extension().is_some_and(|end| end == "sh"))
                    .map(|file| format!("agents/{file}")),
            );
        }
        for name in names {
            let file = directory.join(&name);
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    templates.sources.insert(name, text);
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    let file = file.display().to_string();
                    return Err(TemplateError::Read { file, source });
                }
            }
        }
        Ok(templates)
    }

    /// Renders all files of the run's ConfigMap, by name.
    pub fn render(
        &self,
        run: &Run,
        settings: &Settings,
    ) -> Result<BTreeMap<String, String>, TemplateError> {
        let agent = &run.spec.agent;
        if !settings.agents.contains_key(agent) {
            return Err(TemplateError::UnknownAgent {
                agent: agent.clone(),
                known: settings
                    .agents
                    .keys()
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        let manifest = RunManifest::new(run, manifest_parts::arrangement(run, settings));
        let variables = Variables::new(run, &manifest, settings);
        let mut files = BTreeMap::new();
        for (name, source) in &self.sources {
            let Some(file) = file_name(name, run.kind) else {
                continue;
            };
            let wording = pull_request::option_of(file);
            let wording = wording.and_then(|option| manifest.pull_request.get(option));
            let source = wording.unwrap_or(source);
            let text = if is_template(name) {
                render_template(name, source, &variables)?
            } else {
                source.clone()
            };
            files.insert(file.to_owned(), text);
        }
        let script = self.sources.get(&format!("agents/{agent}.sh"));
        let script = script.ok_or_else(|| TemplateError::NoScript {
            agent: agent.clone(),
        })?;
        files.insert("agent.sh".into(), script.clone());
        files.insert(MANIFEST_FILE.into(), json(&manifest)?);
        files.extend(manifest_parts::ssh_files(run, settings));
        for added in &run.spec.context {
            files
                .entry(added.filename.clone())
                .or_insert_with(|| added.content.clone());
        }
        check_size(files)
    }
}

/// Checks that the files fit into a ConfigMap.
fn check_size(files: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, TemplateError> {
    let size = files.iter().map(|(name, text)| name.len() + text.len());
    let size: usize = size.sum();
    if size <= SIZE_LIMIT {
        return Ok(files);
    }
    let largest = files.into_iter().max_by_key(|(_, text)| text.len());
    let (file, text) = largest.unwrap_or_default();
    Err(TemplateError::TooLarge {
        size,
        file,
        largest: text.len(),
    })
}

/// Renders all files of the run's ConfigMap from the shipped templates.
pub fn render(run: &Run, settings: &Settings) -> Result<BTreeMap<String, String>, TemplateError> {
    Templates::default().render(run, settings)
}

/// Returns the file name of a template in a run of `kind`; `None` if such runs do not have the file.
fn file_name(name: &str, kind: RunKind) -> Option<&str> {
    let (folder, file) = name.split_once('/')?;
    let wanted = match folder {
        "hooks" => kind.changes_code() || file != "early-test.sh",
        folder => folder == kind.as_str(),
    };
    wanted.then(|| file.strip_suffix(".hbs").unwrap_or(file))
}

fn is_template(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|end| end == "hbs")
}

/// Renders a template. JSON values are escaped, and the JSON output is reformatted.
fn render_template(
    name: &str,
    source: &str,
    variables: &Variables,
) -> Result<String, TemplateError> {
    let is_json = name.ends_with(".json.hbs");
    let mut registry = Handlebars::new();
    registry.set_strict_mode(true);
    if is_json {
        registry.register_escape_fn(|text| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        });
    } else {
        registry.register_escape_fn(handlebars::no_escape);
    }
    registry
        .register_template_string(name, source)
        .map_err(|error| TemplateError::Parse {
            name: name.to_owned(),
            message: error.to_string(),
        })?;
    let text = registry
        .render(name, variables)
        .map_err(|error| TemplateError::Render {
            name: name.to_owned(),
            message: error.reason().to_string(),
        })?;
    if name.ends_with("pr-title.hbs") {
        return Ok(text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    if !is_json {
        return Ok(text);
    }
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| TemplateError::NotJson {
            name: name.to_owned(),
            line: error.line(),
            column: error.column(),
            message: error.to_string(),
        })?;
    json(&value)
}

fn json(value: &impl serde::Serialize) -> Result<String, TemplateError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| TemplateError::Render {
        name: MANIFEST_FILE.to_owned(),
        message: error.to_string(),
    })?;
    Ok(text + "\n")
}

/// Returns the path of the task file from the repository root: the one verified by pre-flight, or else the default.
fn tasks_file(revision: Option<&TasksRevision>, prefix: &str) -> String {
    revision.map_or_else(
        || format!("{prefix}.taskmaster/tasks/tasks.json"),
        |revision| revision.path.clone(),
    )
}

#[cfg(test)]
mod tests;
