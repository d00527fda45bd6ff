//! Compares the next and ready tasks of generated plans with the official Task Master.

use std::{fs, thread};

use serde_json::{Map, Value, json};

use crate::support::{TaskMaster, task_master};
use flightdeck_core::tasks;

/// Deterministic pseudo-random numbers (a linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as usize
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len())]
    }
}

const STATUSES: [&str; 10] = [
    "pending",
    "pending",
    "pending",
    "in-progress",
    "in-progress",
    "done",
    "done",
    "review",
    "deferred",
    "cancelled",
];

/// Returns a tag in the variety that Task Master accepts: ids and dependencies as numbers and strings; dependencies on other
/// tasks, on subtasks, and on missing tasks.
fn tag(numbers: &mut Numbers) -> Value {
    let count = 1 + numbers.below(12);
    let mut tasks = Vec::new();
    for id in 1..=count {
        let dependency = |numbers: &mut Numbers, limit: usize| -> Value {
            let other = 1 + numbers.below(limit);
            match numbers.below(5) {
                0 => json!(other.to_string()),
                1 => json!(format!("{other}.{}", 1 + numbers.below(3))),
                _ => json!(other),
            }
        };
        let many = numbers.below(4).saturating_sub(1);
        let dependencies: Vec<Value> = (0..many).map(|_| dependency(numbers, count + 1)).collect();
        let below = if numbers.below(2) == 0 {
            0
        } else {
            numbers.below(5)
        };
        let subtasks: Vec<Value> = (1..=below)
            .map(|own| {
                let many = numbers.below(3);
                let dependencies: Vec<Value> = (0..many).map(|_| dependency(numbers, below + 1)).collect();
                let status = numbers.one_of(&STATUSES);
                let mut subtask = json!({ "id": own, "title": "s", "description": "d", "status": status, "dependencies": dependencies });
                if numbers.below(3) == 0 {
                    subtask["priority"] = json!(numbers.one_of(&["high", "medium", "low", "critical"]));
                }
                subtask
            })
            .collect();
        let written = if numbers.below(3) == 0 {
            json!(id.to_string())
        } else {
            json!(id)
        };
        tasks.push(json!({
            "id": written, "title": "t", "description": "d", "status": numbers.one_of(&STATUSES),
            "priority": numbers.one_of(&["critical", "high", "medium", "medium", "low"]), "dependencies": dependencies, "subtasks": subtasks,
        }));
    }
    json!({ "tasks": tasks, "metadata": {} })
}

/// Returns the printed JSON. Ignores text before it.
fn printed(program: &TaskMaster, project: &std::path::Path, arguments: &[&str]) -> Value {
    let output = program.run(project, arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text
        .find('{')
        .unwrap_or_else(|| panic!("{arguments:?}: {output:?}"));
    serde_json::from_str(&text[start..])
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn text(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

#[test]
fn next_and_ready_tasks_equal_task_master() {
    let name = "next_and_ready_tasks_equal_task_master";
    let Some(program) = task_master(name) else {
        return;
    };
    // Each takes seconds, so compare only a few by default.
    let plans = std::env::var("FLIGHTDECK_PEER_PLANS").ok();
    let plans: usize = plans.and_then(|plans| plans.parse().ok()).unwrap_or(2);
    let mut numbers = Numbers(plans as u64);
    let tags: Map<String, Value> = (0..plans)
        .map(|at| (format!("tag{at}"), tag(&mut numbers)))
        .collect();
    let project = tempfile::tempdir().unwrap();
    let file = project.path().join(".taskmaster/tasks/tasks.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(
        project.path().join(".taskmaster/state.json"),
        r#"{"currentTag": "tag0", "migrationNoticeShown": true}"#,
    )
    .unwrap();
    let bytes = serde_json::to_vec_pretty(&tags).unwrap();
    fs::write(&file, &bytes).unwrap();
    let read = tasks::read(&bytes).unwrap();
    let (mut wrong, mut subtasks) = (Vec::new(), 0);
    for tag in &read.tags {
        let ask = |arguments: &[&str]| {
            printed(
                &program,
                project.path(),
                &[arguments, &["-t", &tag.name]].concat(),
            )
        };
        let (next, ready) = thread::scope(|scope| {
            let ready = scope.spawn(|| ask(&["list", "--ready", "--json"]));
            (ask(&["next", "-f", "json"]), ready.join().unwrap())
        });
        let theirs = next["task"].get("id").map(text);
        let ours = tasks::next(tag).map(|next| next.id);
        subtasks += usize::from(ours.as_ref().is_some_and(|id| id.contains('.')));
        let mut their_ready: Vec<String> = ready["tasks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| text(&task["id"]))
            .collect();
        let mut our_ready: Vec<String> = tasks::ready(tag)
            .iter()
            .map(|task| task.id.clone())
            .collect();
        their_ready.sort();
        our_ready.sort();
        if ours != theirs || our_ready != their_ready {
            wrong.push(format!(
                "{ours:?} {our_ready:?}, officially {theirs:?} {their_ready:?}: {}",
                tags[&tag.name]
            ));
        }
    }
    println!("{plans} plans compared; the next task is a subtask in {subtasks}");
    assert!(
        wrong.is_empty(),
        "{} of {plans}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
