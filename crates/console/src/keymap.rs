//! Key bindings: `config/keymap.toml`, overlaid by the user's own file.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    command::{Command, Context},
    field::Field,
};

/// The shipped bindings.
const SHIPPED: &str = include_str!("../../../config/keymap.toml");

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
pub struct Sequence(Vec<Chord>);

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
    fn precedes_text(self, context: Context) -> bool {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        self.modifiers.intersects(chord)
            && (context != Context::Overlay || !Field::takes(self.into()))
    }
}

impl Sequence {
    /// Whether an open text field takes the first key of a binding in `context`.
    fn is_typed(&self, context: Context) -> bool {
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

/// The meaning of the chords pressed so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Command(Command),
    /// A prefix of one or more bindings.
    Prefix,
    Unbound,
}

/// Why a keymap is invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}: {message}")]
pub struct KeymapError {
    pub file: String,
    pub message: String,
}

/// Returns the entries of a table in file order, because the first key of a command is the one shown.
fn in_file_order<'t>(
    table: &'t toml::de::DeTable<'_>,
) -> Vec<(&'t str, &'t toml::de::DeValue<'t>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
        .into_iter()
        .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()))
        .collect()
}

/// All bindings by context, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap(BTreeMap<Context, Vec<(Sequence, Command)>>);

