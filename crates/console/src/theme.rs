//! Themes: the style of each [`Scope`], read from `themes/*.toml`.
//!
//! A theme has a palette of named colours and a table of scopes, and may inherit from another theme. Errors in a theme are
//! warnings, and the rest of it is used.

pub mod colour;
mod scope;
mod states;

use std::collections::BTreeMap;

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

pub use colour::Depth;
pub use scope::Scope;

/// The shipped themes: name and source.
pub const SHIPPED: &[(&str, &str)] = &[
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    (
        "high-contrast",
        include_str!("../../../themes/high-contrast.toml"),
    ),
    (
        "colour-blind-safe",
        include_str!("../../../themes/colour-blind-safe.toml"),
    ),
    (
        "terminal-16",
        include_str!("../../../themes/terminal-16.toml"),
    ),
    (
        "monochrome",
        include_str!("../../../themes/monochrome.toml"),
    ),
];

/// The theme used if another cannot be loaded.
const FALLBACK: &str = "dark";

/// Maximum depth of inheritance.
const INHERIT_LIMIT: usize = 8;

/// The styles of all scopes.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    name: String,
    /// Indexed by `Scope`.
    styles: Vec<Style>,
}

/// A theme file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ThemeFile {
    inherits: Option<String>,
    palette: BTreeMap<String, String>,
    scopes: BTreeMap<String, StyleEntry>,
}

/// Style of a scope: a foreground colour, or a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum StyleEntry {
    Foreground(String),
    Full(StyleTable),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StyleTable {
    fg: Option<String>,
    bg: Option<String>,
    modifiers: Vec<String>,
}

impl Theme {
    /// Returns a shipped theme in true colour; the fallback for an unknown name.
    #[must_use]
    pub fn shipped(name: &str) -> Self {
        Self::load(name, Depth::True, |_| None).0
    }

    /// Returns a theme for a terminal of `depth` colours, and warnings. `own` returns the source of a user theme, which
    /// takes precedence over a shipped theme of the same name.
    #[must_use]
    pub fn load(
        name: &str,
        depth: Depth,
        own: impl Fn(&str) -> Option<String>,
    ) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let name = if depth == Depth::Mono {
            "monochrome"
        } else {
            name
        };
        let mut layers = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            if layers.len() == INHERIT_LIMIT {
                warnings.push(format!(
                    "theme {name}: themes inherit from each other in a cycle"
                ));
                break;
            }
            let shipped = || {
                SHIPPED
                    .iter()
                    .find(|(shipped, _)| *shipped == name)
                    .map(|(_, text)| (*text).to_owned())
            };
            let Some(text) = own(&name).or_else(shipped) else {
                let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
                warnings.push(format!(
                    "no theme {name}; shipped themes: {}",
                    names.join(", ")
                ));
                if name != FALLBACK {
                    next = Some(FALLBACK.to_owned());
                }
                continue;
            };
            match toml::from_str::<ThemeFile>(&text) {
                Ok(file) => {
                    next.clone_from(&file.inherits);
                    layers.push((name, file));
                }
                Err(error) => {
                    warnings.push(format!("theme {name}: {}", error.to_string().trim()));
                    if name != FALLBACK {
                        next = Some(FALLBACK.to_owned());
                    }
                }
            }
        }
        (Self::resolve(name, depth, &layers, &mut warnings), warnings)
    }

    /// Builds a theme from its layers, derived theme first.
    fn resolve(
        name: &str,
        depth: Depth,
        layers: &[(String, ThemeFile)],
        warnings: &mut Vec<String>,
    ) -> Self {
        let mut palette: BTreeMap<&str, &str> = BTreeMap::new();
        let mut entries: BTreeMap<&str, (&str, &StyleEntry)> = BTreeMap::new();
        for (layer, file) in layers.iter().rev() {
            palette.extend(
                file.palette
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str())),
            );
            for (key, entry) in &file.scopes {
                if Scope::parse(key).is_none() {
                    warnings.push(format!("theme {layer}: unknown scope {key}"));
                }
                entries.insert(key, (layer, entry));
            }
        }
        let mut colour = |layer: &str, key: &str, text: &str| {
            let found = colour::parse(palette.get(text).copied().unwrap_or(text));
            if found.is_none() {
                warnings.push(format!("theme {layer}: unknown colour {text} of {key}"));
            }
            found.and_then(|colour| depth.reduce(colour))
        };
        let mut styles_by_name: BTreeMap<&str, Style> = BTreeMap::new();
        let mut unknown = Vec::new();
        for (key, (layer, entry)) in &entries {
            let full = match entry {
                StyleEntry::Foreground(text) => StyleTable {
                    fg: Some(text.clone()),
                    ..StyleTable::default()
                },
                StyleEntry::Full(look) => look.clone(),
            };
            let mut style = Style::new();
            style.fg = full.fg.as_deref().and_then(|text| colour(layer, key, text));
            style.bg = full.bg.as_deref().and_then(|text| colour(layer, key, text));
            for word in &full.modifiers {
                match modifier(word) {
                    Some(found) => style = style.add_modifier(found),
                    None => {
                        unknown.push(format!("theme {layer}: unknown modifier {word} of {key}"));
                    }
                }
            }
            styles_by_name.insert(key, style);
        }
        warnings.append(&mut unknown);
        let styles = Scope::ALL
            .iter()
            .map(|scope| inherited(scope.name(), &styles_by_name))
            .collect();
        Self {
            name: name.to_owned(),
            styles,
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the style of a scope.
    #[must_use]
    pub fn style(&self, scope: Scope) -> Style {
        self.styles[scope as usize]
    }

    /// Returns a theme in which each scope has a distinct colour, so that tests can read the scope of a drawn cell with
    /// [`Self::scope_at`].
    #[must_use]
    pub fn of_scopes() -> Self {
        let styles = (0..Scope::ALL.len())
            .map(|index| Style::new().fg(Color::Rgb(1, 0, index as u8)))
            .collect();
        Self {
            name: "scopes".into(),
            styles,
        }
    }

    /// Returns the scope of a cell drawn with [`Self::of_scopes`].
    #[must_use]
    pub fn scope_at(fg: Color) -> Option<Scope> {
        match fg {
            Color::Rgb(1, 0, index) => Scope::ALL.get(usize::from(index)).copied(),
            _ => None,
        }
    }
}

