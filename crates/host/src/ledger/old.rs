//! Logs as the first version kept them: one file of plain lines, brought over by whoever writes the run's log next.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use super::{LedgerError, file::failed, line::Line};
use flightdeck_core::log::{LogEvent, LogSource};

const LOG: &str = "log.jsonl";

/// The events of the old file, in their order; `None` where there is none. Lines that cannot be read are left out.
pub(super) fn read(
    run: &Path,
) -> Result<Option<impl Iterator<Item = LogEvent> + use<>>, LedgerError> {
    let path = run.join(LOG);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path)(error)),
    };
    let mut sources: HashMap<usize, Arc<LogSource>> = HashMap::new();
    // Splitting bytes, not text: one bad byte must not end the log.
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    Ok(Some(lines.filter_map(move |bytes| {
        let known = |s: usize| sources.get(&s).cloned();
        match Line::read(&bytes)? {
            Line::Source { s, source } => {
                let source = Arc::new(source.into_owned());
                sources.insert(s, Arc::clone(&source));
                Some(LogEvent::SourceStarted(source))
            }
            line => line.event(known),
        }
    })))
}

/// Removes the old file.
pub(super) fn remove(run: &Path) -> Result<(), LedgerError> {
    let path = run.join(LOG);
    std::fs::remove_file(&path).map_err(failed(&path))
}

/// Its bytes on disk.
pub(super) fn bytes(run: &Path) -> u64 {
    std::fs::metadata(run.join(LOG)).map_or(0, |metadata| metadata.len())
}
