//! Single-pass JSON reader that builds no tree and reports the offset of every value.
//!
//! It validates while reading. Invalid JSON ends the walk and sets [`Cursor::is_broken`]; everything read until then
//! must be discarded.

use std::borrow::Cow;

use super::string;

/// A position in the text, before a value once [`Cursor::kind`] was called.
#[derive(Clone, Copy)]
pub(in crate::tasks) struct Cursor<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    broken: bool,
}

/// Kind of the next value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Object,
    Array,
    String,
    Null,
    /// A number or a boolean.
    Scalar,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self::at(text, 0)
    }

    /// Starts at the value at a byte offset.
    pub(in crate::tasks) const fn at(text: &'a str, at: usize) -> Self {
        Self {
            text,
            at,
            broken: false,
        }
    }

    /// Whether invalid JSON was found.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Ends the walk: all loops over the rest stop.
    fn fail(&mut self) {
        self.broken = true;
        self.at = self.text.len();
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Consumes `byte` if it is next, after white space.
    fn consume(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Returns the byte offset of the next value.
    pub(in crate::tasks) fn offset(&mut self) -> usize {
        self.peek();
        self.at
    }

    pub(super) fn kind(&mut self) -> ValueKind {
        match self.peek() {
            Some(b'{') => ValueKind::Object,
            Some(b'[') => ValueKind::Array,
            Some(b'"') => ValueKind::String,
            Some(b'n') | None => ValueKind::Null,
            Some(_) => ValueKind::Scalar,
        }
    }

    /// Reads an object. `each` gets every key, with the cursor at its value, which it must consume.
    pub(in crate::tasks) fn object(&mut self, mut each: impl FnMut(&mut Self, &str)) {
        if !self.consume(b'{') {
            return self.fail();
        }
        if self.consume(b'}') {
            return;
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail();
            }
            let key = self.text();
            if !self.consume(b':') {
                return self.fail();
            }
            each(self, &key);
            if self.consume(b'}') {
                return;
            }
            if !self.consume(b',') {
                return self.fail();
            }
        }
    }

    /// Reads an array. `each` gets the cursor at every element, which it must consume.
    pub(super) fn array(&mut self, mut each: impl FnMut(&mut Self)) {
        if !self.consume(b'[') {
            return self.fail();
        }
        if self.consume(b']') {
            return;
        }
        loop {
            if self.peek().is_none() {
                return self.fail();
            }
            each(self);
            if self.consume(b']') {
                return;
            }
            if !self.consume(b',') {
                return self.fail();
            }
        }
    }

    /// Consumes a value and returns its source text.
    pub(in crate::tasks) fn raw(&mut self) -> &'a str {
        let start = self.offset();
        match self.kind() {
            ValueKind::String => drop(self.string()),
            ValueKind::Object | ValueKind::Array => self.skip_nested(),
            ValueKind::Null | ValueKind::Scalar => self.skip_scalar(),
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Consumes a value and returns the content of a string, or the source text of any other value.
    pub(super) fn text(&mut self) -> Cow<'a, str> {
        if self.peek() != Some(b'"') {
            return Cow::Borrowed(self.raw());
        }
        match self.string() {
            Some((content, true)) => Cow::Owned(string::unescape(content)),
            Some((content, false)) => Cow::Borrowed(content),
            None => Cow::Borrowed(""),
        }
    }

    /// Consumes a string. Returns its raw content, and whether it contains escapes.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at + 1;
        let Some((end, escaped)) = string::end(self.text.as_bytes(), start) else {
            self.fail();
            return None;
        };
        self.at = end + 1;
        Some((self.text.get(start..end)?, escaped))
    }

    fn skip_scalar(&mut self) {
        let bytes = &self.text.as_bytes()[self.at..];
        let words: [&[u8]; 3] = [b"null", b"true", b"false"];
        let word = words.iter().find(|word| bytes.starts_with(word));
        match word.map_or_else(|| number(bytes), |word| Some(word.len())) {
            Some(length) => self.at += length,
            None => self.fail(),
        }
    }

    /// Skips nested values without recursion.
    fn skip_nested(&mut self) {
        // Closing brackets of the open values.
        let mut open: Vec<u8> = Vec::new();
        while !self.broken {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if !self.consume(b'}') {
                        open.push(b'}');
                        self.skip_key();
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.consume(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => drop(self.string()),
                _ => self.skip_scalar(),
            }
            // After a value: close what ends here, then continue with the next.
            loop {
                let Some(&close) = open.last() else {
                    return;
                };
                if self.consume(close) {
                    open.pop();
                } else if self.consume(b',') {
                    if close == b'}' {
                        self.skip_key();
                    }
                    break;
                } else {
                    return self.fail();
                }
            }
        }
    }

    fn skip_key(&mut self) {
        let key = self.peek() == Some(b'"') && self.string().is_some();
        if !(key && self.consume(b':')) {
            self.fail();
        }
    }
}

/// Returns the length of the number at the start of `bytes`.
fn number(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    at += match bytes.get(at)? {
        b'0' => 1,
        b'1'..=b'9' => digits(at),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        at += (fraction > 0).then_some(1 + fraction)?;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        at += (exponent > 0).then_some(1 + sign + exponent)?;
    }
    Some(at)
}
