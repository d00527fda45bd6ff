//! Saves a text of the Detail panel to a file.

use std::{
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use crate::widgets::text_view::Export;

/// Writes a text to a new file with mode 0600.
pub(super) fn to_new_file(directory: &Path, name: &str, export: &Export) -> io::Result<PathBuf> {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    for count in 1..1_000 {
        let number = if count == 1 {
            String::new()
        } else {
            format!("-{count}")
        };
        let path = directory.join(format!("flightdeck-{name}{number}.{}", export.extension()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&path) {
            Ok(file) => {
                let mut file = BufWriter::new(file);
                export.write(&mut file)?;
                return file.flush().map(|()| path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "too many files of this name",
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::widgets::text_view::{ExportFormat, Plain, TextView};

    #[test]
    fn save_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let text = |text| TextView::of(text, Arc::new(Plain)).export(ExportFormat::default());
        let first = to_new_file(folder.path(), "run/1 logs", &text("one")).unwrap();
        let second = to_new_file(folder.path(), "run/1 logs", &text("two")).unwrap();
        assert_eq!(first.file_name().unwrap(), "flightdeck-run_1_logs.txt");
        assert_eq!(fs::read_to_string(first).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(second).unwrap(), "two\n");
    }
}
