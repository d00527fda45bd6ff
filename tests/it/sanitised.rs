//! Untrusted text never controls the terminal: hostile text of every kind, in every input, on every screen and from every
//! command.
//!
//! Two things cover new inputs: text reaches a terminal only through a few files, which sanitize it (see `layers.rs`), and
//! the inputs of the console and the command line are matched here without a wildcard, so that a new kind does not compile
//! or fails a test.

mod commands;
mod screens;

use proptest::prelude::*;

/// Hostile text, one per family.
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
    "\u{301}\u{302}o\u{1b}[0m\u{303}\u{1b}[1m\u{304}\u{1b}[0m\u{305}\u{306}",
    "\u{2028}\u{2029}\u{fff9}x\u{fffa}y\u{fffb}\u{ffff}\u{fffd}",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(FAMILIES).prop_map(str::to_owned),
        2 => any::<String>(),
        2 => prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => ("[\u{1b}\u{9b}\u{9d}\u{90}]", "[\\[\\]PX^_c0-9;:?]{0,8}", "[\u{7}\u{9c}A-Za-z]").prop_map(|(a, b, c)| a + &b + &c),
        1 => (0_usize..200, prop::sample::select(&['\u{316}', '\u{cf3}', '\u{1100}'])).prop_map(|(n, mark)| format!("z{}", mark.to_string().repeat(n))),
        1 => "[a-z ]{1,30}",
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

/// Whether a terminal must never receive the character: controls, invisible characters and bidi overrides.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The number of random cases, from `FLIGHTDECK_FUZZ_CASES` if set.
fn cases(usual: u32) -> ProptestConfig {
    let set = std::env::var("FLIGHTDECK_FUZZ_CASES").ok();
    ProptestConfig {
        cases: set.and_then(|cases| cases.parse().ok()).unwrap_or(usual),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
