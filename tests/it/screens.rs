//! What the console looks like: every scene at both sizes, and the pictures that are shipped.

use std::{env, fs, path::PathBuf};

use flightdeck::console::theme::{Scope, Theme};

use crate::{scenes, svg};

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
            for (theme, _) in flightdeck::console::theme::SHIPPED {
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

#[test]
fn the_shipped_pictures_are_what_the_console_draws() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("screenshots");
    let update = env::var_os("UPDATE").is_some();
    let mut stale = Vec::new();
    for (scene, theme, (width, height), title) in PICTURES {
        let console = scenes::given(scene, *width, *height);
        let theme = Theme::shipped(theme);
        let base = theme.style(Scope::Text);
        let (ground, ink) = (base.bg.unwrap(), base.fg.unwrap());
        let picture = svg::picture(&console.buffer(&theme), title, ground, ink);
        let file = directory.join(format!("{scene}.svg"));
        if update {
            fs::write(&file, picture).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != picture {
            stale.push(*scene);
        }
    }
    assert!(
        stale.is_empty(),
        "drawn differently now: {stale:?}; UPDATE=1 cargo test shipped writes them anew"
    );
}
