//! Where files are: configuration, state, logs. All of it follows the XDG base directories, or one folder for a demo.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Every path the program uses by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The one folder that holds everything, where there is one.
    pub home: Option<PathBuf>,
    /// The person's settings.
    pub config: PathBuf,
    /// The person's key bindings.
    pub keymap: PathBuf,
    /// The person's templates, one folder a run kind.
    pub templates: PathBuf,
    /// The person's themes.
    pub themes: PathBuf,
    /// Everything that is kept: the ones below it.
    pub state: PathBuf,
    /// The embedded cluster.
    pub embedded: PathBuf,
    /// What outlives a run.
    pub ledger: PathBuf,
    /// What the console and the command line log.
    pub log: PathBuf,
}

impl Paths {
    /// From `XDG_CONFIG_HOME`, `XDG_STATE_HOME` and `HOME`, as `variable` gives them.
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

    /// Everything below one folder, so that removing it removes every trace.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self {
            home: Some(directory.to_owned()),
            ..Self::new(&directory.join("config"), directory.join("state"))
        }
    }

    /// Makes the state directory, for its owner alone; one that others could enter is closed to them.
    pub fn make_state(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.state)?;
        if fs::metadata(&self.state)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&self.state, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }

    /// Opens a log to write to its end; only its owner can read it.
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
    fn relative_base_directories_are_ignored() {
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
    fn what_is_kept_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::below(directory.path());
        fs::create_dir_all(&paths.state).unwrap();
        fs::set_permissions(&paths.state, Permissions::from_mode(0o755)).unwrap();
        paths.make_state().unwrap();
        drop(Paths::open_log(&paths.log).unwrap());
        for (path, expected) in [(&paths.state, 0o700), (&paths.log, 0o600)] {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected, "{}", path.display());
        }
    }
}
