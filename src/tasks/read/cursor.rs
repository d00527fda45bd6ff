//! Walks JSON that is known to be well formed, in one pass, without building a tree: every value can be asked where it stands.
//!
//! `read` lets `serde_json` judge the text first; on text it did not accept this walk still ends, but means nothing.

use std::borrow::Cow;

use serde::de::{Deserializer as _, Visitor};

/// A place in the text, always before a value once [`Cursor::kind`] has been asked.
#[derive(Clone, Copy)]
pub(in crate::tasks) struct Cursor<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Null,
    /// A number or a boolean.
    Scalar,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// On the value at an offset, in bytes.
    pub(in crate::tasks) const fn at(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Offset of the next value, in bytes.
    pub(in crate::tasks) fn offset(&mut self) -> usize {
        self.peek();
        self.at
    }

    pub(super) fn kind(&mut self) -> Kind {
        match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Scalar,
        }
    }

    /// Passes over an object; `each` gets every key with the cursor on its value, which it must pass over.
    pub(in crate::tasks) fn object(&mut self, mut each: impl FnMut(&mut Self, &str)) {
        self.at += 1;
        while self.peek() == Some(b'"') {
            let key = self.text();
            if self.peek() == Some(b':') {
                self.at += 1;
            }
            each(self, &key);
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// Passes over an array; `each` gets the cursor on every element, which it must pass over.
    pub(super) fn array(&mut self, mut each: impl FnMut(&mut Self)) {
        self.at += 1;
        while !matches!(self.peek(), Some(b']') | None) {
            each(self);
            if self.peek() == Some(b',') {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// Passes over any value and gives it as written.
    pub(in crate::tasks) fn raw(&mut self) -> &'a str {
        let start = self.offset();
        match self.kind() {
            Kind::String => self.pass_string(),
            Kind::Object | Kind::Array => self.pass_nested(),
            Kind::Null | Kind::Scalar => {
                let rest = &self.text.as_bytes()[self.at.min(self.text.len())..];
                let ends =
                    |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                // At least one byte, so that malformed text cannot hold the walk.
                self.at += rest.iter().position(ends).unwrap_or(rest.len()).max(1);
            }
        }
        self.at = self.at.min(self.text.len());
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Passes over any value: a string's content, anything else as written.
    pub(super) fn text(&mut self) -> Cow<'a, str> {
        let raw = self.raw();
        match raw
            .strip_prefix('"')
            .and_then(|inner| inner.strip_suffix('"'))
        {
            Some(inner) if inner.contains('\\') => Cow::Owned(unescape(raw)),
            Some(inner) => Cow::Borrowed(inner),
            None => Cow::Borrowed(raw),
        }
    }

    fn pass_string(&mut self) {
        let bytes = self.text.as_bytes();
        self.at += 1;
        while let Some(found) = bytes
            .get(self.at..)
            .and_then(|rest| rest.iter().position(|&byte| byte == b'"' || byte == b'\\'))
        {
            self.at += found;
            if bytes[self.at] == b'"' {
                self.at += 1;
                return;
            }
            self.at += 2;
        }
        self.at = bytes.len();
    }

    /// By counting brackets, so that depth costs no stack.
    fn pass_nested(&mut self) {
        let bytes = self.text.as_bytes();
        let mut depth = 0usize;
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.pass_string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }
}

/// The content of a string literal; half of a surrogate pair becomes U+FFFD.
fn unescape(literal: &str) -> String {
    struct Content;
    impl Visitor<'_> for Content {
        type Value = String;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string")
        }
        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => String::from_utf8_lossy(bytes).into_owned(),
            })
        }
    }
    // Asked for bytes, serde_json lets half pairs through.
    serde_json::Deserializer::from_str(literal)
        .deserialize_bytes(Content)
        .unwrap_or_default()
}
