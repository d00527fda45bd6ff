//! Parsing of colours, and their reduction to the colours of a terminal.

use ratatui::style::Color;

/// Colour depth of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// No colours; only modifiers such as bold.
    Mono,
    /// The 16 ANSI colours.
    Sixteen,
    /// The 256-colour palette.
    Indexed,
    /// 24-bit colours.
    #[default]
    True,
}

impl Depth {
    /// Detects the depth from environment variables, which `get` looks up. A non-empty `NO_COLOR` takes precedence over
    /// everything but `CLICOLOR_FORCE`.
    #[must_use]
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        if set("NO_COLOR").is_some() && !forced {
            return Self::Mono;
        }
        let term = set("TERM").unwrap_or_default();
        match set("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Self::True,
            _ if term.ends_with("-direct") => Self::True,
            _ if term.contains("256color")
                || ["kitty", "ghostty"].iter().any(|name| term.contains(name)) =>
            {
                Self::Indexed
            }
            _ if matches!(term.as_str(), "vt100" | "vt220") => Self::Mono,
            _ => Self::Sixteen,
        }
    }

    /// Returns the nearest available colour; `None` without colours.
    #[must_use]
    pub fn reduce(self, colour: Color) -> Option<Color> {
        match (self, colour) {
            (Self::Mono, _) => None,
            (Self::Indexed, Color::Rgb(r, g, b)) => Some(Color::Indexed(nearest_indexed(r, g, b))),
            (Self::Sixteen, Color::Rgb(r, g, b)) => Some(nearest_ansi(r, g, b)),
            (_, colour) => Some(colour),
        }
    }
}

/// Parses `#rrggbb`, an ANSI colour name (`red`, `bright-red` ...), or `default`.
#[must_use]
pub fn parse(text: &str) -> Option<Color> {
    if let Some(hex) = text.strip_prefix('#') {
        let value = u32::from_str_radix(hex, 16)
            .ok()
            .filter(|_| hex.len() == 6)?;
        let [_, r, g, b] = value.to_be_bytes();
        return Some(Color::Rgb(r, g, b));
    }
    if text == "default" {
        return Some(Color::Reset);
    }
    ANSI.iter()
        .find(|(name, ..)| *name == text)
        .map(|(_, colour, _)| *colour)
}

/// ANSI colours: name, colour, and usual RGB value.
const ANSI: [(&str, Color, (u8, u8, u8)); 16] = [
    ("black", Color::Black, (0, 0, 0)),
    ("red", Color::Red, (205, 49, 49)),
    ("green", Color::Green, (13, 160, 100)),
    ("yellow", Color::Yellow, (200, 170, 20)),
    ("blue", Color::Blue, (50, 110, 210)),
    ("magenta", Color::Magenta, (188, 63, 188)),
    ("cyan", Color::Cyan, (17, 168, 205)),
    ("white", Color::Gray, (220, 220, 220)),
    ("bright-black", Color::DarkGray, (118, 118, 118)),
    ("bright-red", Color::LightRed, (241, 76, 76)),
    ("bright-green", Color::LightGreen, (35, 209, 139)),
    ("bright-yellow", Color::LightYellow, (245, 245, 67)),
    ("bright-blue", Color::LightBlue, (59, 142, 234)),
    ("bright-magenta", Color::LightMagenta, (214, 112, 214)),
    ("bright-cyan", Color::LightCyan, (41, 184, 219)),
    ("bright-white", Color::White, (255, 255, 255)),
];

/// Returns the fixed or usual RGB value of a colour.
#[must_use]
pub fn rgb(colour: Color) -> Option<(u8, u8, u8)> {
    match colour {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Indexed(index) => Some(indexed(index)),
        other => ANSI
            .iter()
            .find(|(_, colour, _)| *colour == other)
            .map(|(_, _, rgb)| *rgb),
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    // Weights for the sensitivity of the eye.
    2 * square(a.0, b.0) + 4 * square(a.1, b.1) + 3 * square(a.2, b.2)
}

/// Returns the RGB value in the 256-colour palette: 16 ANSI colours, a 6x6x6 cube, 24 greys.
fn indexed(index: u8) -> (u8, u8, u8) {
    match index {
        0..=15 => ANSI[usize::from(index)].2,
        16..=231 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = index - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        _ => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

/// Excludes the first 16, which depend on the theme of the terminal.
fn nearest_indexed(r: u8, g: u8, b: u8) -> u8 {
    (16..=255u8)
        .min_by_key(|&index| distance(indexed(index), (r, g, b)))
        .unwrap_or(15)
}

fn nearest_ansi(r: u8, g: u8, b: u8) -> Color {
    ANSI.iter()
        .min_by_key(|(_, _, rgb)| distance(*rgb, (r, g, b)))
        .map_or(Color::Reset, |(_, colour, _)| *colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detects_the_depth_from_the_environment() {
        for (environment, depth) in [
            (
                &[("COLORTERM", "truecolor"), ("TERM", "xterm-256color")][..],
                Depth::True,
            ),
            (&[("TERM", "xterm-256color")], Depth::Indexed),
            (&[("TERM", "xterm")], Depth::Sixteen),
            (
                &[("TERM", "xterm-256color"), ("NO_COLOR", "1")],
                Depth::Mono,
            ),
            (
                &[("TERM", "xterm-256color"), ("NO_COLOR", "")],
                Depth::Indexed,
            ),
            (
                &[
                    ("TERM", "xterm"),
                    ("NO_COLOR", "1"),
                    ("CLICOLOR_FORCE", "1"),
                ],
                Depth::Sixteen,
            ),
            (&[("TERM", "vt100")], Depth::Mono),
        ] {
            let get = |name: &str| {
                environment
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Depth::detect(get), depth, "{environment:?}");
        }
    }

    #[test]
    fn parses_and_reduces_colours() {
        assert_eq!(parse("#ff8000"), Some(Color::Rgb(255, 128, 0)));
        assert_eq!(parse("bright-blue"), Some(Color::LightBlue));
        assert_eq!(parse("default"), Some(Color::Reset));
        for wrong in ["#fff", "#gggggg", "blurple", ""] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(
            Depth::Indexed.reduce(Color::Rgb(255, 0, 0)),
            Some(Color::Indexed(196))
        );
        assert_eq!(
            Depth::Sixteen.reduce(Color::Rgb(240, 80, 80)),
            Some(Color::LightRed)
        );
        assert_eq!(Depth::Mono.reduce(Color::Red), None);
    }
}
