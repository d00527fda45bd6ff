//! Scenes: states of the console in `tests/scenes/*.yaml`, each a list of messages and keys for `update`. Snapshots and
//! screenshots are drawn from them.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use flightdeck_console::{
    detail_io::{DetailRequest, DetailResponse, LineSource, LogItem},
    effect::{Effect, FixFailure, Outcome},
    harness::Harness,
    msg::Msg,
    world::{
        Check, ClusterTarget, Delta, Level, Plan, PlanComparison, PlanError, Progress, Repository,
    },
};
use flightdeck_core::{
    resources::{CodeRun, DocsRun, Usage},
    runs::{DOCUMENTS, Run, Stage, naming},
    tasks,
    transcript::Transcript,
};
use flightdeck_host::{
    cluster::{Kind, Object, WorldDelta},
    forge::{Checks, PullRequest, PullRequestStatus, PullState, Reviews},
    repository::{CommandOutcome, CommandRecord, git::OutputLine},
};
use flightdeck_preflight::{Fix, fix::Progress as FixProgress};
use flightdeck_testing::workspace;

/// A step of a scene. Usually one field is set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Step {
    /// Label of the connected cluster.
    target: Option<String>,
    repository: Option<RepositoryStep>,
    /// The cluster is unreachable.
    unreachable: Option<UnreachableStep>,
    /// The sample plan.
    plan: Option<PlanStep>,
    /// The plan becomes unreadable.
    broken: Option<BrokenStep>,
    /// Finished commands: `SECONDS-AGO MILLISECONDS EXIT COMMAND`, each followed by its indented output.
    commands: Option<String>,
    /// Progress of a fix: `$ command`, output lines, and `! error`.
    fix: Option<String>,
    /// The plan on the remote, as JSON.
    their_plan: Option<String>,
    checks: Option<Vec<CheckStep>>,
    /// Custom resources. A time can be relative to now: `-41s`.
    runs: Option<Vec<Value>>,
    progress: Option<ProgressStep>,
    /// Documents of a task, by name.
    documents: Option<BTreeMap<String, String>>,
    log: Option<LogStep>,
    diff: Option<Pair>,
    files: Option<FilesStep>,
    pull_request: Option<PullStep>,
    events: Option<EventsStep>,
    /// Keys in the syntax of the keymap.
    press: Option<String>,
    /// Text typed into the open field.
    r#type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    run: String,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RepositoryStep {
    branch: Option<String>,
    ahead: usize,
    changed: usize,
    pushed: Option<bool>,
    /// The remote is unreachable, and was last reached this many seconds ago.
    offline: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PlanStep {
    /// Number of written documents by task.
    documents: BTreeMap<String, usize>,
    /// Replaces the sample plan.
    json: Option<String>,
    /// The current tag; `master` by default.
    tag: Option<String>,
    /// Scores of the complexity report.
    complexity: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokenStep {
    message: String,
    line: usize,
    column: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnreachableStep {
    reason: String,
    /// Seconds until the next attempt.
    again: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckStep {
    id: String,
    #[serde(default)]
    level: String,
    message: String,
    #[serde(default)]
    explanation: String,
    fix: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgressStep {
    run: String,
    documents: usize,
    turns: i64,
    tokens: i64,
    cost_micro_usd: i64,
}

/// Lines of the form `SECONDS CONTAINER TEXT`, with the seconds since the start of the run. The container `-` makes a
/// notice.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogStep {
    run: String,
    /// Start of the run, in seconds before now.
    began: i64,
    #[serde(default)]
    lines: String,
    /// A stream from `tests/fixtures/transcript` instead of lines.
    #[serde(default)]
    stream: Option<StreamStep>,
    #[serde(default)]
    ended: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamStep {
    name: String,
    /// Seconds between two lines.
    pace: f64,
    /// Number of lines received; all by default.
    #[serde(default)]
    lines: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FilesStep {
    run: String,
    /// Files of the run that differ from a launch now.
    changed: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PullStep {
    run: String,
    number: i64,
    title: String,
    base: String,
    head: String,
    #[serde(default)]
    auto_merge: bool,
    /// Names of approving reviewers.
    #[serde(default)]
    approved: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsStep {
    run: String,
    /// `SECONDS-AGO REASON KIND NAME MESSAGE`, with `!` before the reason of a warning.
    lines: String,
}

/// Returns the names of all scenes.
pub(crate) fn names() -> Vec<String> {
    let files = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn directory() -> PathBuf {
    workspace().join("crates/console/tests/scenes")
}

/// Returns the console after the steps of a scene, with the steps changed by `change`.
pub(crate) fn played(name: &str, width: u16, height: u16, change: impl Fn(&mut Value)) -> Harness {
    let text = fs::read_to_string(directory().join(format!("{name}.yaml"))).unwrap();
    // `y` and `n` are keys here, not booleans.
    let options = serde_saphyr::options! { strict_booleans: true };
    let mut steps: Value = serde_saphyr::from_str_with_options(&text, options).unwrap();
    change(&mut steps);
    let steps: Vec<Step> =
        serde_json::from_value(steps).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut console = Harness::new(width, height);
    for step in steps {
        play(&mut console, step);
    }
    console
}

fn play(console: &mut Harness, step: Step) {
    let now = console.model.now;
    if let Some(label) = step.target {
        let target = ClusterTarget {
            embedded: label == "embedded",
            label,
            namespace: "default".into(),
        };
        console.world([Delta::Cluster(target)]);
    }
    if let Some(given) = step.repository {
        let url = "https://github.com/acme/taskboard.git".to_owned();
        console.world([Delta::Repository(Ok(Repository {
            root: "/home/ada/taskboard".into(),
            name: "acme/taskboard".into(),
            branch: given.branch,
            ahead: given.ahead,
            behind: 0,
            changed: given.changed,
            remote: "origin".into(),
            tasks_pushed: given.pushed,
            as_of: given
                .offline
                .map(|seconds| now - SignedDuration::from_secs(seconds)),
            offline: given.offline.is_some(),
            label: Some(naming::repository_label(&url)),
            url: Some(url),
        }))]);
    }
    if let Some(given) = step.unreachable {
        let again = now + SignedDuration::from_secs(given.again);
        console.world([Delta::Unreachable(given.reason, again)]);
    }
    if let Some(given) = step.plan {
        console.world([Delta::Plan(Ok(Arc::new(plan(&given))))]);
    }
    if let Some(given) = step.broken {
        console.world([Delta::Plan(Err(PlanError {
            message: given.message,
            position: Some((PLAN.into(), given.line, given.column)),
        }))]);
    }
    if let Some(given) = step.commands {
        commands(console, &given);
    }
    if let Some(given) = step.fix {
        for line in given.lines() {
            let outcome = match line.split_at(2) {
                ("$ ", command) => Outcome::FixProgress(FixProgress::Started(command.into())),
                ("! ", why) => Outcome::FixFinished(Err(FixFailure {
                    why: why.into(),
                    offers: Some(Fix::Switch),
                })),
                _ => Outcome::FixProgress(FixProgress::Output(OutputLine {
                    text: line.trim().into(),
                    overwritten: false,
                })),
            };
            console.send(Msg::Done(outcome));
        }
    }
    if let Some(theirs) = step.their_plan {
        let theirs = tasks::read(theirs.as_bytes()).unwrap();
        let mine = &console.model.world.plan.get().unwrap().file;
        let compared = PlanComparison {
            remote_branch: "origin/feature/taskboard".into(),
            comparison: tasks::compare(&theirs.tags[0], &mine.tags[0]),
        };
        console.world([Delta::PlanComparison(Some(Arc::new(compared)))]);
    }
    if let Some(checks) = step.checks {
        let checks = checks.into_iter().map(|given| {
            let known = flightdeck_preflight::CHECKS
                .iter()
                .find(|check| check.id() == given.id);
            let known = known.unwrap_or_else(|| panic!("there is no check {}", given.id));
            Check {
                id: known.id(),
                title: known.title(),
                level: match given.level.as_str() {
                    "fail" => Level::Fail,
                    "warn" => Level::Warn,
                    _ => Level::Pass,
                },
                message: given.message,
                explanation: given.explanation,
                fix: given.fix.map(|fix| match fix.as_str() {
                    "commit-and-push" => Fix::CommitAndPush,
                    _ => Fix::Push,
                }),
            }
        });
        console.world([Delta::Checks(checks.collect())]);
    }
    if let Some(objects) = step.runs {
        console.runs(objects.into_iter().map(|object| run(object, now)));
    }
    if let Some(given) = step.progress {
        let usage = Usage {
            turns: given.turns,
            input_tokens: given.tokens,
            cost_micro_usd: given.cost_micro_usd,
            ..Usage::default()
        };
        let progress = Progress {
            documents: given.documents,
            usage,
            ..Progress::default()
        };
        console.world([Delta::Progress(given.run, Box::new(progress))]);
    }
    if let Some(documents) = step.documents {
        let mut documents: Vec<(String, String)> = documents.into_iter().collect();
        documents.sort_by_key(|(name, _)| DOCUMENTS.iter().position(|known| known == name));
        console.send(Msg::Detail(DetailResponse::Documents(
            PathBuf::new(),
            documents,
        )));
    }
    if let Some(given) = step.log {
        log(console, given);
    }
    if let Some(given) = step.diff {
        console.send(Msg::Detail(DetailResponse::Diff(given.run, Ok(given.text))));
    }
    if let Some(given) = step.files {
        let entry = console.model.world.runs.get(&given.run).unwrap();
        let settings = &console.model.settings;
        let mut files = flightdeck_host::templates::render(&entry.run, settings).unwrap();
        files.extend(given.changed);
        console.send(Msg::Detail(DetailResponse::Files(given.run, Ok(files))));
    }
    if let Some(given) = step.pull_request {
        let pull_request = PullRequest {
            number: given.number,
            url: format!("https://github.com/acme/taskboard/pull/{}", given.number),
            title: given.title,
            state: PullState::Open,
            draft: false,
            base: given.base,
            head: given.head,
            head_commit: "4be1f5c09d3a7be2f1c8a4d90e6b7f3c2d1a0b9e".into(),
            auto_merge: given.auto_merge,
            node_id: String::new(),
            notes: Vec::new(),
        };
        let found = PullRequestStatus {
            pull_request,
            mergeable: Some(true),
            checks: Some(Checks {
                passed: 6,
                failed: 0,
                pending: 1,
            }),
            reviews: Some(Reviews {
                approved: given.approved,
                changes_requested: Vec::new(),
            }),
            labels: vec!["auto-generated".into()],
            reviewers: vec!["team-leads".into()],
        };
        console.send(Msg::Detail(DetailResponse::PullRequest(
            given.run,
            Ok(Box::new(found)),
        )));
    }
    if let Some(given) = step.events {
        events(console, &given);
    }
    if let Some(keys) = step.press {
        console.press(&keys);
    }
    if let Some(text) = step.r#type {
        console.type_text(&text);
    }
    // Run background searches to the end.
    for _ in 0..1_000 {
        let errand = console
            .effects()
            .into_iter()
            .rev()
            .find_map(|effect| match effect {
                Effect::Detail(DetailRequest::Background(number, errand)) => Some((number, errand)),
                _ => None,
            });
        let Some((number, errand)) = errand else {
            break;
        };
        console.send(Msg::Detail(DetailResponse::BackgroundDone(
            number,
            Box::new(errand.run()),
        )));
    }
}

fn commands(console: &mut Harness, given: &str) {
    let mut entries: Vec<CommandRecord> = Vec::new();
    for line in given.lines() {
        if let Some(printed) = line.strip_prefix("  ") {
            let last = entries.last_mut().unwrap();
            last.output += &format!("{printed}\n");
            continue;
        }
        let mut words = line.splitn(4, ' ');
        let mut number = || -> i64 { words.next().unwrap().parse().unwrap() };
        let (ago, took, exit) = (number(), number(), number());
        let command = words.next().unwrap().to_owned();
        entries.push(CommandRecord {
            argv: command.split(' ').map(str::to_owned).collect(),
            command,
            directory: "/home/ada/taskboard".into(),
            began: console.model.now - SignedDuration::from_secs(ago),
            took: std::time::Duration::from_millis(took as u64),
            end: CommandOutcome::Exited(exit as i32),
            output: String::new(),
        });
    }
    console.world(
        entries
            .into_iter()
            .map(|entry| Delta::CommandRan(Arc::new(entry))),
    );
}

const PLAN: &str = "/home/ada/taskboard/.taskmaster/tasks/tasks.json";

fn plan(given: &PlanStep) -> Plan {
    let sample = include_str!("../../../../src/demo/sample/tasks.json");
    let source = given.json.as_deref().unwrap_or(sample);
    let file = tasks::read(source.as_bytes()).unwrap();
    let name = given.tag.as_deref().unwrap_or("master");
    let tasks = file.tag(name).map_or(&[][..], |tag| &tag.tasks);
    let documents = tasks.iter().map(|task| {
        let written = given.documents.get(&task.id).copied().unwrap_or(0);
        (
            task.id.clone(),
            tasks::DocumentSet::from_listing(&DOCUMENTS[..written]),
        )
    });
    let documents = documents.collect();
    let plan = Plan::new(PLAN.into(), file.clone(), name.into(), documents);
    let scores = given.complexity.iter().map(|(id, score)| {
        let found = tasks::Complexity {
            score: *score,
            ..tasks::Complexity::default()
        };
        (id.clone(), found)
    });
    plan.with_complexity(scores.collect())
}

/// Puts times in the place of `-41s`, and what every run of this repository bears.
fn run(mut object: Value, now: Timestamp) -> Run {
    times(&mut object, now);
    let url = "https://github.com/acme/taskboard.git";
    object["spec"]["repositoryUrl"] = url.into();
    object["metadata"]["namespace"] = "default".into();
    object["metadata"]["labels"] = serde_json::json!({
        naming::LABEL_REPOSITORY: naming::repository_label(url),
        naming::LABEL_MANAGED_BY: naming::MANAGER,
    });
    object["apiVersion"] = "orchestrator.io/v1".into();
    if object["kind"] == "DocsRun" {
        Run::from(serde_json::from_value::<DocsRun>(object).unwrap())
    } else {
        Run::from(serde_json::from_value::<CodeRun>(object).unwrap())
    }
}

fn times(value: &mut Value, now: Timestamp) {
    match value {
        Value::String(text) => {
            let seconds = text
                .strip_prefix('-')
                .and_then(|rest| rest.strip_suffix('s')?.parse::<i64>().ok());
            if let Some(seconds) = seconds {
                *text = (now - SignedDuration::from_secs(seconds)).to_string();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| times(value, now)),
        Value::Object(fields) => fields.values_mut().for_each(|value| times(value, now)),
        _ => {}
    }
}

fn log(console: &mut Harness, mut given: LogStep) {
    if let Some(stream) = &given.stream {
        let file = format!("tests/fixtures/transcript/{}.jsonl", stream.name);
        let text = fs::read_to_string(workspace().join(file)).unwrap();
        let lines = text.lines().take(stream.lines.unwrap_or(usize::MAX));
        given.lines = lines
            .enumerate()
            .map(|(at, line)| format!("{} agent {line}\n", at as f64 * stream.pace))
            .collect();
    }
    let began = console.model.now - SignedDuration::from_secs(given.began);
    let items = given.lines.lines().map(|line| {
        let mut words = line.splitn(3, ' ');
        let seconds: f64 = words
            .next()
            .unwrap()
            .parse()
            .unwrap_or_else(|_| panic!("{line}"));
        let container = words.next().unwrap();
        let stage = match container {
            "clone" | "setup" => Some(Stage::Prep),
            "agent" => Some(Stage::Agent),
            "collect" | "push" => Some(Stage::Publish),
            _ => None,
        };
        LogItem {
            at: began + SignedDuration::from_millis((seconds * 1000.0) as i64),
            source: stage.map(|stage| LineSource {
                stage,
                version: 1,
                attempt: 1,
                container: container.into(),
            }),
            text: words.next().unwrap_or_default().into(),
            raw: None,
        }
    });
    let items: Vec<LogItem> = items.collect();
    if given.stream.is_some() {
        // Report the progress, like the task that follows the log.
        let mut transcript = Transcript::default();
        for item in &items {
            transcript.add(Some(item.at), &item.text);
        }
        let progress = Progress::of(&transcript);
        console.world([Delta::Progress(given.run.clone(), Box::new(progress))]);
    }
    console.send(Msg::Detail(DetailResponse::Log(given.run.clone(), items)));
    if given.ended {
        console.send(Msg::Detail(DetailResponse::LogEnded(given.run, None)));
    }
}

fn events(console: &mut Harness, given: &EventsStep) {
    let now = console.model.now;
    let found = given.lines.lines().enumerate().map(|(at, line)| {
        let mut words = line.splitn(5, ' ');
        let seconds: i64 = words.next().unwrap().parse().unwrap();
        let reason = words.next().unwrap();
        let warning = reason.starts_with('!');
        let event = serde_json::json!({
            "metadata": { "uid": format!("e{at}") },
            "involvedObject": { "uid": given.run, "kind": words.next(), "name": words.next() },
            "reason": reason.trim_start_matches('!'),
            "message": words.next(),
            "type": if warning { "Warning" } else { "Normal" },
            "lastTimestamp": (now - SignedDuration::from_secs(seconds)).to_string(),
        });
        Object::Event(Box::new(serde_json::from_value(event).unwrap()))
    });
    let found = found.collect();
    console.world([Delta::Watch(Box::new(WorldDelta::Listed(
        Kind::Event,
        found,
    )))]);
}
