//! A single-line text field.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use unicode_segmentation::UnicodeSegmentation;

/// Text and a cursor in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    text: String,
    /// Byte offset, always at a grapheme boundary.
    cursor: usize,
}

impl Field {
    /// Returns a field with the cursor after the text.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            cursor: text.len(),
            text,
        }
    }

    /// Returns a field with the cursor at a byte offset; after the text if the offset is not a character boundary.
    pub fn at(text: impl Into<String>, cursor: usize) -> Self {
        let text = text.into();
        Self {
            cursor: if text.is_char_boundary(cursor) {
                cursor
            } else {
                text.len()
            },
            text,
        }
    }

    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text before and after the cursor.
    pub fn split(&self) -> (&str, &str) {
        self.text.split_at(self.cursor)
    }

    /// Whether a field handles a key: characters, cursor movement, and the Ctrl chords of [`Self::key`].
    pub const fn takes(key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::CONTROL) => {
                matches!(c, 'a' | 'b' | 'd' | 'e' | 'f' | 'h' | 'k' | 'u' | 'w')
            }
            KeyCode::Char(_) => !key.modifiers.contains(KeyModifiers::ALT),
            KeyCode::Backspace
            | KeyCode::Delete
            | KeyCode::Left
            | KeyCode::Right
            | KeyCode::Home
            | KeyCode::End => true,
            _ => false,
        }
    }

    /// Inserts text at the cursor. Line breaks become spaces.
    pub fn insert(&mut self, text: &str) {
        let line: String = text
            .trim_end_matches('\n')
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        self.text.insert_str(self.cursor, &line);
        self.cursor += line.len();
    }

    /// Handles a key. Returns `true` if the text changed.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let before = self.text.len();
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('w') if control => self.delete_back(self.word_start()),
            KeyCode::Backspace if control || alt => self.delete_back(self.word_start()),
            KeyCode::Char('u') if control => self.delete_back(0),
            KeyCode::Char('k') if control => self.text.truncate(self.cursor),
            KeyCode::Char('h') if control => self.delete_back(self.before()),
            KeyCode::Char('d') if control => self.delete_next(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char('b') if control => self.cursor = self.before(),
            KeyCode::Char('f') if control => self.cursor = self.after(),
            KeyCode::Char(c) if !control && !alt => {
                let mut bytes = [0; 4];
                self.insert(c.encode_utf8(&mut bytes));
            }
            KeyCode::Backspace => self.delete_back(self.before()),
            KeyCode::Delete => self.delete_next(),
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => self.cursor = self.after(),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
        self.text.len() != before
    }

    fn before(&self) -> usize {
        let mut graphemes = self.text[..self.cursor].grapheme_indices(true);
        graphemes.next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        let mut graphemes = self.text[self.cursor..].graphemes(true);
        self.cursor + graphemes.next().map_or(0, str::len)
    }

    fn word_start(&self) -> usize {
        let before = self.text[..self.cursor].trim_end();
        before
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map_or(0, |(at, c)| at + c.len_utf8())
    }

    fn delete_back(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    fn delete_next(&mut self) {
        let end = self.after();
        self.text.replace_range(self.cursor..end, "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Field {
        let mut field = Field::default();
        for key in keys.split(' ') {
            let chord: super::super::keymap::Chord = key.parse().unwrap();
            field.key(chord.into());
        }
        field
    }

    #[test]
    fn edits_like_a_shell() {
        for (keys, text) in [
            ("a b c left backspace", "ac"),
            ("a space b c ctrl-w", "a "),
            ("a b ctrl-a x ctrl-e y", "xaby"),
            ("a b left ctrl-u", "b"),
            ("a b left ctrl-k", "a"),
            ("a b home delete", "b"),
            ("left right backspace delete ctrl-w", ""),
        ] {
            assert_eq!(typed(keys).text(), text, "{keys}");
        }
    }

    #[test]
    fn inserts_lines_as_one_and_deletes_graphemes() {
        let mut field = Field::new("e\u{301}");
        field.insert("a\nb\u{1b}c\n");
        assert_eq!(field.text(), "e\u{301}a b c");
        let mut field = Field::new("e\u{301}");
        field.key(KeyEvent::from(KeyCode::Backspace));
        assert_eq!(field.text(), "");
    }
}
