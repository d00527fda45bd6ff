//! Text for display: sanitising, measuring, truncating, and formatting of durations and sizes.

mod filter;
mod secrets;

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

pub use filter::{FilterColumn, FilterExpression, MatchMode};
pub use secrets::redact_secrets;

/// Combining marks kept per character. Longer sequences are an attempt to draw over neighbouring cells.
const MARKS_PER_CHARACTER: usize = 8;

/// Maximum width of one grapheme cluster, in columns. A wider one cannot be split, so it would not be drawn at all in
/// a narrow area.
pub const MAX_GRAPHEME_WIDTH: usize = 8;

/// Base for a combining mark that has no character of its own.
const DOTTED_CIRCLE: char = '\u{25cc}';

/// Returns `text` on one line, with every character replaced that could move the cursor, set the title, write the
/// clipboard or change the reading order.
///
/// All text from outside this program passes through here before it is shown. Multi-line text is sanitised line by
/// line.
#[must_use]
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for grapheme in text.graphemes(true) {
        let start = out.len();
        let (mut marks, mut wide) = (0, 0);
        // A bare mark would be drawn on the preceding cell.
        let bare = grapheme
            .chars()
            .all(|c| columns(c) == 0 && !c.is_control() && !is_dangerous(c) && !changes_width(c));
        if bare {
            out.push(DOTTED_CIRCLE);
        }
        for (index, c) in grapheme.chars().enumerate() {
            match c {
                '\t' => out.push_str("    "),
                '\r' | '\n' if grapheme == "\r\n" => {
                    if c == '\n' {
                        out.push('\u{23ce}');
                    }
                }
                '\n' => out.push('\u{23ce}'),
                '\u{0}'..='\u{1f}' => {
                    out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'));
                }
                '\u{7f}' => out.push('\u{2421}'),
                c if is_dangerous(c) => out.push('\u{fffd}'),
                c if changes_width(c) || index > 0 && is_skin_tone(c) => {}
                c if columns(c) == 0 => {
                    marks += 1;
                    if marks <= MARKS_PER_CHARACTER {
                        out.push(c);
                    }
                }
                c => {
                    wide += columns(c);
                    if wide > MAX_GRAPHEME_WIDTH {
                        out.push(DOTTED_CIRCLE);
                        wide = columns(DOTTED_CIRCLE) + columns(c);
                    }
                    out.push(c);
                }
            }
        }
        normalise_width(&mut out, start);
    }
    Cow::Owned(out)
}

/// Width of a single character; terminals add these up.
fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Reduces the text from `start` to its first visible character if its width as a cluster differs from the sum of its
/// characters. Terminals disagree on such ligatures.
fn normalise_width(text: &mut String, start: usize) {
    let shown = &text[start..];
    if UnicodeWidthStr::width(shown) != shown.chars().map(columns).sum::<usize>() {
        let first = shown.chars().find(|c| columns(*c) > 0);
        text.truncate(start);
        text.extend(first);
    }
}

/// C1 and bidirectional controls, invisible and line-breaking characters, tags, and noncharacters.
const fn is_dangerous(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{ffa0}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Joiners and variation selectors. They are common and invisible, but terminals disagree on the width of the result.
const fn changes_width(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Skin tone modifiers; older terminals draw them as a separate emoji.
const fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// Returns the width of `text` in terminal columns.
#[must_use]
pub fn width(text: &str) -> usize {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return text.len();
    }
    // Per grapheme, as it is drawn: some letters join when measured as a word.
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// Truncates `text` to `columns`, with an ellipsis at the end.
#[must_use]
pub fn cut_end(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let w = width(grapheme);
        if used + w > columns - 1 {
            break;
        }
        used += w;
        out.push_str(grapheme);
    }
    out.push('…');
    Cow::Owned(out)
}

/// Truncates `text` to `columns`, with an ellipsis in the middle. Suits generated names, which differ at the end.
#[must_use]
pub fn cut_middle(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    if columns < 3 {
        return cut_end(text, columns);
    }
    let graphemes: Vec<&str> = text.graphemes(true).collect();
    let (front_room, back_room) = ((columns - 1).div_ceil(2), (columns - 1) / 2);
    let take = |items: &mut dyn Iterator<Item = &&str>, room: usize| {
        let mut used = 0;
        let mut count = 0;
        for item in items {
            used += width(item);
            if used > room {
                break;
            }
            count += 1;
        }
        count
    };
    let front = take(&mut graphemes.iter(), front_room);
    let back = take(&mut graphemes[front..].iter().rev(), back_room);
    Cow::Owned(format!(
        "{}…{}",
        graphemes[..front].concat(),
        graphemes[graphemes.len() - back..].concat()
    ))
}

/// Formats a duration in its largest unit: `41s 12m 3h 2d`.
#[must_use]
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=59 => format!("{s}s"),
        s @ 60..=3_599 => format!("{}m", s / 60),
        s @ 3_600..=86_399 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// Formats a duration in its two largest units: `4s 2m41s 1h03m`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=59 => format!("{s}s"),
        s @ 60..=3_599 => format!("{}m{:02}s", s / 60, s % 60),
        s => format!("{}h{:02}m", s / 3_600, s % 3_600 / 60),
    }
}

