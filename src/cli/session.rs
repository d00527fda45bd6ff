//! What a command works with: where files are, which settings hold, which cluster is meant.

use std::{path::PathBuf, sync::Arc};

use kube::Client;

use super::{Place, output};
use crate::connect::{self, Connection, Target};
use flightdeck_host::{
    cluster::client::Prompts,
    ledger::{Ledger, LedgerError},
    settings::{Paths, Settings, SettingsError},
};
use flightdeck_verbs::{Context, VerbError};

/// What a command works with.
#[derive(Clone, Debug)]
pub struct Session {
    pub place: Place,
    pub paths: Paths,
    pub settings: Arc<Settings>,
    /// This very program, for starting the background server.
    pub program: PathBuf,
}

impl Session {
    /// Reads the environment and the settings.
    pub fn open(place: &Place, program: PathBuf) -> Result<Self, SettingsError> {
        let paths = match &place.home {
            Some(home) => Paths::below(home),
            None => Paths::resolve(|name| std::env::var(name).ok()),
        };
        Self::with_paths(place, paths, program)
    }

    /// The same with files elsewhere.
    pub fn with_paths(
        place: &Place,
        paths: Paths,
        program: PathBuf,
    ) -> Result<Self, SettingsError> {
        let mut settings = Settings::load(&[&paths.config])?;
        if let Some(theme) = &place.theme {
            settings.ui.theme.clone_from(theme);
        }
        Ok(Self {
            place: place.clone(),
            paths,
            settings: Arc::new(settings),
            program,
        })
    }

    /// The cluster that is meant: the embedded one unless a context was named.
    #[must_use]
    pub fn target(&self) -> Target {
        self.place
            .context
            .clone()
            .map_or(Target::Embedded, Target::Context)
    }

    /// Connects; starts the background server where it is needed. A credential plugin may prompt on the terminal.
    pub async fn connect(&self) -> Result<Connection, VerbError> {
        self.connect_with(Prompts::Allowed).await
    }

    /// Connects; starts the background server where it is needed.
    pub async fn connect_with(&self, prompts: Prompts) -> Result<Connection, VerbError> {
        let connection = connect::connect(
            &self.target(),
            self.place.namespace.as_deref(),
            &self.paths,
            &self.program,
            prompts,
        )
        .await;
        connection.map_err(|error| VerbError::Failed(error.to_string()))
    }

    /// What verbs are given. What a person should know of the connection is said on stderr.
    pub async fn context(&self) -> Result<Context, VerbError> {
        let connection = self.connect().await?;
        output::notices(&connection.notices);
        self.context_of(connection.client, &connection.namespace)
    }

    /// What verbs are given, on a cluster one has a client of already.
    pub fn context_of(&self, client: Client, namespace: &str) -> Result<Context, VerbError> {
        let ledger = self.ledger()?;
        Ok(Context {
            client,
            namespace: namespace.to_owned(),
            settings: Arc::clone(&self.settings),
            ledger,
        })
    }

    /// What outlives a run; `None`, and said so, where it was written by a newer version.
    pub fn ledger(&self) -> Result<Option<Ledger>, VerbError> {
        match Ledger::open(&self.paths.ledger) {
            Ok(ledger) => Ok(Some(ledger.with_settings(&self.settings.ledger))),
            Err(error @ LedgerError::Newer { .. }) => {
                output::notice(&format!("nothing is kept: {error}"));
                Ok(None)
            }
            Err(error) => Err(VerbError::Failed(error.to_string())),
        }
    }
}
