//! Data on stdout, notices on stderr; a broken pipe is not an error.
//!
//! All that a command prints passes through here, and here it is made harmless where people look: whoever prints need not
//! think of it. A program that reads from a pipe is given the text as it is.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    sync::LazyLock,
};

use serde::Serialize;

use flightdeck_core::text;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// JSON, without an envelope.
    Json,
    /// The same as YAML.
    Yaml,
    /// Names alone, one a line.
    Name,
}

/// Whether people look at what is printed.
pub fn on_a_terminal() -> bool {
    static TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
    *TERMINAL
}

/// Writes `text` and a line break to stdout. On a terminal it is harmless whatever stands in it; its own line breaks stay.
pub fn line(text: &str) -> io::Result<()> {
    if on_a_terminal() {
        put(&harmless(text))
    } else {
        put(text)
    }
}

/// The same with a muted beginning: the only colour that a command prints.
pub fn line_after(muted: &str, text: &str) -> io::Result<()> {
    put(&format!(
        "\x1b[2m{}\x1b[0m {}",
        harmless(muted),
        harmless(text)
    ))
}

/// Writes bytes that are no text after some that are, and a line break: for programs alone.
pub fn bytes(before: &str, bytes: &[u8]) -> io::Result<()> {
    let mut line = before.as_bytes().to_vec();
    line.extend_from_slice(bytes);
    line.push(b'\n');
    tolerant(io::stdout().lock().write_all(&line))
}

fn put(text: &str) -> io::Result<()> {
    tolerant(writeln!(io::stdout().lock(), "{text}"))
}

/// The same lines with nothing in them that a terminal would obey.
fn harmless(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return text::sanitize(text);
    }
    let lines: Vec<Cow<'_, str>> = text.split('\n').map(text::sanitize).collect();
    Cow::Owned(lines.join("\n"))
}

/// Writes notices to stderr, a line each.
pub fn notices(all: &[String]) {
    for text in all {
        notice(text);
    }
}

/// Writes a notice to stderr, harmless whatever stands in it.
pub fn notice(text: &str) {
    // Nobody can be told that stderr is gone.
    drop(writeln!(io::stderr().lock(), "{}", harmless(text)));
}

/// Asks on stderr, and reads what a person answers; `None` where there is nobody to ask.
pub fn agreed(question: &str) -> io::Result<Option<bool>> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(None);
    }
    write!(io::stderr(), "{} [y/N] ", harmless(question))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}

/// Writes a value as JSON or YAML.
pub fn value(format: Format, value: &impl Serialize) -> io::Result<()> {
    let text = match format {
        Format::Yaml => serde_yaml::to_string(value).map_err(io::Error::other)?,
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

/// On a terminal it still says the same: what is not shown is escaped.
fn json(text: &str) -> io::Result<()> {
    if on_a_terminal() {
        put(&harmless_json(text))
    } else {
        put(text)
    }
}

/// The same JSON with every character that could harm a terminal escaped: none stands outside a string.
fn harmless_json(json: &str) -> String {
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

/// Writes rows under heads, columns aligned, everything made harmless.
pub fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> io::Result<()> {
    let cells = |row: &[String; N]| row.each_ref().map(|cell| text::sanitize(cell).into_owned());
    let rows: Vec<[String; N]> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| text::width(&row[column]))
            .chain([heads[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let print = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            format!(
                "{cell}{}",
                " ".repeat(width.saturating_sub(text::width(cell)))
            )
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = rows
        .iter()
        .map(|row| print(row.each_ref().map(String::as_str)));
    let lines: Vec<String> = std::iter::once(print(heads)).chain(rows).collect();
    // At once: a long table is not written line by line.
    line(&lines.join("\n"))
}

/// A reader that went away has read enough.
fn tolerant(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_is_the_same_and_harmless() {
        let value =
            serde_json::json!({ "a": ["\u{9b}31m é\n", "\u{202e}\u{e0001}", "日本 \"x\""] });
        let shown = harmless_json(&serde_json::to_string_pretty(&value).unwrap());
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
