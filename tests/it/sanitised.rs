//! Remote text is shown, never obeyed: escapes of every family, in every text that a scene gets from outside, on every
//! screen.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flightdeck::console::{
    effect::Outcome,
    harness::Harness,
    msg::Msg,
    panels::detail::{Item, News, Source},
    theme::Theme,
};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::scenes;

const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// One of each family.
const FAMILIES: &[&str] = &[
    "\u{1b}[2J\u{1b}[31;1m\u{1b}[?1049h\u{1b}[6n",
    "\u{9b}31m\u{9b}2J",
    "\u{1b}]0;title\u{7}\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}]52;c;cm0gLXJmIC8=\u{7}\u{9d}52;c;AAAA\u{9c}",
    "\u{1b}P1$tx\u{1b}\\\u{90}q\u{9c}",
    "\u{1b}_Gf=100\u{1b}\\\u{1b}^pm\u{1b}\\\u{1b}Xsos\u{1b}\\",
    "\u{1b}c\u{1b}7\u{1b}(0\u{e}\u{f}",
    "\u{85}\u{84}\u{8d}\u{80}\u{9f}",
    "\u{202e}txt.exe\u{202c}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
    "a\u{200b}b\u{200c}c\u{200d}d\u{2060}e\u{feff}f\u{ad}g\u{34f}h\u{3164}i\u{115f}j\u{e0041}",
    "e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}\u{30c}\u{488}\u{489}",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦🇩🇪👍🏽1\u{fe0f}\u{20e3}❤\u{fe0f}🏴\u{e0067}\u{e007f}",
    "日本語 한국어 ﷽ \u{fdfa} لا क्षि ก็ \u{1100}\u{1161}\u{11a8}",
    "10%\r20%\r\u{8}\u{8}\u{7}\u{0}\u{7f}\tdone\u{b}\u{c}",
    "\u{2028}\u{2029}\u{fff9}x\u{fffa}y\u{fffb}\u{ffff}\u{fffd}",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(FAMILIES).prop_map(str::to_owned),
        2 => any::<String>(),
        2 => prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => ("[\u{1b}\u{9b}\u{9d}\u{90}]", "[\\[\\]PX^_c0-9;:?]{0,8}", "[\u{7}\u{9c}A-Za-z]").prop_map(|(a, b, c)| a + &b + &c),
        1 => (0_usize..200).prop_map(|n| format!("z{}", "\u{316}".repeat(n))),
        1 => "[a-z ]{1,30}",
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// Fields of a scene that hold words from outside.
const WORDS: &[&str] = &[
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

/// Puts `nasty` into every text of a scene that comes from outside.
fn poison(value: &mut Value, key: &str, nasty: &str) {
    // In a form of several lines a line break would end the line.
    let in_a_line = nasty.replace(['\n', '\r'], " ");
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
                poison(value, key, nasty);
            }
        }
        Value::Array(items) => {
            for item in items {
                poison(item, key, nasty);
            }
        }
        Value::String(text) if key == "lines" || key == "commands" || key == "fix" => {
            let lines = text.lines().map(|line| poisoned_line(line, &in_a_line));
            *text = lines.collect();
        }
        Value::String(text) if WORDS.contains(&key) => {
            let at = text.find(' ').unwrap_or(text.len());
            text.insert_str(at, nasty);
        }
        _ => {}
    }
}

fn poisoned_line(line: &str, nasty: &str) -> String {
    let json = line.find('{').and_then(|at| {
        let mut event: Value = serde_json::from_str(&line[at..]).ok()?;
        poison_event(&mut event, "", nasty);
        Some(format!("{}{event}", &line[..at]))
    });
    json.unwrap_or_else(|| format!("{line}{nasty}")) + "\n"
}

/// Words of an agent's stream that are not looked at, but shown.
fn poison_event(value: &mut Value, key: &str, nasty: &str) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                poison_event(value, key, nasty);
            }
        }
        Value::Array(items) => {
            for item in items {
                poison_event(item, key, nasty);
            }
        }
        Value::String(text)
            if !matches!(
                key,
                "type" | "subtype" | "id" | "tool_use_id" | "role" | "name" | "timestamp"
            ) =>
        {
            text.insert_str(text.find(' ').unwrap_or(text.len()), nasty);
        }
        _ => {}
    }
}

/// What no terminal may be sent: controls, and what is unseen or turns the reading order.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Why a terminal would not show what the buffer says, if so.
fn wrong(buffer: &Buffer) -> Option<String> {
    let mut said = String::new();
    for y in 0..buffer.area.height {
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            let width = symbol.width();
            // A terminal adds up the characters, each by itself.
            let columns: usize = symbol.chars().map(|c| c.width().unwrap_or(0)).sum();
            if symbol.chars().any(is_harmful) {
                let _ = writeln!(said, "{symbol:?} at {x},{y} is harmful");
            } else if columns != width.max(1)
                || usize::from(x) + width > usize::from(buffer.area.width)
            {
                let _ = writeln!(
                    said,
                    "{symbol:?} at {x},{y} is {columns} columns wide, not {width}"
                );
            }
            x += width.max(1) as u16;
        }
    }
    (!said.is_empty()).then_some(said)
}

/// Words of the console's own, with the hostile ones in them.
fn outcomes(nasty: &str) -> Vec<Outcome> {
    let sentence = format!("it says {nasty} and more");
    vec![
        Outcome::Failed(sentence.clone()),
        Outcome::Noted(sentence.clone()),
        Outcome::Refused(sentence.clone()),
        Outcome::Copied(sentence.clone()),
        Outcome::Stopped(sentence.clone()),
        Outcome::Deleted(sentence.clone()),
        Outcome::Launched(sentence.clone()),
        Outcome::Cleaning(sentence.clone()),
        Outcome::Merged(Err(sentence.clone())),
        Outcome::MergePlanned(Err(sentence.clone())),
        Outcome::Saved(PathBuf::from(sentence)),
    ]
}

