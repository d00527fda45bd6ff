//! Translation of container paths to local paths, and expansion of `$(NAME)`. Pure.
//!
//! A process has no mount namespace. Wherever the command, arguments, working directory or environment of a container
//! begin with a mount path, followed by nothing or a slash, the real directory is substituted; likewise for the path of
//! the termination message. Paths within a text are not translated, and read-only mounts are writable: both are up to
//! the program.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Mount paths of a container, with their real paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// Longest first, so that a nested mount wins.
    mounts: Vec<(String, PathBuf)>,
}

impl Paths {
    /// Takes pairs of mount path and real path.
    #[must_use]
    pub(super) fn new(mounts: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut mounts: Vec<_> = mounts
            .into_iter()
            .map(|(path, real)| (path.trim_end_matches('/').to_owned(), real))
            .filter(|(path, _)| path.starts_with('/'))
            .collect();
        mounts.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        Self { mounts }
    }

    /// Returns `text` with a leading mount path replaced.
    #[must_use]
    pub(super) fn translate(&self, text: &str) -> String {
        self.real(text).map_or_else(
            || text.to_owned(),
            |path| path.to_string_lossy().into_owned(),
        )
    }

    /// Returns the real path of `path`; `None` outside the mounts.
    #[must_use]
    pub(super) fn real(&self, path: &str) -> Option<PathBuf> {
        self.mounts.iter().find_map(|(mount, real)| {
            let rest = path.strip_prefix(mount.as_str())?;
            match rest.strip_prefix('/') {
                Some(rest) => Some(real.join(rest.trim_start_matches('/'))),
                None => rest.is_empty().then(|| real.clone()),
            }
        })
    }
}

/// Replaces `$(NAME)` with the value of a variable. `$$(NAME)` becomes `$(NAME)`, and unknown names are kept.
#[must_use]
pub(super) fn expand(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest
            .strip_prefix("$(")
            .and_then(|rest| rest.split_once(')'))
        {
            match variables.get(name) {
                Some(value) => out.push_str(value),
                None => out.push_str(&rest[..name.len() + 3]),
            }
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// Joins `name` to `directory`. Refuses a name that is not a single normal component: the path would lead elsewhere.
pub(super) fn join(directory: &Path, name: &str) -> io::Result<PathBuf> {
    if is_component(name) {
        Ok(directory.join(name))
    } else {
        Err(io::Error::other(format!("{name:?} is not a file name")))
    }
}

/// Whether `name` is a single normal component of a path.
#[must_use]
pub(super) fn is_component(name: &str) -> bool {
    use std::path::Component::Normal;
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Normal(only)), None) if only == name)
}

/// Returns whether a relative path stays inside its base.
#[must_use]
pub(super) fn is_inside(path: &Path) -> bool {
    use std::path::Component::{CurDir, Normal};
    path.components()
        .all(|part| matches!(part, Normal(_) | CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translates_leading_mount_paths_only() {
        let paths = Paths::new([
            ("/srv".to_owned(), PathBuf::from("/real/srv")),
            ("/srv/inner/".to_owned(), PathBuf::from("/real/inner")),
            ("/".to_owned(), PathBuf::from("/never")),
        ]);
        for (text, expected) in [
            ("/srv", "/real/srv"),
            ("/srv/", "/real/srv/"),
            ("/srv/a/b", "/real/srv/a/b"),
            ("/srv/inner/x", "/real/inner/x"),
            ("/srvs", "/srvs"),
            ("--dir=/srv", "--dir=/srv"),
            ("srv", "srv"),
            ("/", "/"),
        ] {
            assert_eq!(paths.translate(text), expected, "{text}");
        }
    }

    #[test]
    fn expands_variables() {
        let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
        for (text, expected) in [
            ("x$(A)y", "x1y"),
            ("$(A)$(A)", "11"),
            ("$(B)", "$(B)"),
            ("$$(A)", "$(A)"),
            ("$A ${A} 5$", "$A ${A} 5$"),
            ("$(A", "$(A"),
            ("", ""),
        ] {
            assert_eq!(expand(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn only_a_single_component_is_joined() {
        let join = |name| join(Path::new("/pod/volumes"), name).ok();
        assert_eq!(join("a.b-c"), Some(PathBuf::from("/pod/volumes/a.b-c")));
        for name in ["", ".", "..", "/", "/a", "a/b", "a/", "a/.", "../a"] {
            assert_eq!(join(name), None, "{name:?}");
        }
    }

    #[test]
    fn detects_paths_outside() {
        for (path, inside) in [
            ("a/b", true),
            ("./a", true),
            ("../a", false),
            ("a/../../b", false),
            ("/a", false),
        ] {
            assert_eq!(is_inside(Path::new(path)), inside, "{path}");
        }
    }
}
