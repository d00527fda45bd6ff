//! Task Master's complexity report of a tag.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::DEFAULT_TAG;

/// Folders that may contain a report, current one first.
const FOLDERS: [&str; 2] = [".taskmaster/reports", "scripts"];

/// Complexity of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Complexity {
    /// From 1 to 10.
    pub score: f64,
    /// Recommended number of subtasks.
    pub recommended_subtasks: Option<u64>,
    pub reasoning: String,
}

/// Task Master's classification of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ComplexityLevel {
    Low,
    Medium,
    High,
}

impl Complexity {
    /// Returns high from 8, medium from 5, otherwise low.
    #[must_use]
    pub fn level(&self) -> ComplexityLevel {
        if self.score >= 8.0 {
            ComplexityLevel::High
        } else if self.score >= 5.0 {
            ComplexityLevel::Medium
        } else {
            ComplexityLevel::Low
        }
    }
}

impl ComplexityLevel {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Returns the possible paths of the report of a tag, most likely first. Task Master simplifies the tag in the file
/// name, but some versions use it unchanged.
pub(super) fn complexity_paths(project: &Path, tag: &str) -> Vec<PathBuf> {
    let names = if tag == DEFAULT_TAG {
        vec!["task-complexity-report.json".to_owned()]
    } else {
        let as_it_is = |c: char| c.is_alphanumeric() || "-_ .".contains(c);
        let mut names = vec![simplified(tag)];
        // A tag that looks like a path has no unsimplified name.
        names.extend((names[0] != tag && tag.chars().all(as_it_is)).then(|| tag.to_owned()));
        names
            .iter()
            .map(|name| format!("task-complexity-report_{name}.json"))
            .collect()
    };
    let in_folder = |folder: &str| -> Vec<PathBuf> {
        names
            .iter()
            .map(|name| project.join(folder).join(name))
            .collect()
    };
    FOLDERS.into_iter().flat_map(in_folder).collect()
}

/// Simplifies a tag as Task Master does for file names.
fn simplified(tag: &str) -> String {
    let mut name = String::new();
    for c in tag.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || c == '_' {
            name.push(c);
        } else if !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
    }
    name.truncate(50);
    name.trim_end_matches('-').to_owned()
}

/// Parses a report, by task id. Invalid entries are skipped, an invalid report is empty.
#[must_use]
pub fn read_complexity(report_json: &[u8]) -> HashMap<String, Complexity> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        complexity_analysis: Vec<Value>,
    }
    let Ok(report) = serde_json::from_slice::<Report>(report_json) else {
        return HashMap::new();
    };
    let entry = |item: &Value| {
        let id = match item.get("taskId")? {
            Value::String(id) => id.trim().to_owned(),
            id => id.to_string(),
        };
        let reasoning = item.get("reasoning").and_then(Value::as_str);
        let complexity = Complexity {
            score: item.get("complexityScore")?.as_f64()?,
            recommended_subtasks: item.get("recommendedSubtasks").and_then(Value::as_u64),
            reasoning: reasoning.unwrap_or_default().to_owned(),
        };
        Some((id, complexity))
    };
    report
        .complexity_analysis
        .iter()
        .filter_map(entry)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_invalid_report_entries() {
        let report = br#"{"meta": {}, "complexityAnalysis": [
            {"taskId": 3, "complexityScore": 8, "recommendedSubtasks": 5, "reasoning": "Many parts."},
            {"taskId": "4", "complexityScore": 2.5}, {"taskId": 5}, null]}"#;
        let known = read_complexity(report);
        assert_eq!(known.len(), 2);
        assert_eq!(
            known["3"],
            Complexity {
                score: 8.0,
                recommended_subtasks: Some(5),
                reasoning: "Many parts.".into()
            }
        );
        assert_eq!(
            (known["3"].level(), known["4"].level()),
            (ComplexityLevel::High, ComplexityLevel::Low)
        );
        assert!(read_complexity(b"[]").is_empty());
    }
}
