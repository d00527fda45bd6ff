//! The ledger: writing a log, and opening an archived one.
//!
//! `cargo bench --bench ledger`; `FLIGHTDECK_LINES` sets the length of the log (default: 1,000,000).

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group};
use jiff::Timestamp;
use kube::api::ObjectMeta;

use flightdeck_core::{
    log::{LogEvent, LogLine, LogSource},
    resources::{RunSpec, RunStatus},
    runs::{Run, RunKind, Stage},
};
use flightdeck_host::ledger::Ledger;

const UID: &str = "0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f";
/// Number of events in a batch of a follower.
const CHUNK: usize = 512;

fn source() -> Arc<LogSource> {
    Arc::new(LogSource {
        pod: "docs-x-agent-1-abcde".into(),
        pod_uid: "pu".into(),
        container: "agent".into(),
        restart: 0,
        stage: Some(Stage::Agent),
        context_version: 1,
        attempt: 1,
    })
}

/// Returns lines of 120 bytes with the variety of a build's output: words, numbers, hashes.
fn lines(count: usize) -> Vec<LogEvent> {
    let source = source();
    let words = [
        "compiling",
        "resolved",
        "src/main.rs",
        "warning",
        "target",
        "linking",
        "passed",
        "module",
    ];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    (0..count)
        .map(|index| {
            let mut text = format!("{index:08} {:016x}", next());
            while text.len() < 120 {
                text.push(' ');
                text.push_str(words[(next() % words.len() as u64) as usize]);
            }
            text.truncate(120);
            LogEvent::Line(LogLine {
                source: Arc::clone(&source),
                at: Timestamp::from_microsecond(1_900_000_000_000_000 + index as i64 * 20).unwrap(),
                ordinal: 0,
                text,
                bytes: None,
                left_out: 0,
            })
        })
        .collect()
}

fn write(ledger: &Ledger, events: &[LogEvent]) {
    let mut spool = ledger.log_writer(UID).unwrap().unwrap();
    for chunk in events.chunks(CHUNK) {
        spool.append(chunk).unwrap();
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let items = fs::read_dir(folder).unwrap().map(Result::unwrap);
    items
        .map(|item| {
            let metadata = item.metadata().unwrap();
            if metadata.is_dir() {
                bytes_below(&item.path())
            } else {
                metadata.len()
            }
        })
        .sum()
}

fn append(criterion: &mut Criterion) {
    let events = lines(100_000);
    let mut group = criterion.benchmark_group("ledger: keep");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("100,000 lines of 120 bytes", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let directory = tempfile::tempdir().unwrap();
                let ledger = Ledger::open(directory.path()).unwrap();
                let began = Instant::now();
                write(&ledger, &events);
                took += began.elapsed();
            }
            took
        });
    });
    group.finish();
}

fn open(criterion: &mut Criterion) {
    let count: usize =
        env::var("FLIGHTDECK_LINES").map_or(1_000_000, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let mut events = lines(count);
    let text: u64 = events.len() as u64 * 121;
    events.push(LogEvent::RunEnded);
    write(&ledger, &events);
    drop(events);
    let disk = bytes_below(directory.path());
    println!(
        "{count} lines: {text} bytes of text, {disk} on disk, ratio {:.3}",
        disk as f64 / text as f64
    );

    let mut group = criterion.benchmark_group(format!("ledger: open a log of {count} lines"));
    group.sample_size(10);
    let screen = |from: u64| {
        let events = ledger.read_log_from(UID, from).unwrap();
        let lines = events
            .filter(|event| matches!(event, LogEvent::Line(_)))
            .take(60);
        assert!(lines.count() > 0);
    };
    group.bench_function("last screen", |bencher| {
        bencher.iter(|| screen(ledger.log_lines(UID).unwrap() - 60));
    });
    group.bench_function("screen in the middle", |bencher| {
        bencher.iter(|| screen(count as u64 / 2));
    });
    group.bench_function("to continue writing", |bencher| {
        bencher.iter(|| ledger.log_writer(UID).unwrap().unwrap());
    });
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("whole log", |bencher| {
        bencher.iter(|| ledger.read_log(UID).unwrap().count());
    });
    group.finish();
}

fn list(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(directory.path()).unwrap();
    let events = lines(50);
    for index in 0..1_000 {
        let uid = format!("uid-{index}");
        let run = Run {
            kind: RunKind::Docs,
            metadata: ObjectMeta {
                name: Some(format!("docs-{index}")),
                uid: Some(uid.clone()),
                labels: Some(BTreeMap::from([(
                    "flightdeck.dev/repository".to_owned(),
                    "acme-shop".to_owned(),
                )])),
                ..ObjectMeta::default()
            },
            tasks: vec!["1".into(), "2".into()],
            spec: RunSpec::default(),
            code: None,
            status: RunStatus::default(),
        };
        ledger.record(&run).unwrap();
        ledger
            .log_writer(&uid)
            .unwrap()
            .unwrap()
            .append(&events)
            .unwrap();
    }
    let mut group = criterion.benchmark_group("ledger: list");
    group.sample_size(20);
    group.bench_function("1,000 runs", |bencher| {
        bencher.iter(|| assert_eq!(ledger.list().unwrap().len(), 1_000));
    });
    group.finish();
}

criterion_group!(benches, append, open, list);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
