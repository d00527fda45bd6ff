//! Tool calls: name, subject and size of the change.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

use super::event::start_of;

/// Maximum length of a summary in characters; a shell command may be a whole script.
const SUMMARY_LIMIT: usize = 200;
/// Maximum size of the details, and of each side of an edit, in bytes.
const INPUT_LIMIT: usize = 64 * 1024;
/// Input fields that the summary or the edits cover.
const SUMMARISED_FIELDS: [&str; 9] = [
    "file_path",
    "notebook_path",
    "content",
    "old_string",
    "new_string",
    "edits",
    "new_source",
    "replace_all",
    "todos",
];

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolUse {
    pub id: String,
    pub name: String,
    /// Subject of the call on one line: a path, a command, a pattern.
    pub summary: String,
    /// File read or written, as named by the agent.
    pub path: Option<String>,
    /// Lines written, for tools that write.
    pub added: Option<usize>,
    /// Lines replaced, for tools that edit.
    pub removed: Option<usize>,
    /// Replacements in a file, in order. `old` is empty if the file is written whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<Edit>,
    /// Input not covered by the summary, such as the rest of a script.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// Equal for calls of the same tool with the same input.
    #[serde(skip)]
    pub fingerprint: u64,
}

/// A replacement in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Edit {
    pub old: String,
    pub new: String,
}

impl ToolUse {
    /// Builds a call from its name and input.
    #[must_use]
    pub fn new(id: &str, name: &str, input: &Value) -> Self {
        let text = |key: &str| input.get(key).and_then(Value::as_str);
        let path = ["file_path", "notebook_path", "path"]
            .into_iter()
            .find_map(text)
            .filter(|_| !matches!(name, "Grep" | "Glob" | "LS"));
        let about = match name {
            // The description of a script is more useful than its first line.
            "Bash" => text("description")
                .filter(|_| text("command").is_some_and(|command| command.trim().contains('\n')))
                .or_else(|| text("command"))
                .map(str::to_owned),
            "Grep" | "Glob" => text("pattern").map(str::to_owned),
            "AskUserQuestion" => input
                .pointer("/questions/0/question")
                .and_then(Value::as_str)
                .map(str::to_owned),
            "TodoWrite" => input
                .get("todos")
                .and_then(Value::as_array)
                .map(|todos| todo(todos)),
            _ => path.map(|path| short_path(path).to_owned()).or_else(|| {
                ["description", "query", "url", "command", "skill", "prompt"]
                    .into_iter()
                    .find_map(text)
                    .map(str::to_owned)
            }),
        };
        let about = about.unwrap_or_else(|| any_text(input).to_owned());
        let edits = edits(name, input);
        let (added, removed) = change(name, &edits);
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            summary: first_line(&about),
            path: path.map(str::to_owned),
            added,
            removed,
            details: details(name, &about, input),
            edits: edits.into_iter().map(Edit::truncated).collect(),
            fingerprint: fingerprint(name, input),
        }
    }

    /// Whether the call starts a sub-agent.
    #[must_use]
    pub fn starts_sub_agent(&self) -> bool {
        matches!(self.name.as_str(), "Agent" | "Task")
    }

    /// Whether the call waits for an answer of a person.
    pub(super) fn asks_user(&self) -> bool {
        matches!(self.name.as_str(), "AskUserQuestion" | "ExitPlanMode")
    }

    /// Whether the tool is meant to be called repeatedly.
    pub(super) fn is_polling(&self) -> bool {
        matches!(
            self.name.as_str(),
            "BashOutput" | "TaskOutput" | "TaskGet" | "TaskList" | "Monitor"
        )
    }

    /// Whether the call writes a file.
    pub(super) fn writes_file(&self) -> bool {
        self.added.is_some()
    }
}

impl Edit {
    fn new(old: &str, new: &str) -> Self {
        Self {
            old: old.to_owned(),
            new: new.to_owned(),
        }
    }

    /// Truncates both sides to the limit.
    fn truncated(mut self) -> Self {
        for text in [&mut self.old, &mut self.new] {
            text.truncate(start_of(text, INPUT_LIMIT).len());
        }
        self
    }
}

