use super::*;

#[test]
fn drops_oldest_steps_over_limit() {
    let mut steps = Steps::default();
    for n in 0..50 {
        let call = format!(
            r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Bash","input":{{"command":"step {n}"}}}}]}}}}"#
        );
        steps.add(None, &call);
        steps.drop_oldest(20);
    }
    assert_eq!(steps.end(), 50);
    assert!(steps.dropped() >= 30 && steps.get(0).is_none());
    let step = steps.get(49).unwrap();
    assert!(matches!(&step.what, StepKind::Call(call) if call.tool.summary == "step 49"));
    steps.add(
        None,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t49","content":"done"}]}}"#,
    );
    assert!(!steps.is_pending(49) && steps.is_pending(48));
}

#[test]
fn drops_oldest_output_over_limit() {
    let mut steps = Steps::default();
    steps.add(None, "first");
    steps.add(None, r#"{"type":"assistant","message":{"id":"m","content":[{"type":"text","text":"Building."}]}}"#);
    for n in 0..OUTPUT_LINES * 5 {
        steps.add(None, &format!("{n:0100}"));
    }
    steps.trim_output(OUTPUT_LINES * 250);
    let texts: Vec<String> = steps.iter().map(|(_, step)| step.full_text()).collect();
    assert_eq!(texts[0], "(1 line dropped; see the log)");
    assert_eq!(texts[1], "Building.");
    assert_eq!(texts[2], "(200 lines dropped; see the log)");
    assert!(texts[6].ends_with("999") && texts[5].lines().count() == 200);
    // Dropped output stays dropped.
    steps.trim_output(0);
    assert_eq!(steps.output_bytes, OUTPUT_LINES * 100);
    assert!(steps.get(6).unwrap().full_text().ends_with("999"));
}

#[test]
fn shortens_oldest_texts_over_limit() {
    let mut steps = Steps::default();
    let long = "word ".repeat(1_000);
    for n in 0..20 {
        for content in [
            format!(r#"{{"type":"text","text":"{n} {long}"}}"#),
            format!(
                r#"{{"type":"tool_use","id":"t{n}","name":"Write","input":{{"file_path":"{n}.md","content":"{long}"}}}}"#
            ),
        ] {
            let line = format!(
                r#"{{"type":"assistant","message":{{"id":"m{n}","content":[{content}]}}}}"#
            );
            steps.add(None, &line);
        }
        steps.trim_texts(20_000);
    }
    let counted = |steps: &Steps| {
        let whole = steps
            .iter()
            .filter(|(number, _)| *number >= steps.first_whole);
        whole.map(|(_, step)| step.bytes()).sum::<usize>()
    };
    assert!(steps.bytes <= 20_000 && steps.bytes == counted(&steps));
    let all: usize = steps.iter().map(|(_, step)| step.bytes()).sum();
    assert!(all < 20_000 + 40 * 400, "{all}");
    let text = |number| steps.get(number).unwrap().full_text();
    assert!(text(0).starts_with("0 word") && text(0).ends_with("see the log)"));
    assert!(text(1).starts_with("Write 0.md") && text(1).ends_with("see the log)"));
    assert_eq!(text(38), format!("19 {long}"));
    // A late result is shortened too, and dropped steps no longer count.
    let answer = format!(
        r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"t0","content":"{long}"}}]}}}}"#
    );
    steps.add(None, &answer);
    assert!(steps.get(1).unwrap().bytes() < 1_000);
    assert_eq!(steps.bytes, counted(&steps));
    steps.drop_oldest(2);
    assert_eq!(steps.bytes, counted(&steps));
}

#[test]
fn ignores_self_parent() {
    let mut steps = Steps::default();
    steps.add(
        None,
        r#"{"type":"assistant","parent_tool_use_id":"t1","message":{"id":"m1","content":[{"type":"tool_use","id":"t1","name":"Agent","input":{}}]}}"#,
    );
    assert_eq!((steps.get(0).unwrap().parent, steps.depth(0)), (None, 0));
}

#[test]
fn limits_nesting_depth() {
    let mut steps = Steps::default();
    for n in 1..=5_000 {
        let call = format!(
            r#"{{"type":"assistant","parent_tool_use_id":"t{}","message":{{"id":"m{n}","content":[{{"type":"tool_use","id":"t{n}","name":"Agent","input":{{}}}}]}}}}"#,
            n - 1
        );
        steps.add(None, &call);
    }
    let depths = (0..5_000).map(|number| steps.depth(number));
    assert_eq!(depths.max(), Some(DEPTH_LIMIT));
}
