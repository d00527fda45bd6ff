//! Reads what a project keeps beside its plan: the current tag, documents and complexity reports.

use std::{collections::HashMap, fs, path::Path};

use super::{load, project_directory};
use crate::{
    files::read_bounded,
    runs::documents_directory,
    tasks::{
        Complexity, DocumentSet, complexity::complexity_paths, parse_current_tag, read_complexity,
    },
};

/// Maximum size of a `state.json`, in bytes: it holds a few names.
const MAX_STATE_SIZE: u64 = 1 << 20;

/// Returns the current tag of the project of a task file, from its `state.json`.
#[must_use]
pub fn current_tag_of(tasks_file: &Path) -> String {
    project_directory(tasks_file).map_or_else(|| parse_current_tag(None), current_tag_of_project)
}

/// Returns the current tag of a project directory, from its `state.json`. A file that is not regular or too large counts as missing.
#[must_use]
pub fn current_tag_of_project(project: &Path) -> String {
    let state = read_bounded(&project.join(".taskmaster/state.json"), MAX_STATE_SIZE);
    parse_current_tag(state.ok().as_deref())
}

/// Returns the documents on disk by task id, for tasks that have any. Lists the documents folder once, and each task
/// folder once.
#[must_use]
pub fn documents(project: &Path, tag: &str) -> HashMap<String, DocumentSet> {
    // With an empty id this is `<parent>/task-`, the prefix of all task folders.
    let pattern = project.join(documents_directory(tag, ""));
    let (Some(parent), Some(prefix)) = (pattern.parent(), pattern.file_name()) else {
        return HashMap::new();
    };
    let prefix = prefix.to_string_lossy();
    let names = |directory: &Path| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    names(parent)
        .iter()
        .filter_map(|name| {
            let id = name.strip_prefix(prefix.as_ref())?;
            let set = DocumentSet::from_listing(names(&parent.join(name)));
            (!id.is_empty() && set.count() > 0).then(|| (id.to_owned(), set))
        })
        .collect()
}

/// Reads the report of a tag, by task id; empty if there is none.
#[must_use]
pub fn complexity(project: &Path, tag: &str) -> HashMap<String, Complexity> {
    let mut paths = complexity_paths(project, tag).into_iter();
    let report = paths.find_map(|path| load(&path).ok());
    report.map_or_else(HashMap::new, |bytes| read_complexity(&bytes))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::runs::DOCUMENTS;

    #[test]
    fn ignores_state_over_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join(".taskmaster/state.json");
        fs::create_dir_all(state.parent().unwrap()).unwrap();
        let mut content = br#"{"currentTag": "mvp"}"#.to_vec();
        fs::write(&state, &content).unwrap();
        assert_eq!(current_tag_of_project(directory.path()), "mvp");
        content.resize(MAX_STATE_SIZE as usize + 1, b' ');
        fs::write(&state, &content).unwrap();
        assert_eq!(current_tag_of_project(directory.path()), "master");
    }

    #[test]
    fn counts_documents_by_tag_and_task() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str| {
            let path = directory.path().join(".taskmaster/docs").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        for document in DOCUMENTS {
            write(&format!("task-1/{document}"));
        }
        write("task-2/task.md");
        write("task-2/notes.md");
        write("task-3/notes.md");
        write("mvp/task-1/prompt.md");
        write("prd.md");

        let master = documents(directory.path(), "master");
        assert_eq!(master.len(), 2);
        assert!(master["1"].is_complete());
        assert_eq!(
            master["2"].missing().collect::<Vec<_>>(),
            ["prompt.md", "design-spec.md", "acceptance-criteria.md"]
        );
        let mvp = documents(directory.path(), "mvp");
        assert_eq!((mvp.len(), mvp["1"].count()), (1, 1));
        assert!(documents(directory.path(), "none").is_empty());
    }

    #[test]
    fn finds_report_of_tag_within_project() {
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
