//! Paths, settings and the selected cluster of a command.

use std::{path::PathBuf, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use kube::Client;

use super::{Place, output};
use crate::connect::{self, Connection, Target};
use flightdeck_host::{
    cluster::client::Prompts,
    ledger::{Ledger, LedgerError},
    settings::{Paths, Settings, SettingsError},
};
use flightdeck_preflight::{ClusterFacts, ClusterSource, cluster::ClusterQuery};
use flightdeck_verbs::{ClusterAccess, ClusterContext, Context, EmbeddedServer, VerbError};
use kube_embedded::endpoint;

/// Paths, settings and the selected cluster.
#[derive(Clone, Debug)]
pub struct Session {
    pub place: Place,
    pub paths: Paths,
    pub settings: Arc<Settings>,
    /// Path of this program, to start the background server.
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

    /// Opens a session with other paths.
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

    /// Returns the selected cluster. Default: the embedded one.
    #[must_use]
    pub fn target(&self) -> Target {
        self.place
            .context
            .clone()
            .map_or(Target::Embedded, Target::Context)
    }

    /// Connects, and starts the background server if necessary.
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

    /// Returns where pre-flight gets its facts about the cluster. Starts no cluster.
    pub(super) async fn cluster_source(&self) -> ClusterSource {
        let directory = &self.paths.embedded;
        let context = match self.target() {
            Target::Embedded if endpoint::find(directory).is_none() => {
                let settings = Arc::clone(&self.settings);
                return ClusterSource::Known(ClusterFacts::not_running(directory, settings));
            }
            Target::Embedded => None,
            Target::Context(context) => Some(context),
        };
        match self.connect().await {
            Ok(connection) => ClusterSource::Live(ClusterQuery {
                client: connection.client,
                disk: context.is_none().then(|| directory.clone()),
                context,
                namespace: connection.namespace,
                secrets: Vec::new(),
                settings: Some(Arc::clone(&self.settings)),
            }),
            Err(error) => ClusterSource::Known(ClusterFacts::unreachable(
                context,
                self.place
                    .namespace
                    .clone()
                    .unwrap_or_else(|| "default".into()),
                error.to_string(),
            )),
        }
    }

    /// Returns what verbs work with, not connected yet.
    #[must_use]
    pub fn verb_context(&self) -> Context {
        Context::new(
            self.place.repo.clone(),
            Arc::clone(&self.settings),
            self.paths.clone(),
            Arc::new(self.clone()),
        )
    }

    /// Connects and returns the cluster. Prints notices of the connection.
    pub async fn context(&self) -> Result<ClusterContext, VerbError> {
        let connection = self.connect().await?;
        output::notices(&connection.notices);
        self.context_of(connection.client, &connection.namespace)
    }

    /// Returns the cluster of an existing client.
    pub fn context_of(&self, client: Client, namespace: &str) -> Result<ClusterContext, VerbError> {
        let ledger = self.ledger()?;
        Ok(ClusterContext {
            client,
            namespace: namespace.to_owned(),
            settings: Arc::clone(&self.settings),
            ledger,
        })
    }

    /// Opens the ledger; `None`, with a notice, if a newer version wrote it.
    pub fn ledger(&self) -> Result<Option<Ledger>, VerbError> {
        match Ledger::open(&self.paths.ledger) {
            Ok(ledger) => Ok(Some(ledger.with_settings(&self.settings.ledger))),
            Err(error @ LedgerError::Newer { .. }) => {
                output::notice(&format!("archiving is disabled: {error}"));
                Ok(None)
            }
            Err(error) => Err(VerbError::Failed(error.to_string())),
        }
    }
}

impl ClusterAccess for Session {
    fn kubeconfig_context(&self) -> Option<&str> {
        self.place.context.as_deref()
    }

    fn namespace(&self) -> Option<&str> {
        self.place.namespace.as_deref()
    }

    fn connect(&self) -> BoxFuture<'_, Result<ClusterContext, VerbError>> {
        self.context().boxed()
    }

    fn facts_source(&self) -> BoxFuture<'_, ClusterSource> {
        self.cluster_source().boxed()
    }

    fn notice(&self, message: &str) {
        output::notice(message);
    }

    fn embedded(&self) -> Option<&dyn EmbeddedServer> {
        Some(self)
    }
}
