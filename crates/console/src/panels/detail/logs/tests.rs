use jiff::Timestamp;

use super::*;
use crate::widgets::text_view::line_layout;

fn item(second: i64, source: Option<(Stage, &str)>, text: &str) -> LogItem {
    LogItem {
        at: Timestamp::from_second(second).unwrap(),
        source: source.map(|(stage, container)| LineSource {
            stage,
            version: 1,
            attempt: 1,
            container: container.into(),
        }),
        text: text.into(),
        raw: None,
    }
}

fn shown(logs: &Logs) -> Vec<String> {
    logs.view
        .visible()
        .iter()
        .map(|row| line_layout::text_of(&row.spans).trim_end().to_owned())
        .collect()
}

fn run() -> Logs {
    let mut logs = Logs::default();
    logs.view.resize(80, 10);
    logs.add(&[
        item(1, Some((Stage::Prep, "clone")), "cloning feature/checkout"),
        item(2, Some((Stage::Agent, "agent")), r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"text","text":"Hello"},{"type":"tool_use","id":"t1","name":"Write","input":{"file_path":"a.md","content":"x\ny\n"}}]}}"#),
        item(3, None, "reconnected, 0 lost"),
        item(4, Some((Stage::Agent, "agent")), r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","is_error":true,"content":"disk full"}]}}"#),
    ]);
    logs
}

#[test]
fn formats_agent_lines_with_their_source() {
    let lines = shown(&run());
    assert_eq!(lines[0], "00:00:01 clone cloning feature/checkout");
    assert_eq!(lines[1], "00:00:02 agent Hello");
    assert!(lines[2].starts_with("               ▸ Write"), "{lines:?}");
    assert_eq!(lines[3], "00:00:03       · reconnected, 0 lost");
    assert!(lines[4].ends_with("✗ disk full"), "{lines:?}");
}

#[test]
fn elapsed_times_start_at_the_first_line() {
    let mut logs = Logs::default();
    logs.view.resize(60, 5);
    logs.add(&[
        item(900, None, "agent: from the ledger"),
        item(5, Some((Stage::Agent, "agent")), "one"),
        item(7, Some((Stage::Agent, "agent")), "two"),
    ]);
    logs.view.cycle_stamps();
    let lines = shown(&logs);
    assert!(
        lines[0].trim_start().starts_with("· agent: from"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("+0s") && lines[2].starts_with("+2s"),
        "{lines:?}"
    );
}

#[test]
fn raw_shows_the_original_lines() {
    let mut logs = run();
    logs.toggle_raw();
    assert!(shown(&logs)[1].contains(r#"{"type":"assistant""#));
    assert_eq!(shown(&logs).len(), 4);
}

#[test]
fn search_matches_the_formatted_text() {
    let mut logs = run();
    logs.view
        .open_prompt(crate::widgets::text_view::PromptKind::Search);
    logs.view.edit_prompt(|typed| typed.push_str("assistant"));
    assert_eq!(logs.view.status_text(), "no match · paused");
    logs.toggle_raw();
    assert!(
        logs.view.status_text().starts_with("1 match"),
        "{}",
        logs.view.status_text()
    );
}

#[test]
fn filter_skips_lines_without_text() {
    let mut logs = run();
    let answer = r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"File created"}]}}"#;
    logs.add(&[item(5, Some((Stage::Agent, "agent")), answer)]);
    logs.view
        .open_prompt(crate::widgets::text_view::PromptKind::Filter);
    logs.view.edit_prompt(|typed| typed.push_str("!Hello"));
    assert_eq!(logs.view.status().filtered, Some((3, 5)));
    logs.toggle_raw();
    assert_eq!(logs.view.status().filtered, Some((4, 5)));
}

#[test]
fn cycles_through_stages() {
    let mut logs = run();
    logs.cycle_stages();
    assert_eq!(logs.shown, SourceFilter::Stage(Stage::Prep));
    assert_eq!(
        shown(&logs),
        [
            "00:00:01 clone cloning feature/checkout",
            "00:00:03       · reconnected, 0 lost"
        ]
    );
    logs.cycle_stages();
    assert_eq!(logs.shown, SourceFilter::Stage(Stage::Agent));
    logs.cycle_stages();
    assert_eq!(shown(&logs).len(), 5);
}

#[test]
fn next_error_finds_failed_tool_results() {
    let mut logs = run();
    logs.view.next_error();
    logs.view.work();
    assert_eq!(logs.view.current(), Some(3));
}

#[test]
fn cycles_through_previous_instances() {
    let mut logs = run();
    assert!(!logs.has_previous());
    let source = |attempt, container: &str| LineSource {
        stage: Stage::Agent,
        version: 1,
        attempt,
        container: container.into(),
    };
    for (second, source, text) in [
        (5, source(1, "agent+1"), "restarted"),
        (6, source(2, "agent"), "second attempt"),
    ] {
        logs.add(&[LogItem {
            at: Timestamp::from_second(second).unwrap(),
            source: Some(source),
            text: text.into(),
            raw: None,
        }]);
    }
    let ends = |logs: &Logs| shown(logs).last().cloned().unwrap_or_default();
    assert!(ends(&logs).ends_with("second attempt"));
    logs.cycle_previous();
    assert!(ends(&logs).ends_with("restarted"), "{:?}", shown(&logs));
    logs.cycle_previous();
    assert!(ends(&logs).ends_with("disk full"), "{:?}", shown(&logs));
    logs.cycle_previous();
    assert_eq!(logs.shown, SourceFilter::All);
}

#[test]
fn exports_the_original_lines() {
    let mut logs = run();
    let saved = |logs: &Logs, json| {
        let mut bytes = Vec::new();
        logs.export(json).write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let text = saved(&logs, false);
    assert_eq!(text.lines().count(), 3, "without notices");
    assert!(text.starts_with("cloning feature/checkout\n{\"type\":\"assistant\""));
    let lines = saved(&logs, true);
    let line = |at: usize| {
        let line = lines.lines().nth(at).unwrap();
        serde_json::from_str::<serde_json::Value>(line).unwrap()
    };
    assert_eq!(line(0)["container"], "clone");
    assert_eq!(line(0)["at"], "1970-01-01T00:00:01Z");
    assert_eq!(line(0)["text"], "cloning feature/checkout");
    assert_eq!(line(2)["notice"], "reconnected, 0 lost");
    logs.cycle_stages();
    assert_eq!(saved(&logs, false), "cloning feature/checkout\n");
}

#[test]
fn exports_invalid_utf8_as_bytes_and_as_replacement_in_json() {
    let mut logs = Logs::default();
    let mut line = item(1, Some((Stage::Agent, "agent")), "caf\u{fffd} ok");
    line.raw = Some(b"caf\xe9 ok"[..].into());
    let plain = item(2, Some((Stage::Agent, "agent")), "next");
    logs.add(&[line, plain]);
    let mut bytes = Vec::new();
    logs.export(false).write(&mut bytes).unwrap();
    assert_eq!(bytes, b"caf\xe9 ok\nnext\n");
    bytes.clear();
    logs.export(true).write(&mut bytes).unwrap();
    let lines = String::from_utf8(bytes).unwrap();
    let first = lines.lines().next().unwrap();
    let first = serde_json::from_str::<serde_json::Value>(first).unwrap();
    assert_eq!(first["text"], "caf\u{fffd} ok");
}
