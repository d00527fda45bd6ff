//! Locations of files: configuration, state and logs, in the XDG base directories or in one directory for a demo.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// All paths used by the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The directory that contains everything else, for a demo.
    pub home: Option<PathBuf>,
    /// The user's settings.
    pub config: PathBuf,
    /// The user's key bindings.
    pub keymap: PathBuf,
    /// The user's templates, with a directory per run kind.
    pub templates: PathBuf,
    /// The user's themes.
    pub themes: PathBuf,
    /// The state directory, which contains the paths below.
    pub state: PathBuf,
    /// Data of the embedded cluster.
    pub embedded: PathBuf,
    /// Local records of runs.
    pub ledger: PathBuf,
    /// Log of the console and the CLI.
    pub log: PathBuf,
}

impl Paths {
    /// Returns the paths for `XDG_CONFIG_HOME`, `XDG_STATE_HOME` and `HOME`, as returned by `variable`.
    #[must_use]
    pub fn resolve(variable: impl Fn(&str) -> Option<String>) -> Self {
        let home = PathBuf::from(variable("HOME").unwrap_or_else(|| "/".into()));
        // The base directory specification says to ignore relative paths.
        let base = |name: &str, fallback: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(fallback))
        };
        let config = base("XDG_CONFIG_HOME", ".config").join("flightdeck");
        Self::new(
            &config,
            base("XDG_STATE_HOME", ".local/state").join("flightdeck"),
        )
    }

    /// Returns paths that are all below `directory`, so that removing it leaves nothing behind.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self {
            home: Some(directory.to_owned()),
            ..Self::new(&directory.join("config"), directory.join("state"))
        }
    }

    /// Creates the state directory with mode 0700, and removes other users' access from an existing one.
    pub fn create_state_dir(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state)?;
        if fs::metadata(&self.state)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&self.state, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Opens a log for appending, with mode 0600.
    pub fn open_log(path: &Path) -> io::Result<File> {
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
    }

    fn new(config: &Path, state: PathBuf) -> Self {
        Self {
            home: None,
            config: config.join("config.toml"),
            keymap: config.join("keymap.toml"),
            templates: config.join("templates"),
            themes: config.join("themes"),
            embedded: state.join("embedded"),
            ledger: state.join("ledger"),
            log: state.join("flightdeck.log"),
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_relative_base_directories() {
        let paths = Paths::resolve(|name| match name {
            "HOME" => Some("/home/ada".into()),
            "XDG_CONFIG_HOME" => Some("relative".into()),
            "XDG_STATE_HOME" => Some("/var/state".into()),
            _ => None,
        });
        assert_eq!(
            paths.config,
            Path::new("/home/ada/.config/flightdeck/config.toml")
        );
        assert_eq!(paths.ledger, Path::new("/var/state/flightdeck/ledger"));
    }

    #[test]
    fn state_and_log_are_private_to_their_owner() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::below(directory.path());
        fs::create_dir_all(&paths.state).unwrap();
        fs::set_permissions(&paths.state, Permissions::from_mode(0o755)).unwrap();
        paths.create_state_dir().unwrap();
        drop(Paths::open_log(&paths.log).unwrap());
        for (path, expected) in [(&paths.state, 0o700), (&paths.log, 0o600)] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected, "{}", path.display());
        }
    }
}
