//! The embedded cluster and the controller, in one process.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use kube::Client;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tower::Layer;

use flightdeck_core::runs::naming::ANNOTATION_INHERIT_ENV;
use flightdeck_host::{
    forge::stand_in::{self, StandIn, StandInOptions},
    settings::{EmbeddedSettings, ForgeHost, Paths, Settings},
};
use flightdeck_worker::controller::{
    self, ControllerConfig, Health, InstallError, LeaseConfig, Metrics, SettingsWatcher,
};
use kube_embedded::{Cluster, ClusterOptions, Identity, Limits, fault::Faults};

/// Namespace of the runs.
const NAMESPACE: &str = "default";

/// Returns the names that the embedded cluster uses for itself.
#[must_use]
pub fn identity() -> Identity {
    Identity {
        component: "flightdeck-embedded".to_owned(),
        inherit_env_annotation: ANNOTATION_INHERIT_ENV.to_owned(),
        ..Identity::new("flightdeck", env!("CARGO_PKG_VERSION"))
    }
}

/// Options of an engine.
#[derive(Clone)]
pub struct Options {
    pub paths: Paths,
    pub settings: Settings,
    /// Path of this program, which also runs the stages and the shims.
    pub program: PathBuf,
    /// Environment variables that containers may inherit.
    pub environment: BTreeMap<String, String>,
    /// Faults to inject, for the controller and for external clients.
    pub faults: Faults,
}

impl Options {
    /// Returns options with the environment of this process.
    #[must_use]
    pub fn of_this_process(paths: &Paths, settings: &Settings, program: &Path) -> Self {
        Self {
            paths: paths.clone(),
            settings: settings.clone(),
            program: program.to_owned(),
            // A pod cannot have names or values that are not UTF-8.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            faults: Faults::none(),
        }
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Cluster(#[from] kube_embedded::OpenError),
    #[error(transparent)]
    Resources(#[from] InstallError),
    #[error("{path}: {source}")]
    StandIn { path: PathBuf, source: io::Error },
}

/// Address and repository of a demo's fake Git host. A file in the state directory, so that every start of the server also
/// starts the fake host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandInFile {
    pub address: SocketAddr,
    pub bare_repository: PathBuf,
    /// `owner/name`.
    pub repository: String,
}

impl StandInFile {
    fn path(paths: &Paths) -> PathBuf {
        paths.state.join("stand-in-forge.json")
    }

    /// Reads the file of the state directory, if it exists.
    pub fn read(paths: &Paths) -> io::Result<Option<Self>> {
        match fs::read(Self::path(paths)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the file.
    pub fn write(&self, paths: &Paths) -> io::Result<()> {
        fs::create_dir_all(&paths.state)?;
        fs::write(Self::path(paths), serde_json::to_vec_pretty(self)?)
    }

    /// Adds the fake host to the settings.
    pub fn add_to(&self, settings: &mut Settings) {
        settings.forge.hosts.push(ForgeHost {
            r#match: self.bare_repository.display().to_string(),
            api_url: format!("http://{}", self.address),
            // The user's token is never sent to this kind.
            kind: Some(stand_in::NAME.to_owned()),
            repository: Some(self.repository.clone()),
        });
    }
}

/// A running embedded cluster with its controller.
pub struct Engine {
    cluster: Cluster,
    controller: JoinHandle<()>,
    stop: CancellationToken,
    stand_in: Option<StandIn>,
}

/// Returns the limits of containers from the settings.
fn limits(settings: &EmbeddedSettings) -> Limits {
    const MIB: u64 = 1024 * 1024;
    Limits {
        log_file_bytes: settings.log_file_mib.saturating_mul(MIB),
        log_files: settings.log_files,
        min_free_bytes: settings.free_mib.saturating_mul(MIB),
        max_used_bytes: Some(settings.used_mib.saturating_mul(MIB)).filter(|bytes| *bytes > 0),
    }
}

impl Engine {
    /// Opens the cluster, installs the custom resources and starts the controller.
    pub async fn start(mut options: Options) -> Result<Self, EngineError> {
        let at = |path: PathBuf| move |source| EngineError::StandIn { path, source };
        let file =
            StandInFile::read(&options.paths).map_err(at(StandInFile::path(&options.paths)))?;
        let stand_in = match file {
            Some(file) => {
                file.add_to(&mut options.settings);
                Some(
                    serve_stand_in(&file, &options.paths.state)
                        .await
                        .map_err(at(StandInFile::path(&options.paths)))?,
                )
            }
            None => None,
        };
        let cluster = Cluster::open(ClusterOptions {
            directory: options.paths.embedded.clone(),
            program: options.program,
            max_containers: options.settings.embedded.max_containers,
            environment: options.environment,
            limits: limits(&options.settings.embedded),
            identity: identity(),
        })
        .await?;
        controller::install_crds(cluster.client()).await?;
        let stop = CancellationToken::new();
        let client = Client::new(options.faults.layer().layer(cluster.service()), NAMESPACE);
        let source = SettingsWatcher {
            client: client.clone(),
            namespace: NAMESPACE.to_owned(),
            metrics: Metrics::default(),
            health: Health::default(),
        };
        let watched = source.watch_overrides(options.settings);
        // Invalid overrides are reported but do not delay the start: the user's own settings are used.
        let loaded = watched.loaded();
        let settings = watched.settings;
        let mut config = ControllerConfig::live(settings, NAMESPACE, env!("CARGO_PKG_VERSION"));
        // The lock of the state directory excludes a second controller.
        config.lease = Some(LeaseConfig::exclusive("flightdeck-embedded"));
        let stopped = stop.clone();
        let work = async move {
            if stopped.run_until_cancelled(loaded).await.is_some() {
                controller::run(client, config, stopped.cancelled_owned()).await;
            }
        };
        let controller = tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                () = watched.task => {}
            }
        });
        Ok(Self {
            cluster,
            controller,
            stop,
            stand_in,
        })
    }

    /// Returns a client that calls the cluster in this process, without a network.
    #[must_use]
    pub fn client(&self) -> Client {
        self.cluster.client()
    }

    /// Returns the namespace of the runs.
    #[must_use]
    pub const fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    /// Returns the cluster.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Stops the controller and the cluster. Containers continue under their shims and are adopted at the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        // A panic of the controller is already in the log.
        drop(self.controller.await);
        self.cluster.shutdown().await;
        if let Some(stand_in) = self.stand_in {
            stand_in.stop().await;
        }
    }

    /// Stops everything, including containers. Leaves no process behind.
    pub async fn stop_all(self) {
        self.cluster.stop_containers().await;
        self.stop().await;
    }
}

async fn serve_stand_in(file: &StandInFile, state: &Path) -> io::Result<StandIn> {
    let listener = TcpListener::bind(file.address).await?;
    let options = StandInOptions {
        state_file: state.join("stand-in-forge-state.json"),
        bare_repository: Some(file.bare_repository.clone()),
        repository: Some(file.repository.clone()),
        token: Some(stand_in::TOKEN.into()),
        ..StandInOptions::default()
    };
    stand_in::serve(listener, options).await
}
