//! Hostile text in every input of the console, on every screen.

use std::{cell::RefCell, collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{FAMILIES, cases, hostile, is_harmful};
use crate::scenes;
use flightdeck_console::{
    detail_io::{DetailResponse, LineSource, LogItem},
    effect::{Effect, FixFailure, Outcome, TerminalEffect},
    harness::Harness,
    model::PanelId,
    msg::Msg,
    terminal::Notifier,
    theme::Theme,
    world::{ClusterTarget, Delta, PlanComparison, PlanError, Progress},
};
use flightdeck_core::{
    runs::{
        Stage,
        health::{Repeated, Signals},
    },
    tasks::{self, Status, StatusChange},
};
use flightdeck_host::{
    cluster::{Kind, WorldDelta},
    forge::{Checks, PullRequest, PullRequestStatus, PullState, Reviews},
    repository::{
        CommitLine, Diff, FileChange, FileDiff,
        git::OutputLine,
        merge::{How, MergePlan},
    },
};
use flightdeck_preflight::{Fix, fix::Progress as FixProgress};
use flightdeck_verbs::{CleanReport, Deleted};

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Returns the hostile text for an input, by the name of the input.
type Words<'w> = &'w dyn Fn(&str) -> String;

/// Fields of a scene that hold untrusted text.
const FIELDS: &[&str] = &[
    "base",
    "branch",
    "changed",
    "description",
    "details",
    "documents",
    "explanation",
    "head",
    "message",
    "model",
    "name",
    "reason",
    "service",
    "sourceBranch",
    "testStrategy",
    "text",
    "title",
];

/// Inserts hostile text into all untrusted fields of a scene.
fn poison(value: &mut Value, key: &str, words: Words<'_>) {
    match value {
        Value::Object(fields) => {
            for (own, value) in fields {
                // The name of a file that holds the stream.
                if own == "stream" {
                    continue;
                }
                // The keys of these are file names.
                let key = if matches!(key, "documents" | "changed") {
                    key
                } else {
                    own
                };
                poison(value, key, words);
            }
        }
        Value::Array(items) => {
            for item in items {
                poison(item, key, words);
            }
        }
        Value::String(text) if matches!(key, "lines" | "commands" | "fix") => {
            // The value is a list of lines.
            let nasty = words(key).replace(['\n', '\r'], " ");
            *text = text
                .lines()
                .map(|line| format!("{line}{nasty}\n"))
                .collect();
        }
        Value::String(text) if FIELDS.contains(&key) => {
            let at = text.find(' ').unwrap_or(text.len());
            text.insert_str(at, &words(key));
        }
        _ => {}
    }
}

/// Plays a scene with hostile text in all untrusted fields.
fn poisoned(name: &str, (width, height): (u16, u16), words: Words<'_>) -> Harness {
    scenes::played(name, width, height, |scene| {
        let sample = include_str!("../../../src/demo/sample/tasks.json");
        let mut plan: Value = serde_json::from_str(sample).unwrap();
        poison(&mut plan, "", words);
        for step in scene.as_array_mut().unwrap() {
            if let Some(fields) = step.get_mut("plan").and_then(Value::as_object_mut) {
                fields
                    .entry("json")
                    .or_insert_with(|| plan.to_string().into());
            }
        }
        poison(scene, "", words);
    })
}

/// Inserts hostile text into the fields of a stream event, except those that are parsed.
fn poison_event(value: &mut Value, key: &str, words: Words<'_>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                poison_event(value, key, words);
            }
        }
        Value::Array(items) => {
            for item in items {
                poison_event(item, key, words);
            }
        }
        Value::String(text)
            if !matches!(
                key,
                "type"
                    | "subtype"
                    | "id"
                    | "tool_use_id"
                    | "parent_tool_use_id"
                    | "role"
                    | "name"
                    | "timestamp"
            ) =>
        {
            text.insert_str(
                text.find(' ').unwrap_or(text.len()),
                &words(&format!("stream {key}")),
            );
        }
        _ => {}
    }
}

/// Stream events of every kind, and a line that is no event.
fn stream(words: Words<'_>) -> Vec<String> {
    let mut lines = vec![words("shell line").replace(['\n', '\r'], " ")];
    for name in ["session", "sub-agents", "trouble"] {
        let path = format!("tests/fixtures/transcript/{name}.jsonl");
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        for line in fs::read_to_string(path).unwrap().lines() {
            lines.push(match serde_json::from_str::<Value>(line) {
                Ok(mut event) => {
                    poison_event(&mut event, "", words);
                    event.to_string()
                }
                Err(_) => line.to_owned(),
            });
        }
    }
    lines
}