/// Draws what is there, and after each of some more messages; how often anything of the hostile words was to be seen.
fn look(
    name: &str,
    console: &mut Harness,
    nasty: &str,
    messages: Vec<Msg>,
) -> Result<usize, String> {
    let theme = Theme::shipped("dark");
    let mut seen = 0;
    let mut draw = |console: &Harness, when: &str| {
        let buffer = console.buffer(&theme);
        seen += usize::from(
            buffer
                .content
                .iter()
                .any(|cell| matches!(cell.symbol(), "␛" | "\u{fffd}")),
        );
        wrong(&buffer).map_or(Ok(()), |why| {
            Err(format!("{name}, {when}, given {nasty:?}:\n{why}"))
        })
    };
    draw(console, "as it is")?;
    for message in messages {
        let when = format!("{message:?}");
        console.send(message);
        draw(console, &when)?;
    }
    Ok(seen)
}

fn look_everywhere(nasty: &str) -> Result<usize, String> {
    let source = Source {
        stage: flightdeck::runs::Stage::Agent,
        version: 1,
        attempt: 1,
        container: format!("agent{nasty}"),
    };
    let mut seen = 0;
    for name in scenes::names() {
        for (width, height) in SIZES {
            let mut console = scenes::played(&name, width, height, |scene| {
                let sample = include_str!("../../src/demo/sample/tasks.json");
                let mut plan: Value = serde_json::from_str(sample).unwrap();
                poison(&mut plan, "", nasty);
                for step in scene.as_array_mut().unwrap() {
                    if let Some(fields) = step.get_mut("plan").and_then(Value::as_object_mut) {
                        fields
                            .entry("json")
                            .or_insert_with(|| plan.to_string().into());
                    }
                }
                poison(scene, "", nasty);
            });
            let mut messages: Vec<Msg> = Vec::new();
            for run in ["d1", "f1", "c1"] {
                let items = [nasty, "a line"].map(|text| Item {
                    at: console.model.now,
                    source: Some(source.clone()),
                    text: text.into(),
                });
                messages.push(Msg::Detail(News::Log(run.into(), items.to_vec())));
                messages.push(Msg::Detail(News::LogEnded(run.into(), Some(nasty.into()))));
                messages.push(Msg::Detail(News::Files(run.into(), Err(nasty.into()))));
                messages.push(Msg::Detail(News::PullRequest(
                    run.into(),
                    Err(nasty.into()),
                )));
            }
            messages.extend(outcomes(nasty).into_iter().map(Msg::Done));
            seen += look(&name, &mut console, nasty, messages)?;
        }
    }
    Ok(seen)
}

#[test]
fn every_family_of_escapes_is_shown_on_every_screen_and_obeyed_on_none() {
    for family in FAMILIES.chunks(8) {
        let nasty = family.concat();
        let seen = look_everywhere(&nasty).unwrap_or_else(|why| panic!("{why}"));
        assert!(
            seen > scenes::names().len(),
            "{nasty:?} was shown {seen} times only"
        );
    }
}

/// What a command prints when a person looks at it: its output goes to a terminal, in no colour.
fn on_a_terminal(directory: &Path, arguments: &[&str]) -> String {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flightdeck"))
        .arg("--home")
        .arg(directory)
        .arg("--repo")
        .arg(directory)
        .args(arguments)
        .env_clear()
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::from(pty.slave.try_clone().unwrap()))
        .stderr(Stdio::from(pty.slave))
        .spawn()
        .unwrap();
    let mut printed = Vec::new();
    let mut piece = [0; 4096];
    let mut screen = File::from(pty.master);
    // The end of the last writer is an error here, not an end.
    while let Ok(length @ 1..) = screen.read(&mut piece) {
        printed.extend_from_slice(&piece[..length]);
    }
    child.wait().unwrap();
    String::from_utf8(printed).unwrap()
}

#[test]
fn the_command_line_obeys_no_escape_of_a_plan_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let tasks = folder.path().join(".taskmaster/tasks");
    fs::create_dir_all(&tasks).unwrap();
    let nasty = FAMILIES.concat();
    let sample = include_str!("../../src/demo/sample/tasks.json");
    let mut plan: Value = serde_json::from_str(sample).unwrap();
    poison(&mut plan, "", &nasty);
    fs::write(tasks.join("tasks.json"), plan.to_string()).unwrap();
    let unknown = nasty.replace('\0', "");
    for arguments in [
        ["tasks", "list"].as_slice(),
        &["tasks", "list", "-o", "wide"],
        &["tasks", "show", "1"],
        &["tasks", "next"],
        &["tasks", "validate"],
        &["tasks", "show", &unknown],
        &["tasks", "list", "--tag", &unknown],
    ] {
        let printed = on_a_terminal(folder.path(), arguments);
        let harmful = |c: &char| is_harmful(*c) && !matches!(c, '\r' | '\n');
        let found: Vec<char> = printed.chars().filter(harmful).collect();
        assert!(!printed.is_empty(), "{arguments:?} prints nothing");
        assert!(
            found.is_empty(),
            "{arguments:?} prints {found:?} in\n{printed:?}"
        );
    }
    assert!(on_a_terminal(folder.path(), &["tasks", "list"]).contains('␛'));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_no_control_comes_out_and_widths_hold(nasty in hostile()) {
        if let Err(why) = look_everywhere(&nasty) {
            prop_assert!(false, "{}", why);
        }
    }
}
