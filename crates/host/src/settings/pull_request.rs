//! Options of pull requests, a flat map of strings as in the ConfigMap [`PULL_REQUEST_MAP`], and their validation.
//! Pure.

use std::collections::BTreeMap;

/// Name of the ConfigMap, in the controller's namespace, that is merged over `[publish] docs` of its settings.
pub const PULL_REQUEST_MAP: &str = "docs-pr-config";

/// Options that are comma-separated lists.
const LIST_OPTIONS: [&str; 2] = ["labels", "reviewers"];
// Options that are `"true"` or `"false"`.
const BOOL_OPTIONS: [&str; 2] = ["auto_merge", "draft"];
// Options that are templates.
pub(crate) const TEMPLATE_OPTIONS: [&str; 2] = ["pr_title_template", "pr_body_template"];

/// Option names and values, as written.
pub type PullRequestOptions = BTreeMap<String, String>;

/// Validates names and values. Returns the first invalid option, and why. Does not check that templates render.
pub(crate) fn check_options(options: &PullRequestOptions) -> Result<(), (String, String)> {
    let known = || {
        LIST_OPTIONS
            .into_iter()
            .chain(BOOL_OPTIONS)
            .chain(TEMPLATE_OPTIONS)
    };
    for (name, value) in options {
        if !known().any(|known| known == name) {
            let known = known().collect::<Vec<_>>().join(", ");
            let why = format!("unknown pull request option; known options: {known}");
            return Err((name.clone(), why));
        }
        let word = value.trim();
        let switches = ["true", "false"].map(|known| word.eq_ignore_ascii_case(known));
        if BOOL_OPTIONS.contains(&name.as_str()) && !switches.contains(&true) {
            let why = format!("{value:?} must be \"true\" or \"false\"");
            return Err((name.clone(), why));
        }
    }
    Ok(())
}