/// Responses about the selected run. Add new kinds here, with hostile text.
fn responses(run: &str, console: &Harness, words: Words<'_>) -> Vec<DetailResponse> {
    let id = || run.to_owned();
    let item = |text: String, container: String| LogItem {
        at: console.model.now,
        source: Some(LineSource {
            stage: Stage::Agent,
            version: 1,
            attempt: 1,
            container,
        }),
        text,
        raw: None,
    };
    let log = vec![
        item(words("log line"), format!("agent{}", words("container"))),
        LogItem {
            source: None,
            ..item(words("remark in a log"), String::new())
        },
    ];
    let diff = format!(
        "diff --git a/x b/x{0}\n--- a/x\n+++ b/x{0}\n@@ -1 +1 @@{0}\n-old{0}\n+new{0}\n",
        words("diff").replace('\n', " ")
    );
    let files = BTreeMap::from([
        (format!("a{}", words("file name")), words("file")),
        ("task.md".into(), words("file")),
    ]);
    let all = vec![
        DetailResponse::Files(id(), Ok(files)),
        DetailResponse::Files(id(), Err(words("files, refused"))),
        DetailResponse::Log(id(), log),
        DetailResponse::Diff(id(), Ok(diff)),
        DetailResponse::Diff(id(), Err(words("diff, refused"))),
        DetailResponse::PullRequest(id(), Ok(Box::new(pull_request(words)))),
        DetailResponse::PullRequest(id(), Err(words("pull request, refused"))),
        DetailResponse::LogRestarted(id()),
        DetailResponse::LogEnded(id(), Some(words("end of a log"))),
    ];
    for one in &all {
        match one {
            DetailResponse::Files(..)
            | DetailResponse::Log(..)
            | DetailResponse::LogEnded(..)
            | DetailResponse::Diff(..)
            | DetailResponse::PullRequest(..)
            // In the scenes.
            | DetailResponse::Documents(..)
            // No untrusted text.
            | DetailResponse::LogRestarted(_)
            | DetailResponse::ContinueSearch
            | DetailResponse::BackgroundDone(..) => {}
        }
    }
    all
}

fn pull_request(words: Words<'_>) -> PullRequestStatus {
    PullRequestStatus {
        pull_request: PullRequest {
            number: 7,
            url: format!("https://example.com/{}", words("pull request url")),
            title: words("pull request title"),
            state: PullState::Open,
            draft: false,
            base: words("pull request base"),
            head: words("pull request head"),
            head_commit: words("pull request commit"),
            auto_merge: true,
            node_id: String::new(),
            notes: vec![words("pull request note")],
        },
        mergeable: Some(true),
        checks: Some(Checks::default()),
        reviews: Some(Reviews {
            approved: vec![words("who approved")],
            changes_requested: vec![words("who wants changes")],
        }),
        labels: vec![words("label")],
        reviewers: vec![words("reviewer")],
    }
}

