//! A complete session, and invalid lines.

use proptest::prelude::*;

use super::*;

const SESSION: &[&str] = &[
    "Cloning is done; starting the agent",
    r#"{"type":"system","subtype":"init","session_id":"0f2c6c1e-91f4","model":"opus","cwd":"/w/runs/docs-1/repo","tools":["Read"]}"#,
    r#"{"type":"assistant","session_id":"s","message":{"id":"m1","role":"assistant","content":[{"type":"text","text":"I read the plan.\n\nThen I write."}],"usage":{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100,"cache_creation_input_tokens":20}}}"#,
    r#"{"type":"assistant","message":{"id":"m1","content":[{"type":"tool_use","id":"t1","name":"Read","input":{"file_path":"/w/runs/docs-1/repo/.taskmaster/tasks/tasks.json"}}],"usage":{"input_tokens":10,"output_tokens":9,"cache_read_input_tokens":100,"cache_creation_input_tokens":20}}}"#,
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t1","content":"one\ntwo\nthree"}]}}"#,
    r#"{"type":"assistant","message":{"id":"m2","content":[{"type":"tool_use","id":"t2","name":"Write","input":{"file_path":"/w/runs/docs-1/repo/.taskmaster/docs/task-2/task.md","content":"a\nb"}}],"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":130}}}"#,
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t2","content":[{"type":"text","text":"created"}]}]}}"#,
    r#"{"type":"assistant","message":{"id":"m3","content":[{"type":"tool_use","id":"t3","name":"Write","input":{"file_path":"/w/runs/docs-1/repo/.taskmaster/docs/task-2/prompt.md","content":"x"}}]}}"#,
    r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t3","is_error":true,"content":"no space left"}]}}"#,
    r#"{"type":"assistant","message":{"id":"m4","content":[{"type":"tool_use","id":"t4","name":"Edit","input":{"file_path":".taskmaster/docs/task-2/task.md","old_string":"a","new_string":"b\nc"}}]}}"#,
    r#"{"type":"assistant","message":{"id":"m4","content":[{"type":"tool_use","id":"t5","name":"Write","input":{"file_path":"/w/notes.md","content":""}}]}}"#,
    r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed_warning","resetsAt":1790000000}}"#,
    r#"{"type":"result","subtype":"success","is_error":false,"duration_ms":161000,"num_turns":14,"total_cost_usd":0.4213,"session_id":"0f2c6c1e-91f4","result":"done","usage":{"input_tokens":100,"output_tokens":900,"cache_read_input_tokens":40000,"cache_creation_input_tokens":0},"modelUsage":{"opus":{"contextWindow":200000}}}"#,
];

fn folded(lines: &[&str]) -> Transcript {
    let mut transcript = Transcript::default();
    for line in lines {
        transcript.add(None, line);
    }
    transcript
}

#[test]
fn counts_written_documents_once() {
    let transcript = folded(SESSION);
    let documents: Vec<&String> = transcript.documents().iter().collect();
    assert_eq!(documents, [".taskmaster/docs/task-2/task.md"]);
    assert_eq!((transcript.tool_calls, transcript.tool_errors), (5, 1));
}

#[test]
fn result_overrides_usage() {
    let transcript = folded(SESSION);
    let usage = transcript.usage();
    assert_eq!(transcript.session.as_deref(), Some("0f2c6c1e-91f4"));
    assert_eq!(
        (usage.turns, usage.cost_micro_usd, usage.input_tokens),
        (14, 421_300, 100)
    );
    let outcome = transcript.outcome.unwrap();
    assert_eq!(
        (outcome.duration_ms, outcome.context_window),
        (Some(161_000), Some(200_000))
    );
}

#[test]
fn counts_message_tokens_once() {
    let transcript = folded(&SESSION[..6]);
    let usage = transcript.usage();
    assert_eq!(
        (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens
        ),
        (31, 11, 230)
    );
    assert_eq!((usage.turns, transcript.context_tokens), (2, 131));
}

#[test]
fn session_results_are_cumulative() {
    let result = |session: &str, cost: f64| {
        format!(
            r#"{{"type":"result","subtype":"success","num_turns":2,"total_cost_usd":{cost},"session_id":"{session}","modelUsage":{{"opus":{{"inputTokens":10,"outputTokens":5,"contextWindow":200000}},"haiku":{{"inputTokens":1,"outputTokens":1}}}},"usage":{{"input_tokens":9,"output_tokens":4}}}}"#
        )
    };
    let lines = [result("a", 0.5), result("a", 0.75), result("b", 0.25)];
    let transcript = folded(&lines.each_ref().map(String::as_str));
    let usage = transcript.usage();
    assert_eq!((usage.cost_micro_usd, usage.turns), (1_000_000, 6));
    assert_eq!(
        (usage.input_tokens, usage.output_tokens),
        (22, 12),
        "last result of each session, summed over models"
    );
}

