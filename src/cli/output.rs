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
    line(text.trim_end())
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
