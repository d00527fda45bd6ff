//! Parses a line of an agent log into events.

mod system;

use serde_json::Value;

use super::{Event, RateLimit, Retry, SessionOutcome, StreamEvent, Tokens, ToolResult, ToolUse};

/// Returns the events of one line, without its line break. Never fails: unknown input becomes [`Event::Other`] or
/// [`Event::Plain`].
#[must_use]
pub fn parse_line(line: &str) -> Vec<StreamEvent> {
    let Some((kind, value)) = object(line) else {
        return vec![without_context(Event::Plain(line.to_owned()))];
    };
    match kind.as_str() {
        "system" => vec![without_context(system::event(&value))],
        "assistant" | "user" => message(&value, kind == "assistant"),
        "result" => vec![without_context(Event::Result(Box::new(outcome(&value))))],
        "rate_limit_event" => vec![without_context(Event::RateLimit(rate_limit(&value)))],
        "control_request" => vec![without_context(control_request(&value))],
        "control_response" | "control_cancel_request" => {
            vec![without_context(Event::Waiting(None))]
        }
        "tool_progress" => vec![without_context(tool_progress(&value))],
        "auth_status" => vec![without_context(auth(&value))],
        "stream_event" | "tool_use_summary" | "keep_alive" | "prompt_suggestion" => {
            vec![without_context(Event::Partial)]
        }
        _ => vec![without_context(Event::Other(kind))],
    }
}

/// Parses a JSON object with a `type`.
fn object(line: &str) -> Option<(String, Value)> {
    let trimmed = line.trim();
    if !trimmed.starts_with('{') {
        return None;
    }
    let value: Value = serde_json::from_str(trimmed).ok()?;
    Some((value.get("type")?.as_str()?.to_owned(), value))
}

