//! State of a tab that shows one text. The text is rebuilt on every change, and put into the view only if it differs,
//! so that the scroll position stays.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use crate::{
    command::Command,
    widgets::{
        diff::Diff,
        markdown::{Markdown, tag},
        syntax::Syntax,
        text_view::{LineFormatter, TextView},
    },
};

/// Lines with their tags, as the `lines` functions of the widgets return them.
pub(super) type TaggedLines = Vec<(String, u16)>;

/// How a page formats its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PageFormat {
    Document,
    Diff,
    Source(Syntax),
}

impl PageFormat {
    fn formatter(self) -> Arc<dyn LineFormatter> {
        match self {
            Self::Document => Arc::new(Markdown),
            Self::Diff => Arc::new(Diff),
            Self::Source(syntax) => Arc::new(syntax),
        }
    }

    const fn wraps(self) -> bool {
        matches!(self, Self::Document | Self::Source(Syntax::Markdown))
    }
}

/// Content of a page.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum PageContent {
    Text(PageFormat, TaggedLines),
    /// An empty state: a sentence, and commands with their labels.
    Empty(String, Vec<(Command, &'static str)>),
}

impl PageContent {
    /// Returns an empty state without commands.
    pub(super) fn sentence(words: impl Into<String>) -> Self {
        Self::Empty(words.into(), Vec::new())
    }
}

/// State of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub view: TextView,
    /// The empty state that is shown instead of the text.
    pub empty: Option<(String, Vec<(Command, &'static str)>)>,
    /// Hash of the content, to detect changes.
    hash: u64,
    format: Option<PageFormat>,
}

impl Page {
    /// Shows `content` and keeps the scroll position.
    pub(super) fn show(&mut self, content: PageContent) {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let hash = hasher.finish();
        if std::mem::replace(&mut self.hash, hash) == hash {
            return;
        }
        match content {
            PageContent::Empty(sentence, keys) => self.empty = Some((sentence, keys)),
            PageContent::Text(format, lines) => {
                self.empty = None;
                if self.format.replace(format) != Some(format) {
                    self.view.set_formatter(format.formatter());
                    self.view.set_wrap(format.wraps());
                }
                self.view.replace(lines);
            }
        }
    }

    /// Clears the page for another text.
    pub(super) fn reset(&mut self) {
        let (width, height) = self.view.size();
        *self = Self::default();
        self.view.resize(width, height);
    }
}

/// Appends a line with a label and a value.
pub(super) fn field(lines: &mut TaggedLines, label: &str, value: &str) {
    let value = value.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    lines.push((format!("{label}\t{value}"), tag::FIELD));
}

/// Appends a heading, after a blank line unless it is the first line.
pub(super) fn heading(lines: &mut TaggedLines, words: &str) {
    if !lines.is_empty() {
        lines.push(blank());
    }
    lines.push((words.to_owned(), tag::HEADING + 2));
}

/// Returns a blank line.
pub(super) fn blank() -> (String, u16) {
    (String::new(), tag::PARAGRAPH)
}
