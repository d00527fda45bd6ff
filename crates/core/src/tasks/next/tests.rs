use super::*;
use crate::tasks::read;

/// Builds a plan from lines of `id status priority dependencies[ / subtask...]`; a subtask has the same four words.
fn plan(lines: &[&str]) -> Tag {
    let item = |line: &str, subtasks: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let dependencies: Vec<String> = words
            .get(3)
            .into_iter()
            .flat_map(|list| list.split(','))
            .map(|id| format!("{id:?}"))
            .collect();
        format!(
            r#"{{"id": {:?}, "title": "t", "description": "d", "status": {:?}, "priority": {:?}, "dependencies": [{}], "subtasks": [{subtasks}]}}"#,
            words[0],
            words[1],
            words[2],
            dependencies.join(",")
        )
    };
    let tasks: Vec<String> = lines
        .iter()
        .map(|line| {
            let mut parts = line.split('/');
            let task = parts.next().unwrap();
            let subtasks: Vec<String> = parts.map(|subtask| item(subtask, "")).collect();
            item(task, &subtasks.join(","))
        })
        .collect();
    let file = read(format!(r#"{{"tasks": [{}]}}"#, tasks.join(",")).as_bytes()).unwrap();
    file.tags.into_iter().next().unwrap()
}

#[test]
fn next_agrees_with_task_master() {
    for (why, lines, expected) in [
        ("nothing to do", &["1 done high"] as &[&str], None),
        (
            "priority first",
            &["1 pending low", "2 pending critical"],
            Some("2"),
        ),
        (
            "an unknown priority is medium",
            &["1 pending P0", "2 pending medium", "3 pending low"],
            Some("1"),
        ),
        (
            "then fewer dependencies",
            &["1 done low", "2 pending high 1", "3 pending high"],
            Some("3"),
        ),
        (
            "then the lower number",
            &["10 pending high", "9 pending high"],
            Some("9"),
        ),
        (
            "ids that are not numbers keep the order of the file",
            &["b pending high", "a pending high"],
            Some("b"),
        ),
        (
            "work in progress is not preferred",
            &["1 pending high", "2 in-progress high"],
            Some("1"),
        ),
        (
            "a cancelled dependency is never satisfied",
            &["1 cancelled high", "2 pending high 1"],
            None,
        ),
        (
            "a subtask of work in progress goes first",
            &["1 in-progress low / 1 pending low", "2 pending high"],
            Some("1.1"),
        ),
        (
            "but not of pending work",
            &["1 pending low / 1 pending high"],
            Some("1"),
        ),
        (
            "subtasks wait for siblings",
            &["1 in-progress low / 1 pending low 2 / 2 pending low"],
            Some("1.2"),
        ),
        (
            "and for absolute ids",
            &[
                "1 in-progress low / 1 pending low 2.1",
                "2 done low / 1 done low",
            ],
            Some("1.1"),
        ),
        (
            "a task may wait for a subtask",
            &["1 done low / 1 done low", "2 pending low 1.1"],
            Some("2"),
        ),
        (
            "the parent's own dependencies do not matter",
            &["1 pending low", "2 in-progress low 1 / 1 pending low"],
            Some("2.1"),
        ),
    ] {
        let tag = plan(lines);
        assert_eq!(next(&tag).map(|next| next.id).as_deref(), expected, "{why}");
    }
}

#[test]
fn ready_needs_settled_dependencies() {
    let tag = plan(&[
        "1 done low",
        "2 cancelled low",
        "3 review low 1,2",
        "4 pending low 3",
        "5 deferred low",
        "6 pending low 1.1",
    ]);
    let ids: Vec<&str> = ready(&tag).iter().map(|task| task.id.as_str()).collect();
    assert_eq!(ids, ["3"]);
}

#[test]
fn lists_open_dependencies() {
    let tag = plan(&[
        "1 done low",
        "7 deferred low",
        "8 pending low 1,7,9 / 1 pending low / 2 pending low 1",
    ]);
    let open_dependencies = open_dependencies(&tag);
    let messages = |id: &str| {
        open_dependencies[id]
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        messages("8"),
        [
            "depends on 7 (deferred)",
            "depends on 9, which does not exist"
        ]
    );
    assert_eq!(messages("8.2"), ["depends on 8.1 (pending)"]);
    assert_eq!(open_dependencies.len(), 2);
}

#[test]
fn duplicate_id_uses_first_task() {
    let tag = plan(&["1 pending low", "2 pending low", "2 pending low 1"]);
    assert!(open_dependencies(&tag).is_empty());
}
