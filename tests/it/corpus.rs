//! Real task files, if the corpus is available: all can be read, and the results equal those of the official Task Master.

use std::{collections::HashMap, fs};

use crate::support::corpus;
use flightdeck_core::tasks::{self, EditError, FindingKind, ReadError, Status, TaskFile};

/// Parses tab-separated values into one map per row.
fn table(text: &str) -> Vec<HashMap<&str, &str>> {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap().split('\t').collect();
    lines
        .map(|line| heads.iter().copied().zip(line.split('\t')).collect())
        .collect()
}

#[test]
fn reads_all_tasks_of_real_files() {
    let Some(folder) = corpus("reads_all_tasks_of_real_files", "") else {
        return;
    };
    let index = fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut wrong = Vec::new();
    for row in table(&index) {
        let bytes = fs::read(folder.join("tasks").join(row["file"])).unwrap();
        let counted = tasks::read(&bytes).map(|file| {
            let tasks: usize = file.tags.iter().map(|tag| tag.tasks.len()).sum();
            let subtasks: usize = file
                .tags
                .iter()
                .flat_map(|tag| &tag.tasks)
                .map(|task| task.subtasks.len())
                .sum();
            format!("{tasks} {subtasks}")
        });
        let expected = match row["format"] {
            "invalid-json" => None,
            // The corpus counts no tasks in nested lists.
            _ if row["oddities"].contains("task-not-object:list") => Some("20 0".to_owned()),
            _ => Some(format!("{} {}", row["n_tasks"], row["n_subtasks"])),
        };
        if counted.clone().ok() != expected {
            wrong.push(format!(
                "{} ({}): {counted:?}, listed {expected:?}",
                row["file"], row["format"]
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn next_and_ready_of_real_files_equal_task_master() {
    let Some(folder) = corpus("next_and_ready_of_real_files_equal_task_master", "") else {
        return;
    };
    let golden = fs::read_to_string(folder.join("golden.tsv")).unwrap();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for row in table(&golden) {
        let Ok(bytes) = fs::read(
            folder
                .join("tasks")
                .join(row["file"].trim_start_matches("alt/")),
        ) else {
            continue;
        };
        if row["list_rc"] != "0" || row["next_rc"] != "0" {
            continue;
        }
        let file = tasks::read(&bytes).unwrap();
        let tag = match row["tag"] {
            "" => file.tag("master").or(file.tags.first()),
            name => file.tag(name),
        };
        let Some(tag) = tag else { continue };
        // Formats of which the official tool shows nothing.
        if row["list_total"] == "0" && !tag.tasks.is_empty() {
            continue;
        }
        compared += 1;
        let next = tasks::next(tag).map_or_else(|| "None".to_owned(), |next| next.id);
        let ready = tasks::ready(tag).len().to_string();
        // The official tool has a bug: it prints 14.14.8 for a subtask whose id is written as 14.8.
        let official = match row["next_id"].split('.').collect::<Vec<_>>()[..] {
            [task, again, subtask] if task == again => format!("{task}.{subtask}"),
            _ => row["next_id"].to_owned(),
        };
        if next != official || ready != row["ready_n"] {
            wrong.push(format!(
                "{} {:?}: next {next}, ready {ready}; officially {} and {}",
                row["file"], row["tag"], row["next_id"], row["ready_n"]
            ));
        }
    }
    assert!(
        wrong.is_empty() && compared > 60,
        "{compared} compared\n{}",
        wrong.join("\n")
    );
}

/// Returns a plan without the line numbers of its tasks, which change when a missing status is added.
fn without_lines(mut file: TaskFile) -> TaskFile {
    for task in file.tags.iter_mut().flat_map(|tag| &mut tag.tasks) {
        task.line = 0;
        task.subtasks.iter_mut().for_each(|task| task.line = 0);
    }
    file
}

/// Asserts that the files differ only in one JSON string or one added member.
fn assert_one_value_differs(old: &[u8], new: &[u8], task: &str) {
    let pairs = |(a, b): &(&u8, &u8)| a == b;
    let front = old.iter().zip(new).take_while(pairs).count();
    let room = old.len().min(new.len()) - front;
    let back = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take(room)
        .take_while(pairs)
        .count();
    let changed = &old[front..old.len() - back];
    let known = changed
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    assert!(
        known && changed.len() <= "in-progress".len(),
        "{task}: {:?}",
        String::from_utf8_lossy(changed)
    );
}

#[test]
fn set_status_changes_only_that_value() {
    let Some(folder) = corpus("set_status_changes_only_that_value", "") else {
        return;
    };
    let mut set = 0;
    for entry in fs::read_dir(folder.join("tasks"))
        .unwrap()
        .map(Result::unwrap)
    {
        let bytes = fs::read(entry.path()).unwrap();
        let Ok(file) = tasks::read(&bytes) else {
            continue;
        };
        for tag in &file.tags {
            // A few tasks, including the last one.
            let step = tag.tasks.len() / 2 + 1;
            for (at, task) in tag.tasks.iter().enumerate().rev().step_by(step) {
                let name = format!("{} {} {}", entry.path().display(), tag.name, task.id);
                let edit = match tasks::set_status(&bytes, &tag.name, &task.id, &Status::Blocked) {
                    Ok(edit) => edit,
                    Err(EditError::Ambiguous { .. }) => continue,
                    Err(error) => panic!("{name}: {error}"),
                };
                set += 1;
                assert_one_value_differs(&bytes, &edit.bytes, &name);
                let mut expected = file.clone();
                let tag = expected
                    .tags
                    .iter_mut()
                    .find(|other| other.name == tag.name)
                    .unwrap();
                tag.tasks[at].status = Status::Blocked;
                let after = tasks::read(&edit.bytes).unwrap();
                assert!(
                    without_lines(after).tags == without_lines(expected).tags,
                    "{name}: something else changed"
                );
            }
        }
    }
    assert!(set > 100, "{set}");
}

#[test]
fn errors_in_real_history_have_a_position() {
    let Some(folder) = corpus("errors_in_real_history_have_a_position", "") else {
        return;
    };
    let (mut plans, mut broken, mut trailing) = (0, 0, 0);
    for project in fs::read_dir(folder.join("history"))
        .unwrap()
        .map(Result::unwrap)
    {
        for version in fs::read_dir(project.path()).unwrap().map(Result::unwrap) {
            match tasks::read(&fs::read(version.path()).unwrap()) {
                Ok(file) => {
                    plans += usize::from(!file.tags.is_empty());
                    let kinds = file.findings.iter().map(|finding| finding.kind);
                    trailing += kinds
                        .filter(|kind| *kind == FindingKind::TrailingText)
                        .count();
                }
                Err(ReadError::NotJson { line, column, .. }) => {
                    assert!(line > 0 && column > 0);
                    broken += 1;
                }
                Err(error) => panic!("{}: {error}", version.path().display()),
            }
        }
    }
    // Three versions are not valid JSON; one of them is a complete plan followed by other text.
    assert_eq!((broken, trailing), (2, 1), "{plans} plans");
    assert!(plans > 20, "{plans}");
}
