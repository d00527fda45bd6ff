//! How a log's lines are read: an agent's JSON in words, everything else as it came, each with where it comes from.

use std::borrow::Cow;

use super::{REMARK, Source, scope_at};
use crate::{
    theme::Scope,
    widgets::text_view::{Lens, Line, Piece, Row, ansi, looks_like_an_error},
};
use flightdeck_core::transcript::{LineKind, readable};

/// How log lines are read.
#[derive(Debug, Default)]
pub(super) struct LogLens {
    raw: bool,
    /// What stands before the lines of each source, all of one width.
    labels: Vec<(String, Scope)>,
    width: usize,
}

impl LogLens {
    pub(super) fn new(raw: bool, sources: &[Source]) -> Self {
        let labels: Vec<String> = sources.iter().map(Source::label).collect();
        let width = labels
            .iter()
            .map(|label| flightdeck_core::text::width(label))
            .max()
            .unwrap_or(0);
        let labels = labels.into_iter().enumerate().map(|(index, label)| {
            let blanks = " ".repeat(width + 1 - flightdeck_core::text::width(&label));
            (format!("{label}{blanks}"), scope_at(sources, index))
        });
        Self {
            raw,
            labels: labels.collect(),
            width,
        }
    }

    /// Whether the line is one of the agent's JSON ones, to be told in words.
    fn told(&self, line: &Line<'_>) -> bool {
        !self.raw && line.text.starts_with('{')
    }
}

impl Lens for LogLens {
    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        if line.tag == REMARK {
            return vec![
                Row::of(vec![
                    ("· ".into(), Scope::Faint),
                    (line.text.into(), Scope::LogNotice),
                ])
                .hanging(2),
            ];
        }
        if !self.told(line) {
            let scope = if !self.raw && looks_like_an_error(line.text) {
                Scope::LogError
            } else {
                Scope::Log
            };
            return vec![Row::of(ansi(line.text, scope))];
        }
        let told = readable(line.text).into_iter().map(|said| {
            let mark = said.kind.mark();
            let mut pieces: Vec<Piece<'a>> = vec![(mark.into(), scope_of(said.kind, true))];
            if said.kind == LineKind::Tool {
                let (name, what) = said
                    .text
                    .split_at(said.text.find(' ').unwrap_or(said.text.len()));
                pieces.push((name.to_owned().into(), Scope::AgentTool));
                pieces.push((what.to_owned().into(), Scope::Log));
            } else {
                pieces.push((said.text.into(), scope_of(said.kind, false)));
            }
            Row::of(pieces).hanging(flightdeck_core::text::width(mark))
        });
        told.collect()
    }

    fn is_verbatim(&self, lines: &str) -> bool {
        self.raw || !lines.starts_with('{') && !lines.contains("\n{")
    }

    fn plain<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        if !self.told(line) {
            return Some(Cow::Borrowed(line.text));
        }
        let said: Vec<String> = readable(line.text)
            .into_iter()
            .map(|said| said.text)
            .collect();
        (!said.is_empty()).then(|| Cow::Owned(said.join("\n")))
    }

    fn gutter(&self, line: &Line<'_>) -> Option<Piece<'static>> {
        if self.width == 0 {
            return None;
        }
        let blank = || (" ".repeat(self.width + 1), Scope::Faint);
        let (label, scope) = self
            .labels
            .get(usize::from(line.tag))
            .cloned()
            .unwrap_or_else(blank);
        Some((label.into(), scope))
    }

    fn is_error(&self, line: &Line<'_>) -> bool {
        if !line.text.starts_with('{') {
            return looks_like_an_error(line.text);
        }
        // A line without these words is taken for harmless unread.
        let suspicious = line.text.contains("\"is_error\":true")
            || line.text.contains("\"is_error\": true")
            || line.text.contains("rror_");
        suspicious
            && readable(line.text)
                .iter()
                .any(|said| matches!(said.kind, LineKind::ToolError | LineKind::Failure))
    }

    fn weight(&self) -> usize {
        if self.raw { 1 } else { 6 }
    }
}

const fn scope_of(kind: LineKind, mark: bool) -> Scope {
    match kind {
        LineKind::Plain => Scope::Log,
        LineKind::Text => Scope::Agent,
        LineKind::Session | LineKind::Quiet | LineKind::Prompt => Scope::Muted,
        LineKind::Thinking => Scope::AgentThinking,
        LineKind::Tool => Scope::AgentTool,
        LineKind::ToolResult => Scope::AgentResult,
        LineKind::ToolError => Scope::AgentError,
        LineKind::Success if mark => Scope::Good,
        LineKind::Success => Scope::Strong,
        LineKind::Failure => Scope::Bad,
    }
}
