//! Snapshots of every scene at two sizes, and the screenshots of the README.

use std::{env, fs, path::Path};

use ratatui::buffer::Buffer;

use crate::{scenes, svg};
use flightdeck_console::{
    harness::{Harness, text_of},
    theme::{SHIPPED, Scope, Theme},
};
use flightdeck_testing::workspace;

/// Sizes of the snapshots.
const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Screenshots: scene, theme, size and title.
const SCREENSHOTS: &[(&str, &str, (u16, u16), &str)] = &[
    ("active-run", "dark", (140, 40), "An active docs run"),
    (
        "fresh-project",
        "dark",
        (140, 40),
        "A project before its first run",
    ),
    ("task", "dark", (140, 40), "A task and its documents"),
    (
        "launch-refused",
        "dark",
        (140, 40),
        "Pre-flight: the remote has another plan",
    ),
    ("timeline", "dark", (140, 40), "The steps of an agent"),
    ("preview", "dark", (140, 40), "The files an agent gets"),
    ("branch-diff", "light", (140, 40), "The diff of a run"),
    ("run-failed", "dark", (140, 40), "A failed run"),
    ("narrow-log", "dark", (80, 24), "In 80 columns"),
];

/// Returns the console after the steps of a scene.
fn given(name: &str, width: u16, height: u16) -> Harness {
    scenes::played(name, width, height, |_| {})
}

#[test]
fn draws_every_scene_in_every_theme() {
    for name in scenes::names() {
        for (width, height) in SIZES {
            let console = given(&name, width, height);
            for (theme, _) in SHIPPED {
                let buffer = console.buffer(&Theme::shipped(theme));
                assert_eq!(
                    (buffer.area.width, buffer.area.height),
                    (width, height),
                    "{name} in {theme}"
                );
            }
        }
    }
}

#[test]
fn screens_have_no_control_characters() {
    for name in scenes::names() {
        let console = given(&name, 140, 40);
        let screen = console.screen();
        assert!(
            screen.chars().all(|c| c == '\n' || !c.is_control()),
            "{name}:\n{screen}"
        );
    }
}

/// Returns the text of a screen followed by the scopes of its cells, independent of the colours of a theme.
fn dump(buffer: &Buffer) -> String {
    let mut out = text_of(buffer);
    for y in 0..buffer.area.height {
        let scope =
            |x: u16| Theme::scope_at(buffer[(x, y)].fg).filter(|_| buffer[(x, y)].symbol() != " ");
        let mut runs: Vec<(u16, u16, Scope)> = Vec::new();
        for x in 0..buffer.area.width {
            let Some(scope) = scope(x).filter(|scope| *scope != Scope::Text) else {
                continue;
            };
            match runs.last_mut() {
                // A blank does not end a run.
                Some((_, end, last)) if *last == scope && x <= *end + 1 => *end = x + 1,
                _ => runs.push((x, x + 1, scope)),
            }
        }
        let runs = runs
            .iter()
            .map(|(from, to, scope)| format!("{from}-{to} {}", scope.name()));
        let runs = runs.collect::<Vec<_>>().join(", ");
        out += &format!("{y:>2}: {runs}\n");
    }
    out
}

#[test]
fn screens_match_snapshots() {
    let directory = workspace().join("crates/console/tests/snapshots");
    let mut stale = Vec::new();
    for name in scenes::names() {
        for (width, height) in SIZES {
            let console = given(&name, width, height);
            let drawn = dump(&console.buffer(&Theme::of_scopes()));
            stale.extend(check_or_update(
                &directory.join(format!("{name}-{width}x{height}.txt")),
                &drawn,
            ));
        }
    }
    assert!(
        stale.is_empty(),
        "out of date: {stale:?}; run UPDATE=1 cargo test -p flightdeck-console --test it"
    );
}

/// Writes a file with `UPDATE=1`; otherwise returns its name if it differs.
fn check_or_update(file: &Path, content: &str) -> Option<String> {
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        return None;
    }
    let same = fs::read_to_string(file).is_ok_and(|current| current == content);
    (!same).then(|| file.file_name().unwrap().to_string_lossy().into_owned())
}

#[test]
fn screenshots_are_current() {
    let directory = workspace().join("screenshots");
    let mut stale = Vec::new();
    for (scene, theme, (width, height), title) in SCREENSHOTS {
        let console = given(scene, *width, *height);
        let theme = Theme::shipped(theme);
        let base = theme.style(Scope::Text);
        let (ground, ink) = (base.bg.unwrap(), base.fg.unwrap());
        let svg = svg::render(&console.buffer(&theme), title, ground, ink);
        stale.extend(check_or_update(
            &directory.join(format!("{scene}.svg")),
            &svg,
        ));
    }
    assert!(
        stale.is_empty(),
        "out of date: {stale:?}; run UPDATE=1 cargo test -p flightdeck-console --test it"
    );
}
