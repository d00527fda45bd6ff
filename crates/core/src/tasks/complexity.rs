//! The complexity report of a tag: how hard each task is, as an analysis by Task Master found it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{DEFAULT_TAG, load};

/// Folders of a project a report may be in, the present one first.
const FOLDERS: [&str; 2] = [".taskmaster/reports", "scripts"];

/// What the report says of one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Complexity {
    /// 1 to 10 as Task Master writes it.
    pub score: f64,
    /// How many subtasks it should have.
    pub recommended_subtasks: Option<u64>,
    pub reasoning: String,
}

/// How Task Master calls a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Low,
    Medium,
    High,
}

impl Complexity {
    /// From 8 high, from 5 medium, below low.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.score >= 8.0 {
            Level::High
        } else if self.score >= 5.0 {
            Level::Medium
        } else {
            Level::Low
        }
    }
}

impl Level {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Where the report of a tag may be in a project, the likeliest place first. Task Master writes it under a simplified name of the tag, and
/// some of its versions under the name itself.
#[must_use]
pub fn complexity_paths(project: &Path, tag: &str) -> Vec<PathBuf> {
    let names = if tag == DEFAULT_TAG {
        vec!["task-complexity-report.json".to_owned()]
    } else {
        let as_it_is = |c: char| c.is_alphanumeric() || "-_ .".contains(c);
        let mut names = vec![simplified(tag)];
        // A tag is no path: one that could be read as one has no other name.
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

/// A tag as Task Master names files after it.
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

/// The report of a tag by task id; empty when there is none. Reads files.
#[must_use]
pub fn complexity(project: &Path, tag: &str) -> HashMap<String, Complexity> {
    let mut paths = complexity_paths(project, tag).into_iter();
    let report = paths.find_map(|path| load(&path).ok());
    report.map_or_else(HashMap::new, |bytes| read_complexity(&bytes))
}

/// A report by task id; what is no report is empty, an entry that is none is skipped.
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
    use std::fs;

    use super::*;

    #[test]
    fn what_a_report_says_is_read_entry_by_entry() {
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
            (Level::High, Level::Low)
        );
        assert!(read_complexity(b"[]").is_empty());
    }

    #[test]
    fn the_report_is_that_of_the_tag_and_never_outside_the_project() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, score: u32| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let report = format!(
                r#"{{"complexityAnalysis": [{{"taskId": 1, "complexityScore": {score}}}]}}"#
            );
            fs::write(path, report).unwrap();
        };
        write(".taskmaster/reports/task-complexity-report.json", 1);
        write(
            ".taskmaster/reports/task-complexity-report_feature-x.json",
            2,
        );
        write(".taskmaster/reports/task-complexity-report_MVP.json", 3);
        write("scripts/task-complexity-report_old.json", 4);
        for (tag, score) in [
            ("master", Some(1.0)),
            ("Feature/X", Some(2.0)),
            ("MVP", Some(3.0)),
            ("old", Some(4.0)),
            ("none", None),
        ] {
            let known = complexity(directory.path(), tag);
            assert_eq!(known.get("1").map(|known| known.score), score, "{tag}");
        }
        for tag in ["../../x", "..", "a/../../b", "/etc/x"] {
            let outside = |path: &PathBuf| {
                path.components()
                    .any(|part| part == std::path::Component::ParentDir)
                    || !path.starts_with("/p")
            };
            assert!(
                !complexity_paths(Path::new("/p"), tag).iter().any(outside),
                "{tag}"
            );
        }
    }
}