/// Deltas of the world. Add new kinds here, with hostile text.
fn deltas(run: &str, console: &Harness, words: Words<'_>) -> Vec<Delta> {
    let now = console.model.now;
    let signals = Signals {
        last_at: Some(now),
        running_tool: Some((words("tool at work"), now)),
        repeated: Some(Repeated {
            what: words("repeated call"),
            times: 9,
            round: 1,
        }),
        ..Signals::default()
    };
    let progress = |signals| {
        Delta::Progress(
            run.to_owned(),
            Box::new(Progress {
                model: Some(words("model of a stream")),
                doing: Some(words("what it does")),
                signals,
                ..Progress::default()
            }),
        )
    };
    let waits = Signals {
        waiting_for: Some(words("what it waits for")),
        ..Signals::default()
    };
    let limited = Signals {
        limited: Some((words("limit"), None)),
        ..Signals::default()
    };
    let retried = Signals {
        retried: Some((9, words("why it tries again"))),
        ..Signals::default()
    };
    let refused = Signals {
        refused: 9,
        last_refused: Some(words("refused call")),
        ..Signals::default()
    };
    let all = [
        Signals::default(),
        signals,
        waits,
        limited,
        retried,
        refused,
    ]
    .map(progress);
    let mut all = Vec::from(all);
    if let Some(plan) = console.model.world.plan.get() {
        let comparison = tasks::compare(&plan.file.tags[0], &tasks::Tag::default());
        all.push(Delta::PlanComparison(Some(
            PlanComparison {
                remote_branch: words("remote branch of the plan"),
                comparison,
            }
            .into(),
        )));
    }
    let disconnected = WorldDelta::Disconnected {
        kind: Kind::Pod,
        reason: words("why the watch broke"),
    };
    all.extend([
        Delta::Watch(Box::new(disconnected)),
        Delta::Cluster(ClusterTarget {
            label: words("context"),
            namespace: words("namespace"),
            embedded: false,
        }),
        Delta::Repository(Err(words("why there is no repository"))),
        Delta::Plan(Err(PlanError {
            message: words("why there is no plan"),
            position: Some((words("path of the plan").into(), 1, 1)),
        })),
        Delta::Unreachable(words("why there is no cluster"), now),
    ]);
    for one in &all {
        match one {
            Delta::Progress(..)
            | Delta::PlanComparison(_)
            | Delta::Watch(_)
            | Delta::Cluster(_)
            | Delta::Repository(_)
            | Delta::Plan(_)
            | Delta::Unreachable(..)
            // In the scenes.
            | Delta::Checks(_)
            | Delta::CommandRan(_)
            // Shown like the runs of the scenes.
            | Delta::ArchivedRun(_)
            // Only shown in rendered files, like those of a run.
            | Delta::Settings(_)
            // No untrusted text.
            | Delta::Connecting
            | Delta::Checking
            | Delta::FinishedRuns(_) => {}
        }
    }
    all
}

/// Outcomes of effects. Add new kinds here, with hostile text.
fn outcomes(words: Words<'_>) -> Vec<Outcome> {
    let output = |text| {
        Outcome::FixProgress(FixProgress::Output(OutputLine {
            text,
            overwritten: false,
        }))
    };
    let plan = MergePlan {
        branch: words("branch to merge"),
        commit: words("commit to merge"),
        into: words("branch to merge into"),
        how: How::Merge,
        commits: vec![CommitLine {
            short: words("short commit"),
            subject: words("subject of a commit"),
            author: words("author of a commit"),
        }],
        diff: Diff {
            files: vec![FileDiff {
                path: words("path of a change"),
                change: FileChange::Renamed(words("path before")),
                added: 1,
                removed: 1,
            }],
            text: words("text of a change"),
            cut: false,
            note: Some(words("note about a merge")),
        },
        command: words("command of a merge"),
    };
    let report = CleanReport {
        deleted: vec![Deleted {
            name: words("deleted run"),
            branch: Some(words("branch that stays")),
            pull_request_url: None,
        }],
        removed: vec![words("removed object")],
        failed: vec![(words("run that stays"), words("why it stays"))],
    };
    let change = StatusChange {
        id: words("changed task"),
        title: words("title of a changed task"),
        old: Status::Pending,
        new: Status::Other(words("new status")),
    };
    let all = vec![
        Outcome::Launched(words("launched")),
        Outcome::Stopped(words("stopped")),
        Outcome::Retried(words("retried")),
        Outcome::ContextAdded(words("context added")),
        Outcome::Deleted(words("deleted")),
        Outcome::Copied(words("copied")),
        Outcome::Saved(PathBuf::from(words("saved"))),
        Outcome::CleanupDeleting(words("cleaning")),
        Outcome::Warning(words("noted")),
        Outcome::Failed(words("failed")),
        Outcome::Merged(Ok(words("merged"))),
        Outcome::Merged(Err(words("merge, refused"))),
        Outcome::MergePlanned(Err(words("merge plan, refused"))),
        Outcome::MergePlanned(Ok(Box::new(plan))),
        Outcome::StatusSet(vec![change]),
        Outcome::CleanupFinished(report),
        Outcome::FixProgress(FixProgress::Started(words("command of a fix"))),
        output(words("output of a fix")),
        Outcome::FixFinished(Err(FixFailure {
            why: words("why a fix failed"),
            offers: Some(Fix::Switch),
        })),
    ];
    for one in &all {
        match one {
            Outcome::Launched(_)
            | Outcome::Stopped(_)
            | Outcome::Retried(_)
            | Outcome::ContextAdded(_)
            | Outcome::Deleted(_)
            | Outcome::Copied(_)
            | Outcome::Saved(_)
            | Outcome::CleanupDeleting(_)
            | Outcome::Warning(_)
            | Outcome::Failed(_)
            | Outcome::Merged(_)
            | Outcome::MergePlanned(_)
            | Outcome::StatusSet(_)
            | Outcome::CleanupFinished(_)
            | Outcome::FixProgress(_)
            | Outcome::FixFinished(_)
            // Needs a repository. Its commands and commits are shown like those of a merge.
            | Outcome::FixPlanned(_)
            // No text.
            | Outcome::RemotePollDue
            | Outcome::LocalChanged => {}
        }
    }
    all
}

