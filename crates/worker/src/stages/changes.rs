//! Parses the changes of a commit from `git diff-tree -r -z`. Pure.

/// One path that differs between two commits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    /// Path from the repository root. Invalid UTF-8 is replaced, so such a path never equals an expected one.
    pub path: String,
    pub old: Mode,
    pub new: Mode,
}

/// The kind of entry at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Absent,
    File,
    Executable,
    Link,
    Submodule,
    Other,
}

impl Mode {
    fn parse(mode: &str) -> Self {
        match mode {
            "000000" => Self::Absent,
            "100644" => Self::File,
            "100755" => Self::Executable,
            "120000" => Self::Link,
            "160000" => Self::Submodule,
            _ => Self::Other,
        }
    }

    /// Returns the kind with its article, for messages.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Absent => "nothing",
            Self::File => "a file",
            Self::Executable => "an executable",
            Self::Link => "a symbolic link",
            Self::Submodule => "a submodule",
            Self::Other => "something unknown",
        }
    }
}

/// Parses the raw format without renames, NUL-terminated: `:<old mode> <new mode> <old id> <new id> <status>` NUL path NUL.
pub(crate) fn parse(raw: &[u8]) -> Vec<Change> {
    let mut fields = raw.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut changes = Vec::new();
    while let (Some(meta), Some(path)) = (fields.next(), fields.next()) {
        let mut modes = meta.trim_start_matches(':').split(' ').map(Mode::parse);
        if let (Some(old), Some(new)) = (modes.next(), modes.next()) {
            changes.push(Change {
                path: path.into_owned(),
                old,
                new,
            });
        }
    }
    changes
}

/// Returns the paths of non-empty regular files in `git ls-tree -r -l -z` output: `<mode> <type> <id> <size>` TAB path NUL.
pub(crate) fn non_empty_files(listing: &[u8]) -> Vec<String> {
    let lines = listing
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy);
    let non_empty = |line: &str| {
        let (meta, path) = line.split_once('\t')?;
        let mut words = meta.split_whitespace();
        let mode = Mode::parse(words.next()?);
        let size = words.nth(2)?;
        let regular = matches!(mode, Mode::File | Mode::Executable);
        (regular && size != "0").then(|| path.to_owned())
    };
    lines.filter_map(|line| non_empty(&line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_raw_diffs_with_any_path() {
        let raw = b":000000 100644 0000 1111 A\0a b\tc\n.md\0:100644 120000 1111 2222 T\0docs/\xff.md\0:160000 000000 1 0 D\0sub\0";
        let read = parse(raw);
        assert_eq!(
            read.iter()
                .map(|c| (c.path.as_str(), c.old, c.new))
                .collect::<Vec<_>>(),
            [
                ("a b\tc\n.md", Mode::Absent, Mode::File),
                ("docs/\u{fffd}.md", Mode::File, Mode::Link),
                ("sub", Mode::Submodule, Mode::Absent),
            ]
        );
        assert_eq!(parse(b""), []);
    }

    #[test]
    fn lists_only_non_empty_regular_files() {
        let listing = b"100644 blob 1111     12\ttask.md\x00100644 blob 2222       0\tempty.md\x00120000 blob 3333       9\tlink.md\x00160000 commit 4444       -\tsub\0";
        assert_eq!(non_empty_files(listing), ["task.md"]);
    }
}
