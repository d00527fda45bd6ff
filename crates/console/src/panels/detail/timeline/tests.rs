//! Rows of the timeline: folding, sub-agents, search.

use super::*;
use crate::widgets::text_view::line_layout::text_of;

fn timeline(lines: &[(i64, &str)]) -> Timeline {
    let mut timeline = Timeline::default();
    timeline.fit(60, 40);
    for (at, line) in lines {
        timeline.add(Timestamp::from_second(*at).unwrap(), line);
    }
    timeline.refresh();
    timeline
}

fn call(id: &str, name: &str, input: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"m-{id}","content":[{{"type":"tool_use","id":"{id}","name":"{name}","input":{input}}}]}}}}"#
    )
}

fn answer(id: &str, is_error: bool, text: &str) -> String {
    format!(
        r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"{id}","is_error":{is_error},"content":"{text}"}}]}}}}"#
    )
}

fn agent_text(id: &str, text: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
}

/// The text of every row that has one.
fn shown(timeline: &Timeline) -> Vec<String> {
    let rows = timeline.list.rows().iter();
    rows.filter_map(|row| Some(text_of(timeline.row(*row)?).into_owned()))
        .collect()
}

#[test]
fn folds_long_texts() {
    let long = "- item\\n".repeat(20);
    let mut timeline = timeline(&[
        (1, &agent_text("a", "Short.")),
        (2, &agent_text("b", &long)),
    ]);
    assert_eq!(timeline.list.rows().len(), 1 + 6);
    assert!(!timeline.can_open(0) && timeline.can_open(1));
    timeline.list.select(&(1, 3));
    timeline.toggle();
    assert_eq!(timeline.list.rows().len(), 1 + 20);
    assert_eq!(
        timeline.list.selected(),
        Some(&(1, 0)),
        "the step stays selected"
    );
    timeline.toggle();
    assert_eq!(timeline.list.rows().len(), 1 + 6);
}

/// Returns a timeline of ten rows with thirty one-row steps followed by `lines`; step 30 is selected on the last row.
fn below_much(lines: &[String]) -> Timeline {
    let words: Vec<String> = (0..30)
        .map(|n| agent_text(&n.to_string(), "Short."))
        .collect();
    let all = words.iter().chain(lines).map(String::as_str);
    let mut timeline = timeline(&(1..).zip(all).collect::<Vec<_>>());
    timeline.fit(80, 10);
    timeline.list.select(&(30, 0));
    timeline
}

