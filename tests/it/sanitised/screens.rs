//! The console: hostile words at every place it is told them, on every screen.

use std::{cell::RefCell, collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use proptest::prelude::*;
use ratatui::buffer::Buffer;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{FAMILIES, cases, hostile, is_harmful};
use crate::scenes;
use flightdeck_console::{
    effect::{Effect, FixFailure, Outcome},
    harness::Harness,
    model::PanelId,
    msg::Msg,
    panels::detail::{Item, News, Source},
    terminal::Notifier,
    theme::Theme,
    world::{Compared, Delta, PlanError, Progress, Target},
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
        git::Line,
        merge::{How, MergePlan},
    },
};
use flightdeck_preflight::{Fix, fix::Progress as FixProgress};
use flightdeck_verbs::{CleanReport, Deleted};

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// The hostile words of a place, by its name.
type Words<'w> = &'w dyn Fn(&str) -> String;

/// Fields of a scene that hold words from outside.
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

/// Puts hostile words into every text of a scene that comes from outside.
fn poison(value: &mut Value, key: &str, words: Words<'_>) {
    match value {
        Value::Object(fields) => {
            for (own, value) in fields {
                // A stream is read from a file of that name.
                if own == "stream" {
                    continue;
                }
                // Of these the keys are names of files.
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
            // In a form of several lines a line break would end the line.
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

/// A scene with hostile words at every place of it.
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

/// Words of an agent's stream that are not looked at, but shown.
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

/// Lines of an agent, each of the kinds there are, and lines that are none of its.
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

/// What is told of the selected run. Whoever adds a kind of news puts its words here.
fn news(run: &str, console: &Harness, words: Words<'_>) -> Vec<News> {
    let id = || run.to_owned();
    let item = |text: String, container: String| Item {
        at: console.model.now,
        source: Some(Source {
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
        Item {
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
        News::Files(id(), Ok(files)),
        News::Files(id(), Err(words("files, refused"))),
        News::Log(id(), log),
        News::Diff(id(), Ok(diff)),
        News::Diff(id(), Err(words("diff, refused"))),
        News::PullRequest(id(), Ok(Box::new(pull_request(words)))),
        News::PullRequest(id(), Err(words("pull request, refused"))),
        News::LogBegins(id()),
        News::LogEnded(id(), Some(words("end of a log"))),
    ];
    for one in &all {
        match one {
            News::Files(..)
            | News::Log(..)
            | News::LogEnded(..)
            | News::Diff(..)
            | News::PullRequest(..)
            // Told of tasks: in the scenes.
            | News::Documents(..)
            // No words of others.
            | News::LogBegins(_)
            | News::LookOn
            | News::Searched(..) => {}
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

/// What the console hears of the outside. Whoever adds a kind of delta puts its words here.
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
        all.push(Delta::Compared(Some(
            Compared {
                place: words("place of the remote plan"),
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
        Delta::Cluster(Target {
            label: words("context"),
            namespace: words("namespace"),
            embedded: false,
        }),
        Delta::Repository(Err(words("why there is no repository"))),
        Delta::Plan(Err(PlanError {
            message: words("why there is no plan"),
            place: Some((words("place of the plan").into(), 1, 1)),
        })),
        Delta::Unreachable(words("why there is no cluster"), now),
    ]);
    for one in &all {
        match one {
            Delta::Progress(..)
            | Delta::Compared(_)
            | Delta::Watch(_)
            | Delta::Cluster(_)
            | Delta::Repository(_)
            | Delta::Plan(_)
            | Delta::Unreachable(..)
            // In the scenes.
            | Delta::Checks(_)
            | Delta::Ran(_)
            // A run like those of the scenes.
            | Delta::Remembered(_)
            // Shown in files alone, as those of a run are.
            | Delta::Settings(_)
            // No words of others.
            | Delta::Connecting
            | Delta::Checking
            | Delta::Earlier(_) => {}
        }
    }
    all
}

/// How what was asked for may end. Whoever adds a kind of outcome puts its words here.
fn outcomes(words: Words<'_>) -> Vec<Outcome> {
    let said = |text| {
        Outcome::FixSaid(FixProgress::Said(Line {
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
        Outcome::ContextAdded(words("told more")),
        Outcome::Deleted(words("deleted")),
        Outcome::Copied(words("copied")),
        Outcome::Saved(PathBuf::from(words("saved"))),
        Outcome::Refused(words("refused")),
        Outcome::Cleaning(words("cleaning")),
        Outcome::Noted(words("noted")),
        Outcome::Failed(words("failed")),
        Outcome::Merged(Err(words("merge, refused"))),
        Outcome::MergePlanned(Err(words("merge plan, refused"))),
        Outcome::MergePlanned(Ok(Box::new(plan))),
        Outcome::StatusSet(vec![change]),
        Outcome::Cleaned(report),
        Outcome::FixSaid(FixProgress::Begins(words("command of a fix"))),
        said(words("output of a fix")),
        Outcome::Fixed(Err(FixFailure {
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
            | Outcome::Refused(_)
            | Outcome::Cleaning(_)
            | Outcome::Noted(_)
            | Outcome::Failed(_)
            | Outcome::Merged(_)
            | Outcome::MergePlanned(_)
            | Outcome::StatusSet(_)
            | Outcome::Cleaned(_)
            | Outcome::FixSaid(_)
            | Outcome::Fixed(_)
            // Made by a repository alone: its commands and commits come as those of a merge.
            | Outcome::FixPlanned(_)
            // No words.
            | Outcome::RemoteDue
            | Outcome::DeskChanged => {}
        }
    }
    all
}

/// Why a terminal would not show what the buffer says, if so.
fn wrong(console: &Harness, buffer: &Buffer) -> Option<String> {
    let mut said = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            let width = symbol.width();
            // A terminal adds up the characters, each by itself.
            let columns: usize = symbol.chars().map(|c| c.width().unwrap_or(0)).sum();
            let marks = symbol.chars().filter(|c| c.width() == Some(0)).count();
            if symbol.chars().any(is_harmful) {
                let _ = writeln!(said, "{symbol:?} at {x},{y} is harmful");
            } else if columns != width.max(1)
                || usize::from(x) + width > usize::from(buffer.area.width)
            {
                let _ = writeln!(
                    said,
                    "{symbol:?} at {x},{y} is {columns} columns wide, not {width}"
                );
            } else if marks > 8 {
                let _ = writeln!(said, "{symbol:?} at {x},{y} is a flood of marks");
            }
            x += width.max(1) as u16;
        }
    }
    broken_frame(console, buffer, &mut said);
    (!said.is_empty()).then_some(said)
}

/// Where a line of a panel's frame does not stand where it should. What lies over the panels hides them.
fn broken_frame(console: &Harness, buffer: &Buffer, said: &mut String) {
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
                    let _ = writeln!(
                        said,
                        "{symbol:?} at {x},{y}, where the frame of {panel:?} is"
                    );
                }
            }
        }
    }
}

/// What is looked at, and what was seen.
struct Look<'l> {
    words: Words<'l>,
    theme: Theme,
    /// Text of every screen that was looked at goes through here.
    seen: &'l dyn Fn(&str),
}

impl Look<'_> {
    /// Draws what is there, and takes what a person is told outside.
    fn at(&self, console: &mut Harness, when: &str) -> Result<(), String> {
        let buffer = console.buffer(&self.theme);
        (self.seen)(&flightdeck_console::harness::text_of(&buffer));
        if let Some(why) = wrong(console, &buffer) {
            return Err(format!("{when}:\n{why}"));
        }
        for effect in console.effects() {
            if let Effect::Notify(notice) = effect {
                (self.seen)(&told_outside(&notice)?);
            }
        }
        Ok(())
    }

    fn everywhere(&self, size: (u16, u16)) -> Result<(), String> {
        for name in scenes::names() {
            let mut console = poisoned(&name, size, self.words);
            self.at(&mut console, &name)?;
        }
        for scene in ["run-under-way", "branch-diff"] {
            self.tell(scene, size)?;
        }
        self.answer(size)?;
        for scene in ["run-under-way", "check"] {
            let console = poisoned(scene, size, self.words);
            self.hear(console, scene)?;
        }
        self.hear(Harness::new(size.0, size.1), "an empty console")?;
        self.steps(size)
    }

    /// Tells a console all of its run, and looks at every tab after each.
    fn tell(&self, scene: &str, size: (u16, u16)) -> Result<(), String> {
        let mut console = poisoned(scene, size, self.words);
        let run = console.model.detail.run().cloned();
        let run = run.ok_or(format!("{scene} shows no run"))?;
        for news in news(&run, &console, self.words) {
            let when = format!("{scene}, told {news:?}");
            console.send(Msg::Detail(news));
            for _ in 0..console.model.detail.tabs().len() {
                self.at(&mut console, &when)?;
                console.press("]");
            }
        }
        Ok(())
    }

    /// Answers what a person may have asked for, with the window open where there is one.
    fn answer(&self, size: (u16, u16)) -> Result<(), String> {
        for outcome in outcomes(self.words) {
            let mut console = poisoned("branch-diff", size, self.words);
            match outcome {
                Outcome::MergePlanned(_) | Outcome::Merged(_) => drop(console.press("4 M")),
                Outcome::Cleaned(_) => drop(console.press("2 X")),
                _ => {}
            }
            let when = format!("told {outcome:?}");
            console.send(Msg::Done(outcome));
            self.at(&mut console, &when)?;
        }
        Ok(())
    }

    /// Lets a console that nobody looks at hear all it can hear, and looks at its panels after each.
    fn hear(&self, mut console: Harness, name: &str) -> Result<(), String> {
        console.send(Msg::Focus(false));
        let run = console.model.detail.run().cloned().unwrap_or_default();
        for delta in deltas(&run, &console, self.words) {
            let when = format!("{name}, told {delta:?}");
            console.world([delta]);
            self.at(&mut console, &when)?;
            for keys in ["1", "2", "F", "esc"] {
                console.press(keys);
                self.at(&mut console, &when)?;
            }
        }
        Ok(())
    }

    /// Opens every step of a timeline, and looks at each.
    fn steps(&self, size: (u16, u16)) -> Result<(), String> {
        let mut console = poisoned("timeline", size, self.words);
        let run = console.model.detail.run().cloned().unwrap();
        console.send(Msg::Detail(News::LogBegins(run.clone())));
        let source = Source {
            stage: Stage::Agent,
            version: 1,
            attempt: 1,
            container: "agent".into(),
        };
        let items = stream(self.words).into_iter().map(|text| Item {
            at: console.model.now,
            source: Some(source.clone()),
            text,
            raw: None,
        });
        let items: Vec<Item> = items.collect();
        console.send(Msg::Detail(News::Log(run, items)));
        console.press("4 z x G");
        for _ in 0..90 {
            console.press("enter");
            self.at(&mut console, "the steps of an agent")?;
            console.press("enter k");
        }
        // The same as lines of the log.
        console.press("[ g");
        for _ in 0..8 {
            self.at(&mut console, "the lines of an agent")?;
            console.press("pagedown");
        }
        console.press("J g");
        self.at(&mut console, "the lines of an agent as they came")
    }
}

/// What a terminal is sent when nobody looks, less the sequences that are ours.
fn told_outside(notice: &flightdeck_console::effect::Notice) -> Result<String, String> {
    let mut words = String::new();
    for setting in ["osc9", "osc777", "bell"] {
        let mut out = Vec::new();
        let mut notifier = Notifier::new(setting, |_| None).unwrap();
        notifier.say(notice, &mut out).unwrap();
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
            .ok_or(format!("another sequence: {sent:?}"))?;
        let rest = rest
            .replacen("\u{1b}\\", "", usize::from(texts > 0))
            .replacen(ours, "", 1);
        if rest.chars().any(is_harmful) || rest.matches(';').count() != texts.max(1) - 1 {
            return Err(format!("a terminal is sent {sent:?}"));
        }
        words += &rest;
    }
    Ok(words)
}

fn look_everywhere(nasty: &str, size: (u16, u16)) -> Result<(), String> {
    let shown = RefCell::new(0);
    let look = Look {
        words: &|_| nasty.to_owned(),
        theme: Theme::shipped("dark"),
        seen: &|_| *shown.borrow_mut() += 1,
    };
    look.everywhere(size)
        .map_err(|why| format!("given {nasty:?}, {why}"))
}

#[test]
fn every_family_of_escapes_is_obeyed_on_no_screen() {
    look_everywhere(&FAMILIES.concat(), (80, 24)).unwrap_or_else(|why| panic!("{why}"));
}

/// Places of which no screen shows the words, with why.
const UNSEEN: &[(&str, &str)] = &[
    (
        "changed",
        "a file that the run has otherwise is marked by a sign",
    ),
    (
        "cleaning",
        "what is being deleted is listed in the window of the clean-up, which has the runs' names",
    ),
    (
        "files, refused",
        "the preview goes on with what would be rendered",
    ),
    (
        "service",
        "only the CodeRun's YAML and form have it, further down than the screen",
    ),
    ("title of a changed task", "the task is named by its id"),
    ("pull request url", "it is opened, not shown"),
    (
        "pull request note",
        "it is told where a pull request is made",
    ),
    ("commit to merge", "a merge counts its commits"),
    ("short commit", "a merge counts its commits"),
    (
        "subject of a commit",
        "a merge counts its commits; a push, which lists them, is a scene",
    ),
    (
        "author of a commit",
        "a merge counts its commits; a push, which lists them, is a scene",
    ),
    (
        "path of a change",
        "a merge counts its files, and shows the text of the change",
    ),
    (
        "path before",
        "a merge counts its files, and shows the text of the change",
    ),
    ("removed object", "a clean-up counts its leftovers"),
    ("model of a stream", "the stream itself has named it before"),
    ("what it does", "nothing shows it"),
    (
        "tool at work",
        "a silent run names it, and none is silent here",
    ),
    (
        "place of the remote plan",
        "the check that shows it compares with its own",
    ),
    ("place of the plan", "only its name is shown"),
    (
        "why the watch broke",
        "the header says that it is being made again",
    ),
    ("command of a fix", "its sheet is a scene"),
    ("output of a fix", "its sheet is a scene"),
];

/// Fields of an agent's stream that a person reads.
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
fn each_place_of_the_console_is_reached() {
    let letters = || ('a'..='z').chain('A'..='Z');
    let signs: Vec<String> = letters()
        .flat_map(|first| letters().map(move |second| format!("{first}{second}")))
        .collect();
    let known: RefCell<BTreeMap<String, String>> = RefCell::default();
    let missing: RefCell<BTreeMap<String, String>> = RefCell::default();
    let look = Look {
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
    look.everywhere((140, 40))
        .unwrap_or_else(|why| panic!("{why}"));
    let missing: Vec<String> = missing.into_inner().into_values().collect();
    let allowed: Vec<&str> = UNSEEN.iter().map(|(place, _)| *place).collect();
    let all = known.into_inner();
    let unseen: Vec<&String> = missing
        .iter()
        .filter(|place| !place.starts_with("stream ") && !allowed.contains(&place.as_str()))
        .collect();
    assert!(unseen.is_empty(), "no screen shows {unseen:?}");
    let seen: Vec<&&str> = allowed
        .iter()
        .filter(|place| !missing.contains(&(**place).to_owned()))
        .collect();
    assert!(seen.is_empty(), "a screen shows {seen:?} now");
    // Of a stream the names of fields are not ours: those that are shown were shown.
    let fields = STREAM.map(|field| format!("stream {field}"));
    let unseen: Vec<&String> = fields
        .iter()
        .filter(|place| !all.contains_key(*place) || missing.contains(place))
        .collect();
    assert!(unseen.is_empty(), "no screen shows {unseen:?}");
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn whatever_is_sent_no_control_comes_out_and_widths_and_frames_hold(nasty in hostile(), wide: bool) {
        if let Err(why) = look_everywhere(&nasty, SIZES[usize::from(wide)]) {
            prop_assert!(false, "{}", why);
        }
    }
}
