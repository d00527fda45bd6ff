//! Writes the JSON lines of an agent's stream.

use std::{io::Write, path::Path};

use serde_json::{Value, json};

/// The model name in the stream.
const MODEL: &str = "template";

/// Writes an agent's stream to `out`.
pub(crate) struct Stream<W> {
    out: W,
    session: String,
    /// Number of tool calls, for their ids.
    calls: usize,
    turns: usize,
}

impl<W: Write> Stream<W> {
    /// Creates a stream without output.
    pub(crate) const fn new(out: W) -> Self {
        Self {
            out,
            session: String::new(),
            calls: 0,
            turns: 0,
        }
    }

    /// Writes the start of the session.
    pub(crate) fn init(&mut self, run: &str, directory: &Path) {
        self.session = format!("template-{run}");
        let line = json!({
            "type": "system", "subtype": "init", "session_id": self.session, "model": MODEL,
            "cwd": directory.display().to_string(), "tools": ["Read", "Write"],
        });
        self.line(&line);
    }

    /// Writes a text of the agent.
    pub(crate) fn text(&mut self, text: &str) {
        self.assistant(&json!({"type": "text", "text": text}));
    }

    /// Writes a `Read` call.
    pub(crate) fn read(&mut self, path: &str, lines: usize) {
        let input = json!({"file_path": path});
        self.tool("Read", &input, &format!("{lines} lines"));
    }

    /// Writes a `Write` call.
    pub(crate) fn wrote(&mut self, path: &str, content: &str) {
        let input = json!({"file_path": path, "content": content});
        self.tool("Write", &input, &format!("File created at: {path}"));
    }

    /// Writes the end of the session. No model was used, so it costs nothing.
    pub(crate) fn result(&mut self, text: &str, is_error: bool, milliseconds: u64) {
        let subtype = if is_error {
            "error_during_execution"
        } else {
            "success"
        };
        let line = json!({
            "type": "result", "subtype": subtype, "is_error": is_error, "result": text,
            "session_id": self.session, "num_turns": self.turns, "duration_ms": milliseconds,
            "total_cost_usd": 0.0, "usage": usage(),
        });
        self.line(&line);
    }

    fn tool(&mut self, name: &str, input: &Value, answer: &str) {
        self.calls += 1;
        let id = format!("tool_{}", self.calls);
        self.assistant(&json!({"type": "tool_use", "id": id, "name": name, "input": input}));
        let line = json!({
            "type": "user", "session_id": self.session,
            "message": {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": answer}]},
        });
        self.line(&line);
    }

    fn assistant(&mut self, content: &Value) {
        self.turns += 1;
        let line = json!({
            "type": "assistant", "session_id": self.session,
            "message": {
                "id": format!("msg_{}", self.turns), "role": "assistant", "model": MODEL,
                "content": [content], "usage": usage(),
            },
        });
        self.line(&line);
    }

    fn line(&mut self, line: &Value) {
        // The reader may be gone; the work is what counts.
        let _ = writeln!(self.out, "{line}");
        let _ = self.out.flush();
    }
}

fn usage() -> Value {
    json!({"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0})
}