const fn without_context(event: Event) -> StreamEvent {
    StreamEvent {
        parent: None,
        message: None,
        tokens: None,
        event,
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// Returns a non-negative count.
fn number(value: &Value, key: &str) -> Option<i64> {
    let found = value.get(key)?;
    let count = found
        .as_i64()
        .or_else(|| found.as_f64().map(|n| n.round() as i64))?;
    (count >= 0).then_some(count)
}

/// Returns the session id, in both spellings.
fn session(value: &Value) -> Option<String> {
    text(value, "session_id").or_else(|| text(value, "sessionId"))
}

fn rate_limit(value: &Value) -> RateLimit {
    let info = value.get("rate_limit_info").unwrap_or(value);
    RateLimit {
        status: text(info, "status").unwrap_or_default(),
        resets_at: number(info, "resetsAt").or_else(|| number(info, "resets_at")),
        window: text(info, "rateLimitType").or_else(|| text(info, "rate_limit_type")),
    }
}

/// Parses a question to the program that started the agent.
fn control_request(value: &Value) -> Event {
    let request = value.get("request").unwrap_or(&Value::Null);
    let words = |key| text(request, key).filter(|words| !words.is_empty());
    match text(request, "subtype").as_deref() {
        Some("can_use_tool") => {
            let tool = words("display_name").or_else(|| words("tool_name"));
            let tool = tool.unwrap_or_else(|| "a tool".into());
            Event::Waiting(Some(format!("permission to use {tool}")))
        }
        Some("elicitation") => {
            Event::Waiting(Some(words("message").unwrap_or_else(|| "an answer".into())))
        }
        _ => Event::Partial,
    }
}

/// Parses tool progress, which matters only if requests of a sub-agent fail.
fn tool_progress(value: &Value) -> Event {
    let Some(retry) = value
        .get("subagent_retry")
        .filter(|retry| retry.is_object())
    else {
        return Event::Partial;
    };
    Event::Retry(Retry {
        attempt: number(retry, "attempt").unwrap_or_default(),
        max_attempts: number(retry, "max_retries").unwrap_or_default(),
        delay_ms: number(retry, "retry_delay_ms").unwrap_or_default(),
        error: text(retry, "error_category").unwrap_or_else(|| status(retry)),
    })
}

fn auth(value: &Value) -> Event {
    match text(value, "error").filter(|error| !error.is_empty()) {
        Some(text) => Event::ApiError {
            kind: "authentication_failed".into(),
            text,
        },
        None => Event::Partial,
    }
}

/// Describes the HTTP status of a failed request.
fn status(value: &Value) -> String {
    number(value, "error_status").map_or_else(
        || "no response".into(),
        |status| format!("HTTP status {status}"),
    )
}

fn message(value: &Value, from_agent: bool) -> Vec<StreamEvent> {
    let message = value.get("message").unwrap_or(&Value::Null);
    let entry = |event| StreamEvent {
        parent: text(value, "parent_tool_use_id").filter(|id| !id.is_empty()),
        message: text(message, "id"),
        tokens: message.get("usage").filter(|_| from_agent).and_then(tokens),
        event,
    };
    let failure = text(value, "error").filter(|_| from_agent);
    let to_event = |text: String| {
        if let Some(kind) = &failure {
            let kind = kind.clone();
            Event::ApiError { kind, text }
        } else if from_agent {
            Event::Text(text)
        } else {
            Event::Prompt(text)
        }
    };
    match message.get("content") {
        Some(Value::String(text)) => vec![entry(to_event(text.clone()))],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| entry(content(item, value, &to_event)))
            .collect(),
        _ => vec![entry(Event::Other(
            if from_agent { "assistant" } else { "user" }.into(),
        ))],
    }
}

fn content(item: &Value, line: &Value, to_event: &impl Fn(String) -> Event) -> Event {
    let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let field = |key: &str| text(item, key).unwrap_or_default();
    match kind {
        "text" => to_event(field("text")),
        "thinking" => Event::Thinking(field("thinking")),
        "redacted_thinking" => Event::Thinking(String::new()),
        "tool_use" | "server_tool_use" | "mcp_tool_use" => Event::ToolUse(Box::new(ToolUse::new(
            &field("id"),
            &field("name"),
            item.get("input").unwrap_or(&Value::Null),
        ))),
        // Results of server-side tools: `web_search_tool_result`, `mcp_tool_result`, ...
        kind if kind.ends_with("tool_result") => {
            Event::ToolResult(Box::new(tool_result(item, line)))
        }
        "image" | "document" => to_event(format!("[{kind}]")),
        other => Event::Other(other.to_owned()),
    }
}

fn tool_result(item: &Value, line: &Value) -> ToolResult {
    let parts: Vec<&str> = match item.get("content") {
        Some(Value::String(text)) => vec![text.as_str()],
        Some(Value::Array(parts)) => parts.iter().filter_map(part).collect(),
        _ => Vec::new(),
    };
    let parts: Vec<&str> = parts.into_iter().map(unwrapped).collect();
    // Structured result of the tool; older streams use camel case.
    let done = line
        .get("tool_use_result")
        .or_else(|| line.get("toolUseResult"));
    ToolResult::new(
        text(item, "tool_use_id").unwrap_or_default(),
        item.get("is_error").and_then(Value::as_bool) == Some(true),
        &parts,
        done.and_then(|done| patch(done.get("structuredPatch")?)),
    )
}

/// Strips the tags that mark an error for the model.
fn unwrapped(text: &str) -> &str {
    let inside = text.trim().strip_prefix("<tool_use_error>");
    inside.map_or(text, |inside| {
        inside.strip_suffix("</tool_use_error>").unwrap_or(inside)
    })
}

fn part(part: &Value) -> Option<&str> {
    match part.get("type").and_then(Value::as_str) {
        Some("image") => Some("[image]"),
        _ => part.get("text").or_else(|| part.get("title"))?.as_str(),
    }
}

/// Formats hunks as a unified diff; `None` if there are none, or one is invalid.
fn patch(hunks: &Value) -> Option<String> {
    let mut out = String::new();
    for hunk in hunks.as_array()? {
        let at = |key| number(hunk, key);
        let (old, old_lines) = (at("oldStart")?, at("oldLines")?);
        let (new, new_lines) = (at("newStart")?, at("newLines")?);
        let header = format!("@@ -{old},{old_lines} +{new},{new_lines} @@\n");
        out.push_str(&header);
        for line in hunk.get("lines")?.as_array()? {
            out.push_str(line.as_str()?);
            out.push('\n');
        }
    }
    (!out.is_empty()).then_some(out)
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

fn outcome(value: &Value) -> SessionOutcome {
    let models = value.get("modelUsage").and_then(Value::as_object);
    let models: Vec<&Value> = models
        .into_iter()
        .flat_map(|models| models.values())
        .collect();
    let errors = value.get("errors").and_then(Value::as_array);
    let errors: Vec<&str> = errors
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let whole = models_tokens(&models);
    SessionOutcome {
        subtype: text(value, "subtype").unwrap_or_default(),
        is_error: value.get("is_error").and_then(Value::as_bool) == Some(true),
        session: session(value),
        turns: number(value, "num_turns"),
        // Older streams use `cost_usd`.
        cost_micro_usd: ["total_cost_usd", "cost_usd"]
            .into_iter()
            .find_map(|key| value.get(key)?.as_f64())
            .filter(|cost| *cost >= 0.0)
            .map(|cost| (cost * 1e6).round() as i64),
        tokens: whole.or_else(|| value.get("usage").and_then(tokens)),
        whole_session: whole.is_some(),
        duration_ms: number(value, "duration_ms"),
        context_window: models
            .iter()
            .filter_map(|usage| number(usage, "contextWindow"))
            .max(),
        denials: value
            .get("permission_denials")
            .and_then(Value::as_array)
            .map_or(0, Vec::len),
        text: text(value, "result")
            .filter(|text| !text.is_empty())
            .or_else(|| (!errors.is_empty()).then(|| errors.join("\n"))),
    }
}

/// Sums the usage of all models; `None` if the stream does not report it.
fn models_tokens(models: &[&Value]) -> Option<Tokens> {
    let mut sum = Tokens::default();
    for usage in models {
        sum += Tokens {
            input: number(usage, "inputTokens")?,
            output: number(usage, "outputTokens")?,
            cache_read: number(usage, "cacheReadInputTokens").unwrap_or_default(),
            cache_write: number(usage, "cacheCreationInputTokens").unwrap_or_default(),
        };
    }
    (sum != Tokens::default()).then_some(sum)
}