/// Formats a count with its noun: `1 commit`, `3 commits`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// Formats a size in the largest binary unit that keeps at least two digits: `812 B`, `116 KiB`, `9999 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..0x2800 => (0, "B"),
        0x2800..0xa0_0000 => (10, "KiB"),
        0xa0_0000..0x2_8000_0000 => (20, "MiB"),
        _ => (30, "GiB"),
    };
    format!("{} {unit}", bytes >> shift)
}

/// Formats an amount in millionths of a US dollar: `$0.42`.
#[must_use]
pub fn usd(micro_usd: i64) -> String {
    format!("${:.2}", micro_usd as f64 / 1e6)
}

/// Formats the budget of a run, an amount in US dollars as it was entered: `$2.5`, `no limit`.
#[must_use]
pub fn budget(usd: Option<&str>) -> String {
    usd.map_or_else(|| "no limit".to_owned(), |usd| format!("${usd}"))
}

/// Formats a number in at most four characters or so: `950`, `41k`, `1.2M`.
#[must_use]
pub fn compact(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sanitize_makes_control_characters_visible() {
        for (text, shown) in [
            ("plain", "plain"),
            ("\u{1b}]52;c;AAAA\u{7}", "␛]52;c;AAAA␇"),
            ("a\u{9b}31mb", "a\u{fffd}31mb"),
            ("abc\u{202e}fed", "abc\u{fffd}fed"),
            ("one\r\ntwo\nthree", "one⏎two⏎three"),
            ("tab\there", "tab    here"),
            ("日本 é", "日本 é"),
            ("👩\u{200d}💻 ❤\u{fe0f} 👍🏽", "👩💻 ❤ 👍"),
            ("a\u{3164}b\u{e0041}", "a\u{fffd}b\u{fffd}"),
            ("\u{301}\u{302}a\u{301}", "\u{25cc}\u{301}\u{302}a\u{301}"),
            ("\u{1b}\u{301}", "␛\u{25cc}\u{301}"),
        ] {
            assert_eq!(sanitize(text), shown);
        }
        assert!(width(&sanitize(&format!("e{}", "\u{301}".repeat(500)))) <= 1);
    }

    #[test]
    fn sanitize_splits_wide_clusters_without_loss() {
        for letter in ["\u{cf3}", "\u{1100}"] {
            let flood = letter.repeat(500);
            let shown = sanitize(&flood);
            assert!(
                shown
                    .graphemes(true)
                    .all(|cell| width(cell) <= MAX_GRAPHEME_WIDTH)
            );
            assert_eq!(shown.replace(DOTTED_CIRCLE, ""), flood);
        }
        for word in ["क्ष्म्य", "각", "ந்த்ரா"] {
            assert_eq!(sanitize(word), word);
        }
    }

    #[test]
    fn formats_sizes_with_two_digits() {
        for (amount, expected) in [
            (0, "0 B"),
            (10_239, "10239 B"),
            (10_240, "10 KiB"),
            (118_784, "116 KiB"),
            (5 << 20, "5120 KiB"),
            (50 << 20, "50 MiB"),
            (9 << 30, "9216 MiB"),
            (10 << 30, "10 GiB"),
        ] {
            assert_eq!(bytes(amount), expected);
        }
    }

    #[test]
    fn formats_money_and_numbers() {
        for (micro, expected) in [
            (0, "$0.00"),
            (4_000, "$0.00"),
            (420_000, "$0.42"),
            (1_995_000_000, "$1995.00"),
        ] {
            assert_eq!(usd(micro), expected);
        }
        for (n, expected) in [
            (-3, "-3"),
            (950, "950"),
            (1_000, "1k"),
            (41_999, "41k"),
            (999_999, "999k"),
            (1_240_000, "1.2M"),
        ] {
            assert_eq!(compact(n), expected);
        }
        assert_eq!(budget(Some("2.5")), "$2.5");
        assert_eq!(budget(None), "no limit");
        assert_eq!(
            [0, 1, 2].map(|n| count(n, "commit")),
            ["0 commits", "1 commit", "2 commits"]
        );
    }

    #[test]
    fn cuts_in_the_middle() {
        for (text, columns, cut) in [
            ("docs-checkout-7f3a", 18, "docs-checkout-7f3a"),
            ("docs-checkout-7f3a", 11, "docs-…-7f3a"),
            ("abc", 2, "a…"),
        ] {
            assert_eq!(cut_middle(text, columns), cut);
        }
    }

    #[test]
    fn formats_durations() {
        let ages = [-5, 41, 59, 60, 3_599, 3_600, 86_399, 86_400].map(age);
        assert_eq!(ages, ["0s", "41s", "59s", "1m", "59m", "1h", "23h", "1d"]);
        assert_eq!([4, 161, 3_780].map(duration), ["4s", "2m41s", "1h03m"]);
    }

    proptest! {
        #[test]
        fn sanitize_never_emits_control_characters(text in any::<String>()) {
            let shown = sanitize(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_dangerous(c)));
            prop_assert_eq!(width(&shown), shown.chars().map(columns).sum::<usize>());
            prop_assert!(shown.graphemes(true).all(|cell| width(cell) <= MAX_GRAPHEME_WIDTH));
        }

        #[test]
        fn cut_text_fits(text in any::<String>(), columns in 0usize..40) {
            let text = sanitize(&text);
            prop_assert!(width(&cut_end(&text, columns)) <= columns);
            prop_assert!(width(&cut_middle(&text, columns)) <= columns);
        }
    }
}
