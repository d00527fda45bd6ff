//! Keys, and sequences of keys, as the keymap file writes them.

use std::{fmt, str::FromStr};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::{command::Context, field::Field};

/// A key with modifiers. Shift is part of a letter: `G`, never `shift-g`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Names of non-printable keys: in the keymap file, on screen. Printable keys stand for themselves.
const NAMED: &[(&str, &str, KeyCode)] = &[
    ("enter", "Enter", KeyCode::Enter),
    ("esc", "Esc", KeyCode::Esc),
    ("space", "Space", KeyCode::Char(' ')),
    ("tab", "Tab", KeyCode::Tab),
    ("backspace", "Backspace", KeyCode::Backspace),
    ("delete", "Del", KeyCode::Delete),
    ("up", "↑", KeyCode::Up),
    ("down", "↓", KeyCode::Down),
    ("left", "←", KeyCode::Left),
    ("right", "→", KeyCode::Right),
    ("home", "Home", KeyCode::Home),
    ("end", "End", KeyCode::End),
    ("pageup", "PgUp", KeyCode::PageUp),
    ("pagedown", "PgDn", KeyCode::PageDown),
];

impl From<KeyEvent> for Chord {
    fn from(event: KeyEvent) -> Self {
        let known = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        let mut modifiers = event.modifiers & known;
        let code = match event.code {
            KeyCode::BackTab => {
                modifiers |= KeyModifiers::SHIFT;
                KeyCode::Tab
            }
            KeyCode::Char(c) => {
                modifiers -= KeyModifiers::SHIFT;
                // Terminals differ in the case of letters with Ctrl.
                let control = modifiers.contains(KeyModifiers::CONTROL);
                KeyCode::Char(if control { c.to_ascii_lowercase() } else { c })
            }
            code => code,
        };
        Self { code, modifiers }
    }
}

impl From<Chord> for KeyEvent {
    fn from(chord: Chord) -> Self {
        Self::new(chord.code, chord.modifiers)
    }
}

impl FromStr for Chord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        for (prefix, modifier) in [
            ("ctrl-", KeyModifiers::CONTROL),
            ("alt-", KeyModifiers::ALT),
            ("shift-", KeyModifiers::SHIFT),
        ] {
            if let Some(after) = rest.strip_prefix(prefix).filter(|after| !after.is_empty()) {
                modifiers |= modifier;
                rest = after;
            }
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(c), None) => KeyCode::Char(c),
            _ => NAMED
                .iter()
                .find(|(name, ..)| *name == rest)
                .map(|(.., code)| *code)
                .or_else(|| {
                    let number = rest.strip_prefix('f')?.parse().ok()?;
                    (1..=24).contains(&number).then_some(KeyCode::F(number))
                })
                .ok_or_else(|| format!("`{text}` is not a key"))?,
        };
        if matches!(code, KeyCode::Char(c) if c != ' ') && modifiers.contains(KeyModifiers::SHIFT) {
            return Err(format!("`{text}`: write the shifted character instead"));
        }
        Ok(Self::from(KeyEvent::new(code, modifiers)))
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in [
            (KeyModifiers::CONTROL, "Ctrl-"),
            (KeyModifiers::ALT, "Alt-"),
            (KeyModifiers::SHIFT, "Shift-"),
        ] {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        if let Some((_, shown, _)) = NAMED.iter().find(|(.., code)| *code == self.code) {
            return f.write_str(shown);
        }
        match self.code {
            KeyCode::Char(c) if self.modifiers.contains(KeyModifiers::CONTROL) => {
                write!(f, "{}", c.to_ascii_uppercase())
            }
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "F{n}"),
            _ => f.write_str("?"),
        }
    }
}

/// Chords pressed in sequence, written with spaces: `S 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sequence(pub(super) Vec<Chord>);

impl FromStr for Sequence {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let chords: Vec<Chord> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        if chords.is_empty() {
            return Err("a key is empty".into());
        }
        Ok(Self(chords))
    }
}

impl Chord {
    /// Whether a binding in `context` takes precedence over an open text field. Only chords with Ctrl or Alt do, and in the
    /// overlay context, which all dialogs share, only those that do not edit text.
    pub(super) fn precedes_text(self, context: Context) -> bool {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        self.modifiers.intersects(chord)
            && (context != Context::Overlay || !Field::takes(self.into()))
    }
}

impl Sequence {
    /// Whether an open text field takes the first key of a binding in `context`.
    pub(super) fn is_typed(&self, context: Context) -> bool {
        let first = self.0.first().copied();
        first.is_some_and(|chord| Field::takes(chord.into()) && !chord.precedes_text(context))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, chord) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            write!(f, "{chord}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_parse_to_the_written_chord() {
        use KeyModifiers as M;
        for (code, modifiers, written) in [
            (KeyCode::Char('G'), M::SHIFT, "G"),
            (KeyCode::Char('?'), M::SHIFT, "?"),
            (KeyCode::BackTab, M::SHIFT, "shift-tab"),
            (KeyCode::BackTab, M::NONE, "shift-tab"),
            (KeyCode::Char('D'), M::CONTROL, "ctrl-d"),
            (KeyCode::Char(' '), M::NONE, "space"),
            (KeyCode::F(1), M::NONE, "f1"),
            (KeyCode::Char('-'), M::CONTROL, "ctrl--"),
        ] {
            let read = Chord::from(KeyEvent::new(code, modifiers));
            assert_eq!(read, written.parse().unwrap(), "{written}");
        }
    }
}
