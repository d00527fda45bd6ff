//! What is saved of a text: the lines as they came, not as they are shown.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Line, TextView, lens::Lens, scan::Scan, store::Store};

/// How lines are saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they came, each on a line, but for those of a tag.
    Text { without: Option<u16> },
    /// A JSON object each: the fields of its tag, by place, with `at` and `text`; `remark` where there is no such tag. What is
    /// no UTF-8 is U+FFFD in it, since JSON has no way to say it.
    JsonLines(Vec<Map<String, Value>>),
}

impl Default for Form {
    fn default() -> Self {
        Self::Text { without: None }
    }
}

/// Lines to be saved. It shares them with the view, so that making it costs little.
#[derive(Clone)]
pub struct Export {
    store: Store,
    filter: Option<Scan>,
    lens: Arc<dyn Lens>,
    form: Form,
}

impl TextView {
    /// What there is to save: the lines that pass the filter.
    #[must_use]
    pub fn export(&self, form: Form) -> Export {
        Export {
            store: self.store.clone(),
            filter: self.filter.clone(),
            lens: Arc::clone(&self.lens),
            form,
        }
    }
}

impl Export {
    /// The ending of a file of this form.
    #[must_use]
    pub const fn extension(&self) -> &'static str {
        match self.form {
            Form::Text { .. } => "txt",
            Form::JsonLines(_) => "jsonl",
        }
    }

    /// Writes all lines. Blocks.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let filter = self.filter.clone().map(|mut scan| {
            // It may not have looked at all lines yet.
            scan.step(&self.store, self.lens.as_ref(), usize::MAX, true);
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

    /// Writes a line, as it came if `raw` says so.
    fn write_line(
        &self,
        out: &mut impl Write,
        line: &Line<'_>,
        raw: Option<&[u8]>,
    ) -> io::Result<()> {
        match &self.form {
            Form::Text { without } if *without == Some(line.tag) => Ok(()),
            Form::Text { .. } => {
                out.write_all(raw.unwrap_or(line.text.as_bytes()))?;
                writeln!(out)
            }
            Form::JsonLines(sources) => {
                let mut object = Map::new();
                let at = line.at.and_then(|at| Timestamp::from_microsecond(at).ok());
                object.extend(at.map(|at| ("at".to_owned(), at.to_string().into())));
                let source = sources.get(usize::from(line.tag));
                object.extend(source.cloned().into_iter().flatten());
                let key = if source.is_some() { "text" } else { "remark" };
                object.insert(key.to_owned(), line.text.into());
                serde_json::to_writer(&mut *out, &object)?;
                writeln!(out)
            }
        }
    }
}

impl PartialEq for Export {
    fn eq(&self, other: &Self) -> bool {
        self.form == other.form
            && self.filter == other.filter
            && self.store.next() == other.store.next()
    }
}

impl Eq for Export {}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("form", &self.form)
            .field("lines", &self.store.next())
            .finish_non_exhaustive()
    }
}
