//! The files a run is given, rendered from `templates/`: what lands in the run's ConfigMap, and what a preview shows.
//!
//! A file ending in `.hbs` is a handlebars template, rendered strictly: a missing variable is an error that names it. Every
//! other file is handed over as it is; that is how values never enter a shell script: scripts are no templates.
//! Must not know: who asks for the files, or where they go.

mod facts;
mod surroundings;
mod wording;

use std::{collections::BTreeMap, path::Path};

use handlebars::Handlebars;

use crate::settings::Settings;
use facts::Facts;
use flightdeck_core::{
    resources::TasksRevision,
    runs::{MANIFEST_FILE, Run, RunKind, RunManifest},
};
pub use surroundings::{KNOWN_HOSTS, USERS};
pub use wording::pull_request_options;

/// Builds the table of shipped templates: one line a file, named as it is below `templates/`.
macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../templates/", $name)))),+]
    };
}

/// Every shipped template, by its path below `templates/`.
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

/// Most bytes all files of a run may have together: what fits into a ConfigMap (1 MiB) with room for its metadata.
pub const SIZE_LIMIT: usize = 1000 * 1024;

/// Why a run's files could not be made. The variant's text names template and variable.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("the template {name} cannot be read: {message}")]
    Parse { name: String, message: String },
    #[error("the template {name} cannot be filled in: {message}")]
    Render { name: String, message: String },
    #[error(
        "the template {name} gives something that is not JSON (line {line}, column {column}): {message}"
    )]
    NotJson {
        name: String,
        line: usize,
        column: usize,
        message: String,
    },
    #[error("the template {file} cannot be read from disk: {source}")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error(
        "the agent {agent} is not in the settings; known agents: {known}. Add [agents.{agent}] or choose another"
    )]
    UnknownAgent { agent: String, known: String },
    #[error(
        "no template agents/{agent}.sh says how the agent {agent} is started; add it to the template directory"
    )]
    NoScript { agent: String },
    #[error(
        "the files of this run have {size} bytes, and {SIZE_LIMIT} fit into a ConfigMap; the largest is {file} with {largest}: shorten what was added to it"
    )]
    TooLarge {
        size: usize,
        file: String,
        largest: usize,
    },
}

/// The templates in force: the shipped ones, with a person's own files in place of those of the same name.
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
    /// The shipped templates, overridden by the files of the same name below `directory` (`docs/prompt.md.hbs`,
    /// `agents/mine.sh`). Files of other names are left alone, but for scripts of further agents.
    pub fn overridden(directory: &Path) -> Result<Self, TemplateError> {
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

    /// Every file of the run's ConfigMap, by its name there.
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
        let manifest = RunManifest::new(run, surroundings::arranged(run, settings));
        let facts = Facts::new(run, &manifest, settings);
        let mut files = BTreeMap::new();
        for (name, source) in &self.sources {
            let Some(file) = file_name(name, run.kind) else {
                continue;
            };
            let wording = wording::option_of(file);
            let wording = wording.and_then(|option| manifest.pull_request.get(option));
            let source = wording.unwrap_or(source);
            let text = if is_template(name) {
                fill_in(name, source, &facts)?
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
        files.extend(surroundings::ssh_files(run, settings));
        for added in &run.spec.context {
            files
                .entry(added.filename.clone())
                .or_insert_with(|| added.content.clone());
        }
        fitting(files)
    }
}

/// The files, when a ConfigMap holds them: checked before anything is made or sent.
fn fitting(files: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, TemplateError> {
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

/// Every file of the run's ConfigMap, from the shipped templates.
pub fn render(run: &Run, settings: &Settings) -> Result<BTreeMap<String, String>, TemplateError> {
    Templates::default().render(run, settings)
}

/// What the template becomes in a run of `kind`; `None` when such a run does not have it.
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

/// Renders one template; JSON is escaped as JSON, parsed again, and written in one form.
fn fill_in(name: &str, source: &str, facts: &Facts) -> Result<String, TemplateError> {
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
        .render(name, facts)
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

/// Where Task Master's file is, from the repository root: what pre-flight verified, else its usual place.
fn tasks_file(revision: Option<&TasksRevision>, prefix: &str) -> String {
    revision.map_or_else(
        || format!("{prefix}.taskmaster/tasks/tasks.json"),
        |revision| revision.path.clone(),
    )
}

#[cfg(test)]
mod tests;
