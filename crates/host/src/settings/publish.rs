//! Options of pull requests: a flat map of strings, in the form of the ConfigMap [`PULL_REQUEST_MAP`], and what they may be. Pure.

use std::collections::BTreeMap;

/// Name of the ConfigMap, in a controller's namespace, that is laid over `[publish] docs` of its settings.
pub const PULL_REQUEST_MAP: &str = "docs-pr-config";

/// Names separated by commas, `"true"` or `"false"`, or a template.
pub const LISTS: [&str; 2] = ["labels", "reviewers"];
pub const SWITCHES: [&str; 2] = ["auto_merge", "draft"];
pub const WORDINGS: [&str; 2] = ["pr_title_template", "pr_body_template"];

/// Names and values, as they were written.
pub type PullRequestOptions = BTreeMap<String, String>;

/// The first option that is unknown or is not of its form, and why. Whether a template can be filled in is asked elsewhere.
pub fn check_options(options: &PullRequestOptions) -> Result<(), (String, String)> {
    let known = || LISTS.into_iter().chain(SWITCHES).chain(WORDINGS);
    for (name, value) in options {
        if !known().any(|known| known == name) {
            let known = known().collect::<Vec<_>>().join(", ");
            let why = format!("no such option of a pull request; there are {known}");
            return Err((name.clone(), why));
        }
        let word = value.trim();
        let switches = ["true", "false"].map(|known| word.eq_ignore_ascii_case(known));
        if SWITCHES.contains(&name.as_str()) && !switches.contains(&true) {
            let why = format!("{value:?} is neither \"true\" nor \"false\"");
            return Err((name.clone(), why));
        }
    }
    Ok(())
}
