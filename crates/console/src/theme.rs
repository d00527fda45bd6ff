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
mod tests;
