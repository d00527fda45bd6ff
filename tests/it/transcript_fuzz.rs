//! Damaged streams of an agent: parsing terminates, no line is lost, and reading in parts has the same result as reading at once.

use std::{collections::BTreeMap, fs};

use crate::{
    support::fuzz::{self, Numbers},
    transcript::{STREAMS, counted, directory, expected, folded, second},
};
use flightdeck_core::{
    text,
    transcript::{Steps, Transcript, readable},
};

const PIECES: [&str; 32] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    "\\ud800",
    "\n",
    "\r\n",
    "\0",
    "\u{1b}[2J",
    "\u{202e}",
    "null",
    "-1",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"type\":\"assistant\",",
    "\"type\":\"user\",",
    "\"type\":\"system\",\"subtype\":\"init\",",
    "\"type\":\"result\",",
    "\"parent_tool_use_id\":\"toolu_01\",",
    "\"content\":[",
    "\"content\":\"x\",",
    "\"message\":{",
    "\"usage\":{\"input_tokens\":9223372036854775807,\"output_tokens\":9223372036854775807},",
    "\"total_cost_usd\":1e308,",
    "\"retry_delay_ms\":9223372036854775807,",
    "\"timestamp\":\"9999-12-31T23:59:59Z\",",
    "\"resetsAt\":9223372036854775807,",
];

fn check(bytes: &[u8], numbers: &mut Numbers) {
    let log = String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    let owned: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    let (whole, transcript) = folded(&lines);
    assert_eq!(counted(&whole), expected(&owned), "a line is lost");

    // Read in parts, like a screen.
    let (mut steps, mut other) = (Steps::default(), Transcript::default());
    let mut shown = BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        steps.add(Some(second(at)), line);
        other.add(Some(second(at)), line);
        if numbers.below(3) == 0 {
            let changed = steps.take_changed();
            shown.extend(
                changed
                    .into_iter()
                    .map(|number| (number, steps.get(number).cloned())),
            );
            let _ = other.usage();
        }
    }
    let changed = steps.take_changed();
    shown.extend(
        changed
            .into_iter()
            .map(|number| (number, steps.get(number).cloned())),
    );
    assert_eq!(
        steps.iter().collect::<Vec<_>>(),
        whole.iter().collect::<Vec<_>>()
    );
    assert_eq!(other, transcript);
    for (number, step) in whole.iter() {
        assert_eq!(
            shown.get(&number),
            Some(&Some(step.clone())),
            "step {number} changed but was not reported"
        );
        assert!(step.parent.is_none_or(|parent| parent < number));
    }

    // Every function of the steps; the size of their text is limited by that of the stream.
    let mut kept = 0;
    for (number, step) in whole.iter() {
        let text = step.full_text();
        kept += text.len();
        assert!(!text::sanitize(&text).chars().any(char::is_control));
        let _ = (whole.depth(number), whole.is_pending(number));
    }
    let bound = 8 * log.len() + 512 * (lines.len() + 1);
    assert!(
        kept <= bound,
        "{kept} bytes are kept of {} bytes",
        log.len()
    );
    for line in &lines {
        let shown = readable(line);
        assert!(
            !shown.is_empty() || line.trim().is_empty() || line.starts_with('{'),
            "{line:?} is not shown"
        );
    }
}

#[test]
fn damaged_streams_lose_no_line() {
    let seeds: Vec<Vec<u8>> = STREAMS
        .iter()
        .map(|name| fs::read(directory().join(format!("{name}.jsonl"))).unwrap())
        .collect();
    fuzz::run(2_000, &seeds, &PIECES, check);
}
