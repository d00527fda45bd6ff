//! The streams of an agent in every documented format: each line becomes part of a step.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use flightdeck_core::{
    text::sanitize,
    transcript::{Event, StepKind, Steps, Transcript, parse_line},
};

/// The streams in `tests/fixtures/transcript`: one with the current names, one with sub-agents, one with every kind of
/// failure, one with older names, and one mixed with other output.
pub(crate) const STREAMS: [&str; 5] = ["session", "sub-agents", "trouble", "older", "mixed"];

pub(crate) fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcript")
}

fn lines(name: &str) -> Vec<String> {
    let text = fs::read_to_string(directory().join(format!("{name}.jsonl"))).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Returns the time of a line: one per second.
pub(crate) fn second(at: usize) -> Timestamp {
    let began = Timestamp::from_second(1_900_000_000).unwrap();
    began + SignedDuration::from_secs(at as i64)
}

pub(crate) fn folded<L: AsRef<str>>(lines: &[L]) -> (Steps, Transcript) {
    let (mut steps, mut transcript) = (Steps::default(), Transcript::default());
    for (at, line) in lines.iter().enumerate() {
        steps.add(Some(second(at)), line.as_ref());
        transcript.add(Some(second(at)), line.as_ref());
    }
    (steps, transcript)
}

/// Formats the steps, one per line, with parent and turn.
fn format_steps(steps: &Steps) -> String {
    let mut out = String::new();
    for (number, step) in steps.iter() {
        let parent = step
            .parent
            .map_or_else(String::new, |parent| format!("<{parent}"));
        let what = match &step.what {
            StepKind::Call(call) => {
                let tool = &call.tool;
                let mut words = format!("call {} {}", tool.name, tool.summary);
                if let Some(added) = tool.added {
                    words += &format!(" +{added}-{}", tool.removed.unwrap_or(0));
                }
                words += &call
                    .denied
                    .as_ref()
                    .map_or_else(String::new, |why| format!(" refused: {why}"));
                words += &call.agent.map_or_else(String::new, |agent| {
                    format!(
                        " agent: {} calls, {} tokens",
                        agent.tool_calls, agent.tokens
                    )
                });
                words += &call.answer.as_ref().map_or_else(
                    || " unanswered".into(),
                    |answer| {
                        let error = if answer.is_error { " error" } else { "" };
                        let patch = answer
                            .patch
                            .as_ref()
                            .map_or(0, |patch| patch.lines().count());
                        format!(
                            " ->{error} {} lines, {} ms, {patch} lines of patch",
                            answer.lines,
                            answer.took_ms.unwrap_or_default()
                        )
                    },
                );
                words
            }
            StepKind::End(outcome) => format!(
                "end {} failed={} turns={:?} cost={:?} tokens={:?} {:?}",
                outcome.subtype,
                outcome.failed(),
                outcome.turns,
                outcome.cost_micro_usd,
                outcome.tokens,
                outcome.text
            ),
            other => format!("{other:?}"),
        };
        out += &format!(
            "{number:>3} {parent:<3} turn {:<2} {}\n",
            step.turn,
            sanitize(&what)
        );
    }
    out
}

#[test]
fn shipped_transcripts_are_current() {
    let mut stale = Vec::new();
    for name in STREAMS {
        let (steps, transcript) = folded(&lines(name));
        let formatted = format!(
            "{}\n{:#?}\nsession {:?}, model {:?}, {} tool calls, {} failed, context {} of {:?}, documents {:?}\n",
            format_steps(&steps),
            transcript.usage(),
            transcript.session,
            transcript.model,
            transcript.tool_calls,
            transcript.tool_errors,
            transcript.context_tokens,
            transcript.context_window,
            transcript.documents(),
        );
        let file = directory().join(format!("{name}.txt"));
        if env::var_os("UPDATE").is_some() {
            fs::write(&file, &formatted).unwrap();
        } else if !fs::read_to_string(&file).is_ok_and(|shipped| shipped == formatted) {
            stale.push(formatted);
        }
    }
    assert!(
        stale.is_empty(),
        "outdated; UPDATE=1 cargo test shipped rewrites them\n{}",
        stale.join("\n")
    );
}

#[test]
fn signals_last_as_long_as_their_cause() {
    let lines = lines("trouble");
    let after = |count: usize| folded(&lines[..count]).1.signals;
    assert_eq!(after(3).retried, Some((2, "overloaded".into())));
    assert_eq!(after(5).retried, None, "the retry succeeded");
    assert_eq!((after(8).refused, after(8).running_tool), (1, None));
    let repeated = after(20).repeated.unwrap();
    assert_eq!(
        (repeated.what.as_str(), repeated.times, repeated.round),
        ("Bash cargo build", 5, 1)
    );
    assert_eq!(
        after(21).waiting_for.as_deref(),
        Some("an answer: Which linker is there?")
    );
    assert_eq!(after(24).waiting_for, None, "it was answered");
    assert!(after(25).limited.is_some_and(|(_, until)| until.is_some()));
    let end = after(lines.len());
    assert!(end.ended && end.over_budget && end.running_tool.is_none());
    assert_eq!(end.last_at, Some(second(lines.len() - 1)));
}

/// Returns the expected number of steps of each kind.
pub(crate) fn expected(lines: &[String]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let mut calls = Vec::new();
    let mut one = |kind| *counts.entry(kind).or_default() += 1;
    for entry in lines.iter().flat_map(|line| parse_line(line)) {
        match entry.event {
            Event::Init { .. } => one("session"),
            Event::Text(text) if text.trim().is_empty() => {}
            Event::Text(_) => one("text"),
            Event::Thinking(_) => one("thinking"),
            Event::Prompt(_) => one("prompt"),
            Event::ToolUse(tool) => {
                calls.push(tool.id);
                one("call");
            }
            Event::ToolResult(result) if !calls.contains(&result.id) => one("raw"),
            Event::Other(_) => one("raw"),
            Event::Result(_) => one("end"),
            Event::Plain(line) if !line.trim().is_empty() => one("output"),
            _ => {}
        }
    }
    counts
}

pub(crate) fn counted(steps: &Steps) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, step) in steps.iter() {
        let (kind, count) = match &step.what {
            StepKind::Session { .. } => ("session", 1),
            StepKind::Text { .. } => ("text", 1),
            StepKind::Thinking { .. } => ("thinking", 1),
            StepKind::Prompt { .. } => ("prompt", 1),
            StepKind::Call(_) => ("call", 1),
            StepKind::Raw { .. } => ("raw", 1),
            StepKind::End(_) => ("end", 1),
            StepKind::Output { lines } => {
                let lines = lines.iter().filter(|line| !line.trim().is_empty());
                ("output", lines.count())
            }
            StepKind::Notice { .. } | StepKind::Trouble { .. } => continue,
        };
        *counts.entry(kind).or_default() += count;
    }
    counts
}

