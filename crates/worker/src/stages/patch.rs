//! The patch of work that publish refused, in the log of publish.
//!
//! The log outlives the pod, so the work can be seen and taken after the workspace is gone: `runs export` reads it from there.

use std::{fs, io::Write, path::Path};

use super::{error::StageError, log, remote::local};
use flightdeck_core::{runs::patch, text};
use flightdeck_host::repository::git::Git;

/// Maximum size of a patch in the log, in bytes.
const LIMIT: usize = 1 << 20;

/// Logs the difference between two commits of `repository`, if it is not too large.
pub(crate) async fn write_to_log(
    repository: &Path,
    base: &str,
    head: &str,
) -> Result<(), StageError> {
    let diff = |git: Git| {
        git.args(["diff", "--binary", "--full-index", "--no-renames"])
            .args(["--no-ext-diff", "--no-textconv", "--no-color"])
            .args(["--src-prefix=a/", "--dst-prefix=b/", base, head, "--"])
            .output_limit(LIMIT)
    };
    let Ok(mut written) = diff(local(repository)).run().await.map(|diff| diff.stdout) else {
        log(
            "The patch of the work is too large for the log; the files stay in the workspace until the next attempt.",
        );
        return Ok(());
    };
    if !is_printable(&written) {
        // Base85 instead of characters that a log does not keep.
        let attributes = repository.join("info/attributes");
        let folder = repository.join("info");
        fs::create_dir_all(&folder).map_err(StageError::file("create", folder))?;
        fs::write(&attributes, "* binary\n").map_err(StageError::file("write", &attributes))?;
        let Ok(binary) = diff(local(repository)).run().await else {
            return Ok(());
        };
        written = binary.stdout;
    }
    if written.is_empty() {
        return Ok(());
    }
    let lines = written.split(|byte| *byte == b'\n').count() - 1;
    log(format!(
        "The work that was not pushed, as a patch of {} (see `flightdeck runs export`):",
        text::count(lines, "line")
    ));
    log(patch::BEGIN);
    let mut out = std::io::stdout();
    // A closed log is no reason to stop.
    let _ = out.write_all(&written).and_then(|()| out.flush());
    if !written.ends_with(b"\n") {
        log("");
    }
    log(patch::END);
    Ok(())
}

/// Returns whether a log keeps the text unchanged.
fn is_printable(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| text.split('\n').all(|line| text::sanitize(line) == line))
}
