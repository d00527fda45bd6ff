//! Tool calls: which tool, on what, how much it changes.

use serde_json::Value;

/// Longest summary kept, in characters: a shell command may be a whole script.
const SUMMARY_LIMIT: usize = 200;

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolUse {
    pub id: String,
    pub name: String,
    /// What the call is about, on one line: a path, a command, a pattern.
    pub summary: String,
    /// The file that is read or written, as the agent named it.
    pub path: Option<String>,
    /// Lines written, for tools that write.
    pub added: Option<usize>,
    /// Lines replaced, for tools that edit.
    pub removed: Option<usize>,
}

impl ToolUse {
    /// Reads a call from its name and input, whatever the input is.
    #[must_use]
    pub fn new(id: &str, name: &str, input: &Value) -> Self {
        let text = |key: &str| input.get(key).and_then(Value::as_str);
        let path = ["file_path", "notebook_path", "path"]
            .into_iter()
            .find_map(text)
            .filter(|_| !matches!(name, "Grep" | "Glob"));
        let (added, removed) = change(name, input);
        let summary = match name {
            "Bash" => text("command").map(first_line),
            "Grep" | "Glob" => text("pattern").map(first_line),
            "TodoWrite" => input.get("todos").and_then(Value::as_array).map(|todos| {
                let done =
                    |todo: &&Value| todo.get("status").and_then(Value::as_str) == Some("completed");
                format!(
                    "{} of {} done",
                    todos.iter().filter(done).count(),
                    todos.len()
                )
            }),
            _ => path
                .map(short_path)
                .or_else(|| {
                    ["description", "query", "url", "command", "skill", "prompt"]
                        .into_iter()
                        .find_map(text)
                })
                .map(first_line),
        };
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            summary: summary.unwrap_or_else(|| any_text(input)),
            path: path.map(str::to_owned),
            added,
            removed,
        }
    }

    /// Whether the call changes a file.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.added.is_some()
    }
}

/// Lines written and lines replaced.
fn change(name: &str, input: &Value) -> (Option<usize>, Option<usize>) {
    let lines = |value: &Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .map_or(0, |text| text.lines().count())
    };
    match name {
        "Write" => (Some(lines(input, "content")), None),
        "Edit" => (
            Some(lines(input, "new_string")),
            Some(lines(input, "old_string")),
        ),
        "MultiEdit" => {
            let edits = input.get("edits").and_then(Value::as_array);
            let sum = |key| {
                edits
                    .into_iter()
                    .flatten()
                    .map(|edit| lines(edit, key))
                    .sum()
            };
            (Some(sum("new_string")), Some(sum("old_string")))
        }
        "NotebookEdit" => (Some(lines(input, "new_source")), None),
        _ => (None, None),
    }
}

/// The first text among the fields of an input.
fn any_text(input: &Value) -> String {
    let fields = input.as_object().into_iter().flatten();
    let mut texts = fields.filter_map(|(_, value)| value.as_str());
    texts.next().map(first_line).unwrap_or_default()
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

/// A pod's path as a person knows it: from the repository root where that is known, documents from `docs/`.
#[must_use]
pub fn short_path(path: &str) -> &str {
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
