//! What the console looks like: every scene at both sizes, and the pictures that are shipped.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use ratatui::buffer::Buffer;

use crate::{scenes, svg};
use flightdeck_console::{
    harness::text_of,
    theme::{Scope, Theme},
};

/// The sizes that are looked at.
const SIZES: [(u16, u16); 2] = [(80, 24), (140, 40)];

/// Pictures that are shipped: scene, theme, size, and what stands above it.
const PICTURES: &[(&str, &str, (u16, u16), &str)] = &[
    ("run-under-way", "dark", (140, 40), "A docs run at work"),
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
        "What the pod would clone is not what you see",
    ),
    (
        "timeline",
        "dark",
        (140, 40),
        "What the agent did, step by step",
    ),
    (
        "preview",
        "dark",
        (140, 40),
        "Every file the agent is given",
    ),
    ("branch-diff", "light", (140, 40), "What the run changed"),
    ("run-failed", "dark", (140, 40), "Why a run failed"),
    ("narrow-log", "dark", (80, 24), "In 80 columns"),
];

#[test]
fn every_screen_fits_and_draws_in_every_theme() {
    for name in scenes::names() {
        for (width, height) in SIZES {
            let console = scenes::given(&name, width, height);
            for (theme, _) in flightdeck_console::theme::SHIPPED {
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
fn nothing_on_a_screen_is_a_control_character() {
    for name in scenes::names() {
        let console = scenes::given(&name, 140, 40);
        let screen = console.screen();
        assert!(
            screen.chars().all(|c| c == '\n' || !c.is_control()),
            "{name}:\n{screen}"
        );
    }
}

/// Text, and below it what each stretch is, by the names that themes use: a theme may change without a word here.
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
                // A blank does not end a stretch.
                Some((_, end, last)) if *last == scope && x <= *end + 1 => *end = x + 1,
                _ => runs.push((x, x + 1, scope)),
            }
        }
        let runs = runs
            .iter()
            .map(|(from, to, scope)| format!("{from}-{to} {}", scope.name()));
        let runs = runs.collect::<Vec<_>>().join(", ");
        out += &format!(
            "{y:>2}: {runs}
"
        );
    }
    out
}

#[test]
fn every_screen_is_drawn_as_shipped() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let mut stale = Vec::new();
    for name in scenes::names() {
        for (width, height) in SIZES {
            let console = scenes::given(&name, width, height);
            let drawn = dump(&console.buffer(&Theme::of_scopes()));
            stale.extend(keep(
                &directory.join(format!("{name}-{width}x{height}.txt")),
                &drawn,
            ));
        }
    }
    assert!(
        stale.is_empty(),
        "drawn differently now: {stale:?}; UPDATE=1 cargo test shipped writes them anew"
    );
}

/// Writes a file anew when asked to; otherwise gives its name when it differs.
fn keep(file: &Path, content: &str) -> Option<String> {
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        return None;
    }
    let same = fs::read_to_string(file).is_ok_and(|kept| kept == content);
    (!same).then(|| file.file_name().unwrap().to_string_lossy().into_owned())
}

#[test]
fn the_shipped_pictures_are_what_the_console_draws() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    let mut stale = Vec::new();
    for (scene, theme, (width, height), title) in PICTURES {
        let console = scenes::given(scene, *width, *height);
        let theme = Theme::shipped(theme);
        let base = theme.style(Scope::Text);
        let (ground, ink) = (base.bg.unwrap(), base.fg.unwrap());
        let picture = svg::picture(&console.buffer(&theme), title, ground, ink);
        stale.extend(keep(&directory.join(format!("{scene}.svg")), &picture));
    }
    assert!(
        stale.is_empty(),
        "drawn differently now: {stale:?}; UPDATE=1 cargo test shipped writes them anew"
    );
}
