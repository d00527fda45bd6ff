use proptest::prelude::*;

use super::*;
use crate::tasks::{Finding, Priority, Task};

fn plan(text: &str) -> TaskFile {
    read(text.as_bytes()).unwrap()
}

/// Formats findings as `kind task line:column message`.
fn findings(text: &str) -> Vec<String> {
    let line = |finding: Finding| {
        format!(
            "{:?} {} {}:{} {}",
            finding.kind,
            finding.task.as_deref().unwrap_or("-"),
            finding.line,
            finding.column,
            finding.message
        )
    };
    plan(text).findings.into_iter().map(line).collect()
}

const GOOD: &str =
    r#"{"id": 1, "title": "Set up", "description": "d", "status": "pending", "priority": "high"}"#;

#[test]
fn reads_every_file_shape() {
    for (text, tags) in [
        (format!(r#"{{"tasks": [{GOOD}]}}"#), "master"),
        (
            format!(r#"{{"meta": {{"x": 1}}, "tasks": [{GOOD}], "version": 2}}"#),
            "master",
        ),
        (
            format!(
                r#"{{"a": {{"metadata": {{}}, "tasks": [{GOOD}]}}, "b": {{"tasks": [{GOOD}]}}}}"#
            ),
            "a b",
        ),
        (format!(r#"{{"tasks": {{"tasks": [{GOOD}]}}}}"#), "tasks"),
        (
            format!(r#"{{"master": [{GOOD}], "labels": ["x"]}}"#),
            "master",
        ),
        (format!("[{GOOD}]"), "master"),
        (
            format!("\u{feff}{{\"tasks\": [{GOOD}]}} trailing"),
            "master",
        ),
        (format!(r#"{{"tasks": [[{GOOD}], null]}}"#), "master"),
    ] {
        let file = plan(&text);
        let names: Vec<&str> = file.tags.iter().map(|tag| tag.name.as_str()).collect();
        assert_eq!(names.join(" "), tags, "{text}");
        for tag in &file.tags {
            assert_eq!(tag.tasks.len(), 1, "{text}");
            assert_eq!(tag.tasks[0].title, "Set up");
        }
    }
}

#[test]
fn rejects_non_plans_with_location() {
    for (text, message) in [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        (
            "{\n  \"tasks\": [\n    oops",
            "line 3, column 5: not JSON: expected value",
        ),
        (
            "{\"tasks\": [",
            "line 1, column 11: not JSON: EOF while parsing a list",
        ),
        (
            "42",
            "the file contains a number or a boolean, not a list of tasks",
        ),
        ("null", "the file contains null, not a list of tasks"),
    ] {
        assert_eq!(read(text.as_bytes()).unwrap_err().to_string(), message);
    }
}

#[test]
fn ids_and_dependencies_become_strings() {
    let file = plan(
        r#"{"tasks": [{"id": 7, "title": "t", "dependencies": [1, "2 ", 1.2, "TASK-9", null], "subtasks": [
            {"id": 1, "title": "a", "dependencies": []}, {"id": "7.2", "title": "b"}, {"id": 7.3, "title": "c", "status": "completed"}]}]}"#,
    );
    let task = &file.tags[0].tasks[0];
    assert_eq!(task.id, "7");
    assert_eq!(task.dependencies, ["1", "2", "1.2", "TASK-9"]);
    let ids: Vec<String> = task
        .subtasks
        .iter()
        .map(|subtask| task.subtask_id(subtask))
        .collect();
    assert_eq!(ids, ["7.1", "7.2", "7.3"]);
    assert!(task.subtasks[2].status.is_done());
}

#[test]
fn subtask_inherits_priority() {
    let file = plan(
        r#"{"tasks": [{"subtasks": [{"id": 1}, {"id": 2, "priority": "low"}], "priority": "high", "id": 1}]}"#,
    );
    let priorities: Vec<&Priority> = file.tags[0].tasks[0]
        .subtasks
        .iter()
        .map(|subtask| &subtask.priority)
        .collect();
    assert_eq!(priorities, [&Priority::High, &Priority::Low]);
}

#[test]
fn invalid_task_hides_no_other() {
    let text = format!(
        "{{\"tasks\": [\n  {GOOD},\n  {{\"id\": 2, \"title\": \"é\", \"description\": \"d\", \"status\": \"todo\", \"priority\": \"P0\"}},\n  {{}},\n  {}\n]}}",
        GOOD.replace("\"id\": 1", "\"id\": 4")
    );
    assert_eq!(plan(&text).tags[0].tasks.len(), 4);
    assert_eq!(
        findings(&text),
        [
            "Field 2 3:3 unknown status \"todo\"",
            "Field 2 3:3 unknown priority \"P0\"",
            "Field ?3 4:3 the task has no id",
            "Field ?3 4:3 no description; task-master rejects the file",
            "Field ?3 4:3 no title",
            "Field ?3 4:3 no status; assuming pending",
            "Field ?3 4:3 no priority; assuming medium",
        ]
    );
}

#[test]
fn reports_tolerated_deviations() {
    let text = format!("\u{feff}{{\"é\": [{GOOD}]}}\n x");
    assert_eq!(
        findings(&text),
        [
            "ByteOrderMark - 1:1 the file starts with a byte-order mark; task-master cannot read it",
            "Field - 1:7 tag é is a bare list of tasks; task-master ignores it",
            "TrailingText - 2:2 trailing text after the JSON value is ignored",
        ]
    );
    assert_eq!(
        findings("{\"version\": 1}"),
        ["Field - 1:1 the file has no list of tasks"]
    );
}

#[test]
fn reports_only_invalid_dependencies() {
    let task = |id: u32, rest: &str| {
        format!(
            r#"{{"id": {id}, "title": "t", "description": "d", "status": "pending", "priority": "low", {rest}}}"#
        )
    };
    let text = format!(
        "{{\"tasks\": [{}]}}",
        [
            task(1, r#""dependencies": ["2.1", 9, 1]"#),
            task(2, r#""dependencies": [3], "subtasks": [{"id": 1, "title": "a"}, {"id": 2, "title": "b", "dependencies": [1, "1", "2.1", "3", 8]}]"#),
            task(3, r#""dependencies": [4]"#),
            task(4, r#""dependencies": ["3"]"#),
            task(5, r#""dependencies": [3]"#),
            task(5, r#""dependencies": []"#),
        ]
        .join(",\n")
    );
    assert_eq!(
        findings(&text),
        [
            "DanglingDependency 1 1:12 depends on 9, which does not exist",
            "SelfDependency 1 1:12 depends on itself",
            "DanglingDependency 2.2 2:144 depends on 8, which does not exist",
            "DuplicateId 5 6:1 duplicate id 5",
            "Cycle 3 3:1 3, 4 depend on each other",
        ]
    );
}

#[test]
fn replaces_lone_surrogate() {
    let file = plan(r#"{"tasks": [{"id": 1, "title": "a\ud83d b \ud83d\ude00\n"}]}"#);
    assert!(
        file.tags[0].tasks[0].title.ends_with(" b 😀"),
        "{:?}",
        file.tags[0].tasks[0].title
    );
}

#[test]
fn deep_nesting_does_not_overflow() {
    for text in [
        "[".repeat(200_000),
        format!(
            "{{\"tasks\": {}{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        ),
        format!(
            "{{\"tasks\": [{{\"x\": {}{}}}]}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        ),
    ] {
        let _ = read(text.as_bytes());
    }
}

#[test]
fn records_line_of_tasks() {
    let file = plan(&format!("{{\"tasks\": [\n\n{GOOD},\n{GOOD}]}}"));
    assert_eq!(
        file.tags[0]
            .tasks
            .iter()
            .map(|task| task.line)
            .collect::<Vec<_>>(),
        [3, 4]
    );
}

/// JSON resembling a plan, to reach every branch.
fn nearly_a_plan() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i32>().prop_map(|n| n.to_string()),
        "[a-z1-3. ]{0,4}".prop_map(|s| format!("{s:?}")),
        Just(r#""\ud800""#.to_owned()),
    ];
    let key = prop_oneof![
        "tasks",
        "master",
        "id",
        "title",
        "status",
        "dependencies",
        "subtasks",
        "x"
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|items| {
                let members: Vec<String> = items
                    .iter()
                    .map(|(key, value)| format!("{key:?}: {value}"))
                    .collect();
                format!("{{{}}}", members.join(",\n"))
            }),
        ]
    })
}

#[test]
fn member_order_does_not_change_subtasks() {
    let below = r#""subtasks": [{"id": "7.1", "title": "a", "x": 1}, 5, {"id": 2, "title": "b", "priority": "low"}]"#;
    let (id, priority) = (r#""id": 7"#, r#""priority": "high""#);
    let orders = [
        [id, priority, below],
        [id, below, priority],
        [below, id, priority],
        [below, priority, id],
    ];
    let read = orders.map(|members| {
        let text = format!(r#"{{"tasks": [{{{}}}]}}"#, members.join(", "));
        let file = plan(&text);
        let task = &file.tags[0].tasks[0];
        let subtask =
            |subtask: &Task| format!("{} {}", task.subtask_id(subtask), subtask.priority.as_str());
        let messages: Vec<String> = file
            .findings
            .iter()
            .map(|finding| finding.message.clone())
            .collect();
        (
            task.subtasks.iter().map(subtask).collect::<Vec<_>>(),
            messages,
        )
    });
    assert_eq!(read[0].0, ["7.1 high", "7.2 low"]);
    assert!(read.iter().all(|other| *other == read[0]), "{read:#?}");
    // The last duplicate id counts, also for its subtasks.
    let text = format!(r#"{{"tasks": [{{"id": 3, {priority}, {below}, {id}}}]}}"#);
    let file = plan(&text);
    assert_eq!(file.tags[0].tasks[0].subtasks[0].id, "1");
}

#[test]
fn single_line_file_reads_in_linear_time() {
    // Quadratic time would take hours.
    let task = r#"{"id": 1, "title": "é", "subtasks": [7]},"#;
    let count = 2_000_000 / task.len();
    let text = format!("{{\"tasks\": [{}null]}}", task.repeat(count));
    let begun = std::time::Instant::now();
    let file = plan(&text);
    assert_eq!(file.tags[0].tasks.len(), count);
    let last = file
        .findings
        .iter()
        .rfind(|finding| finding.line == 1)
        .unwrap();
    assert!(last.column > 1_000);
    assert!(begun.elapsed() < std::time::Duration::from_secs(60));
    let string = format!(
        r#"{{"tasks": [{{"id": 1, "title": "{}"}}]}}"#,
        "\\u00e9".repeat(500_000)
    );
    assert_eq!(plan(&string).tags[0].tasks[0].title.len(), 1_000_000);
}

#[test]
fn excess_findings_are_counted() {
    let text = format!("{{\"tasks\": [{}1]}}", "1,".repeat(300_000));
    let findings = plan(&text).findings;
    assert_eq!(findings.len(), 5_001);
    assert_eq!(
        findings[5_000].message,
        "and 295001 more findings of this kind"
    );
}

#[test]
fn reads_many_tags() {
    let tasks = vec![GOOD.replace("\"d\"", &format!("{:?}", "d".repeat(2_500))); 100].join(",");
    let tags: Vec<String> = (0..51)
        .map(|tag| format!("\"tag {tag}\": {{\"tasks\": [{tasks}]}}"))
        .collect();
    let text = format!("{{{}}}", tags.join(",\n"));
    assert!(text.len() > 13_000_000);
    let file = plan(&text);
    assert_eq!(file.tags.len(), 51);
    assert!(file.tags.iter().all(|tag| tag.tasks.len() == 100));
}

#[test]
fn rejects_too_large_file() {
    let error = read(&vec![b'['; MAX_FILE_SIZE as usize + 1]).unwrap_err();
    assert_eq!(error.to_string(), "the file is 64 MB; the limit is 64 MB");
}

#[test]
fn reports_path_like_ids_and_tags() {
    let text = format!(
        "{{\"../..\": {{\"tasks\": [{}]}}}}",
        GOOD.replace('1', "\"../x\"")
    );
    assert_eq!(
        findings(&text),
        [
            "Field - 1:21 the tag looks like a path; its tasks cannot have documents",
            "Field ../x 1:22 the id looks like a path; the task cannot have documents",
        ]
    );
}

#[test]
fn columns_count_characters() {
    let before = "é".repeat(10_000);
    let text = format!("{{\"x\":\n \"{before}\", \"tasks\": [1]}}");
    assert_eq!(plan(&text).findings[0].line, 2);
    assert_eq!(
        plan(&text).findings[0].column,
        1 + 2 + 10_000 + "\", \"tasks\": [".len()
    );
}

#[test]
fn reads_huge_numbers_and_duplicate_keys() {
    let file = plan(
        r#"{"tasks": [{"id": 123456789012345678901234567890, "title": "a", "title": "b", "dependencies": [1e999, -0.0]}]}"#,
    );
    let task = &file.tags[0].tasks[0];
    assert_eq!(task.id, "123456789012345678901234567890");
    assert_eq!(task.title, "b");
    assert_eq!(task.dependencies, ["1e999", "-0.0"]);
    assert_eq!(
        plan("{\"tasks\": [{\"id\": 1, \"title\": \"a\\u0000b\"}]}").tags[0].tasks[0].title,
        "a\0b"
    );
}

/// Text that is JSON, or nearly.
fn nearly_json() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u12",
        "\\ud834\\udd1e",
        "\\n",
        "\\x",
        "0",
        "-",
        "1.",
        ".5",
        "1e+5",
        "1E",
        "00",
        "null",
        "nul",
        "true",
        "false ",
        " ",
        "\n",
        "\t",
        "\u{1}",
        "é",
        "\"a\"",
        "\"tasks\":",
        "{}",
        "[]",
        "\"id\":1",
        "\u{feff}",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..3usize, pieces);
    (nearly_a_plan(), prop::collection::vec(edit, 0..4)).prop_map(|(mut text, edits)| {
        for (at, cut, piece) in edits {
            let at = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((at + cut).min(text.len())).max(at);
            text.replace_range(at..end, piece);
        }
        text
    })
}

#[test]
fn names_conflict_markers_and_utf_16() {
    let conflict =
        "{\"tasks\": [\n<<<<<<< HEAD\n{\"id\": 1}\n=======\n{\"id\": 2}\n>>>>>>> other\n]}";
    let utf_16: Vec<u8> = "\u{feff}{}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (bytes, expected) in [
        (
            conflict.as_bytes(),
            "line 2, column 1: not JSON: the file has merge conflict markers",
        ),
        (&utf_16, "line 1, column 1: not JSON: the file is UTF-16"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    // Markers inside a value are text.
    assert!(read(br#"{"tasks": [], "x": "<<<<<<< HEAD"}"#).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn accepts_same_json_as_serde_json(text in nearly_json()) {
        let bare = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let mut values = serde_json::Deserializer::from_str(bare).into_iter::<serde::de::IgnoredAny>();
        let theirs = values.next().is_some_and(|value| value.is_ok());
        let ours = read(text.as_bytes());
        let malformed = matches!(&ours, Err(ReadError::NotJson { message, .. }) if message == "malformed");
        prop_assert!(!malformed, "the two disagree on {text:?}");
        prop_assert_eq!(!matches!(ours, Err(ReadError::NotJson { .. } | ReadError::Empty)), theirs, "{:?}", text);
    }

    #[test]
    fn unescapes_like_serde_json(text in any::<String>(), escaped in any::<bool>()) {
        let literal = if escaped {
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
            format!("\"{}\"", units.concat())
        } else {
            serde_json::to_string(&text).unwrap()
        };
        prop_assert_eq!(Cursor::new(&literal).text(), text);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }

    #[test]
    fn truncated_plan_is_an_error(text in nearly_a_plan(), cut in any::<prop::sample::Index>()) {
        let whole = read(text.as_bytes());
        prop_assert!(!matches!(whole, Err(ReadError::NotJson { .. })), "{whole:?}");
        let _ = read(&text.as_bytes()[..cut.index(text.len() + 1)]);
    }
}
