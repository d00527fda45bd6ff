//! Wordings of pull requests that stand in for a template: whether they can be filled in, asked before a run rests on them.

use kube::api::ObjectMeta;

use super::{Facts, TemplateError, fill_in, surroundings};
use crate::settings::{self, PullRequestOptions, Refused, Settings};
use flightdeck_core::{
    resources::RunSpec,
    runs::{CodeDetails, Run, RunKind, RunManifest},
};

/// Files that an option words, and the option.
const WORDED: [(&str, &str); 2] = [
    ("pr-title", settings::WORDINGS[0]),
    ("pr-body.md", settings::WORDINGS[1]),
];

/// The option that words a file of a run in place of its template.
pub(super) fn option_of(file: &str) -> Option<&'static str> {
    let mut worded = WORDED.into_iter();
    worded.find_map(|(worded, option)| (worded == file).then_some(option))
}

/// Takes options of the pull requests of `kind`, each of its form and every template such that a run can be worded by it.
///
/// # Errors
/// The option that is refused, by name.
pub fn pull_request_options(
    kind: RunKind,
    options: PullRequestOptions,
) -> Result<PullRequestOptions, Refused> {
    let refused = |field: &str, message: String| Refused {
        line: None,
        field: field.to_owned(),
        message,
    };
    settings::check_options(&options).map_err(|(field, why)| refused(&field, why))?;
    for (file, option) in WORDED {
        let Some(text) = options.get(option) else {
            continue;
        };
        let worded = word(kind, file, text).map_err(|why| refused(option, why))?;
        if file == "pr-title" && worded.is_empty() {
            return Err(refused(option, "a title cannot be empty".into()));
        }
    }
    Ok(options)
}

/// A wording filled in for a run of one task that asks for nothing beyond what it must.
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
    let manifest = RunManifest::new(&run, surroundings::arranged(&run, &settings));
    let facts = Facts::new(&run, &manifest, &settings);
    let name = format!("{}/{file}.hbs", kind.as_str());
    fill_in(&name, text, &facts).map_err(|error| match error {
        // On one line, without the place in a file that nobody has.
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
        pull_request_options(RunKind::Docs, options.collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_form_that_is_shipped_as_a_sample_is_taken() {
        let sample = include_str!("../../../../config/samples/docs-pr-config.yaml");
        let sample: k8s_openapi::api::core::v1::ConfigMap = serde_yaml::from_str(sample).unwrap();
        let options = sample.data.unwrap();
        let taken = pull_request_options(RunKind::Docs, options.clone());
        assert_eq!(taken.unwrap(), options);
        assert_eq!(
            sample.metadata.name.as_deref(),
            Some(settings::PULL_REQUEST_MAP)
        );
        assert!(read(&[]).unwrap().is_empty());
        assert!(read(&[("draft", " True ")]).is_ok());
    }

    #[test]
    fn what_is_refused_is_named_by_its_key() {
        for (key, value, expected) in [
            (
                "auto_merge",
                "yes",
                "auto_merge: \"yes\" is neither \"true\" nor \"false\"",
            ),
            (
                "reviewer",
                "ann",
                "reviewer: no such option of a pull request; there are labels, reviewers, ",
            ),
            ("pr_title_template", " ", "pr_title_template: a title"),
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
