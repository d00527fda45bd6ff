//! Data on stdout, notices on stderr; a broken pipe is not an error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::text;

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

/// Writes `text` and a line break to stdout.
pub fn line(text: &str) -> io::Result<()> {
    tolerant(writeln!(io::stdout().lock(), "{text}"))
}

/// Writes a line of remote text to stdout: made harmless when people look, as it is when a program reads.
pub fn remote_line(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() {
        line(&text::sanitize(text))
    } else {
        line(text)
    }
}

/// Writes notices to stderr, a line each.
pub fn notices(all: &[String]) {
    for text in all {
        notice(text);
    }
}

/// Writes a notice to stderr.
pub fn notice(text: &str) {
    // Nobody can be told that stderr is gone.
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes a value as JSON or YAML.
pub fn value(format: Format, value: &impl Serialize) -> io::Result<()> {
    let text = match format {
        Format::Yaml => serde_yaml::to_string(value).map_err(io::Error::other)?,
        _ => serde_json::to_string_pretty(value)?,
    };
    let text = text.trim_end();
    match (io::stdout().is_terminal(), format) {
        (false, _) => line(text),
        (true, Format::Yaml) => text.lines().try_for_each(remote_line),
        (true, _) => line(&harmless_json(text)),
    }
}

/// Writes a value as one line of JSON.
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_string(value)?;
    if io::stdout().is_terminal() {
        line(&harmless_json(&text))
    } else {
        line(&text)
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
