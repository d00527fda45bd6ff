//! Differences between texts: made, read and coloured.

use std::borrow::Cow;

use super::text_view::{Line, LineFormatter, Row};
use crate::theme::Scope;

/// Tags of the lines of a difference.
mod tag {
    pub const CONTEXT: u16 = 0;
    pub const ADDED: u16 = 1;
    pub const REMOVED: u16 = 2;
    pub const HUNK: u16 = 3;
    pub const FILE: u16 = 4;
    pub const HEADER: u16 = 5;
}

/// Bytes of each text that are compared; more than a person reads.
const COMPARED: usize = 4 * 1024 * 1024;

/// The unified difference from `old` to `new`; empty when they are the same.
#[must_use]
pub fn unified(old: &str, new: &str) -> String {
    fn cut(text: &str) -> &[u8] {
        &text.as_bytes()[..text.len().min(COMPARED)]
    }
    if old == new {
        return String::new();
    }
    let patch = git2::Patch::from_buffers(cut(old), None, cut(new), None, None);
    let buffer = patch.and_then(|mut patch| patch.to_buf());
    let text = buffer.map(|buffer| String::from_utf8_lossy(&buffer).into_owned());
    let text = text.unwrap_or_default();
    // The header names files; there are none here.
    text.find("@@ ")
        .map_or_else(String::new, |at| text[at..].to_owned())
}

/// The lines of a unified difference with what each is, for a view with the formatter [`Diff`].
#[must_use]
pub fn lines(text: &str) -> Vec<(String, u16)> {
    // Lines left of the hunk, old and new: within a hunk a line that begins with `---` is text like any other.
    let (mut old, mut new) = (0usize, 0usize);
    let mut out = Vec::new();
    for line in text.lines() {
        let tag = if old + new > 0 && !line.starts_with("@@") {
            match line.bytes().next() {
                Some(b'+') => {
                    new = new.saturating_sub(1);
                    tag::ADDED
                }
                Some(b'-') => {
                    old = old.saturating_sub(1);
                    tag::REMOVED
                }
                Some(b'\\') => tag::HEADER,
                _ => {
                    (old, new) = (old.saturating_sub(1), new.saturating_sub(1));
                    tag::CONTEXT
                }
            }
        } else if let Some(counts) = hunk(line) {
            (old, new) = counts;
            tag::HUNK
        } else if line.starts_with("diff --git ") {
            tag::FILE
        } else {
            tag::HEADER
        };
        match tag {
            tag::FILE => {
                if !out.is_empty() {
                    out.push((String::new(), tag::CONTEXT));
                }
                out.push((file_name(line).into_owned(), tag::FILE));
            }
            // What the line above said already.
            tag::HEADER
                if ["index ", "--- ", "+++ "]
                    .iter()
                    .any(|start| line.starts_with(start)) => {}
            tag::HEADER if line.starts_with("new file mode ") => {
                out.push(("new file".into(), tag));
            }
            tag::HEADER if line.starts_with("deleted file mode ") => {
                out.push(("deleted".into(), tag));
            }
            tag => out.push((line.to_owned(), tag)),
        }
    }
    out
}

/// A difference, taken apart once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedDiff {
    /// As [`lines`] gives them.
    pub lines: Vec<(String, u16)>,
    pub files: usize,
    /// Lines.
    pub added: usize,
    pub removed: usize,
}

impl ParsedDiff {
    /// Reads a unified difference.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = lines(text);
        let count = |wanted: u16| lines.iter().filter(|(_, tag)| *tag == wanted).count();
        let (files, added, removed) = (count(tag::FILE), count(tag::ADDED), count(tag::REMOVED));
        Self {
            lines,
            files,
            added,
            removed,
        }
    }
}

/// Lines of both sides that follow `@@ -1,4 +1,6 @@`.
fn hunk(line: &str) -> Option<(usize, usize)> {
    let mut words = line.strip_prefix("@@ -")?.split(' ');
    let count = |word: &str| {
        word.split_once(',')
            .map_or(Some(1), |(_, count)| count.parse().ok())
    };
    let old = count(words.next()?)?;
    let new = count(words.next()?.strip_prefix('+')?)?;
    Some((old, new))
}

/// `diff --git a/x b/x` names the file twice; once is enough.
fn file_name(line: &str) -> Cow<'_, str> {
    let both = line.strip_prefix("diff --git ").unwrap_or(line);
    let half = both.len() / 2;
    match (both.get(..half), both.get(half + 1..)) {
        (Some(a), Some(b))
            if a.strip_prefix("a/")
                .is_some_and(|a| Some(a) == b.strip_prefix("b/")) =>
        {
            Cow::Borrowed(&a[2..])
        }
        _ => Cow::Borrowed(both),
    }
}

/// Reads the lines of [`lines`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Diff;

impl LineFormatter for Diff {
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>> {
        let scope = match line.tag {
            tag::ADDED => Scope::DiffAdded,
            tag::REMOVED => Scope::DiffRemoved,
            tag::HUNK => Scope::DiffHunk,
            tag::FILE => {
                let name = flightdeck_core::text::cut_middle(line.text, width.saturating_sub(4))
                    .into_owned();
                let rule =
                    "─".repeat(width.saturating_sub(flightdeck_core::text::width(&name) + 4));
                return vec![Row::of(vec![
                    ("── ".into(), Scope::Faint),
                    (name.into(), Scope::DiffFile),
                    (format!(" {rule}").into(), Scope::Faint),
                ])];
            }
            tag::HEADER => Scope::Muted,
            _ => Scope::Diff,
        };
        vec![Row::new(line.text, scope).hanging(1)]
    }

    fn is_error(&self, _line: &Line<'_>) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_made_and_read_back() {
        let text = unified("a\nb\n-- c\nd\n", "a\nB\nd\n");
        let read: Vec<_> = lines(&text)
            .into_iter()
            .map(|(line, tag)| (tag, line))
            .collect();
        let said = |tag: u16, line: &str| read.contains(&(tag, line.to_owned()));
        assert!(
            said(tag::REMOVED, "--- c"),
            "a removed line is no header: {read:?}"
        );
        assert!(
            said(tag::ADDED, "+B") && said(tag::CONTEXT, " a"),
            "{read:?}"
        );
        assert_eq!(read[0].0, tag::HUNK);
        assert_eq!(unified("same", "same"), "");
    }

    #[test]
    fn a_branch_is_read_file_by_file() {
        let text = "diff --git a/docs/x.md b/docs/x.md\nnew file mode 100644\nindex 000..1\n--- /dev/null\n+++ b/docs/x.md\n@@ -0,0 +1,2 @@\n+one\n+two\ndiff --git a/y b/y\n@@ -1 +1 @@\n-o\n+n\n\\ No newline at end of file\n";
        let read = lines(text);
        let tags: Vec<u16> = read.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(read[0].0, "docs/x.md");
        assert_eq!(
            tags,
            [
                tag::FILE,
                tag::HEADER,
                tag::HUNK,
                tag::ADDED,
                tag::ADDED,
                tag::CONTEXT,
                tag::FILE,
                tag::HUNK,
                tag::REMOVED,
                tag::ADDED,
                tag::HEADER
            ]
        );
    }

    #[test]
    fn nonsense_is_shown_and_not_read_wrongly() {
        for text in [
            "",
            "@@ nonsense",
            "@@ -1,x +2 @@\n+a",
            "diff --git ä",
            "@@ -9999999999999999999999 +1 @@",
        ] {
            assert!(lines(text).len() <= 2, "{text}");
        }
    }
}
