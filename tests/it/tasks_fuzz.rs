//! Damaged plans: reading terminates, the results are consistent, and a status can be set.

use std::{fs, path::PathBuf};

use crate::support::fuzz::{self, Numbers};
use flightdeck_core::{
    tasks::{self, Dependencies, EditError, ReadError, Status, Tag, TaskFile, TaskFilter},
    text,
};

const SEEDS: [&str; 5] = [
    r#"{"master": {"tasks": [{"id": 1, "title": "a\n\u00e9\ud834\udd1e", "description": "d", "status": "pending", "priority": "high", "dependencies": [2, "3.1"],
        "subtasks": [{"id": 1, "title": "b", "status": "done", "dependencies": [1, "1.2"]}, {"id": "1.2", "title": "c"}]}, {"id": "2", "title": "e", "status": "done"}],
        "metadata": {"created": "2025-01-01", "n": 1.5e-3}}, "Feature/X": {"tasks": []}}"#,
    "\u{feff}{\"tasks\": [[{\"id\": 3.5, \"status\": null, \"details\": {\"a\": [true, false]}}, null], 7], \"meta\": {}} trailing",
    r#"[{"subtasks": [{"id": 1}], "priority": "low", "id": "TASK-1"}, {"id": "TASK-1"}, {"dependencies": "1, 2"}, {}]"#,
    r#"{"tags": {"a": {"tasks": [{"id": 1, "dependencies": [1]}]}, "a": {"tasks": [{"id": 1, "dependencies": [2]}, {"id": 2, "dependencies": [1]}]}}}"#,
    r#"{"complexityAnalysis": [{"taskId": 1, "complexityScore": 8}], "currentTag": "x", "tasks": {"tasks": [{"id": "../x", "title": "\u001b[31m"}]}}"#,
];

const PIECES: [&str; 24] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "\\",
    "\\u",
    "\\ud800",
    "null",
    "1e999",
    "-",
    "\"id\":",
    "\"status\":\"done\"",
    "\"subtasks\":[",
    "\"tasks\":[{",
    "\0",
    "\n",
    "\r\n",
    "\u{202e}",
    "\u{feff}",
    "1.1",
    "\"dependencies\":[1,\"2\"]",
];

/// Calls every function on a plan.
fn check(bytes: &[u8], numbers: &mut Numbers) {
    let _ = tasks::parse_current_tag(Some(bytes));
    let _ = tasks::read_complexity(bytes);
    let read = tasks::read(bytes);
    if let Ok(whole) = std::str::from_utf8(bytes) {
        let bare = whole.strip_prefix('\u{feff}').unwrap_or(whole);
        let values = serde_json::Deserializer::from_str(bare);
        let first = values.into_iter::<serde::de::IgnoredAny>().next();
        let theirs = matches!(first, Some(Ok(_)));
        let ours = !matches!(read, Err(ReadError::NotJson { .. } | ReadError::Empty));
        assert_eq!(ours, theirs, "valid JSON: {read:?}");
    }
    let Ok(file) = read else { return };
    let lines = bytes.split(|&byte| byte == b'\n').count();
    for finding in &file.findings {
        assert!((1..=lines).contains(&finding.line), "{finding:?}");
        assert!(finding.column >= 1, "{finding:?}");
    }
    let _ = tasks::summaries(&file);
    for tag in &file.tags {
        check_tag(tag, numbers);
        check_set_status(bytes, &file, tag, numbers);
    }
}

fn check_tag(tag: &Tag, numbers: &mut Numbers) {
    let waiting = tasks::open_dependencies(tag);
    let known = Dependencies::new(tag);
    if let Some(next) = tasks::next(tag) {
        let _ = next.why();
    }
    let mut query = TaskFilter::parse("status:pending,done !title:x ready:yes id:1 a");
    for task in tasks::ready(tag) {
        query.matches(&task.id, task, true);
    }
    for task in tag
        .tasks
        .iter()
        .skip(numbers.below(tag.tasks.len()))
        .take(3)
    {
        let shown = text::sanitize(&task.title);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        let _ = known.direct(&task.id);
        let _ = known.blocks(&task.id);
        let blockers = known.blockers(&task.id);
        // A task has open dependencies exactly if it has blockers.
        let first = tag
            .task(&task.id)
            .is_some_and(|first| std::ptr::eq(first, task));
        assert!(
            !first || waiting.contains_key(&task.id) != blockers.is_empty(),
            "{}",
            task.id
        );
    }
}

fn check_set_status(bytes: &[u8], file: &TaskFile, tag: &Tag, numbers: &mut Numbers) {
    if tag.tasks.is_empty() {
        return;
    }
    let at = numbers.below(tag.tasks.len());
    let id = &tag.tasks[at].id;
    let edit = match tasks::set_status(bytes, &tag.name, id, &Status::Review) {
        Ok(edit) => edit,
        Err(EditError::Ambiguous { .. } | EditError::NotUtf8) => return,
        Err(error) => panic!("{id}: {error}"),
    };
    let mut after = tasks::read(&edit.bytes).unwrap();
    let mut expected = file.clone();
    // Adding a missing status may add a line.
    for file in [&mut after, &mut expected] {
        for task in file.tags.iter_mut().flat_map(|tag| &mut tag.tasks) {
            task.line = 0;
            task.subtasks.iter_mut().for_each(|task| task.line = 0);
        }
    }
    let tag = expected
        .tags
        .iter_mut()
        .find(|other| other.name == tag.name)
        .unwrap();
    tag.tasks[at].status = Status::Review;
    assert_eq!(after.tags, expected.tags, "only the status changes");
}

#[test]
fn damaged_plans_are_findings_or_errors() {
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let corpus = std::env::var_os("FLIGHTDECK_CORPUS").map(PathBuf::from);
    if let (Some(corpus), Some(_)) = (corpus, fuzz::duration()) {
        let files = fs::read_dir(corpus.join("tasks"))
            .unwrap()
            .map(Result::unwrap);
        let small = files.filter(|file| file.metadata().is_ok_and(|about| about.len() < 60_000));
        seeds.extend(small.map(|file| fs::read(file.path()).unwrap()));
    }
    fuzz::run(3_000, &seeds, &PIECES, check);
}
