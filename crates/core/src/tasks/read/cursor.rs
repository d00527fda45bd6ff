//! Walks JSON in one pass, without building a tree: every value can be asked where it stands.
//!
//! It judges as it walks. Text that is not JSON ends the walk, and [`Cursor::is_broken`] tells; what was read until then means nothing.

use std::borrow::Cow;

use super::string;

/// A place in the text, always before a value once [`Cursor::kind`] has been asked.
#[derive(Clone, Copy)]
pub(in crate::tasks) struct Cursor<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    broken: bool,
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
        Self::at(text, 0)
    }

    /// On the value at an offset, in bytes.
    pub(in crate::tasks) const fn at(text: &'a str, at: usize) -> Self {
        Self {
            text,
            at,
            broken: false,
        }
    }

    /// Whether something was met that is not JSON.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Ends the walk: every loop over what is left finds nothing.
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

    /// Passes over `byte` if it is the next one that is not white space.
    fn takes(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
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
        if !self.takes(b'{') {
            return self.fail();
        }
        if self.takes(b'}') {
            return;
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail();
            }
            let key = self.text();
            if !self.takes(b':') {
                return self.fail();
            }
            each(self, &key);
            if self.takes(b'}') {
                return;
            }
            if !self.takes(b',') {
                return self.fail();
            }
        }
    }

    /// Passes over an array; `each` gets the cursor on every element, which it must pass over.
    pub(super) fn array(&mut self, mut each: impl FnMut(&mut Self)) {
        if !self.takes(b'[') {
            return self.fail();
        }
        if self.takes(b']') {
            return;
        }
        loop {
            if self.peek().is_none() {
                return self.fail();
            }
            each(self);
            if self.takes(b']') {
                return;
            }
            if !self.takes(b',') {
                return self.fail();
            }
        }
    }

    /// Passes over any value and gives it as written.
    pub(in crate::tasks) fn raw(&mut self) -> &'a str {
        let start = self.offset();
        match self.kind() {
            Kind::String => drop(self.string()),
            Kind::Object | Kind::Array => self.pass_nested(),
            Kind::Null | Kind::Scalar => self.pass_scalar(),
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Passes over any value: a string's content, anything else as written.
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

    /// Passes over a string; its content as written, and whether that holds escapes.
    fn string(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at + 1;
        let Some((end, escaped)) = string::end(self.text.as_bytes(), start) else {
            self.fail();
            return None;
        };
        self.at = end + 1;
        Some((self.text.get(start..end)?, escaped))
    }

    fn pass_scalar(&mut self) {
        let bytes = &self.text.as_bytes()[self.at..];
        let words: [&[u8]; 3] = [b"null", b"true", b"false"];
        let word = words.iter().find(|word| bytes.starts_with(word));
        match word.map_or_else(|| number(bytes), |word| Some(word.len())) {
            Some(length) => self.at += length,
            None => self.fail(),
        }
    }

    /// Depth costs no stack.
    fn pass_nested(&mut self) {
        // What closes those that are open.
        let mut open: Vec<u8> = Vec::new();
        while !self.broken {
            match self.peek() {
                Some(b'{') => {
                    self.at += 1;
                    if !self.takes(b'}') {
                        open.push(b'}');
                        self.pass_key();
                        continue;
                    }
                }
                Some(b'[') => {
                    self.at += 1;
                    if !self.takes(b']') {
                        open.push(b']');
                        continue;
                    }
                }
                Some(b'"') => drop(self.string()),
                _ => self.pass_scalar(),
            }
            // Behind a value: close what ends here, then on to the next one.
            loop {
                let Some(&close) = open.last() else {
                    return;
                };
                if self.takes(close) {
                    open.pop();
                } else if self.takes(b',') {
                    if close == b'}' {
                        self.pass_key();
                    }
                    break;
                } else {
                    return self.fail();
                }
            }
        }
    }

    fn pass_key(&mut self) {
        let key = self.peek() == Some(b'"') && self.string().is_some();
        if !(key && self.takes(b':')) {
            self.fail();
        }
    }
}

/// Length of the number that `bytes` start with.
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