/// Returns where a terminal would show something else than the buffer.
fn display_errors(console: &Harness, buffer: &Buffer) -> Option<String> {
    let mut errors = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            let width = symbol.width();
            // A terminal adds up the widths of the characters.
            let columns: usize = symbol.chars().map(|c| c.width().unwrap_or(0)).sum();
            let marks = symbol.chars().filter(|c| c.width() == Some(0)).count();
            if symbol.chars().any(is_harmful) {
                let _ = writeln!(errors, "{symbol:?} at {x},{y} is harmful");
            } else if columns != width.max(1)
                || usize::from(x) + width > usize::from(buffer.area.width)
            {
                let _ = writeln!(
                    errors,
                    "{symbol:?} at {x},{y} is {columns} columns wide, not {width}"
                );
            } else if marks > 8 {
                let _ = writeln!(errors, "{symbol:?} at {x},{y} has too many combining marks");
            }
            x += width.max(1) as u16;
        }
    }
    frame_errors(console, buffer, &mut errors);
    (!errors.is_empty()).then_some(errors)
}

/// Adds where the frame of a panel is broken. Not checked under overlays, which hide it.
fn frame_errors(console: &Harness, buffer: &Buffer, errors: &mut String) {
    let model = &console.model;
    let Some(areas) = model.areas().filter(|_| model.overlays.is_empty()) else {
        return;
    };
    let toasts = areas.footer.y.saturating_sub(3 + model.toasts.len() as u16);
    for panel in PanelId::ALL {
        let area = areas.panel(panel);
        if area.inner.is_empty() {
            continue;
        }
        let rows = area.inner.top()..area.inner.bottom();
        for y in rows.filter(|y| model.toasts.is_empty() || *y < toasts) {
            for x in [area.outer.left(), area.outer.right() - 1] {
                let symbol = buffer[(x, y)].symbol();
                if symbol != "│" {
                    let _ = writeln!(errors, "{symbol:?} at {x},{y} in the frame of {panel:?}");
                }
            }
        }
    }
}

/// Checks screens with hostile text.
struct Checker<'l> {
    words: Words<'l>,
    theme: Theme,
    /// Called with the text of every screen.
    seen: &'l dyn Fn(&str),
}

