use proptest::prelude::*;

use super::*;

fn done(text: &str, id: &str) -> String {
    let edit = set_status(text.as_bytes(), "master", id, &Status::Done).unwrap();
    String::from_utf8(edit.bytes).unwrap()
}

#[test]
fn changes_only_the_status() {
    for (old, id, new) in [
        (
            r#"{"tasks": [{"id": 1, "status": "pending", "n": 1.50e+3}], "x": [ ]}"#,
            "1",
            r#"{"tasks": [{"id": 1, "status": "done", "n": 1.50e+3}], "x": [ ]}"#,
        ),
        (
            "\u{feff}{\r\n\t\"master\" : {\"tasks\":[{\"status\" :\"pending\",\"id\":\"1\"}]}}\r\n",
            "1",
            "\u{feff}{\r\n\t\"master\" : {\"tasks\":[{\"status\" :\"done\",\"id\":\"1\"}]}}\r\n",
        ),
        (
            r#"{"tasks": [{"id": 1, "status": null}, {"id": 2, "status": 7}]}"#,
            "2",
            r#"{"tasks": [{"id": 1, "status": null}, {"id": 2, "status": "done"}]}"#,
        ),
        // The last duplicate key counts.
        (
            r#"{"tasks": [{"id": 1, "status": "review", "status": "pending"}]}"#,
            "1",
            r#"{"tasks": [{"id": 1, "status": "review", "status": "done"}]}"#,
        ),
        // Trailing text is kept.
        (
            r#"[{"id": "TASK-1", "status": "todo"}] trailing"#,
            "TASK-1",
            r#"[{"id": "TASK-1", "status": "done"}] trailing"#,
        ),
        (
            r#"{"tasks": [{"id": 1, "title": "\"status\": \"pending\"", "x": {"status": "pending"}, "status": "pending"}]}"#,
            "1",
            r#"{"tasks": [{"id": 1, "title": "\"status\": \"pending\"", "x": {"status": "pending"}, "status": "done"}]}"#,
        ),
    ] {
        assert_eq!(done(old, id), new);
    }
}

