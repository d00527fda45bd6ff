//! Formats log lines: the agent's JSON as text, other lines unchanged, each with its source in the gutter.

use std::borrow::Cow;

use super::source::{NOTICE_TAG, source_scope};
use crate::{
    detail_io::LineSource,
    theme::Scope,
    widgets::text_view::{Line, LineFormatter, Piece, Row, ansi, looks_like_error},
};
use flightdeck_core::{
    text,
    transcript::{LineKind, readable},
};

/// Formatter of the lines of a log.
#[derive(Debug, Default)]
pub(super) struct LogFormatter {
    raw: bool,
    /// Labels of the sources, padded to `width` and followed by a space.
    labels: Vec<(String, Scope)>,
    width: usize,
}

impl LogFormatter {
    pub(super) fn new(raw: bool, sources: &[LineSource]) -> Self {
        let labels: Vec<String> = sources.iter().map(LineSource::label).collect();
        let width = labels
            .iter()
            .map(|label| text::width(label))
            .max()
            .unwrap_or(0);
        let labels = labels.into_iter().enumerate().map(|(index, label)| {
            let blanks = " ".repeat(width + 1 - text::width(&label));
            (format!("{label}{blanks}"), source_scope(sources, index))
        });
        Self {
            raw,
            labels: labels.collect(),
            width,
        }
    }

    /// Whether the line is agent JSON to be formatted.
    fn is_agent_json(&self, line: &Line<'_>) -> bool {
        !self.raw && line.text.starts_with('{')
    }
}

impl LineFormatter for LogFormatter {
    fn rows<'a>(&self, line: &Line<'a>, _width: usize) -> Vec<Row<'a>> {
        if line.tag == NOTICE_TAG {
            return vec![
                Row::of(vec![
                    ("· ".into(), Scope::Faint),
                    (line.text.into(), Scope::LogNotice),
                ])
                .hanging(2),
            ];
        }
        if !self.is_agent_json(line) {
            let scope = if !self.raw && looks_like_error(line.text) {
                Scope::LogError
            } else {
                Scope::Log
            };
            return vec![Row::of(ansi(line.text, scope))];
        }
        let rows = readable(line.text).into_iter().map(|part| {
            let mark = part.kind.mark();
            let mut pieces: Vec<Piece<'a>> = vec![(mark.into(), scope_of(part.kind, true))];
            if part.kind == LineKind::Tool {
                let (name, what) = part
                    .text
                    .split_at(part.text.find(' ').unwrap_or(part.text.len()));
                pieces.push((name.to_owned().into(), Scope::AgentTool));
                pieces.push((what.to_owned().into(), Scope::Log));
            } else {
                pieces.push((part.text.into(), scope_of(part.kind, false)));
            }
            Row::of(pieces).hanging(text::width(mark))
        });
        rows.collect()
    }

    fn is_verbatim(&self, lines: &str) -> bool {
        self.raw || !lines.starts_with('{') && !lines.contains("\n{")
    }

    fn search_text<'a>(&self, line: &Line<'a>) -> Option<Cow<'a, str>> {
        if !self.is_agent_json(line) {
            return Some(Cow::Borrowed(line.text));
        }
        let texts: Vec<String> = readable(line.text)
            .into_iter()
            .map(|part| part.text)
            .collect();
        (!texts.is_empty()).then(|| Cow::Owned(texts.join("\n")))
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
            return looks_like_error(line.text);
        }
        // Parsing every line is expensive; failed results contain one of these.
        let suspicious = line.text.contains("\"is_error\":true")
            || line.text.contains("\"is_error\": true")
            || line.text.contains("rror_");
        suspicious
            && readable(line.text)
                .iter()
                .any(|part| matches!(part.kind, LineKind::ToolError | LineKind::Failure))
    }

    fn search_cost(&self) -> usize {
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
