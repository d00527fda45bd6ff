//! `tasks validate`: problems of a plan.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PlanArgs, blocking, selection};
use crate::{Context, Render, Verb, VerbError, View};
use flightdeck_core::{
    tasks::{Finding, ReadError},
    text,
};

/// One problem of a plan.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct FindingItem {
    kind: String,
    tag: Option<String>,
    task: Option<String>,
    message: String,
    line: usize,
    column: usize,
    /// Whether the plan is invalid, rather than tolerated.
    #[serde(skip)]
    wrong: bool,
}

/// Result of a validation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Validation {
    ok: bool,
    findings: Vec<FindingItem>,
    #[serde(skip)]
    file: PathBuf,
}

impl From<Finding> for FindingItem {
    fn from(finding: Finding) -> Self {
        Self {
            kind: finding.kind.as_str().to_owned(),
            wrong: !finding.kind.is_tolerated(),
            tag: finding.tag,
            task: finding.task,
            message: finding.message,
            line: finding.line,
            column: finding.column,
        }
    }
}

/// Reports an unreadable plan as one finding.
fn unreadable(error: &ReadError) -> FindingItem {
    let (line, column, message) = match error {
        ReadError::NotJson {
            line,
            column,
            message,
        } => (*line, *column, format!("not JSON: {message}")),
        error => (1, 1, error.to_string()),
    };
    FindingItem {
        kind: "unreadable".to_owned(),
        tag: None,
        task: None,
        message,
        line,
        column,
        wrong: true,
    }
}

/// Validates the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ValidateTasks {
    #[command(flatten)]
    #[serde(flatten)]
    plan: PlanArgs,
}

impl Verb for ValidateTasks {
    const NAME: &'static str = "tasks validate";
    const ABOUT: &'static str = "Validate the plan; exit with 1 if it is invalid";
    type Output = Validation;

    async fn run(self, context: &Context) -> Result<Validation, VerbError> {
        blocking(context, move |start| validate(start, &self.plan)).await
    }
}

/// Validates all tags, or the requested one.
fn validate(start: &Path, arguments: &PlanArgs) -> Result<Validation, VerbError> {
    let (path, read) = selection::read(start, arguments)?;
    let findings: Vec<FindingItem> = match read {
        Err(error) => vec![unreadable(&error)],
        Ok(file) => {
            let requested = arguments.tag.as_deref();
            if let Some(tag) = requested.filter(|tag| file.tag(tag).is_none()) {
                let message = format!("no tag {} in {}", text::sanitize(tag), path.display());
                return Err(VerbError::NotFound(message));
            }
            // Findings about the whole file concern every tag.
            let selected = |finding: &Finding| {
                requested.is_none() || finding.tag.is_none() || finding.tag.as_deref() == requested
            };
            let findings = file.findings.into_iter().filter(selected);
            findings.map(FindingItem::from).collect()
        }
    };
    Ok(Validation {
        ok: !findings.iter().any(|finding| finding.wrong),
        findings,
        file: path,
    })
}

impl Render for Validation {
    fn names(&self) -> Vec<String> {
        let kinds = self.findings.iter().map(|finding| finding.kind.clone());
        kinds.collect()
    }

    fn view(&self) -> View {
        let line = |finding: &FindingItem| {
            let about = match (&finding.tag, &finding.task) {
                (Some(tag), Some(task)) => format!(" {tag} {task}:"),
                (Some(tag), None) => format!(" {tag}:"),
                _ => String::new(),
            };
            let FindingItem {
                kind,
                line,
                column,
                message,
                ..
            } = finding;
            let file = self.file.display();
            // The format of compilers, which editors understand.
            text::sanitize(&format!("{file}:{line}:{column}: {kind}:{about} {message}"))
                .into_owned()
        };
        View::Text(self.findings.iter().map(line).collect())
    }

    fn notices(&self) -> Vec<String> {
        let wrong = self.findings.iter().filter(|finding| finding.wrong).count();
        let tolerated = self.findings.len() - wrong;
        let wrong = match wrong {
            0 => "valid".into(),
            wrong => text::count(wrong, "error"),
        };
        vec![match tolerated {
            0 => wrong,
            tolerated => format!("{wrong}, {tolerated} tolerated"),
        }]
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.ok)
    }
}
