//! Pull request templates from the options: validated by rendering them for a sample run.

use kube::api::ObjectMeta;

use super::{TemplateError, Variables, manifest_parts, render_template};
use crate::settings::{self, InvalidSetting, PullRequestOptions, Settings};
use flightdeck_core::{
    resources::RunSpec,
    runs::{CodeDetails, Run, RunKind, RunManifest},
};

/// Files that an option can replace, with the option.
const TEMPLATE_FILES: [(&str, &str); 2] = [
    ("pr-title", settings::TEMPLATE_OPTIONS[0]),
    ("pr-body.md", settings::TEMPLATE_OPTIONS[1]),
];

/// Returns the option that replaces the template of a file.
pub(super) fn option_of(file: &str) -> Option<&'static str> {
    let mut worded = TEMPLATE_FILES.into_iter();
    worded.find_map(|(worded, option)| (worded == file).then_some(option))
}

/// Validates pull request options for runs of `kind`, including that templates render.
///
/// # Errors
/// The first invalid option.
pub fn validate_pull_request_options(
    kind: RunKind,
    options: PullRequestOptions,
) -> Result<PullRequestOptions, InvalidSetting> {
    let refused = |field: &str, message: String| InvalidSetting {
        line: None,
        field: field.to_owned(),
        message,
    };
    settings::check_options(&options).map_err(|(field, why)| refused(&field, why))?;
    for (file, option) in TEMPLATE_FILES {
        let Some(text) = options.get(option) else {
            continue;
        };
        let worded = word(kind, file, text).map_err(|why| refused(option, why))?;
        if file == "pr-title" && worded.is_empty() {
            return Err(refused(option, "the title is empty".into()));
        }
    }
    Ok(options)
}

/// Renders a template for a minimal run with one task.
fn word(kind: RunKind, file: &str, text: &str) -> Result<String, String> {
    let run = Run {
        kind,
        metadata: ObjectMeta {
            name: Some("sample".into()),
            ..ObjectMeta::default()
        },
        tasks: vec!["1".into()],
        spec: RunSpec::default(),
        code: kind.changes_code().then(CodeDetails::default),
        status: flightdeck_core::resources::RunStatus::default(),
    };
    let settings = Settings::shipped();
    let manifest = RunManifest::new(&run, manifest_parts::arrangement(&run, &settings));
    let variables = Variables::new(&run, &manifest, &settings);
    let name = format!("{}/{file}.hbs", kind.as_str());
    render_template(&name, text, &variables).map_err(|error| match error {
        // On one line, without the position in a file that the user does not have.
        TemplateError::Parse { message, .. } | TemplateError::Render { message, .. } => {
            message.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[(&str, &str)]) -> Result<PullRequestOptions, String> {
        let options = options.iter();
        let options = options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        validate_pull_request_options(RunKind::Docs, options.collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_shipped_sample() {
        let sample = include_str!("../../../../config/samples/docs-pr-config.yaml");
        let sample: k8s_openapi::api::core::v1::ConfigMap = serde_saphyr::from_str(sample).unwrap();
        let options = sample.data.unwrap();
        let taken = validate_pull_request_options(RunKind::Docs, options.clone());
        assert_eq!(taken.unwrap(), options);
        assert_eq!(
            sample.metadata.name.as_deref(),
            Some(settings::PULL_REQUEST_MAP)
        );
        assert!(read(&[]).unwrap().is_empty());
        assert!(read(&[("draft", " True ")]).is_ok());
    }

    #[test]
    fn names_invalid_option() {
        for (key, value, expected) in [
            (
                "auto_merge",
                "yes",
                "auto_merge: \"yes\" must be \"true\" or \"false\"",
            ),
            (
                "reviewer",
                "ann",
                "reviewer: unknown pull request option; known options: labels, reviewers, ",
            ),
            ("pr_title_template", " ", "pr_title_template: the title"),
            (
                "pr_title_template",
                "{{task_inf}}",
                "pr_title_template: Failed to access variable in strict mode Some(\"task_inf\")",
            ),
            ("pr_body_template", "{{#if model}}", "pr_body_template: "),
        ] {
            let refused = read(&[(key, value)]).unwrap_err();
            assert!(refused.starts_with(expected), "{key}: {refused}");
        }
    }
}
