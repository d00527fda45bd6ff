//! Renders log lines as readable text. Colours are added by the console; raw lines stay unchanged.

use super::{Event, SessionOutcome, ToolUse, parse_line};
use crate::text::{self, sanitize};

/// Kind of a readable line, for colours and folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// Output of another program.
    Plain,
    /// Session start.
    Session,
    /// Text of the agent.
    Text,
    /// Thinking of the agent.
    Thinking,
    /// Tool call.
    Tool,
    /// Tool result.
    ToolResult,
    /// Failed tool call.
    ToolError,
    /// User message.
    Prompt,
    /// Successful end.
    Success,
    /// Failure or problem.
    Failure,
    /// Minor event.
    Quiet,
}

impl LineKind {
    /// Returns the prefix of the line, from the Unicode glyph set.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Plain | Self::Text => "",
            Self::Session => "● ",
            Self::Thinking | Self::Quiet => "· ",
            Self::Tool => "▸ ",
            Self::ToolResult => "  ",
            Self::ToolError => "  ✗ ",
            Self::Prompt => "› ",
            Self::Success => "✓ ",
            Self::Failure => "✗ ",
        }
    }
}

/// One readable line. `text` is sanitised and has no prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadableLine {
    pub kind: LineKind,
    pub text: String,
}

impl std::fmt::Display for ReadableLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.kind.mark(), self.text)
    }
}

/// Returns the readable lines of one raw line; empty for partial messages.
#[must_use]
pub fn readable(line: &str) -> Vec<ReadableLine> {
    let mut out = Vec::new();
    for entry in parse_line(line) {
        match entry.event {
            Event::Init { session, model, .. } => {
                let parts = [
                    Some("session".to_owned()),
                    session.map(|id| id.chars().take(8).collect()),
                    model.filter(|model| !model.is_empty()),
                ];
                let words: Vec<String> = parts.into_iter().flatten().collect();
                push(&mut out, LineKind::Session, &words.join("  "));
            }
            Event::Text(text) => push_lines(&mut out, LineKind::Text, &text),
            Event::Thinking(text) => push_lines(&mut out, LineKind::Thinking, &text),
            Event::Prompt(text) => push_lines(&mut out, LineKind::Prompt, &text),
            Event::ToolUse(tool) => push(&mut out, LineKind::Tool, &tool_line(&tool)),
            Event::ToolResult(result) if result.is_error => {
                push(&mut out, LineKind::ToolError, result.first_line.trim());
            }
            // A one-line result ("File created") adds nothing to the call.
            Event::ToolResult(result) if result.lines > 1 => {
                let lines = text::count(result.lines, "line");
                push(&mut out, LineKind::ToolResult, &lines);
            }
            Event::Result(outcome) => push_outcome(&mut out, &outcome),
            Event::RateLimit(limit) if limit.is_notable() => {
                push(&mut out, LineKind::Failure, &limit.message());
            }
            Event::Retry(retry) => push(&mut out, LineKind::Failure, &retry.message()),
            Event::ApiError { kind, text } => {
                push(&mut out, LineKind::Failure, &kind.replace('_', " "));
                push_lines(&mut out, LineKind::Failure, &text);
            }
            Event::Denied { tool, why, .. } => {
                let first = why.lines().next().unwrap_or_default();
                push(
                    &mut out,
                    LineKind::ToolError,
                    &format!("{tool} denied: {first}"),
                );
            }
            Event::Waiting(Some(what)) => {
                push(&mut out, LineKind::Failure, &format!("waiting for {what}"));
            }
            Event::Compacted { .. } => {
                push(&mut out, LineKind::Quiet, "context compacted");
            }
            Event::Notice { text, is_warning } => {
                let kind = if is_warning {
                    LineKind::Failure
                } else {
                    LineKind::Quiet
                };
                push_lines(&mut out, kind, &text);
            }
            Event::Other(kind) => push(&mut out, LineKind::Quiet, &kind),
            Event::Plain(text) => push(&mut out, LineKind::Plain, &text),
            Event::ToolResult(_)
            | Event::RateLimit(_)
            | Event::SubAgent(_)
            | Event::Waiting(None)
            | Event::Partial => {}
        }
    }
    out
}

fn push(out: &mut Vec<ReadableLine>, kind: LineKind, text: &str) {
    out.push(ReadableLine {
        kind,
        text: sanitize(text).into_owned(),
    });
}

fn push_lines(out: &mut Vec<ReadableLine>, kind: LineKind, text: &str) {
    for line in text.trim_matches('\n').lines() {
        push(out, kind, line);
    }
}

/// `Write  docs/task-2/task.md  +118`
fn tool_line(tool: &ToolUse) -> String {
    let added = tool.added.map(|added| format!("  +{added}"));
    let removed = tool.removed.filter(|removed| *removed > 0);
    let line = [
        format!("{:<6} {}", tool.name, tool.summary),
        added.unwrap_or_default(),
        removed.map_or_else(String::new, |removed| format!(" -{removed}")),
    ];
    line.concat().trim_end().to_owned()
}

fn push_outcome(out: &mut Vec<ReadableLine>, outcome: &SessionOutcome) {
    let failed = outcome.failed();
    let mut parts = vec![if failed {
        format!("failed: {}", outcome.subtype)
    } else {
        "finished".to_owned()
    }];
    if let Some(turns) = outcome.turns {
        parts.push(text::count(usize::try_from(turns).unwrap_or(0), "turn"));
    }
    if let Some(tokens) = outcome.tokens {
        let all = tokens.context().saturating_add(tokens.output);
        parts.push(format!("{} tokens", text::compact(all)));
    }
    if let Some(cost) = outcome.cost_micro_usd {
        parts.push(text::usd(cost));
    }
    if let Some(milliseconds) = outcome.duration_ms {
        parts.push(text::duration(milliseconds / 1000));
    }
    let kind = if failed {
        LineKind::Failure
    } else {
        LineKind::Success
    };
    push(out, kind, &parts.join(" · "));
    // The final text of a successful session was shown before.
    if let Some(words) = outcome.text.as_deref().filter(|_| failed) {
        push_lines(out, LineKind::Failure, words);
    }
}
