//! The body of a step as screen rows: texts as Markdown, edits as diffs, results unchanged.

use crate::{
    theme::Scope,
    widgets::{
        diff::{self, Diff},
        markdown::{self, Markdown},
        text_view::{
            Line, LineFormatter, Row,
            line_layout::{LayoutOptions, Spans, layout_row},
        },
    },
};
use flightdeck_core::transcript::{Step, StepKind, ToolCall};

/// Rows of a text shown while folded.
const WORDS: usize = 6;
/// Rows of an error shown while folded. The first is often only an exit code.
const ERROR: usize = 2;
/// Maximum lines of a text, a diff or a result.
const MAX_LINES: usize = 400;

/// The body of a step.
#[derive(Clone, Debug, Default)]
pub(super) struct StepBody {
    rows: Vec<Spans>,
    /// The first row is drawn on the headline.
    on_headline: bool,
    /// Rows shown while folded.
    folded: usize,
}

impl StepBody {
    /// Lays out a step in `width` columns. `delegated` if the steps of a sub-agent are shown below it.
    pub(super) fn of(step: &Step, delegated: bool, width: usize) -> Self {
        let mut builder = BodyBuilder {
            rows: Vec::new(),
            width: width.max(8),
        };
        let folded = match &step.what {
            StepKind::Text { text } => {
                builder.document(text);
                WORDS
            }
            StepKind::Thinking { text } | StepKind::Prompt { text } => {
                let scope = match step.what {
                    StepKind::Thinking { .. } => Scope::AgentThinking,
                    _ => Scope::Muted,
                };
                builder.plain(text.trim(), scope);
                1
            }
            StepKind::Output { lines } => {
                for line in lines {
                    builder.row(&Row::new(line.as_str(), Scope::Log));
                }
                1
            }
            StepKind::Notice { text } => {
                builder.plain(text, Scope::Muted);
                builder.rows.len()
            }
            StepKind::Trouble { text, details } => {
                builder.plain(text, Scope::Warn);
                let folded = builder.rows.len();
                builder.plain(details, Scope::Muted);
                folded
            }
            StepKind::Call(call) => {
                builder.call(call, delegated);
                return Self {
                    rows: builder.rows,
                    on_headline: false,
                    folded: if call.failed() { ERROR } else { 0 },
                };
            }
            StepKind::End(outcome) => {
                let words = outcome.text.as_deref().unwrap_or_default();
                if outcome.failed() {
                    builder.plain(words, Scope::AgentError);
                } else {
                    builder.document(words);
                }
                return Self {
                    rows: builder.rows,
                    ..Self::default()
                };
            }
            StepKind::Raw { line, .. } => {
                builder.plain(line, Scope::Faint);
                return Self {
                    rows: builder.rows,
                    ..Self::default()
                };
            }
            StepKind::Session { .. } => return Self::default(),
        };
        Self {
            rows: builder.rows,
            on_headline: true,
            folded,
        }
    }

    /// Returns the number of rows shown below the headline.
    pub(super) fn shown(&self, open: bool) -> usize {
        (self.rows.len() - self.hidden(open)).saturating_sub(usize::from(self.on_headline))
    }

    /// Returns the number of hidden rows.
    pub(super) fn hidden(&self, open: bool) -> usize {
        if open {
            0
        } else {
            self.rows.len().saturating_sub(self.folded)
        }
    }

    /// Whether folding hides rows.
    pub(super) const fn folds(&self) -> bool {
        self.rows.len() > self.folded
    }

    /// Returns a row; row 0 is on the headline.
    pub(super) fn row(&self, row: usize) -> Option<&Spans> {
        let offset = usize::from(!self.on_headline);
        self.rows.get(row.checked_sub(offset)?)
    }
}

/// Whether a call has a body.
pub(super) fn has_body(call: &ToolCall) -> bool {
    let answered = call
        .answer
        .as_ref()
        .is_some_and(|answer| answer.patch.is_some() || !answer.text.trim().is_empty());
    answered || call.denied.is_some() || !call.edits().is_empty() || !call.tool.details.is_empty()
}

/// Lays out rows.
struct BodyBuilder {
    rows: Vec<Spans>,
    width: usize,
}

impl BodyBuilder {
    fn row(&mut self, row: &Row<'_>) {
        let options = LayoutOptions {
            width: self.width,
            wrap: true,
            left: 0,
            mark: None,
        };
        self.rows.extend(layout_row(row, options));
    }

    fn plain(&mut self, text: &str, scope: Scope) {
        let mut lines = text.lines();
        for line in lines.by_ref().take(MAX_LINES) {
            self.row(&Row::new(line, scope));
        }
        self.omitted(lines.count());
    }

    /// Appends the number of omitted lines.
    fn omitted(&mut self, lines: usize) {
        if lines > 0 {
            let words = format!(
                "… {} more (see log)",
                flightdeck_core::text::count(lines, "line")
            );
            self.row(&Row::new(words, Scope::Faint));
        }
    }

    fn formatted(&mut self, formatter: &dyn LineFormatter, lines: &[(String, u16)]) {
        for (text, tag) in lines.iter().take(MAX_LINES) {
            let line = Line {
                id: 0,
                text,
                at: None,
                tag: *tag,
            };
            for row in formatter.rows(&line, self.width) {
                self.row(&row);
            }
        }
        self.omitted(lines.len().saturating_sub(MAX_LINES));
    }

    fn document(&mut self, text: &str) {
        self.formatted(&Markdown, &markdown::lines(text));
    }

    /// Appends the input and the result of a call. An error comes first, because it shows while folded.
    fn call(&mut self, call: &ToolCall, delegated: bool) {
        let answer = call.answer.as_ref();
        if let Some(why) = &call.denied {
            self.plain(&format!("denied: {}", why.trim()), Scope::AgentError);
        } else if let Some(answer) = answer.filter(|answer| answer.is_error) {
            self.plain(answer.text.trim(), Scope::AgentError);
        }
        // The first step of a sub-agent shows its prompt.
        if !delegated {
            self.plain(&call.tool.details, Scope::Text);
        }
        let before = self.rows.len();
        if let Some(patch) = answer.and_then(|answer| answer.patch.as_ref()) {
            self.formatted(&Diff, &diff::lines(patch));
        } else {
            for edit in call.edits() {
                self.formatted(&Diff, &diff::lines(&diff::unified(&edit.old, &edit.new)));
            }
        }
        // A diff replaces the result; an error is already shown.
        let done = before < self.rows.len() || call.failed();
        if let Some(answer) = answer.filter(|_| !done) {
            if call.tool.starts_sub_agent() {
                self.document(&answer.text);
            } else {
                self.plain(answer.text.trim_end(), Scope::AgentResult);
            }
        }
    }
}
