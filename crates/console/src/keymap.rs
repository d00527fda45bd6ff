//! Which key means which command in which context: `config/keymap.toml`, overlaid by the person's own file.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    command::{Command, Context},
    field::Field,
};

/// The documented defaults, as shipped.
pub const SHIPPED: &str = include_str!("../../../config/keymap.toml");

/// One key with its modifiers. Shift is part of a letter, so that `G` and `shift-g` cannot both exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chord {
    code: KeyCode,
    modifiers: KeyModifiers,
}

/// Keys with a name of their own; printable keys are written as themselves.
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
                // Terminals differ on the case of a letter under Ctrl.
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
            return Err(format!("`{text}`: write the letter as Shift makes it"));
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

/// Chords pressed one after another, written with spaces between them: `S 1`.
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
            return Err("an empty key".into());
        }
        Ok(Self(chords))
    }
}

impl Chord {
    /// Whether a binding in `context` comes before an open text field. Plain keys never do. Every window shares the
    /// overlay context, so its chords give way to those that edit text.
    fn precedes_text(self, context: Context) -> bool {
        let chord = KeyModifiers::CONTROL | KeyModifiers::ALT;
        self.modifiers.intersects(chord)
            && (context != Context::Overlay || !Field::takes(self.into()))
    }
}

impl Sequence {
    /// Whether a text field takes the first key for itself, where the binding is in `context`.
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

/// What the chords pressed so far mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    Command(Command),
    /// The beginning of one or more bindings.
    Prefix,
    Nothing,
}

/// Why a keymap could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}: {message}")]
pub struct KeymapError {
    pub file: String,
    pub message: String,
}

/// The entries of a table as they are written: the first key of a command is the one that is shown.
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

/// Every binding, by context, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keymap(BTreeMap<Context, Vec<(Sequence, Command)>>);

impl Keymap {
    /// The defaults alone.
    ///
    /// # Panics
    /// Never: a test reads the shipped file.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn shipped() -> Self {
        Self::overlaid(&[]).expect("the shipped keymap is read by a test")
    }

    /// The defaults with `(file name, text)` layers over them. A chord bound again replaces the older meaning; bound to `none` it means nothing.
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
                    "`{name}` is no context; there are `{}`",
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
                let command = Command::parse(command)
                    .ok_or_else(|| fail(format!("[{name}] {chords}: `{command}` is no command")))?;
                list.push((sequence, command));
            }
        }
        Ok(())
    }

    /// What `pressed` means: the first context that knows it wins.
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
        Resolution::Nothing
    }

    /// Whether a chord begins a binding that comes before an open text field.
    #[must_use]
    pub fn precedes_text(&self, contexts: &[Context], chord: Chord) -> bool {
        contexts.iter().any(|context| {
            let mut bindings = self.0.get(context).into_iter().flatten();
            chord.precedes_text(*context)
                && bindings.any(|(sequence, _)| sequence.0.first() == Some(&chord))
        })
    }

    /// The first key of a command as it is shown, looked for in `contexts`.
    #[must_use]
    pub fn key_for(&self, contexts: &[Context], command: Command) -> Option<String> {
        contexts
            .iter()
            .find_map(|context| self.keys(*context, command).into_iter().next())
    }

    /// The first key of a command that means it while a field is typed into.
    #[must_use]
    pub fn key_beside_text(&self, contexts: &[Context], command: Command) -> Option<String> {
        contexts.iter().find_map(|context| {
            let mut bindings = self.0.get(context).into_iter().flatten();
            let found = bindings
                .find(|(sequence, bound)| *bound == command && !sequence.is_typed(*context));
            found.map(|(sequence, _)| sequence.to_string())
        })
    }

    /// Every key of a command in a context, as they are shown.
    #[must_use]
    pub fn keys(&self, context: Context, command: Command) -> Vec<String> {
        let bindings = self.0.get(&context).into_iter().flatten();
        bindings
            .filter(|(_, bound)| *bound == command)
            .map(|(sequence, _)| sequence.to_string())
            .collect()
    }

    /// Every binding.
    pub fn bindings(&self) -> impl Iterator<Item = (Context, &Sequence, Command)> {
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
    fn while_a_field_is_typed_into_the_keys_told_are_none_that_it_takes() {
        let keymap = Keymap::shipped();
        let told = |command| keymap.key_beside_text(&[Context::Overlay], command);
        assert_eq!(told(Command::Down).as_deref(), Some("↓"));
        assert_eq!(told(Command::Accept).as_deref(), Some("Enter"));
    }

    #[test]
    fn chords_of_a_form_precede_its_fields() {
        let text = "[form]\n\"ctrl-e x\" = \"launch\"\n\"alt-l\" = \"launch\"\n[overlay]\n\"ctrl-g\" = \"cancel\"\n";
        let keymap = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap();
        let contexts = [Context::Form, Context::Overlay];
        for (key, precedes) in [
            ("ctrl-s", true),
            ("ctrl-e", true),
            ("alt-l", true),
            ("ctrl-g", true),
            // A page down in other windows.
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
    fn the_shipped_keymap_binds_every_command() {
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
                "[{}] {sequence}: {command:?} does not belong there",
                context.name()
            );
        }
    }

    #[test]
    fn a_chord_means_one_thing_in_one_context() {
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
    fn the_persons_file_overlays_the_shipped_one() {
        let text = "[global]\nq = \"none\"\n\"ctrl-q\" = \"quit\"\n";
        let keymap = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap();
        let resolve = |key: &str| keymap.resolve(&[Context::Global], &[key.parse().unwrap()]);
        assert_eq!(resolve("q"), Resolution::Nothing);
        assert_eq!(resolve("ctrl-q"), Resolution::Command(Command::Quit));
        assert_eq!(resolve("?"), Resolution::Command(Command::Help));
    }

    #[test]
    fn mistakes_in_a_keymap_are_named() {
        for (text, message) in [
            ("[global]\nx = \"fly\"", "[global] x: `fly` is no command"),
            ("[global]\nhyper-x = \"quit\"", "`hyper-x` is not a key"),
            (
                "[global]\n\"shift-g\" = \"quit\"",
                "`shift-g`: write the letter as Shift makes it",
            ),
        ] {
            let error = Keymap::overlaid(&[("mine.toml".into(), text.into())]).unwrap_err();
            assert_eq!(error.message, message);
        }
    }

    #[test]
    fn chords_are_read_from_events_as_they_are_written() {
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
    fn a_sequence_waits_for_its_second_key() {
        let text = "[tasks]\n\"ctrl-x q\" = \"quit\"\n";
        // Commands belong to their context; a person may put them elsewhere.
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
