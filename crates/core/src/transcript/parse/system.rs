//! Parses lines of type `system`, messages of the agent program. The subtypes are those of the public Agent SDK
//! types; unknown ones become [`Event::Other`].

use serde_json::Value;

use super::{number, session, status, text};
use crate::transcript::{Event, Retry, SubAgent};

pub(super) fn event(value: &Value) -> Event {
    let words = |key| text(value, key).unwrap_or_default();
    match words("subtype").as_str() {
        "init" => Event::Init {
            session: session(value),
            model: text(value, "model"),
            directory: text(value, "cwd"),
        },
        "api_retry" => Event::Retry(Retry {
            attempt: number(value, "attempt").unwrap_or_default(),
            max_attempts: number(value, "max_retries").unwrap_or_default(),
            delay_ms: number(value, "retry_delay_ms").unwrap_or_default(),
            error: text(value, "error")
                .filter(|error| error != "unknown")
                .unwrap_or_else(|| status(value)),
        }),
        "permission_denied" => Event::Denied {
            tool: words("tool_name"),
            id: words("tool_use_id"),
            why: text(value, "decision_reason")
                .filter(|why| !why.is_empty())
                .unwrap_or_else(|| words("message")),
        },
        "compact_boundary" => {
            let about = value.get("compact_metadata").unwrap_or(&Value::Null);
            Event::Compacted {
                before: number(about, "pre_tokens"),
                after: number(about, "post_tokens"),
            }
        }
        "session_state_changed" => {
            let waits = words("state") == "requires_action";
            Event::Waiting(waits.then(|| "an answer".into()))
        }
        "task_started" | "task_progress" | "task_notification" => sub_agent(value),
        "notification" => notice(words("text"), words("priority") == "immediate"),
        "informational" => notice(words("content"), words("level") == "warning"),
        "model_refusal_fallback" | "model_refusal_no_fallback" => notice(words("content"), true),
        "hook_response" if words("outcome") == "error" => notice(hook(value), true),
        "status" if words("compact_result") == "failed" => {
            let why = words("compact_error");
            notice(format!("context compaction failed: {why}"), true)
        }
        "status"
        | "thinking_tokens"
        | "task_updated"
        | "background_tasks_changed"
        | "commands_changed"
        | "hook_started"
        | "hook_progress"
        | "hook_response"
        | "files_persisted"
        | "control_request_progress"
        | "elicitation_complete"
        | "memory_recall"
        | "plugin_install" => Event::Partial,
        "local_command_output" => notice(words("content"), false),
        "" => Event::Other("system".into()),
        other => Event::Other(format!("system {other}")),
    }
}

fn notice(text: String, is_warning: bool) -> Event {
    Event::Notice { text, is_warning }
}

fn sub_agent(value: &Value) -> Event {
    let usage = value.get("usage").unwrap_or(&Value::Null);
    Event::SubAgent(SubAgent {
        id: text(value, "tool_use_id").unwrap_or_default(),
        tokens: number(usage, "total_tokens"),
        tool_calls: number(usage, "tool_uses"),
        ended: text(value, "status"),
    })
}

/// Describes a failed hook: `hook stop-commit failed: no space left`.
fn hook(value: &Value) -> String {
    let name = text(value, "hook_name").unwrap_or_default();
    let output = ["stderr", "output", "stdout"]
        .into_iter()
        .find_map(|key| text(value, key).filter(|text| !text.trim().is_empty()));
    let output = output.map_or_else(String::new, |text| {
        format!(": {}", text.trim().lines().next().unwrap_or_default())
    });
    format!("hook {name} failed{output}")
}