/// A line of a stream, complete, truncated or with a changed character, or other text.
fn any_line() -> impl Strategy<Value = String> {
    let known: Vec<String> = STREAMS.iter().flat_map(|name| lines(name)).collect();
    let known = prop::sample::select(known);
    prop_oneof![
        6 => known.clone(),
        1 => (known.clone(), any::<prop::sample::Index>()).prop_map(|(line, at)| {
            line.chars().take(at.index(line.len() + 1)).collect()
        }),
        2 => (known, any::<prop::sample::Index>(), any::<char>()).prop_map(|(line, at, with)| {
            let mut line: Vec<char> = line.chars().collect();
            if !line.is_empty() {
                let at = at.index(line.len());
                line[at] = with;
            }
            line.into_iter().filter(|c| *c != '\n').collect()
        }),
        1 => "[^\n]{0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_line_is_lost_and_reading_in_parts_is_equivalent(
        lines in prop::collection::vec(any_line(), 0..80),
        cut in any::<prop::sample::Index>(),
    ) {
        let (whole, transcript) = folded(&lines);
        prop_assert_eq!(counted(&whole), expected(&lines));
        // Read in two parts.
        let at = cut.index(lines.len() + 1);
        let (mut steps, mut second_fold) = folded(&lines[..at]);
        let before: Vec<_> = steps.iter().map(|(_, step)| step.clone()).collect();
        steps.take_changed();
        let _ = second_fold.usage();
        for (at, line) in lines.iter().enumerate().skip(at) {
            steps.add(Some(second(at)), line);
            second_fold.add(Some(second(at)), line);
        }
        let in_parts: Vec<_> = steps.iter().collect();
        prop_assert_eq!(in_parts, whole.iter().collect::<Vec<_>>());
        prop_assert_eq!(second_fold, transcript);
        // Every changed step is reported.
        let changed = steps.take_changed();
        for (number, step) in steps.iter() {
            let same = before.get(number) == Some(step);
            prop_assert!(same || changed.contains(&number), "step {number} changed but was not reported");
        }
        for (number, step) in steps.iter() {
            prop_assert!(step.parent.is_none_or(|parent| parent < number));
        }
    }
}