impl Checker<'_> {
    /// Checks the screen and the notifications.
    fn check(&self, console: &mut Harness, when: &str) -> Result<(), String> {
        let buffer = console.buffer(&self.theme);
        (self.seen)(&flightdeck_console::harness::text_of(&buffer));
        if let Some(why) = display_errors(console, &buffer) {
            return Err(format!("{when}:\n{why}"));
        }
        for effect in console.effects() {
            if let Effect::Terminal(TerminalEffect::Notify(notice)) = effect {
                (self.seen)(&notification_text(&notice)?);
            }
        }
        Ok(())
    }

    fn check_everything(&self, size: (u16, u16)) -> Result<(), String> {
        for name in scenes::names() {
            let mut console = poisoned(&name, size, self.words);
            self.check(&mut console, &name)?;
        }
        for scene in ["active-run", "branch-diff"] {
            self.check_responses(scene, size)?;
        }
        self.check_outcomes(size)?;
        for scene in ["active-run", "check"] {
            let console = poisoned(scene, size, self.words);
            self.check_deltas(console, scene)?;
        }
        self.check_deltas(Harness::new(size.0, size.1), "an empty console")?;
        self.check_timeline(size)
    }

    /// Sends all responses, and checks every tab after each.
    fn check_responses(&self, scene: &str, size: (u16, u16)) -> Result<(), String> {
        let mut console = poisoned(scene, size, self.words);
        let run = console.model.detail.run().cloned();
        let run = run.ok_or(format!("{scene} shows no run"))?;
        for response in responses(&run, &console, self.words) {
            let when = format!("{scene}, after {response:?}");
            console.send(Msg::Detail(response));
            for _ in 0..console.model.detail.tabs().len() {
                self.check(&mut console, &when)?;
                console.press("]");
            }
        }
        Ok(())
    }

    /// Sends all outcomes, with their dialog open.
    fn check_outcomes(&self, size: (u16, u16)) -> Result<(), String> {
        for outcome in outcomes(self.words) {
            let mut console = poisoned("branch-diff", size, self.words);
            match outcome {
                Outcome::MergePlanned(_) | Outcome::Merged(_) => drop(console.press("4 M")),
                Outcome::CleanupFinished(_) => drop(console.press("2 X")),
                _ => {}
            }
            let when = format!("after {outcome:?}");
            console.send(Msg::Done(outcome));
            self.check(&mut console, &when)?;
        }
        Ok(())
    }

    /// Applies all deltas to an unfocused console, and checks its panels after each.
    fn check_deltas(&self, mut console: Harness, name: &str) -> Result<(), String> {
        console.send(Msg::Focus(false));
        let run = console.model.detail.run().cloned().unwrap_or_default();
        for delta in deltas(&run, &console, self.words) {
            let when = format!("{name}, after {delta:?}");
            console.world([delta]);
            self.check(&mut console, &when)?;
            for keys in ["1", "2", "F", "esc"] {
                console.press(keys);
                self.check(&mut console, &when)?;
            }
        }
        Ok(())
    }

    /// Checks every step of a timeline, unfolded, and the same lines in the log.
    fn check_timeline(&self, size: (u16, u16)) -> Result<(), String> {
        let mut console = poisoned("timeline", size, self.words);
        let run = console.model.detail.run().cloned().unwrap();
        console.send(Msg::Detail(DetailResponse::LogRestarted(run.clone())));
        let source = LineSource {
            stage: Stage::Agent,
            version: 1,
            attempt: 1,
            container: "agent".into(),
        };
        let items = stream(self.words).into_iter().map(|text| LogItem {
            at: console.model.now,
            source: Some(source.clone()),
            text,
            raw: None,
        });
        let items: Vec<LogItem> = items.collect();
        console.send(Msg::Detail(DetailResponse::Log(run, items)));
        console.press("4 z x G");
        for _ in 0..90 {
            console.press("enter");
            self.check(&mut console, "the timeline")?;
            console.press("enter k");
        }
        // The log.
        console.press("[ g");
        for _ in 0..8 {
            self.check(&mut console, "the log")?;
            console.press("pagedown");
        }
        console.press("J g");
        self.check(&mut console, "the raw log")
    }
}

/// Returns the text of a notification, without our own escape sequences.
fn notification_text(notice: &flightdeck_console::effect::Notice) -> Result<String, String> {
    let mut words = String::new();
    for setting in ["osc9", "osc777", "bell"] {
        let mut out = Vec::new();
        let mut notifier = Notifier::new(setting, |_| None).unwrap();
        notifier.notify(notice, &mut out).unwrap();
        let sent = String::from_utf8(out).unwrap();
        let (ours, texts) = match setting {
            "osc9" => ("\u{1b}]9;", 1),
            "osc777" => ("\u{1b}]777;notify;", 2),
            _ => ("", 0),
        };
        let rest = sent
            .strip_prefix("\u{1b}[22;2t\u{1b}]2;")
            .and_then(|rest| rest.strip_suffix('\u{7}'))
            .and_then(|rest| rest.strip_suffix("\u{1b}\\"))
            .ok_or(format!("unexpected sequence: {sent:?}"))?;
        let rest = rest
            .replacen("\u{1b}\\", "", usize::from(texts > 0))
            .replacen(ours, "", 1);
        if rest.chars().any(is_harmful) || rest.matches(';').count() != texts.max(1) - 1 {
            return Err(format!("sent to the terminal: {sent:?}"));
        }
        words += &rest;
    }
    Ok(words)
}

fn check_text(nasty: &str, size: (u16, u16)) -> Result<(), String> {
    let shown = RefCell::new(0);
    let checker = Checker {
        words: &|_| nasty.to_owned(),
        theme: Theme::shipped("dark"),
        seen: &|_| *shown.borrow_mut() += 1,
    };
    checker
        .check_everything(size)
        .map_err(|why| format!("given {nasty:?}, {why}"))
}