#[test]
fn scrolls_an_opened_step_into_view() {
    let mut timeline = below_much(&[
        call("t", "Bash", r#"{"command":"ls"}"#),
        answer("t", false, "a\\nb\\nc"),
        call("u", "Bash", r#"{"command":"make"}"#),
        answer("u", true, "Exit code 2\\nno rule"),
    ]);
    assert_eq!(timeline.list.visible(), 21..31);
    timeline.toggle();
    assert_eq!(timeline.list.visible(), 24..34);
    assert_eq!(timeline.list.selected(), Some(&(30, 0)));
    timeline.next_problem();
    assert_eq!(timeline.list.selected(), Some(&(31, 0)));
    assert_eq!(timeline.list.visible(), 27..37, "the error is visible");
}

#[test]
fn scrolls_the_selected_edit_into_view_when_all_open() {
    let edit = r#"{"file_path":"/w/a.rs","old_string":"a","new_string":"b"}"#;
    let mut timeline = below_much(&[call("t", "Edit", edit)]);
    timeline.toggle_edits();
    let rows = timeline.list.rows().len();
    assert!(rows > 31);
    assert_eq!(timeline.list.visible().end, rows);
}

#[test]
fn shows_errors_of_failed_calls_while_folded() {
    let mut timeline = timeline(&[
        (1, &call("t1", "Bash", r#"{"command":"make"}"#)),
        (
            4,
            &answer(
                "t1",
                true,
                "Exit code 2\\nno rule to make target\\nthird line",
            ),
        ),
        (5, &call("t2", "Bash", r#"{"command":"ls"}"#)),
        (6, &answer("t2", false, "a\\nb")),
    ]);
    let why = ["Exit code 2", "no rule to make target"];
    assert_eq!(shown(&timeline), why);
    timeline.list.select(&(1, 0));
    timeline.toggle();
    assert_eq!(shown(&timeline), [&why[..], &["a", "b"]].concat());
}

#[test]
fn copies_the_full_step() {
    let mut timeline = timeline(&[
        (1, &call("t", "Bash", r#"{"command":"make"}"#)),
        (2, &answer("t", false, "a\\nb")),
    ]);
    timeline.list.select(&(0, 0));
    assert_eq!(timeline.copied_text().as_deref(), Some("Bash make\na\nb"));
}

#[test]
fn opens_an_edit_as_a_diff() {
    let edit = r#"{"file_path":"/w/a.rs","old_string":"let a = 1;\nlet b = 2;","new_string":"let a = 1;\nlet b = 3;"}"#;
    let mut timeline = timeline(&[(1, &call("t", "Edit", edit))]);
    timeline.toggle_edits();
    let shown = shown(&timeline);
    assert!(
        shown.contains(&"-let b = 2;".to_owned()) && shown.contains(&"+let b = 3;".to_owned()),
        "{shown:?}"
    );
    // The patch in the result has the line numbers of the file.
    let patch = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":"ok"}]},"tool_use_result":{"filePath":"/w/a.rs","structuredPatch":[{"oldStart":41,"oldLines":1,"newStart":41,"newLines":1,"lines":["-let b = 2;","+let b = 3;"]}]}}"#;
    timeline.add(Timestamp::from_second(2).unwrap(), patch);
    timeline.refresh();
    assert_eq!(
        super::tests::shown(&timeline),
        ["@@ -41,1 +41,1 @@", "-let b = 2;", "+let b = 3;"]
    );
    timeline.toggle_edits();
    assert!(super::tests::shown(&timeline).is_empty());
}

#[test]
fn folds_sub_agent_steps_when_it_finishes() {
    let nested = |id: &str| {
        call(id, "Grep", r#"{"pattern":"fn main"}"#).replacen(
            '{',
            r#"{"parent_tool_use_id":"a","#,
            1,
        )
    };
    let mut timeline = timeline(&[
        (
            1,
            &call(
                "a",
                "Agent",
                r#"{"description":"look around","prompt":"Look."}"#,
            ),
        ),
        (2, &nested("n1")),
        (3, &agent_text("other", "Meanwhile.")),
        (4, &nested("n2")),
    ]);
    timeline.follow = true;
    timeline.refresh();
    assert_eq!(timeline.list.rows(), [(0, 0), (1, 0), (3, 0), (2, 0)]);
    assert_eq!((timeline.depth(1), timeline.depth(2)), (1, 0));
    timeline.add(
        Timestamp::from_second(9).unwrap(),
        &answer("a", false, "Found it."),
    );
    timeline.refresh();
    assert_eq!(timeline.list.rows(), [(0, 0), (2, 0)]);
    timeline.list.select(&(0, 0));
    timeline.toggle();
    assert_eq!(
        timeline.list.rows(),
        [(0, 0), (1, 0), (3, 0), (0, 1), (2, 0)]
    );
    assert_eq!(shown(&timeline)[0], "Found it.");
}

#[test]
fn keeps_sub_agent_steps_open_while_reading() {
    let nested =
        call("n", "Grep", r#"{"pattern":"x"}"#).replacen('{', r#"{"parent_tool_use_id":"a","#, 1);
    let mut timeline = timeline(&[
        (1, &call("a", "Agent", r#"{"description":"look"}"#)),
        (2, &nested),
    ]);
    timeline.follow = false;
    timeline.add(
        Timestamp::from_second(9).unwrap(),
        &answer("a", false, "Done."),
    );
    timeline.refresh();
    assert!(timeline.list.rows().contains(&(1, 0)));
}

#[test]
fn next_problem_wraps() {
    let mut timeline = timeline(&[
        (1, &call("t1", "Bash", r#"{"command":"make"}"#)),
        (2, &answer("t1", true, "no")),
        (3, &agent_text("m", "Hm.")),
        (
            4,
            r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected"}}"#,
        ),
    ]);
    timeline.list.select(&(1, 0));
    timeline.next_problem();
    assert_eq!(timeline.list.selected(), Some(&(2, 0)));
    timeline.next_problem();
    assert_eq!(timeline.list.selected(), Some(&(0, 0)));
}

#[test]
fn counts_turns_of_the_main_agent() {
    let nested = agent_text("s", "inside").replacen('{', r#"{"parent_tool_use_id":"a","#, 1);
    let timeline = timeline(&[
        (1, &call("a", "Task", r#"{"description":"look"}"#)),
        (2, &nested),
        (3, &agent_text("m2", "Done")),
    ]);
    assert!(timeline.begins_turn(0) && !timeline.begins_turn(1) && timeline.begins_turn(2));
}

#[test]
fn search_unfolds_a_match_and_refolds_it() {
    let long = format!("{}the needle\\nlast", "- item\\n".repeat(20));
    let mut timeline = timeline(&[
        (1, &call("t1", "Bash", r#"{"command":"make"}"#)),
        (2, &answer("t1", false, "one\\ntwo\\nNEEDLE three")),
        (3, &agent_text("b", &long)),
        (4, &call("t2", "Read", r#"{"file_path":"/x/needle.rs"}"#)),
        (5, &agent_text("c", "Nothing.")),
    ]);
    let folded = timeline.list.rows().len();
    timeline.open_prompt();
    for typed in ["n", "ne", "needle"] {
        timeline.edit_prompt(typed);
    }
    assert_eq!(
        timeline.search_status(),
        "match 1/3",
        "lower case ignores case"
    );
    timeline.close_prompt(true);
    let at = |timeline: &Timeline| timeline.list.selected().copied().unwrap();
    let words = |timeline: &Timeline| {
        let row = timeline.row(at(timeline));
        row.map(|row| text_of(row).into_owned())
    };
    assert_eq!(words(&timeline).as_deref(), Some("NEEDLE three"));
    timeline.next_match(true);
    assert!(words(&timeline).unwrap().contains("the needle"));
    assert!(!timeline.is_open(0), "the search refolds what it unfolded");
    timeline.next_match(true);
    assert_eq!(
        (at(&timeline), timeline.search_status().as_str()),
        ((2, 0), "match 3/3")
    );
    assert_eq!(timeline.list.rows().len(), folded, "the headline matches");
    timeline.next_match(true);
    assert_eq!(timeline.search_status(), "match 1/3", "wraps");
    timeline.next_match(false);
    assert_eq!(at(&timeline), (2, 0));

    // New steps are searched too.
    timeline.add(
        Timestamp::from_second(6).unwrap(),
        &agent_text("d", "Another needle."),
    );
    timeline.refresh();
    timeline.continue_search();
    assert_eq!(timeline.search_status(), "match 3/4");
    timeline.open_prompt();
    timeline.edit_prompt("NEEDLE");
    assert_eq!(
        timeline.search_status(),
        "match 1/1",
        "upper case is case-sensitive"
    );
    timeline.close_prompt(false);
    assert_eq!(
        (at(&timeline), timeline.search_status().as_str()),
        ((2, 0), "")
    );
    assert!(!timeline.clear());
}

#[test]
fn search_finds_folded_sub_agent_steps() {
    let below = |line: &str| line.replacen('{', r#"{"parent_tool_use_id":"t1","#, 1);
    let mut timeline = timeline(&[
        (1, &call("t1", "Task", r#"{"prompt":"look"}"#)),
        (2, &below(&agent_text("s1", "It is in the cellar."))),
        (3, &answer("t1", false, "found")),
    ]);
    assert!(!timeline.is_open(0));
    timeline.open_prompt();
    timeline.edit_prompt("cellar");
    assert!(timeline.is_open(0));
    assert_eq!(timeline.list.selected(), Some(&(1, 0)));
    timeline.edit_prompt("cellars");
    assert_eq!(timeline.search_status(), "no match");
    assert!(!timeline.is_open(0), "refolded without a match");
}

#[test]
fn searches_many_steps_in_slices() {
    let words = "x".repeat(60_000);
    let mut timeline = timeline(&[]);
    for n in 0..60 {
        timeline.add(
            Timestamp::from_second(n).unwrap(),
            &agent_text(&format!("m{n}"), &words),
        );
    }
    timeline.add(
        Timestamp::from_second(99).unwrap(),
        &agent_text("last", "the needle"),
    );
    timeline.refresh();
    timeline.list.select_at(0);
    timeline.open_prompt();
    timeline.edit_prompt("needle");
    assert_eq!(timeline.search_status(), "0+ matches");
    while timeline.continue_search() {}
    assert_eq!(timeline.search_status(), "match 1/1");
}
