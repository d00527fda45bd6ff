//! Everything a verb may use.

use std::{path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{ClusterContext, VerbError, embedded::EmbeddedServer};
use flightdeck_core::runs::naming;
use flightdeck_host::{
    ledger::Ledger,
    repository,
    settings::{Paths, Settings},
};
use flightdeck_preflight::{ClusterSource, Facts, PreflightRequest, RemoteQuery, Sources};

/// Access to the selected cluster, implemented by each front end.
pub trait ClusterAccess: Send + Sync {
    /// Kubeconfig context; `None` for the embedded cluster.
    fn kubeconfig_context(&self) -> Option<&str>;

    /// Namespace chosen by the user; `None` for the cluster's default.
    fn namespace(&self) -> Option<&str>;

    /// Connects, and starts the embedded cluster if necessary.
    fn connect(&self) -> BoxFuture<'_, Result<ClusterContext, VerbError>>;

    /// Returns where pre-flight gets its facts about the cluster. Starts no cluster.
    fn facts_source(&self) -> BoxFuture<'_, ClusterSource>;

    /// Shows a message that is not part of the output.
    fn notice(&self, message: &str);

    /// Returns the server of the embedded cluster on this machine; `None` if the front end has none.
    fn embedded(&self) -> Option<&dyn EmbeddedServer>;
}

/// Everything a verb may use. The cluster is connected on first use, so verbs on files work without one.
#[derive(Clone)]
pub struct Context {
    /// Directory to search upwards from for the repository.
    pub start: PathBuf,
    pub settings: Arc<Settings>,
    /// `None` for a front end without files of its own.
    paths: Option<Paths>,
    access: Arc<dyn ClusterAccess>,
    cluster: Arc<OnceCell<ClusterContext>>,
}

impl Context {
    /// Returns a context that is not connected yet.
    #[must_use]
    pub fn new(
        start: PathBuf,
        settings: Arc<Settings>,
        paths: Paths,
        access: Arc<dyn ClusterAccess>,
    ) -> Self {
        Self {
            start,
            settings,
            paths: Some(paths),
            access,
            cluster: Arc::default(),
        }
    }

    /// Returns a context for verbs on the runs of a cluster that is already connected.
    #[must_use]
    pub fn connected(start: PathBuf, cluster: ClusterContext) -> Self {
        Self {
            start,
            settings: Arc::clone(&cluster.settings),
            paths: None,
            access: Arc::new(cluster.clone()),
            cluster: Arc::new(OnceCell::new_with(Some(cluster))),
        }
    }

    /// Returns the cluster, connecting on first use.
    pub async fn cluster(&self) -> Result<&ClusterContext, VerbError> {
        let connect = || self.access.connect();
        self.cluster.get_or_try_init(connect).await
    }

    /// Returns the configuration and state directories of this machine.
    pub fn paths(&self) -> Result<&Paths, VerbError> {
        self.paths
            .as_ref()
            .ok_or_else(|| VerbError::Usage("not available here: no local state".into()))
    }

    /// Describes the selected cluster: `prod, namespace agents`.
    pub async fn target(&self) -> Result<String, VerbError> {
        let name = self.access.kubeconfig_context().unwrap_or("embedded");
        let namespace = &self.cluster().await?.namespace;
        Ok(format!("{name}, namespace {namespace}"))
    }

    /// Returns the access to the selected cluster.
    #[must_use]
    pub fn access(&self) -> &dyn ClusterAccess {
        self.access.as_ref()
    }

    /// Opens the ledger.
    pub fn ledger(&self) -> Result<Ledger, VerbError> {
        let ledger = Ledger::open(&self.paths()?.ledger);
        let ledger = ledger.map_err(|error| VerbError::Failed(error.to_string()))?;
        Ok(ledger.with_settings(&self.settings.ledger))
    }

    /// Gathers the pre-flight facts about a launch. Contacts the remote and the cluster; starts no cluster.
    pub async fn preflight_facts(&self, request: &PreflightRequest) -> Facts {
        let sources = Sources {
            start: self.start.clone(),
            settings: Some(Arc::clone(&self.settings)),
            remote: RemoteQuery::Fresh,
            cluster: self.access.facts_source().await,
            embedded: self.access.kubeconfig_context().is_none(),
            active_runs: None,
        };
        flightdeck_preflight::gather(request, sources).await
    }

    /// Returns the runs that a command in this directory covers.
    pub async fn scope(&self, all: bool) -> Scope {
        if all {
            return Scope::All;
        }
        match repository::read(&self.start).await {
            Ok(facts) => match facts.remote {
                Some(remote) => Scope::Repository(naming::repository_label(&remote.clone_url)),
                None => Scope::Unknown("this repository has no remote".to_owned()),
            },
            Err(error) => Scope::Unknown(error.to_string()),
        }
    }
}

/// The runs that a command covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Runs of all repositories (`--all`).
    All,
    /// Runs with this repository label.
    Repository(String),
    /// The repository is unknown, for this reason. Each command decides what that means.
    Unknown(String),
}

impl Scope {
    /// Returns the label to select runs by; `None` selects the runs of all repositories.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        match self {
            Self::Repository(label) => Some(label),
            Self::All | Self::Unknown(_) => None,
        }
    }
}
