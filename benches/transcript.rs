//! The timeline of a long stream: reading 100,000 events, handling a key, and adding an event, compared with only parsing the
//! lines as JSON.

#![allow(missing_docs, clippy::unwrap_used)]

use std::{fs, hint::black_box, path::Path};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use flightdeck_console::{
    detail_io::{DetailResponse, LineSource, LogItem},
    harness::Harness,
    msg::Msg,
    theme::Theme,
};
use flightdeck_core::{
    resources::{DocsRun, DocsRunSpec},
    runs::{Run, Stage},
    transcript::{Steps, Transcript, parse_line},
};

/// Lines of the stream.
const EVENTS: usize = 100_000;
/// Number of lines in a message to the console.
const BATCH: usize = 2_048;

/// Returns the sessions of the fixtures, repeated with new ids.
fn stream() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transcript");
    let texts = ["session", "sub-agents", "trouble"]
        .map(|name| fs::read_to_string(directory.join(format!("{name}.jsonl"))).unwrap());
    let rounds = (0..).flat_map(|round| {
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.map(move |line| {
            line.replace("toolu_", &format!("toolu_{round}_"))
                .replace("msg_", &format!("msg_{round}_"))
        })
    });
    rounds.take(EVENTS).collect()
}

fn at(line: usize) -> Timestamp {
    Timestamp::from_second(1_899_000_000).unwrap() + SignedDuration::from_millis(line as i64 * 100)
}

fn item(line: usize, text: &str) -> LogItem {
    LogItem {
        at: at(line),
        source: Some(LineSource {
            stage: Stage::Agent,
            version: 1,
            attempt: 1,
            container: "agent".into(),
        }),
        text: text.to_owned(),
        raw: None,
    }
}

/// Returns a console that shows the timeline of a run with these lines.
fn console(lines: &[String]) -> Harness {
    let mut console = Harness::new(140, 40);
    let mut run = Run::from(DocsRun::new("docs-1", DocsRunSpec::default()));
    run.metadata.uid = Some("r".into());
    run.status.phase = Some("Running".into());
    console.runs([run]).press("2 4 ]");
    for (batch, lines) in lines.chunks(BATCH).enumerate() {
        let items = lines.iter().enumerate();
        let items = items.map(|(index, line)| item(batch * BATCH + index, line));
        let news = DetailResponse::Log("r".into(), items.collect());
        console.send(Msg::Detail(news));
    }
    console
}

fn transcript(criterion: &mut Criterion) {
    let lines = stream();
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group(format!("{EVENTS} events of an agent"));
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            lines
                .iter()
                .map(|line| parse_line(line).len())
                .sum::<usize>()
        });
    });
    group.bench_function("read and fold into steps and totals", |bencher| {
        bencher.iter(|| {
            let (mut steps, mut transcript) = (Steps::default(), Transcript::default());
            for (index, line) in lines.iter().enumerate() {
                let entries = parse_line(line);
                for entry in &entries {
                    transcript.add_entry(Some(at(index)), entry);
                }
                steps.add_entries(Some(at(index)), line, &entries);
            }
            (steps.end(), transcript.usage())
        });
    });
    // For comparison: parsing without interpretation.
    group.bench_function("serde_json::Value", |bencher| {
        let parse = |line: &String| serde_json::from_str::<Value>(line).is_ok();
        bencher.iter(|| lines.iter().filter(|line| parse(line)).count());
    });
    group.finish();

    let theme = Theme::shipped("dark");
    let mut full = console(&lines);
    let mut group = criterion.benchmark_group(format!("the timeline of {EVENTS} events"));
    group.sample_size(20);
    group.bench_function("key to frame", |bencher| {
        let mut console = console(&lines);
        bencher.iter(|| {
            console.press("k");
            black_box(console.buffer(&theme));
        });
    });
    group.bench_function("one more event to frame", |bencher| {
        let console = &mut full;
        let mut next = lines.len();
        bencher.iter_batched(
            || {
                next += 1;
                item(next, &lines[next % lines.len()])
            },
            |item| {
                console.send(Msg::Detail(DetailResponse::Log("r".into(), vec![item])));
                black_box(console.buffer(&theme));
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, transcript);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
