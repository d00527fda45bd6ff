//! What several stories share.

use std::io::Write;

/// Says that a test cannot run here, past the test runner's capture, so that `.ci/run` can list it.
pub fn skipped(test: &str, why: &str) {
    std::io::stderr()
        .write_all(format!("SKIPPED {test}: {why}\n").as_bytes())
        .unwrap();
}