/// Returns the style of the nearest scope that has one: `a.b.c`, `a.b`, `a`, then `text`.
fn inherited(name: &str, styles_by_name: &BTreeMap<&str, Style>) -> Style {
    let mut at = name;
    loop {
        if let Some(style) = styles_by_name.get(at) {
            return *style;
        }
        match at.rsplit_once('.') {
            Some((parent, _)) => at = parent,
            None => return styles_by_name.get("text").copied().unwrap_or_default(),
        }
    }
}

fn modifier(word: &str) -> Option<Modifier> {
    Some(match word {
        "bold" => Modifier::BOLD,
        "dim" => Modifier::DIM,
        "italic" => Modifier::ITALIC,
        "underline" => Modifier::UNDERLINED,
        "reverse" => Modifier::REVERSED,
        "crossed-out" => Modifier::CROSSED_OUT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the WCAG contrast ratio, from 1 to 21.
    fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
        let channel = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.03928 {
                c / 12.92
            } else {
                ((c + 0.055) / 1.055).powf(2.4)
            }
        };
        let luminance = |(r, g, b): (u8, u8, u8)| {
            0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b) + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        if a > b { a / b } else { b / a }
    }

    #[test]
    fn shipped_themes_are_valid_and_complete() {
        for (name, _) in SHIPPED {
            for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::Mono] {
                let (_, warnings) = Theme::load(name, depth, |_| None);
                assert_eq!(warnings, Vec::<String>::new());
            }
            let roots = Scope::ALL
                .iter()
                .filter(|scope| !scope.name().contains('.'));
            let text = |theme: &str| SHIPPED.iter().find(|(name, _)| *name == theme).unwrap().1;
            let mut file: ThemeFile = toml::from_str(text(name)).unwrap();
            let mut known: Vec<String> = file.scopes.keys().cloned().collect();
            while let Some(parent) = file.inherits.take() {
                file = toml::from_str(text(&parent)).unwrap();
                known.extend(file.scopes.keys().cloned());
            }
            for root in roots {
                let given = known.iter().any(|key| key == root.name());
                assert!(given, "{name} lacks {}", root.name());
            }
        }
    }

    #[test]
    fn text_has_enough_contrast() {
        let mut low = Vec::new();
        for (name, _) in SHIPPED
            .iter()
            .filter(|(name, _)| !["terminal-16", "monochrome"].contains(name))
        {
            for depth in [Depth::True, Depth::Indexed] {
                let theme = Theme::load(name, depth, |_| None).0;
                let base = theme.style(Scope::Text).bg.and_then(colour::rgb).unwrap();
                for scope in Scope::ALL {
                    let style = theme.style(*scope);
                    let ground = style.bg.and_then(colour::rgb).unwrap_or(base);
                    let Some(ink) = style.fg.and_then(colour::rgb) else {
                        continue;
                    };
                    let enough = match scope {
                        Scope::Border => 1.3,
                        Scope::Faint
                        | Scope::PriorityLow
                        | Scope::LogTimestamp
                        | Scope::InputPlaceholder
                        | Scope::SyntaxPunctuation => 2.8,
                        _ => 4.5,
                    };
                    let found = contrast(ink, ground);
                    if found < enough {
                        low.push(format!("{name} {depth:?}: {} {found:.1}", scope.name()));
                    }
                }
            }
        }
        assert!(low.is_empty(), "too little contrast:\n{}", low.join("\n"));
    }

    #[test]
    fn run_states_have_distinct_styles() {
        for (name, _) in SHIPPED {
            let theme = Theme::shipped(name);
            let states = [
                Scope::RunPending,
                Scope::RunRunning,
                Scope::RunSucceeded,
                Scope::RunFailed,
            ]
            .map(|scope| theme.style(scope));
            for (index, state) in states.iter().enumerate() {
                let twin = states[index + 1..].contains(state);
                assert!(!twin, "{name}: two run states look alike");
            }
        }
    }

    #[test]
    fn scopes_inherit_from_their_parent() {
        let own = |name: &str| {
            (name == "mine").then(|| "[palette]\nink = \"#010203\"\n[scopes]\ntext = \"#ffffff\"\nrun = \"ink\"\n\"run.failed\" = { fg = \"red\", modifiers = [\"bold\"] }".to_owned())
        };
        let (theme, warnings) = Theme::load("mine", Depth::True, own);
        assert!(warnings.is_empty(), "{warnings:?}");
        assert_eq!(theme.style(Scope::RunRunning).fg, Some(Color::Rgb(1, 2, 3)));
        assert_eq!(
            theme.style(Scope::RunFailed),
            Style::new().fg(Color::Red).bold()
        );
        assert_eq!(
            theme.style(Scope::DiffAdded).fg,
            Some(Color::Rgb(255, 255, 255))
        );
    }

    #[test]
    fn invalid_themes_are_used_with_warnings() {
        for (text, word) in [
            (
                "inherits = \"dark\"\n[scopes]\nrnu = \"red\"",
                "unknown scope rnu",
            ),
            (
                "inherits = \"dark\"\n[scopes]\nrun = \"blurple\"",
                "blurple",
            ),
            (
                "inherits = \"dark\"\n[scopes]\nrun = { modifiers = [\"loud\"] }",
                "loud",
            ),
            ("inherits = \"mine\"", "cycle"),
            ("inherits = \"nowhere\"", "no theme nowhere"),
            ("colours = 5", "mine"),
            ("not toml", "mine"),
        ] {
            let (theme, warnings) = Theme::load("mine", Depth::True, |name| {
                (name == "mine").then(|| text.to_owned())
            });
            assert!(
                warnings.iter().any(|warning| warning.contains(word)),
                "{text}: {warnings:?}"
            );
            let _ = theme.style(Scope::RunFailed);
        }
    }

    #[test]
    fn mono_has_no_colours() {
        let theme = Theme::load("dark", Depth::Mono, |_| None).0;
        for scope in Scope::ALL {
            let style = theme.style(*scope);
            assert_eq!((style.fg, style.bg), (None, None), "{}", scope.name());
        }
        assert_ne!(theme.style(Scope::Selection), theme.style(Scope::Text));
    }

    #[test]
    fn scope_at_inverts_of_scopes() {
        let theme = Theme::of_scopes();
        for scope in Scope::ALL {
            let fg = theme.style(*scope).fg.unwrap();
            assert_eq!(Theme::scope_at(fg), Some(*scope));
        }
    }
}