#[test]
fn reads_older_field_names() {
    let line =
        r#"{"type":"result","subtype":"success","sessionId":"s","cost_usd":0.02,"num_turns":1}"#;
    let transcript = folded(&[line]);
    assert_eq!(transcript.usage().cost_micro_usd, 20_000);
    assert_eq!(transcript.session.as_deref(), Some("s"));
}

#[test]
fn renders_readable_lines() {
    let shown: Vec<String> = SESSION
        .iter()
        .flat_map(|line| readable(line))
        .map(|line| line.to_string())
        .collect();
    assert_eq!(
        shown,
        [
            "Cloning is done; starting the agent",
            "● session  0f2c6c1e  opus",
            "I read the plan.",
            "",
            "Then I write.",
            "▸ Read   .taskmaster/tasks/tasks.json",
            "  3 lines",
            "▸ Write  docs/task-2/task.md  +2",
            "▸ Write  docs/task-2/prompt.md  +1",
            "  ✗ no space left",
            "▸ Edit   docs/task-2/task.md  +2 -1",
            "▸ Write  /w/notes.md  +0",
            "✗ rate limit nearly reached",
            "✓ finished · 14 turns · 41k tokens · $0.42 · 2m41s",
        ]
    );
}

#[test]
fn summarises_tool_calls() {
    for (name, input, summary) in [
        (
            "Bash",
            r#"{"command":"cargo test\ncargo fmt"}"#,
            "cargo test …",
        ),
        (
            "Grep",
            r#"{"pattern":"fn main","path":"/w/src"}"#,
            "fn main",
        ),
        (
            "Task",
            r#"{"prompt":"long","description":"look around"}"#,
            "look around",
        ),
        (
            "TodoWrite",
            r#"{"todos":[{"status":"completed"},{"status":"in_progress","activeForm":"Testing"}]}"#,
            "1 of 2 done, now: Testing",
        ),
        (
            "WebFetch",
            r#"{"url":"https://example.com"}"#,
            "https://example.com",
        ),
        ("mcp__x", r#"{"n":1,"what":"this"}"#, "this"),
        ("Read", "null", ""),
    ] {
        let input = serde_json::from_str(input).unwrap();
        assert_eq!(ToolUse::new("1", name, &input).summary, summary, "{name}");
    }
}

#[test]
fn keeps_unknown_input() {
    for (line, event) in [
        ("", Event::Plain(String::new())),
        ("{\"type\":", Event::Plain("{\"type\":".into())),
        (
            "{\"no\":\"type\"}",
            Event::Plain("{\"no\":\"type\"}".into()),
        ),
        ("[1]", Event::Plain("[1]".into())),
        (r#"{"type":"newer"}"#, Event::Other("newer".into())),
        (r#"{"type":"assistant"}"#, Event::Other("assistant".into())),
        (
            r#"{"type":"system","subtype":"compact_boundary"}"#,
            Event::Compacted {
                before: None,
                after: None,
            },
        ),
        (
            r#"{"type":"user","message":{"content":"hello"}}"#,
            Event::Prompt("hello".into()),
        ),
    ] {
        let events: Vec<Event> = parse_line(line)
            .into_iter()
            .map(|entry| entry.event)
            .collect();
        assert_eq!(events, [event], "{line}");
    }
}

#[test]
fn records_parent_call() {
    let line = r#"{"type":"assistant","parent_tool_use_id":"t9","message":{"id":"m","content":[{"type":"text","text":"x"}]}}"#;
    assert_eq!(parse_line(line)[0].parent.as_deref(), Some("t9"));
}

#[test]
fn rejects_invalid_numbers() {
    let line = r#"{"type":"result","num_turns":-1,"total_cost_usd":1e300,"usage":{"input_tokens":1e300,"output_tokens":"x"}}"#;
    let mut transcript = Transcript::default();
    for _ in 0..3 {
        transcript.add(None, line);
    }
    let usage = transcript.usage();
    assert_eq!((usage.turns, usage.output_tokens), (0, 0));
    assert_eq!(usage.cost_micro_usd, i64::MAX);
}

/// Random combinations of stream tokens.
fn malformed_line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "\"type\"",
        "\"assistant\"",
        "\"user\"",
        "\"result\"",
        "\"message\"",
        "\"content\"",
        "\"tool_use\"",
        "\"input\"",
        "\"usage\"",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "1e999",
        "null",
        "\"\\ud800\"",
        "\u{1b}[2J",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn never_panics_on_any_line(line in prop_oneof![any::<String>(), malformed_line()]) {
        let mut transcript = Transcript::default();
        transcript.add(None, &line);
        for line in readable(&line) {
            prop_assert!(!line.text.chars().any(char::is_control));
        }
    }

    #[test]
    fn accepts_any_field_value(field in "[a-z_]{1,12}", value in any::<f64>(), cut in 0usize..600) {
        for line in SESSION {
            let changed = line.replace("\"content\"", &format!("\"{field}\":{value},\"content\""));
            let cut: String = changed.chars().take(cut).collect();
            folded(&[&changed, &cut]);
        }
    }
}