#[test]
fn no_screen_emits_escape_sequences() {
    check_text(&FAMILIES.concat(), (80, 24)).unwrap_or_else(|why| panic!("{why}"));
}

/// Inputs that no screen shows, and why.
const UNSEEN: &[(&str, &str)] = &[
    ("changed", "a file that differs is only marked"),
    (
        "cleaning",
        "shown only while the cleanup dialog is deleting",
    ),
    (
        "files, refused",
        "the preview shows the rendered files instead",
    ),
    (
        "service",
        "only in the CodeRun's YAML and form, below the visible lines",
    ),
    (
        "title of a changed task",
        "the toast names the task by its id",
    ),
    ("pull request url", "opened, not shown"),
    ("pull request note", "shown where a pull request is created"),
    ("commit to merge", "a merge counts its commits"),
    ("short commit", "a merge counts its commits"),
    (
        "subject of a commit",
        "a merge counts its commits; the push that lists them is a scene",
    ),
    (
        "author of a commit",
        "a merge counts its commits; the push that lists them is a scene",
    ),
    (
        "path of a change",
        "a merge counts its files and shows the diff",
    ),
    ("path before", "a merge counts its files and shows the diff"),
    ("removed object", "cleanup counts removed objects"),
    ("model of a stream", "the stream reported it before"),
    ("what it does", "not shown"),
    ("tool at work", "shown for a silent run only"),
    (
        "remote branch of the plan",
        "the scene has its own comparison",
    ),
    ("path of the plan", "only the file name is shown"),
    ("why the watch broke", "the header shows that it reconnects"),
    ("command of a fix", "the fix preview is a scene"),
    ("output of a fix", "the fix preview is a scene"),
];

/// Fields of a stream that are shown.
const STREAM: [&str; 16] = [
    "text",
    "thinking",
    "command",
    "content",
    "description",
    "error",
    "errors",
    "file_path",
    "lines",
    "model",
    "path",
    "pattern",
    "question",
    "result",
    "session_id",
    "tool_name",
];

#[test]
fn every_input_reaches_a_screen() {
    let letters = || ('a'..='z').chain('A'..='Z');
    let signs: Vec<String> = letters()
        .flat_map(|first| letters().map(move |second| format!("{first}{second}")))
        .collect();
    let known: RefCell<BTreeMap<String, String>> = RefCell::default();
    let missing: RefCell<BTreeMap<String, String>> = RefCell::default();
    let checker = Checker {
        words: &|place| {
            let mut known = known.borrow_mut();
            let next = known.len();
            let sign = known.entry(place.to_owned()).or_insert_with(|| {
                let sign = signs[next].clone();
                missing.borrow_mut().insert(sign.clone(), place.to_owned());
                sign
            });
            format!("\u{1b}{sign}")
        },
        theme: Theme::shipped("dark"),
        seen: &|text| {
            let mut missing = missing.borrow_mut();
            for (at, _) in text.match_indices('␛') {
                let sign: String = text[at..].chars().skip(1).take(2).collect();
                missing.remove(&sign);
            }
        },
    };
    checker
        .check_everything((140, 40))
        .unwrap_or_else(|why| panic!("{why}"));
    let missing: Vec<String> = missing.into_inner().into_values().collect();
    let allowed: Vec<&str> = UNSEEN.iter().map(|(place, _)| *place).collect();
    let all = known.into_inner();
    let unseen: Vec<&String> = missing
        .iter()
        .filter(|place| !place.starts_with("stream ") && !allowed.contains(&place.as_str()))
        .collect();
    assert!(unseen.is_empty(), "shown on no screen: {unseen:?}");
    let shown: Vec<&&str> = allowed
        .iter()
        .filter(|place| !missing.contains(&(**place).to_owned()))
        .collect();
    assert!(shown.is_empty(), "shown after all: {shown:?}");
    // The names of stream fields come from fixtures: check only those that are shown.
    let fields = STREAM.map(|field| format!("stream {field}"));
    let unseen: Vec<&String> = fields
        .iter()
        .filter(|place| !all.contains_key(*place) || missing.contains(place))
        .collect();
    assert!(unseen.is_empty(), "shown on no screen: {unseen:?}");
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn random_text_keeps_screens_intact(nasty in hostile(), wide: bool) {
        if let Err(why) = check_text(&nasty, SIZES[usize::from(wide)]) {
            prop_assert!(false, "{}", why);
        }
    }
}