impl Keymap {
    /// The shipped keymap.
    ///
    /// # Panics
    /// Never: a test parses the shipped file.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn shipped() -> Self {
        Self::overlaid(&[]).expect("the shipped keymap is valid")
    }

    /// Overlays the shipped keymap with `(file name, text)` layers. A later binding of a key replaces an earlier one; `none`
    /// removes it.
    ///
    /// # Errors
    /// If a layer is invalid.
    pub fn overlaid(layers: &[(String, String)]) -> Result<Self, KeymapError> {
        let mut keymap = Self(BTreeMap::new());
        keymap.read("config/keymap.toml", SHIPPED)?;
        for (file, text) in layers {
            keymap.read(file, text)?;
        }
        Ok(keymap)
    }

    fn read(&mut self, file: &str, text: &str) -> Result<(), KeymapError> {
        let fail = |message: String| KeymapError {
            file: file.to_owned(),
            message,
        };
        let table = toml::de::DeTable::parse(text).map_err(|error| fail(error.to_string()))?;
        let mut own: Vec<(Context, Sequence)> = Vec::new();
        for (name, bindings) in in_file_order(table.get_ref()) {
            let context = Context::parse(name).ok_or_else(|| {
                fail(format!(
                    "unknown section `{name}`; expected one of `{}`",
                    Context::names()
                ))
            })?;
            let bindings = bindings.as_table().ok_or_else(|| {
                fail(format!(
                    "`{name}` must be a table of `key = \"command\"` lines"
                ))
            })?;
            for (chords, command) in in_file_order(bindings) {
                let sequence: Sequence = chords.parse().map_err(&fail)?;
                if own.contains(&(context, sequence.clone())) {
                    return Err(fail(format!("[{name}] binds {sequence} twice")));
                }
                own.push((context, sequence.clone()));
                let list = self.0.entry(context).or_default();
                list.retain(|(bound, _)| *bound != sequence);
                let command = command.as_str().unwrap_or_default();
                if command == "none" {
                    continue;
                }
                let command = Command::parse(command).ok_or_else(|| {
                    fail(format!("[{name}] {chords}: unknown command `{command}`"))
                })?;
                list.push((sequence, command));
            }
        }
        Ok(())
    }

    /// Resolves the chords pressed so far, in the first context that binds them.
    #[must_use]
    pub fn resolve(&self, contexts: &[Context], pressed: &[Chord]) -> Resolution {
        let mut prefix = false;
        for context in contexts {
            for (sequence, command) in self.0.get(context).into_iter().flatten() {
                if sequence.0 == pressed {
                    return Resolution::Command(*command);
                }
                prefix |= sequence.0.starts_with(pressed);
            }
            if prefix {
                return Resolution::Prefix;
            }
        }
        Resolution::Unbound
    }

    /// Whether a chord starts a binding that takes precedence over an open text field.
    #[must_use]
    pub fn precedes_text(&self, contexts: &[Context], chord: Chord) -> bool {
        contexts.iter().any(|context| {
            let mut bindings = self.0.get(context).into_iter().flatten();
            chord.precedes_text(*context)
                && bindings.any(|(sequence, _)| sequence.0.first() == Some(&chord))
        })
    }

    /// The first key of a command in `contexts`, as shown on screen.
    #[must_use]
    pub fn key_for(&self, contexts: &[Context], command: Command) -> Option<String> {
        contexts
            .iter()
            .find_map(|context| self.keys(*context, command).into_iter().next())
    }

    /// The first key of a command that works while a text field is open.
    #[must_use]
    pub fn key_beside_text(&self, contexts: &[Context], command: Command) -> Option<String> {
        contexts.iter().find_map(|context| {
            let mut bindings = self.0.get(context).into_iter().flatten();
            let found = bindings
                .find(|(sequence, bound)| *bound == command && !sequence.is_typed(*context));
            found.map(|(sequence, _)| sequence.to_string())
        })
    }

    /// All keys of a command in a context, as shown on screen.
    #[must_use]
    pub fn keys(&self, context: Context, command: Command) -> Vec<String> {
        let bindings = self.0.get(&context).into_iter().flatten();
        bindings
            .filter(|(_, bound)| *bound == command)
            .map(|(sequence, _)| sequence.to_string())
            .collect()
    }

    #[cfg(test)]
    fn bindings(&self) -> impl Iterator<Item = (Context, &Sequence, Command)> {
        self.0.iter().flat_map(|(context, list)| {
            list.iter()
                .map(|(sequence, command)| (*context, sequence, *command))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_beside_text_skips_keys_of_the_field() {
        let keymap = Keymap::shipped();
        let key = |command| keymap.key_beside_text(&[Context::Overlay], command);
        assert_eq!(key(Command::Down).as_deref(), Some("↓"));
        assert_eq!(key(Command::Accept).as_deref(), Some("Enter"));
    }

    #[test]
    fn form_chords_precede_text_fields() {
        let text = "[form]\n\"ctrl-e x\" = \"launch\"\n\"alt-l\" = \"launch\"\n[overlay]\n\"ctrl-g\" = \"cancel\"\n";
        let keymap = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap();
        let contexts = [Context::Form, Context::Overlay];
        for (key, precedes) in [
            ("ctrl-s", true),
            ("ctrl-e", true),
            ("alt-l", true),
            ("ctrl-g", true),
            // Page down in other dialogs.
            ("ctrl-d", false),
            ("ctrl-t", false),
            ("j", false),
            ("left", false),
        ] {
            let chord = key.parse().unwrap();
            assert_eq!(keymap.precedes_text(&contexts, chord), precedes, "{key}");
        }
        let shown = keymap.key_beside_text(&contexts, Command::Launch);
        assert_eq!(shown.as_deref(), Some("Ctrl-S"));
    }

    #[test]
    fn shipped_keymap_binds_every_command() {
        let keymap = Keymap::shipped();
        for row in super::super::command::COMMANDS {
            let bound = keymap
                .bindings()
                .any(|(context, _, command)| command == row.command && context == row.context);
            assert!(bound, "{} has no key in [{}]", row.name, row.context.name());
        }
        for (context, sequence, command) in keymap.bindings() {
            assert!(
                command.row(context).is_some(),
                "[{}] {sequence}: {command:?} is not in this context",
                context.name()
            );
        }
    }

    #[test]
    fn rejects_duplicate_binding() {
        let text = "[global]\n\"ctrl-p\" = \"palette\"\n\"ctrl-P\" = \"help\"\n";
        let error = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap_err();
        assert_eq!(error.to_string(), "mine.toml: [global] binds Ctrl-P twice");
    }

    #[test]
    fn ctrl_d_never_deletes() {
        let chord: Chord = "ctrl-d".parse().unwrap();
        for context in Context::ALL {
            let meaning = Keymap::shipped().resolve(&[context], &[chord]);
            assert!(
                !matches!(
                    meaning,
                    Resolution::Command(Command::Delete | Command::Cleanup | Command::Stop)
                ),
                "{context:?}"
            );
        }
    }

    #[test]
    fn user_file_overlays_shipped_keymap() {
        let text = "[global]\nq = \"none\"\n\"ctrl-q\" = \"quit\"\n";
        let keymap = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap();
        let resolve = |key: &str| keymap.resolve(&[Context::Global], &[key.parse().unwrap()]);
        assert_eq!(resolve("q"), Resolution::Unbound);
        assert_eq!(resolve("ctrl-q"), Resolution::Command(Command::Quit));
        assert_eq!(resolve("?"), Resolution::Command(Command::Help));
    }

    #[test]
    fn errors_name_the_mistake() {
        for (text, message) in [
            ("[global]\nx = \"fly\"", "[global] x: unknown command `fly`"),
            ("[global]\nhyper-x = \"quit\"", "`hyper-x` is not a key"),
            (
                "[global]\n\"shift-g\" = \"quit\"",
                "`shift-g`: write the shifted character instead",
            ),
        ] {
            let error = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap_err();
            assert_eq!(error.message, message);
        }
    }

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

    #[test]
    fn sequence_waits_for_second_key() {
        let text = "[tasks]\n\"ctrl-x q\" = \"quit\"\n";
        // Users may bind a command outside of its own context.
        let keymap = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap();
        let first: Chord = "ctrl-x".parse().unwrap();
        let second: Chord = "q".parse().unwrap();
        let contexts = [Context::Tasks, Context::Global];
        assert_eq!(keymap.resolve(&contexts, &[first]), Resolution::Prefix);
        assert_eq!(
            keymap.resolve(&contexts, &[first, second]),
            Resolution::Command(Command::Quit)
        );
    }
}
