//! What a person reads for one line of a log. Colours are the console's; the raw line stays what it is.

use super::{Event, Outcome, ToolUse, entries};
use crate::text::{self, sanitize};

/// What kind of line it is, for colours and folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    /// A line of a shell or of another program.
    Plain,
    /// A session began.
    Session,
    /// The agent speaks.
    Text,
    /// The agent thinks.
    Thinking,
    /// A tool is called.
    Tool,
    /// A tool answered.
    ToolResult,
    /// A tool failed.
    ToolError,
    /// Somebody speaks to the agent.
    Prompt,
    /// The agent finished well.
    Success,
    /// The agent finished badly, or is held up.
    Failure,
    /// Something of the stream that is only named.
    Quiet,
}

impl LineKind {
    /// What stands before a line of this kind, in the unicode set of glyphs.
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

/// One readable line. `text` is sanitised and has no mark in front.
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

/// The readable lines of one raw line: none for what only repeats what comes whole elsewhere.
#[must_use]
pub fn readable(line: &str) -> Vec<ReadableLine> {
    let mut out = Vec::new();
    for entry in entries(line) {
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
            // An answer of one line ("File created") says nothing the call did not.
            Event::ToolResult(result) if result.lines > 1 => {
                let lines = text::count(result.lines, "line");
                push(&mut out, LineKind::ToolResult, &lines);
            }
            Event::Result(outcome) => push_outcome(&mut out, &outcome),
            Event::RateLimit(limit) if limit.matters() => {
                push(&mut out, LineKind::Failure, &limit.words());
            }
            Event::Retry(retry) => push(&mut out, LineKind::Failure, &retry.words()),
            Event::ApiError { kind, text } => {
                push(&mut out, LineKind::Failure, &kind.replace('_', " "));
                push_lines(&mut out, LineKind::Failure, &text);
            }
            Event::Denied { tool, why, .. } => {
                let first = why.lines().next().unwrap_or_default();
                push(
                    &mut out,
                    LineKind::ToolError,
                    &format!("{tool} was refused: {first}"),
                );
            }
            Event::Waiting(Some(what)) => {
                push(&mut out, LineKind::Failure, &format!("waits for {what}"));
            }
            Event::Compacted { .. } => {
                push(&mut out, LineKind::Quiet, "the context was compacted");
            }
            Event::Notice { text, grave } => {
                let kind = if grave {
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

fn push_outcome(out: &mut Vec<ReadableLine>, outcome: &Outcome) {
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
        parts.push(format!("{} tokens", short_number(all)));
    }
    if let Some(cost) = outcome.cost_micro_usd {
        parts.push(format!("${:.2}", cost as f64 / 1e6));
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
    // The last words of a good end were said before; an error's are new.
    if let Some(words) = outcome.text.as_deref().filter(|_| failed) {
        push_lines(out, LineKind::Failure, words);
    }
}

/// `950`, `41k`, `1.2M`
fn short_number(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}
