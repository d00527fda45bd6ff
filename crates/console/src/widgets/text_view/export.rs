//! Saving a text: the original lines, not the formatted ones.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Line, TextView, formatter::LineFormatter, scan::Scan, store::Store};

/// File format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// The original lines, except those with a tag.
    Text { without: Option<u16> },
    /// One JSON object per line: the fields of its tag, `at`, and `text` (`notice` for a tag without fields). Invalid UTF-8
    /// becomes U+FFFD.
    JsonLines(Vec<Map<String, Value>>),
}

impl Default for ExportFormat {
    fn default() -> Self {
        Self::Text { without: None }
    }
}

/// Lines to save. Shares them with the view, so creating one is cheap.
#[derive(Clone)]
pub struct Export {
    store: Store,
    filter: Option<Scan>,
    formatter: Arc<dyn LineFormatter>,
    format: ExportFormat,
}

impl TextView {
    /// Returns the lines that pass the filter, for saving.
    #[must_use]
    pub fn export(&self, format: ExportFormat) -> Export {
        Export {
            store: self.store.clone(),
            filter: self.filter.clone(),
            formatter: Arc::clone(&self.formatter),
            format,
        }
    }
}

impl Export {
    /// Returns the file name extension.
    #[must_use]
    pub const fn extension(&self) -> &'static str {
        match self.format {
            ExportFormat::Text { .. } => "txt",
            ExportFormat::JsonLines(_) => "jsonl",
        }
    }

    /// Writes all lines. Blocks.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let filter = self.filter.clone().map(|mut scan| {
            // The view's scan may be incomplete.
            scan.step(&self.store, self.formatter.as_ref(), usize::MAX, true);
            scan
        });
        let mut done = Ok(());
        self.store.walk_segments(0, true, |segment| {
            for index in 0..segment.lines() {
                let Some(line) = segment.line(index) else {
                    continue;
                };
                if filter.as_ref().is_none_or(|scan| scan.has(line.id)) {
                    done = self.write_line(out, &line, segment.raw(index));
                }
                if done.is_err() {
                    return false;
                }
            }
            true
        });
        done
    }

    /// Writes a line. `raw` are its original bytes if they are not UTF-8.
    fn write_line(
        &self,
        out: &mut impl Write,
        line: &Line<'_>,
        raw: Option<&[u8]>,
    ) -> io::Result<()> {
        match &self.format {
            ExportFormat::Text { without } if *without == Some(line.tag) => Ok(()),
            ExportFormat::Text { .. } => {
                out.write_all(raw.unwrap_or(line.text.as_bytes()))?;
                writeln!(out)
            }
            ExportFormat::JsonLines(sources) => {
                let mut object = Map::new();
                let at = line.at.and_then(|at| Timestamp::from_microsecond(at).ok());
                object.extend(at.map(|at| ("at".to_owned(), at.to_string().into())));
                let source = sources.get(usize::from(line.tag));
                object.extend(source.cloned().into_iter().flatten());
                let key = if source.is_some() { "text" } else { "notice" };
                object.insert(key.to_owned(), line.text.into());
                serde_json::to_writer(&mut *out, &object)?;
                writeln!(out)
            }
        }
    }
}

impl PartialEq for Export {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format
            && self.filter == other.filter
            && self.store.next() == other.store.next()
    }
}

impl Eq for Export {}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("format", &self.format)
            .field("lines", &self.store.next())
            .finish_non_exhaustive()
    }
}
