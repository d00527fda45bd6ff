//! `flightdeck tasks validate`: what is wrong with a plan, in a form that scripts and editors understand.

use serde::Serialize;

use super::{Choice, open};
use crate::cli::{Format, Session, output};
use flightdeck_core::{
    tasks::{Finding, ReadError},
    text,
};
use flightdeck_verbs::VerbError;

/// One finding as it is printed.
#[derive(Serialize)]
struct FindingView {
    kind: &'static str,
    tag: Option<String>,
    task: Option<String>,
    message: String,
    line: usize,
    column: usize,
    #[serde(skip)]
    wrong: bool,
}

#[derive(Serialize)]
struct Verdict {
    ok: bool,
    findings: Vec<FindingView>,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            kind: finding.kind.as_str(),
            wrong: !finding.kind.is_tolerated(),
            tag: finding.tag,
            task: finding.task,
            message: finding.message,
            line: finding.line,
            column: finding.column,
        }
    }
}

/// What no task can be read from is one finding.
fn unreadable(error: &ReadError) -> FindingView {
    let (line, column, message) = match error {
        ReadError::NotJson {
            line,
            column,
            message,
        } => (*line, *column, format!("not JSON: {message}")),
        error => (1, 1, error.to_string()),
    };
    FindingView {
        kind: "unreadable",
        tag: None,
        task: None,
        message,
        line,
        column,
        wrong: true,
    }
}

/// All tags unless one was named. Exit code 0 when nothing is wrong, else 1.
pub fn validate(session: &Session, choice: &Choice) -> anyhow::Result<u8> {
    let (path, read) = open::read(session, choice)?;
    let findings: Vec<FindingView> = match read {
        Err(error) => vec![unreadable(&error)],
        Ok(file) => {
            if let Some(tag) = choice.tag.as_deref().filter(|tag| file.tag(tag).is_none()) {
                let place = path.display();
                let sentence = format!("no tag {} in {place}", text::sanitize(tag));
                return Err(VerbError::NotFound(sentence).into());
            }
            // What is about the file is about each of its tags.
            let ours = |finding: &Finding| {
                choice.tag.is_none() || finding.tag.is_none() || finding.tag == choice.tag
            };
            file.findings
                .into_iter()
                .filter(ours)
                .map(FindingView::from)
                .collect()
        }
    };
    let wrong = findings.iter().filter(|finding| finding.wrong).count();
    let verdict = Verdict {
        ok: wrong == 0,
        findings,
    };
    match choice.output {
        Format::Json | Format::Yaml => output::value(choice.output, &verdict)?,
        Format::Name => verdict
            .findings
            .iter()
            .try_for_each(|finding| output::line(finding.kind))?,
        Format::Table => {
            let place = path.display();
            for finding in &verdict.findings {
                let about = match (&finding.tag, &finding.task) {
                    (Some(tag), Some(task)) => format!(" {tag} {task}:"),
                    (Some(tag), None) => format!(" {tag}:"),
                    _ => String::new(),
                };
                let FindingView {
                    kind,
                    line,
                    column,
                    message,
                    ..
                } = finding;
                let line = format!("{place}:{line}:{column}: {kind}:{about} {message}");
                output::line(&text::sanitize(&line))?;
            }
            let tolerated = verdict.findings.len() - wrong;
            let wrong = match wrong {
                0 => "nothing is wrong".into(),
                wrong => format!("{} wrong", text::count(wrong, "thing")),
            };
            output::notice(&match tolerated {
                0 => wrong,
                tolerated => format!("{wrong}, {tolerated} tolerated"),
            });
        }
    }
    Ok(u8::from(!verdict.ok))
}
