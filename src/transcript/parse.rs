//! One line of an agent's log -> its events.

use serde_json::Value;

use super::{Entry, Event, Outcome, Tokens, ToolUse};

/// The events of one line (without its line break). Never fails: what is not understood is [`Event::Other`] or [`Event::Plain`].
#[must_use]
pub fn entries(line: &str) -> Vec<Entry> {
    let Some((kind, value)) = object(line) else {
        return vec![bare(Event::Plain(line.to_owned()))];
    };
    match kind.as_str() {
        "system" => vec![bare(system(&value))],
        "assistant" | "user" => message(&value, kind == "assistant"),
        "result" => vec![bare(Event::Result(outcome(&value)))],
        "stream_event" => vec![bare(Event::Partial)],
        "rate_limit_event" => vec![bare(rate_limit(&value))],
        _ => vec![bare(Event::Other(kind))],
    }
}

/// A JSON object with a `type`.
fn object(line: &str) -> Option<(String, Value)> {
    let trimmed = line.trim();
    if !trimmed.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(trimmed).ok()?;
    Some((value.get("type")?.as_str()?.to_owned(), value))
}

const fn bare(event: Event) -> Entry {
    Entry {
        parent: None,
        message: None,
        tokens: None,
        event,
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// A count: whole, never negative.
fn number(value: &Value, key: &str) -> Option<i64> {
    let found = value.get(key)?;
    let count = found
        .as_i64()
        .or_else(|| found.as_f64().map(|n| n.round() as i64))?;
    (count >= 0).then_some(count)
}

/// The session's id: newer and older streams spell it differently.
fn session(value: &Value) -> Option<String> {
    text(value, "session_id").or_else(|| text(value, "sessionId"))
}

fn system(value: &Value) -> Event {
    match value.get("subtype").and_then(Value::as_str) {
        Some("init") => Event::Init {
            session: session(value),
            model: text(value, "model"),
            directory: text(value, "cwd"),
        },
        Some(subtype) => Event::Other(format!("system {subtype}")),
        None => Event::Other("system".into()),
    }
}

fn rate_limit(value: &Value) -> Event {
    let info = value.get("rate_limit_info").unwrap_or(value);
    Event::RateLimit {
        status: text(info, "status").unwrap_or_default(),
        resets_at: number(info, "resetsAt").or_else(|| number(info, "resets_at")),
    }
}

fn message(value: &Value, from_agent: bool) -> Vec<Entry> {
    let message = value.get("message").unwrap_or(&Value::Null);
    let entry = |event| Entry {
        parent: text(value, "parent_tool_use_id"),
        message: text(message, "id"),
        tokens: message.get("usage").filter(|_| from_agent).and_then(tokens),
        event,
    };
    let said = |text: String| {
        if from_agent {
            Event::Text(text)
        } else {
            Event::Prompt(text)
        }
    };
    match message.get("content") {
        Some(Value::String(text)) => vec![entry(said(text.clone()))],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| entry(content(item, &said)))
            .collect(),
        _ => vec![entry(Event::Other(
            if from_agent { "assistant" } else { "user" }.into(),
        ))],
    }
}

fn content(item: &Value, said: &impl Fn(String) -> Event) -> Event {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let field = |key: &str| text(item, key).unwrap_or_default();
    match kind {
        "text" => said(field("text")),
        "thinking" => Event::Thinking(field("thinking")),
        "redacted_thinking" => Event::Thinking(String::new()),
        "tool_use" | "server_tool_use" => Event::ToolUse(ToolUse::new(
            &field("id"),
            &field("name"),
            item.get("input").unwrap_or(&Value::Null),
        )),
        "tool_result" => tool_result(item),
        other => Event::Other(other.to_owned()),
    }
}

fn tool_result(item: &Value) -> Event {
    let parts: Vec<&str> = match item.get("content") {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .collect(),
        _ => Vec::new(),
    };
    let mut lines = parts.iter().flat_map(|part| part.lines());
    Event::ToolResult {
        id: text(item, "tool_use_id").unwrap_or_default(),
        is_error: item.get("is_error").and_then(Value::as_bool) == Some(true),
        size: parts.iter().map(|part| part.len()).sum(),
        lines: lines.clone().count(),
        first_line: lines
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .to_owned(),
    }
}

fn tokens(usage: &Value) -> Option<Tokens> {
    usage.as_object()?;
    let count = |key| number(usage, key).unwrap_or_default();
    Some(Tokens {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_input_tokens"),
        cache_write: count("cache_creation_input_tokens"),
    })
}

fn outcome(value: &Value) -> Outcome {
    let models = value.get("modelUsage").and_then(Value::as_object);
    let error = value
        .get("errors")
        .and_then(Value::as_array)
        .and_then(|errors| errors.iter().find_map(Value::as_str));
    Outcome {
        subtype: text(value, "subtype").unwrap_or_default(),
        is_error: value.get("is_error").and_then(Value::as_bool) == Some(true),
        session: session(value),
        turns: number(value, "num_turns"),
        cost_micro_usd: value
            .get("total_cost_usd")
            .and_then(Value::as_f64)
            .filter(|cost| *cost >= 0.0)
            .map(|cost| (cost * 1e6).round() as i64),
        tokens: value.get("usage").and_then(tokens),
        duration_ms: number(value, "duration_ms"),
        context_window: models
            .into_iter()
            .flatten()
            .filter_map(|(_, usage)| number(usage, "contextWindow"))
            .max(),
        text: text(value, "result").or_else(|| error.map(str::to_owned)),
    }
}
