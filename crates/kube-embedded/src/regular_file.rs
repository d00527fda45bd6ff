//! Opens files that a container may have replaced by something else.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Opens a regular file for reading. Follows symbolic links and never blocks, unlike opening a pipe without a writer.
///
/// # Errors
/// If something other than a regular file is at `path`, or it cannot be opened.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let regular = |metadata: &fs::Metadata| {
        if metadata.is_file() {
            Ok(())
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidInput))
        }
    };
    // Checked before opening, because opening a device may have side effects, and again afterwards, because the file may have
    // been replaced in between.
    regular(&fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}