#[test]
fn adds_missing_status_in_file_style() {
    for (old, new) in [
        (
            "{\"tasks\": [\n  {\n    \"id\": 1,\n    \"title\": \"t\"\n  }\n]}",
            "{\"tasks\": [\n  {\n    \"id\": 1,\n    \"status\": \"done\",\n    \"title\": \"t\"\n  }\n]}",
        ),
        (
            r#"{"tasks":[{"title":"t","id":1}]}"#,
            r#"{"tasks":[{"title":"t","id":1,"status":"done"}]}"#,
        ),
        (
            r#"{"tasks": [{ "title" : "t", "id" : 1 }]}"#,
            r#"{"tasks": [{ "title" : "t", "id" : 1, "status" : "done" }]}"#,
        ),
    ] {
        assert_eq!(done(old, "1"), new);
    }
    assert_eq!(
        done(r#"{"tasks": [{}]}"#, "?1"),
        r#"{"tasks": [{"status": "done"}]}"#
    );
    // A key may contain separators.
    assert_eq!(
        done(r#"{"tasks": [{"x": 1, "i,\":d": 2}]}"#, "?1"),
        r#"{"tasks": [{"x": 1,"status": "done", "i,\":d": 2}]}"#
    );
    assert_eq!(
        done(r#"{"tasks": [{"i,\":d": 2}]}"#, "?1"),
        r#"{"tasks": [{"i,\":d": 2,"status": "done"}]}"#
    );
    assert_eq!(
        done(r#"{"tasks": [{"title": "t"}]}"#, "?1"),
        r#"{"tasks": [{"title": "t","status": "done"}]}"#
    );
}

#[test]
fn parent_status_follows_subtasks() {
    let plan = |parent: &str, first: &str, second: &str| {
        format!(
            r#"{{"tasks": [{{"subtasks": [{{"id": 1, "status": "{first}"}}, {{"id": 2, "status": "{second}"}}], "status": "{parent}", "id": 3}}]}}"#
        )
    };
    for (old, status, new) in [
        (("pending", "done", "pending"), Status::Done, "done"),
        (("pending", "completed", "pending"), Status::Done, "done"),
        (
            ("pending", "pending", "pending"),
            Status::Done,
            "in-progress",
        ),
        (
            ("done", "pending", "done"),
            Status::InProgress,
            "in-progress",
        ),
        (("done", "pending", "done"), Status::Pending, "pending"),
        (
            ("deferred", "pending", "done"),
            Status::Cancelled,
            "deferred",
        ),
        (("review", "cancelled", "pending"), Status::Review, "review"),
    ] {
        let (parent, first, second) = old;
        let text = plan(parent, first, second);
        let edit = set_status(text.as_bytes(), "master", "3.2", &status).unwrap();
        assert_eq!(
            String::from_utf8(edit.bytes).unwrap(),
            plan(new, first, status.as_str()),
            "{old:?}"
        );
        let ids: Vec<&str> = edit
            .changes
            .iter()
            .map(|change| change.id.as_str())
            .collect();
        let both = ["3.2", "3"];
        assert_eq!(ids, if parent == new { &both[..1] } else { &both });
    }
    // Setting a task leaves its subtasks alone; setting an unchanged subtask leaves its parent alone.
    let text = plan("pending", "pending", "done");
    assert_eq!(done(&text, "3"), plan("done", "pending", "done"));
    let same = set_status(text.as_bytes(), "master", "3.2", &Status::Done).unwrap();
    assert_eq!((same.changes.len(), same.bytes), (0, text.into_bytes()));
}

#[test]
fn refuses_ambiguous_changes() {
    let set = |bytes: &[u8], tag: &str, id: &str| {
        set_status(bytes, tag, id, &Status::Done)
            .unwrap_err()
            .to_string()
    };
    let plan = br#"{"a": {"tasks": [{"id": 1}, {"id": "1"},
        {"id": 2, "subtasks": [{"id": 1}]}, {"id": "2.1"}]}, "b": {"tasks": []}}"#;
    for (tag, id, sentence) in [
        ("c", "1", "no tag c in the file; available tags: a, b"),
        ("a", "9", "no task 9 in tag a"),
        ("a", "", "no task  in tag a"),
        ("a", "2.9", "no task 2.9 in tag a"),
        (
            "a",
            "1",
            "tag a has more than one task 1 (lines 1, 1); make the ids unique first",
        ),
        (
            "a",
            "2.1",
            "tag a has more than one task 2.1 (lines 2, 2); make the ids unique first",
        ),
    ] {
        assert_eq!(set(plan, tag, id), sentence);
    }
    assert!(set(b"{\"tasks\": [\n oops", "master", "1").starts_with("line 2, column 2"));
    assert!(
        set(
            b"{\"tasks\": [{\"id\": 1, \"title\": \"\xff\"}]}",
            "master",
            "1"
        )
        .contains("UTF-8")
    );
}

/// Formatting of a generated plan.
#[derive(Clone, Debug)]
struct Style {
    mark: bool,
    newline: &'static str,
    indent: &'static str,
    colon: &'static str,
    end: &'static str,
}

fn style() -> impl Strategy<Value = Style> {
    (
        any::<bool>(),
        prop::sample::select(vec!["", "\n", "\r\n"]),
        prop::sample::select(vec!["", "  ", "\t"]),
        prop::sample::select(vec![":", ": ", " :\n"]),
        prop::sample::select(vec!["", "\n", "\r\n\r\n"]),
    )
        .prop_map(|(mark, newline, indent, colon, end)| Style {
            mark,
            newline,
            indent,
            colon,
            end,
        })
}

/// A task: whether its id is a string, the position of its status, surrounding text, and the number of subtasks.
type Shape = (bool, usize, String, usize);

fn shape() -> impl Strategy<Value = Shape> {
    (any::<bool>(), 0..4usize, any::<String>(), 0..3usize)
}

/// Writes a plan with two tags; each status is unique, selected by `mark`.
fn plan(shapes: &[Shape], style: &Style) -> String {
    let parted = |members: Vec<String>, open: &str, close: &str| {
        let separator = format!(",{}{}", style.newline, style.indent);
        format!(
            "{open}{}{}{}{close}",
            style.newline,
            members.join(&separator),
            style.newline
        )
    };
    let member = |key: &str, value: String| format!("\"{key}\"{}{value}", style.colon);
    let object = |id: usize, tag: &str, path: &str, shape: &Shape, subtasks: Option<String>| {
        let (text_id, place, text, _) = shape;
        let text = serde_json::to_string(text).unwrap();
        let mut members = vec![
            member(
                "id",
                if *text_id {
                    format!("\"{id}\"")
                } else {
                    id.to_string()
                },
            ),
            member("title", text.clone()),
            member("x", format!("{{\"status\": {text}, \"n\": 1.0E2}}")),
        ];
        members.insert(*place, member("status", format!("\"{tag}-{path}!\"")));
        members.extend(subtasks.map(|subtasks| member("subtasks", subtasks)));
        parted(members, "{", "}")
    };
    let tag = |tag: &str| {
        let tasks = shapes.iter().enumerate().map(|(at, shape)| {
            let id = at + 1;
            let subtasks = (1..=shape.3)
                .map(|below| object(below, tag, &format!("{id}.{below}"), shape, None))
                .collect();
            object(
                id,
                tag,
                &id.to_string(),
                shape,
                Some(parted(subtasks, "[", "]")),
            )
        });
        member(
            tag,
            format!("{{{}}}", member("tasks", parted(tasks.collect(), "[", "]"))),
        )
    };
    let mark = if style.mark { "\u{feff}" } else { "" };
    format!(
        "{mark}{}{}",
        parted(vec![tag("one"), tag("two")], "{", "}"),
        style.end
    )
}

proptest! {
    #[test]
    fn changes_only_that_value(
        shapes in prop::collection::vec(shape(), 1..5),
        style in style(),
        chosen in any::<prop::sample::Index>(),
        below in any::<prop::sample::Index>(),
        second in any::<bool>(),
    ) {
        let text = plan(&shapes, &style);
        let at = chosen.index(shapes.len());
        let tag = if second { "two" } else { "one" };
        let subtasks = shapes[at].3;
        let below = below.index(subtasks + 1);
        let (id, parent) = match below {
            0 => ((at + 1).to_string(), None),
            below => (format!("{}.{below}", at + 1), Some((at + 1).to_string())),
        };
        let edit = set_status(text.as_bytes(), tag, &id, &Status::Done).unwrap();
        let mut expected = text.replace(&format!("\"{tag}-{id}!\""), "\"done\"");
        if let Some(parent) = parent {
            let follows = if subtasks == 1 { "\"done\"" } else { "\"in-progress\"" };
            expected = expected.replace(&format!("\"{tag}-{parent}!\""), follows);
        }
        prop_assert_eq!(String::from_utf8(edit.bytes).unwrap(), expected);
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), id in "[0-9.?]{0,4}") {
        drop(set_status(&bytes, "master", &id, &Status::Done));
    }
}
