//! Unified diffs: creating, parsing and highlighting.

use std::borrow::Cow;

use super::text_view::{Line, LineFormatter, Row};
use crate::theme::Scope;
use flightdeck_core::text;

/// Tags of the lines of a diff.
mod tag {
    pub(super) const CONTEXT: u16 = 0;
    pub(super) const ADDED: u16 = 1;
    pub(super) const REMOVED: u16 = 2;
    pub(super) const HUNK: u16 = 3;
    pub(super) const FILE: u16 = 4;
    pub(super) const HEADER: u16 = 5;
}

/// Maximum bytes of each text that are compared.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Returns the unified diff from `old` to `new`; empty if they are equal.
#[must_use]
pub(crate) fn unified(old: &str, new: &str) -> String {
    fn cut(text: &str) -> &[u8] {
        &text.as_bytes()[..text.len().min(MAX_BYTES)]
    }
    if old == new {
        return String::new();
    }
    let patch = git2::Patch::from_buffers(cut(old), None, cut(new), None, None);
    let buffer = patch.and_then(|mut patch| patch.to_buf());
    let text = buffer.map(|buffer| String::from_utf8_lossy(&buffer).into_owned());
    let text = text.unwrap_or_default();
    // Skip the header: there are no files.
    text.find("@@ ")
        .map_or_else(String::new, |at| text[at..].to_owned())
}

/// Returns the lines of a unified diff with their tags, for the formatter [`Diff`].
#[must_use]
pub(crate) fn lines(diff: &str) -> Vec<(String, u16)> {
    // Remaining old and new lines of the hunk. Within a hunk, `---` is not a header.
    let (mut old, mut new) = (0usize, 0usize);
    let mut out = Vec::new();
    for line in diff.lines() {
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
            // Redundant with the file name.
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

/// A parsed diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParsedDiff {
    /// Lines with their tags, see [`lines`].
    pub lines: Vec<(String, u16)>,
    pub files: usize,
    /// Lines.
    pub added: usize,
    pub removed: usize,
}

impl ParsedDiff {
    /// Parses a unified diff.
    #[must_use]
    pub(crate) fn parse(diff: &str) -> Self {
        let lines = lines(diff);
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

/// Returns the numbers of old and new lines of a hunk header: 4 and 6 for `@@ -1,4 +1,6 @@`.
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

/// Returns the file name of a `diff --git a/x b/x` line.
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

/// Formats the lines of [`lines`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Diff;

impl LineFormatter for Diff {
    fn rows<'a>(&self, line: &Line<'a>, width: usize) -> Vec<Row<'a>> {
        let scope = match line.tag {
            tag::ADDED => Scope::DiffAdded,
            tag::REMOVED => Scope::DiffRemoved,
            tag::HUNK => Scope::DiffHunk,
            tag::FILE => {
                let name = text::cut_middle(line.text, width.saturating_sub(4)).into_owned();
                let rule = "─".repeat(width.saturating_sub(text::width(&name) + 4));
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
    fn creates_and_parses_a_diff() {
        let text = unified("a\nb\n-- c\nd\n", "a\nB\nd\n");
        let read: Vec<_> = lines(&text)
            .into_iter()
            .map(|(line, tag)| (tag, line))
            .collect();
        let has = |tag: u16, line: &str| read.contains(&(tag, line.to_owned()));
        assert!(
            has(tag::REMOVED, "--- c"),
            "a removed line is not a header: {read:?}"
        );
        assert!(has(tag::ADDED, "+B") && has(tag::CONTEXT, " a"), "{read:?}");
        assert_eq!(read[0].0, tag::HUNK);
        assert_eq!(unified("same", "same"), "");
    }

    #[test]
    fn parses_a_diff_of_several_files() {
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
    fn shows_malformed_diffs() {
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