/// Returns the replacements that a call makes.
fn edits(name: &str, input: &Value) -> Vec<Edit> {
    fn text<'v>(value: &'v Value, key: &str) -> &'v str {
        value.get(key).and_then(Value::as_str).unwrap_or_default()
    }
    let replaced = |edit: &Value| Edit::new(text(edit, "old_string"), text(edit, "new_string"));
    match name {
        "Write" => vec![Edit::new("", text(input, "content"))],
        "Edit" => vec![replaced(input)],
        "MultiEdit" => {
            let edits = input.get("edits").and_then(Value::as_array);
            edits.into_iter().flatten().map(replaced).collect()
        }
        "NotebookEdit" => vec![Edit::new("", text(input, "new_source"))],
        _ => Vec::new(),
    }
}

/// Returns lines written and lines replaced.
fn change(name: &str, edits: &[Edit]) -> (Option<usize>, Option<usize>) {
    let sum = |side: fn(&Edit) -> &str| edits.iter().map(|edit| side(edit).lines().count()).sum();
    match name {
        "Write" | "NotebookEdit" => (Some(sum(|edit| &edit.new)), None),
        "Edit" | "MultiEdit" => (Some(sum(|edit| &edit.new)), Some(sum(|edit| &edit.old))),
        _ => (None, None),
    }
}

/// Summarises a to-do list: `3 of 5 done, now: Write the tests`.
fn todo(todos: &[Value]) -> String {
    let status =
        |todo: &&Value, wanted: &str| todo.get("status").and_then(Value::as_str) == Some(wanted);
    let done = todos
        .iter()
        .filter(|todo| status(todo, "completed"))
        .count();
    let now = todos.iter().find(|todo| status(todo, "in_progress"));
    let now = now.and_then(|todo| {
        let words = todo.get("activeForm").or_else(|| todo.get("content"))?;
        words.as_str()
    });
    let now = now.map_or_else(String::new, |now| format!(", now: {now}"));
    format!("{done} of {} done{now}", todos.len())
}

/// Returns the text that the summary cuts off, then the other fields.
fn details(name: &str, about: &str, input: &Value) -> String {
    let mut out = String::new();
    if about.lines().nth(1).is_some() || about.chars().count() > SUMMARY_LIMIT {
        out.push_str(about.trim_end());
    }
    if name == "TodoWrite" {
        let todos = input.get("todos").and_then(Value::as_array);
        for todo in todos.into_iter().flatten() {
            let field = |key| todo.get(key).and_then(Value::as_str).unwrap_or_default();
            let sign = match field("status") {
                "completed" => "[x]",
                "in_progress" => "[>]",
                _ => "[ ]",
            };
            line(&mut out, &format!("{sign} {}", field("content")));
        }
        return out;
    }
    for (key, value) in input.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(text) if text.is_empty() || text == about => continue,
            Value::String(text) => text.clone(),
            Value::Null => continue,
            other => other.to_string(),
        };
        if !SUMMARISED_FIELDS.contains(&key.as_str()) {
            if name == "Bash" && key == "command" {
                line(&mut out, shown.trim_end());
                continue;
            }
            let separator = if shown.contains('\n') { ":\n" } else { ": " };
            line(&mut out, &format!("{key}{separator}{}", shown.trim_end()));
        }
        if out.len() > INPUT_LIMIT {
            break;
        }
    }
    out.truncate(start_of(&out, INPUT_LIMIT).len());
    out
}

fn line(out: &mut String, text: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(text);
}

fn fingerprint(name: &str, input: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // Key order is stable for calls of the same program.
    input.to_string().hash(&mut hasher);
    hasher.finish()
}

/// Returns the first string field of an input.
fn any_text(input: &Value) -> &str {
    let fields = input.as_object().into_iter().flatten();
    let mut texts = fields.filter_map(|(_, value)| value.as_str());
    texts.next().unwrap_or_default()
}

fn first_line(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default().trim();
    let mut cut: String = first.chars().take(SUMMARY_LIMIT).collect();
    if cut.len() < first.len() || lines.next().is_some() {
        cut.push_str(" …");
    }
    cut
}

/// Shortens a pod path: relative to the repository if possible, documents relative to `.taskmaster`.
fn short_path(path: &str) -> &str {
    if let Some((_, rest)) = path.split_once("/runs/")
        && let Some((run, inside)) = rest.split_once("/repo/")
        && !run.contains('/')
    {
        return inside.strip_prefix(".taskmaster/").map_or(inside, |below| {
            if below.starts_with("docs/") {
                below
            } else {
                inside
            }
        });
    }
    match path.rfind(".taskmaster/") {
        Some(at) if path[at..].starts_with(".taskmaster/docs/") => {
            &path[at + ".taskmaster/".len()..]
        }
        Some(at) => &path[at..],
        None => path,
    }
}
