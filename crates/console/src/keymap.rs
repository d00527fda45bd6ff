//! Key bindings: `config/keymap.toml`, overlaid by the user's own file.

mod chord;

use std::collections::BTreeMap;

use self::chord::Sequence;
use super::command::{Command, Context};

pub use self::chord::Chord;

/// The shipped bindings.
const SHIPPED: &str = include_str!("../../../config/keymap.toml");

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
