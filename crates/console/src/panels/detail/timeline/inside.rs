//! What lies inside a step, as rows of the screen: texts as the documents they are, edits as differences, answers as they
//! came.

use crate::{
    theme::Scope,
    widgets::{
        diff::{self, Diff},
        markdown::{self, Markdown},
        text_view::{
            Lens, Line, Row,
            lay::{Frame, Spans, lay},
        },
    },
};
use flightdeck_core::transcript::{Step, StepKind, ToolCall};

/// Rows of an agent's words that are shown before they are opened.
const WORDS: usize = 6;
/// Rows of why a call failed that are shown before it is opened: the first may be no more than an exit code.
const WHY: usize = 2;
/// Most lines of one text, one difference or one answer that are shown.
const MOST: usize = 400;

/// The rows of one step.
#[derive(Clone, Debug, Default)]
pub(super) struct Inside {
    rows: Vec<Spans>,
    /// The first row stands on the step's own line.
    own: bool,
    /// Rows that are shown while the step is folded.
    folded: usize,
}

impl Inside {
    /// Lays a step out in `width` columns. `delegated`: the steps of its sub-agent stand below it.
    pub(super) fn of(step: &Step, delegated: bool, width: usize) -> Self {
        let mut page = Page {
            rows: Vec::new(),
            width: width.max(8),
        };
        let folded = match &step.what {
            StepKind::Text { text } => {
                page.document(text);
                WORDS
            }
            StepKind::Thinking { text } | StepKind::Prompt { text } => {
                let scope = match step.what {
                    StepKind::Thinking { .. } => Scope::AgentThinking,
                    _ => Scope::Muted,
                };
                page.plain(text.trim(), scope);
                1
            }
            StepKind::Output { lines } => {
                for line in lines {
                    page.row(&Row::new(line.as_str(), Scope::Log));
                }
                1
            }
            StepKind::Notice { text } => {
                page.plain(text, Scope::Muted);
                page.rows.len()
            }
            StepKind::Trouble { text, details } => {
                page.plain(text, Scope::Warn);
                let told = page.rows.len();
                page.plain(details, Scope::Muted);
                told
            }
            StepKind::Call(call) => {
                page.call(call, delegated);
                return Self {
                    rows: page.rows,
                    own: false,
                    folded: if call.failed() { WHY } else { 0 },
                };
            }
            StepKind::End(outcome) => {
                let words = outcome.text.as_deref().unwrap_or_default();
                if outcome.failed() {
                    page.plain(words, Scope::AgentError);
                } else {
                    page.document(words);
                }
                return Self {
                    rows: page.rows,
                    ..Self::default()
                };
            }
            StepKind::Raw { line, .. } => {
                page.plain(line, Scope::Faint);
                return Self {
                    rows: page.rows,
                    ..Self::default()
                };
            }
            StepKind::Session { .. } => return Self::default(),
        };
        Self {
            rows: page.rows,
            own: true,
            folded,
        }
    }

    /// Rows below the step's own line.
    pub(super) fn shown(&self, open: bool) -> usize {
        (self.rows.len() - self.hidden(open)).saturating_sub(usize::from(self.own))
    }

    /// Rows that are not shown.
    pub(super) fn hidden(&self, open: bool) -> usize {
        if open {
            0
        } else {
            self.rows.len().saturating_sub(self.folded)
        }
    }

    /// Whether there is more than is shown while it is folded.
    pub(super) const fn folds(&self) -> bool {
        self.rows.len() > self.folded
    }

    /// Row 0 is the one on the step's own line.
    pub(super) fn row(&self, row: usize) -> Option<&Spans> {
        let before = usize::from(!self.own);
        self.rows.get(row.checked_sub(before)?)
    }
}

/// Whether opening a call would show anything.
pub(super) fn has_inside(call: &ToolCall) -> bool {
    let answered = call
        .answer
        .as_ref()
        .is_some_and(|answer| answer.patch.is_some() || !answer.text.trim().is_empty());
    answered || call.denied.is_some() || !call.edits().is_empty() || !call.tool.details.is_empty()
}

/// Rows being laid out.
struct Page {
    rows: Vec<Spans>,
    width: usize,
}

impl Page {
    fn row(&mut self, row: &Row<'_>) {
        let frame = Frame {
            width: self.width,
            wrap: true,
            left: 0,
            mark: None,
        };
        self.rows.extend(lay(row, frame));
    }

    fn plain(&mut self, text: &str, scope: Scope) {
        let mut lines = text.lines();
        for line in lines.by_ref().take(MOST) {
            self.row(&Row::new(line, scope));
        }
        self.rest(lines.count());
    }

    /// Says how much is not shown.
    fn rest(&mut self, lines: usize) {
        if lines > 0 {
            let words = format!(
                "… {} more; the log has them",
                flightdeck_core::text::count(lines, "line")
            );
            self.row(&Row::new(words, Scope::Faint));
        }
    }

    fn through(&mut self, lens: &dyn Lens, lines: &[(String, u16)]) {
        for (text, tag) in lines.iter().take(MOST) {
            let line = Line {
                id: 0,
                text,
                at: None,
                tag: *tag,
            };
            for row in lens.rows(&line, self.width) {
                self.row(&row);
            }
        }
        self.rest(lines.len().saturating_sub(MOST));
    }

    fn document(&mut self, text: &str) {
        self.through(&Markdown, &markdown::lines(text));
    }

    /// What a call was given and did. Of a call that failed, why stands first: it is what is seen while it is folded.
    fn call(&mut self, call: &ToolCall, delegated: bool) {
        let answer = call.answer.as_ref();
        if let Some(why) = &call.denied {
            self.plain(&format!("refused: {}", why.trim()), Scope::AgentError);
        } else if let Some(answer) = answer.filter(|answer| answer.is_error) {
            self.plain(answer.text.trim(), Scope::AgentError);
        }
        // Of a sub-agent the first of its own steps says what it was told.
        if !delegated {
            self.plain(&call.tool.details, Scope::Text);
        }
        let edited = self.rows.len();
        if let Some(patch) = answer.and_then(|answer| answer.patch.as_ref()) {
            self.through(&Diff, &diff::lines(patch));
        } else {
            for edit in call.edits() {
                self.through(&Diff, &diff::lines(&diff::unified(&edit.old, &edit.new)));
            }
        }
        let told = edited < self.rows.len() || call.failed();
        if let Some(answer) = answer.filter(|_| !told) {
            if call.tool.starts_sub_agent() {
                self.document(&answer.text);
            } else {
                self.plain(answer.text.trim_end(), Scope::AgentResult);
            }
        }
    }
}
