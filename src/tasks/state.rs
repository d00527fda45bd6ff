//! What Task Master keeps beside the plan: the tag in use, and how complex each task is.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::DEFAULT_TAG;

/// The tag in use by `.taskmaster/state.json`; `master` when there is no file, no tag in it, or a write of it is under way.
#[must_use]
pub fn current_tag(state_json: Option<&[u8]>) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct State {
        /// `activeTag` is what older versions wrote.
        #[serde(alias = "activeTag")]
        current_tag: Option<String>,
    }
    state_json
        .and_then(|bytes| serde_json::from_slice::<State>(bytes).ok()?.current_tag)
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .unwrap_or_else(|| DEFAULT_TAG.to_owned())
}

/// Where the complexity report of a tag is, from the project directory.
#[must_use]
pub fn complexity_path(tag: &str) -> String {
    if tag == DEFAULT_TAG {
        return ".taskmaster/reports/task-complexity-report.json".into();
    }
    let mut slug = String::new();
    for c in tag.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || c == '_' {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    slug.truncate(50);
    let slug = slug.trim_end_matches('-');
    format!(".taskmaster/reports/task-complexity-report_{slug}.json")
}

/// Scores (1 to 10) of a complexity report by task id; empty when it is none.
#[must_use]
pub fn complexity(report_json: &[u8]) -> BTreeMap<String, f64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        complexity_analysis: Vec<serde_json::Value>,
    }
    let Ok(report) = serde_json::from_slice::<Report>(report_json) else {
        return BTreeMap::new();
    };
    let score = |item: &serde_json::Value| {
        let id = match item.get("taskId")? {
            serde_json::Value::String(id) => id.trim().to_owned(),
            id => id.to_string(),
        };
        Some((id, item.get("complexityScore")?.as_f64()?))
    };
    report
        .complexity_analysis
        .iter()
        .filter_map(score)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_in_use_is_masters_unless_the_state_says_otherwise() {
        for (state, tag) in [
            (None, "master"),
            (Some(""), "master"),
            (Some(r#"{"migrationNoticeShown": true}"#), "master"),
            (Some(r#"{"currentTag": null}"#), "master"),
            (Some(r#"{"currentTag": "mvp", "x": []}"#), "mvp"),
            (Some(r#"{"activeTag": "old"}"#), "old"),
        ] {
            assert_eq!(current_tag(state.map(str::as_bytes)), tag, "{state:?}");
        }
    }

    #[test]
    fn scores_come_from_the_report_of_the_tag() {
        let report = br#"{"meta": {}, "complexityAnalysis": [{"taskId": 3, "complexityScore": 8}, {"taskId": "4", "complexityScore": 2.5}, {"taskId": 5}, null]}"#;
        let scores = complexity(report);
        assert_eq!(
            scores.into_iter().collect::<Vec<_>>(),
            [("3".to_owned(), 8.0), ("4".to_owned(), 2.5)]
        );
        assert!(complexity(b"[]").is_empty());
        assert!(complexity_path("Feature/X").ends_with("report_feature-x.json"));
        assert!(complexity_path("master").ends_with("report.json"));
    }
}
