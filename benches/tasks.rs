//! What a person waits for when a plan is opened.

#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flightdeck::tasks;
use serde_json::{Value, json};

/// A plan of `count` tasks with three subtasks each.
fn plan(count: usize) -> Vec<u8> {
    let subtask = |id: usize| json!({ "id": id, "title": "Do a part", "description": "A part of it.", "status": "pending", "dependencies": [] });
    let task = |id: usize| {
        json!({
            "id": id, "title": format!("Task number {id}"), "description": "What it is about.", "details": "How it is done. ".repeat(10),
            "testStrategy": "How it is checked.", "status": if id.is_multiple_of(3) { "done" } else { "pending" }, "priority": "high",
            "dependencies": if id > 1 { vec![id - 1] } else { vec![] }, "subtasks": [subtask(1), subtask(2), subtask(3)],
        })
    };
    let tasks: Vec<Value> = (1..=count).map(task).collect();
    serde_json::to_vec_pretty(&json!({ "master": { "tasks": tasks, "metadata": {} } })).unwrap()
}

fn read(criterion: &mut Criterion) {
    let bytes = plan(10_000);
    let mut group = criterion.benchmark_group("tasks");
    group
        .sample_size(20)
        .throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("read 10,000 tasks", |bencher| {
        bencher.iter(|| tasks::read(&bytes).unwrap());
    });
    // The peer: what a plain parse into a tree costs in the same run.
    group.bench_function("the same into serde_json::Value", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Value>(&bytes).unwrap());
    });
    let file = tasks::read(&bytes).unwrap();
    group.bench_function("next among 10,000 tasks", |bencher| {
        bencher.iter(|| tasks::next(&file.tags[0]));
    });
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
