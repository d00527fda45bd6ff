//! A log view of 1,000,000 lines of 120 bytes, compared with a `Vec<String>` and the same expression, and with `grep` on a file
//! if it is installed. All lines stay in memory, as in the comparisons; the console would write older ones to the spill file.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::{
    fmt::Write as _,
    fs,
    hint::black_box,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group};
use ratatui::{buffer::Buffer, layout::Rect};

use flightdeck_console::widgets::text_view::{self, Plain, PromptKind, TextView};

const LINES: usize = 1_000_000;
const WIDTH: usize = 120;
/// In every hundredth line.
const COMMON: &str = "retrying";
/// Only in the last line.
const RARE: &str = "needle in the hay";

fn line(number: usize, text: &mut String) {
    text.clear();
    let word = if number == LINES - 1 {
        RARE
    } else if number.is_multiple_of(100) {
        COMMON
    } else {
        "working"
    };
    let _ = write!(
        text,
        "{number:>8} {word} on request /api/v1/tasks/{}",
        number % 977
    );
    while text.len() < WIDTH {
        text.push('.');
    }
}

fn filled() -> TextView {
    let mut view = TextView::new(Arc::new(Plain), usize::MAX);
    view.resize(140, 40);
    let mut text = String::new();
    for number in 0..LINES {
        line(number, &mut text);
        view.push(&text, Some(number as i64 * 1_000), 0);
    }
    view
}

/// Searches for `pattern` from the first line until a screenful of matches is found.
fn search(view: &mut TextView, pattern: &str, wanted: usize) -> usize {
    view.to_start();
    view.open_prompt(PromptKind::Search);
    view.edit_prompt(|typed| pattern.clone_into(typed));
    view.work();
    loop {
        let (_, found, done) = view.status().matched.unwrap_or_default();
        if found >= wanted || done {
            view.close_prompt(false);
            return found;
        }
        if let Some(task) = view.background_task() {
            view.apply_result(task.run());
        }
    }
}

fn ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest 1,000,000 lines");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(LINES as u64));
    let mut text = String::new();
    line(1, &mut text);
    group.bench_function("store", |bencher| {
        bencher.iter(|| {
            let mut view = TextView::new(Arc::new(Plain), usize::MAX);
            for number in 0..LINES {
                view.push(&text, Some(number as i64), 0);
            }
            view.store().next()
        });
    });
    group.bench_function("peer: Vec<String>", |bencher| {
        bencher.iter(|| {
            let mut all = Vec::new();
            for _ in 0..LINES {
                all.push(text.clone());
            }
            all.len()
        });
    });
    group.finish();
}

fn searches(criterion: &mut Criterion) {
    let mut view = filled();
    let plain: Vec<String> = (0..LINES)
        .map(|number| {
            let mut text = String::new();
            line(number, &mut text);
            text
        })
        .collect();
    let mut group = criterion.benchmark_group("search 1,000,000 lines");
    group.sample_size(20);
    group.bench_function("first screen of matches", |bencher| {
        bencher.iter(|| assert_eq!(search(&mut view, COMMON, 40).min(40), 40));
    });
    group.bench_function("a match in the last line alone", |bencher| {
        bencher.iter(|| assert_eq!(search(&mut view, RARE, 40), 1));
    });
    group.bench_function("an expression nowhere to be found", |bencher| {
        bencher.iter(|| assert_eq!(search(&mut view, r"panicked at \w+\.rs:\d+", 40), 0));
    });
    let expression = regex::RegexBuilder::new(RARE)
        .case_insensitive(true)
        .build()
        .unwrap();
    group.bench_function(
        "peer: regex over a Vec<String>, the last line alone",
        |bencher| {
            bencher.iter(|| {
                plain
                    .iter()
                    .filter(|line| expression.is_match(line))
                    .count()
            });
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    fs::write(&file, plain.join("\n")).unwrap();
    let grep = || {
        let mut command = Command::new("grep");
        command
            .args(["-i", "-c", RARE])
            .arg(&file)
            .stdout(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if grep() {
        group.bench_function("peer: grep -i -c, the last line alone", |bencher| {
            bencher.iter(|| assert!(grep()));
        });
    } else {
        println!("SKIPPED comparison: grep is not installed");
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame of 140x40");
    let theme = flightdeck_console::theme::Theme::shipped("dark");
    let area = Rect::new(0, 0, 140, 40);
    let mut buffer = Buffer::empty(area);
    let mut few = TextView::default();
    few.resize(140, 40);
    let mut text = String::new();
    for number in 0..100 {
        line(number, &mut text);
        few.push(&text, Some(0), 0);
    }
    let mut many = filled();
    for (name, view) in [
        ("100 lines stored", &mut few),
        ("1,000,000 lines stored", &mut many),
    ] {
        view.to_end();
        group.bench_function(name, |bencher| {
            bencher.iter(|| text_view::draw(black_box(view), &theme, area, &mut buffer));
        });
    }
    group.finish();
}

/// Returns the resident memory of this process in MB; `None` if the system does not report it.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e6)
}

/// Measures what is not repeated.
fn once() {
    let before = resident();
    let began = Instant::now();
    let mut view = filled();
    println!(
        "1,000,000 lines of {WIDTH} bytes created and stored in {:?}",
        began.elapsed()
    );
    if let Some((before, after)) = before.zip(resident()) {
        println!("resident memory: {after:.0} MB with the lines, {before:.0} MB before");
    }
    // The longest time that a search blocks the UI task.
    view.to_start();
    view.open_prompt(PromptKind::Search);
    view.edit_prompt(|typed| RARE.clone_into(typed));
    let mut longest = Duration::ZERO;
    while let Some(task) = view.background_task().map(text_view::BackgroundTask::run) {
        let began = Instant::now();
        view.apply_result(task);
        view.work();
        longest = longest.max(began.elapsed());
    }
    println!("longest step of a search on the UI task: {longest:?}");
}

criterion_group!(benches, ingest, searches, frames);

fn main() {
    once();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
