//! JSON strings: finding their end, and unescaping.

/// The value 1 in every byte, to process eight bytes at once.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Sets the high bit of each byte that is a quote, a backslash or a control character. Bits above the lowest one set
/// may be wrong.
const fn special(word: u64) -> u64 {
    let quote = word ^ (EACH * b'"' as u64);
    let backslash = word ^ (EACH * b'\\' as u64);
    let found = (quote.wrapping_sub(EACH) & !quote)
        | (backslash.wrapping_sub(EACH) & !backslash)
        | (word.wrapping_sub(EACH * 0x20) & !word);
    found & (EACH * 0x80)
}

/// Returns the offset of the closing quote of the string whose content begins at `start`, and whether it contains
/// escapes. `None` for an invalid string.
pub(super) fn end(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start;
    let mut escaped = false;
    loop {
        at += plain(bytes.get(at..)?);
        match bytes.get(at)? {
            b'"' => return Some((at, escaped)),
            b'\\' => {
                escaped = true;
                at += escape_length(bytes.get(at + 1..)?)?;
            }
            _ => return None,
        }
    }
}

/// Returns the number of leading bytes that need no special handling.
fn plain(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    words.len() * 8 + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// Returns the length of an escape including its backslash, given the bytes after it.
fn escape_length(after: &[u8]) -> Option<usize> {
    match after.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            let digits = after.get(1..5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)
        }
        _ => None,
    }
}

/// Unescapes the content of a valid string. A lone surrogate becomes U+FFFD.
pub(super) fn unescape(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut rest = content;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = after.chars();
        out.push(match chars.next() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('u') => {
                let (c, read) = unicode(after);
                chars = after.get(read..).unwrap_or_default().chars();
                c
            }
            Some(c) => c,
            None => break,
        });
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Decodes `uXXXX` or `uXXXX\uXXXX`; returns the character and the bytes read.
fn unicode(after: &str) -> (char, usize) {
    let unit = |from: usize| u32::from_str_radix(after.get(from..from + 4)?, 16).ok();
    let Some(first) = unit(1) else {
        return (char::REPLACEMENT_CHARACTER, after.len());
    };
    if let Some(c) = char::from_u32(first) {
        return (c, 5);
    }
    let second = (after.get(5..7) == Some("\\u")).then(|| unit(7)).flatten();
    match second {
        Some(low @ 0xdc00..=0xdfff) if first < 0xdc00 => {
            let c = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00));
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}
