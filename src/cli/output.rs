//! Prints data on stdout and notices on stderr. A broken pipe is not an error.
//!
//! Everything a command prints passes through here. On a terminal it is sanitized; a pipe gets the text unchanged.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};

use serde::Serialize;

use flightdeck_core::{text, yaml};
use flightdeck_verbs::{Rendered, Table, View};

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns.
    #[default]
    Table,
    /// Columns, including the wide ones.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Names, one per line.
    Name,
}

/// Whether stdout is a terminal.
pub fn on_a_terminal() -> bool {
    static TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
    *TERMINAL
}

/// Writes `text` and a line break to stdout, sanitized on a terminal. Line breaks in `text` are kept.
pub fn line(text: &str) -> io::Result<()> {
    if on_a_terminal() {
        put(&sanitized(text))
    } else {
        put(text)
    }
}

/// Writes a line with a muted prefix, the only color a command prints.
pub fn line_after(muted: &str, text: &str) -> io::Result<()> {
    put(&format!(
        "\x1b[2m{}\x1b[0m {}",
        sanitized(muted),
        sanitized(text)
    ))
}

/// Writes a prefix, arbitrary bytes and a line break. Only for pipes.
pub fn bytes(before: &str, bytes: &[u8]) -> io::Result<()> {
    let mut line = before.as_bytes().to_vec();
    line.extend_from_slice(bytes);
    line.push(b'\n');
    exit_on_broken_pipe(io::stdout().lock().write_all(&line))
}

fn put(text: &str) -> io::Result<()> {
    exit_on_broken_pipe(writeln!(io::stdout().lock(), "{text}"))
}

/// Sanitizes each line.
fn sanitized(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return text::sanitize(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(text::sanitize).collect();
    Cow::Owned(lines.join("\n"))
}

/// Writes notices to stderr, one per line.
pub fn notices(all: &[String]) {
    for text in all {
        notice(text);
    }
}

/// Writes a notice to stderr, sanitized.
pub fn notice(text: &str) {
    // There is nowhere to report a failure of stderr.
    drop(writeln!(io::stderr().lock(), "{}", sanitized(text)));
}

/// Asks on stderr and reads the answer; `None` without a terminal.
pub fn confirm(question: &str) -> io::Result<Option<bool>> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(None);
    }
    write!(io::stderr(), "{} [y/N] ", sanitized(question))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}

/// Writes a value as JSON or YAML.
pub fn value(format: Format, value: &impl Serialize) -> io::Result<()> {
    let text = match format {
        Format::Yaml => yaml::to_string(value).map_err(io::Error::other)?,
        _ => serde_json::to_string_pretty(value)?,
    };
    let text = text.trim_end();
    match format {
        Format::Yaml => line(text),
        _ => json(text),
    }
}

/// Writes a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    json(&serde_json::to_string(value)?)
}

/// Escapes control characters on a terminal, which keeps the JSON equivalent.
fn json(text: &str) -> io::Result<()> {
    if on_a_terminal() {
        put(&escaped_json(text))
    } else {
        put(text)
    }
}

/// Escapes every character that could affect a terminal. Such characters only occur in strings.
fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let mut units = [0; 2];
        if c == '\n' || text::sanitize(c.encode_utf8(&mut [0; 4])) == c.to_string() {
            out.push(c);
        } else {
            let units = c.encode_utf16(&mut units).iter();
            out.extend(units.map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

/// Writes the output of a verb. Notices accompany the default view only.
pub fn render(output: &dyn Rendered, format: Format) -> anyhow::Result<()> {
    notices(&output.warnings());
    match format {
        Format::Name => {
            for name in output.names() {
                line(&name)?;
            }
        }
        Format::Table | Format::Wide => {
            match output.view() {
                View::Table(table) => write_table(&table, format)?,
                View::Tables(tables) => {
                    for (at, table) in tables.iter().enumerate() {
                        if at > 0 {
                            line("")?;
                        }
                        write_table(table, format)?;
                    }
                }
                View::Text(lines) => {
                    for text in lines {
                        line(&text)?;
                    }
                }
                View::Yaml => value(Format::Yaml, &output.json()?)?,
                View::Notices => {}
            }
            notices(&output.notices());
        }
        format => value(format, &output.json()?)?,
    }
    Ok(())
}

fn write_table(table: &Table, format: Format) -> io::Result<()> {
    let (headings, rows) = table.visible(format == Format::Wide);
    columns(&headings, &rows)
}

/// Writes aligned columns, sanitized.
fn columns(headings: &[&str], rows: &[Vec<&str>]) -> io::Result<()> {
    let sanitize = |row: &Vec<&str>| -> Vec<String> {
        let cells = row.iter();
        cells
            .map(|cell| text::sanitize(cell).into_owned())
            .collect()
    };
    let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings)
        .chain(rows.iter().map(sanitize))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| text::width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let print = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| {
            format!(
                "{cell}{}",
                " ".repeat(width.saturating_sub(text::width(cell)))
            )
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let lines: Vec<String> = rows.iter().map(print).collect();
    // One write: long tables are slow line by line.
    line(&lines.join("\n"))
}

/// Exits if the reader closed the pipe.
fn exit_on_broken_pipe(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_json_is_equivalent() {
        let value =
            serde_json::json!({ "a": ["\u{9b}31m é\n", "\u{202e}\u{e0001}", "日本 \"x\""] });
        let shown = escaped_json(&serde_json::to_string_pretty(&value).unwrap());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines.iter().all(|line| text::sanitize(line) == *line),
            "{shown}"
        );
        assert!(shown.contains("é") && shown.contains("日本"));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
