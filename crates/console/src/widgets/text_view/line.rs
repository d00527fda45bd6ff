//! A line of a text view.

/// Number of a line, from the first that was ever added.
pub type LineId = u64;

/// A line as it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub id: LineId,
    pub text: &'a str,
    /// Microseconds since the Unix epoch.
    pub at: Option<i64>,
    /// Meaning depends on the owner: the source of a log line, the kind of a paragraph.
    pub tag: u16,
}
