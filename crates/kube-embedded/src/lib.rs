//! The embedded cluster: a small Kubernetes API server for one machine, in this process.
//!
//! It knows no kind of ours, only those that CustomResourceDefinitions add to it, and imports no other room of the crate.
//!
//! It does no admission, and evaluates no rules in CEL (`x-kubernetes-validations`): a definition that has some is
//! accepted with a warning and the condition `RulesIgnored`, unless whoever opens the cluster brings the same rules as
//! functions ([`ValidationRules`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `service`, `route`, `discovery`, `openapi` | HTTP requests to calls, and what there is to call |
//! | `write`, `builtin`, `metadata`, `definitions`, `schema` | what a write means, decided on the newest state |
//! | `collect` | what deletions bring about |
//! | `read`, `watch`, `select`, `options` | lists and watches |
//! | `form`, `table`, `json_path` | the forms objects are sent in: whole, metadata alone, rows of a table |
//! | `patch`, `apply`, `fields`, `events` | how bodies become objects, and who owns which field |
//! | `store` | every object: in memory for readers, in a file before a write is acknowledged |
//! | `attempt`, `shim`, `log` | one try at running a container: its directory, the process over it, its output |
//! | `fault` | what goes wrong between client and server, planted |
//! | `jobs`, `node` | the Job controller, and the node that runs pods as processes |
//! | `kinds`, `object`, `failure` | the words the others speak in |
//!
//! What it does not do, and how it says so:
//!
//! | not served | answer |
//! |---|---|
//! | Services, Nodes, Deployments, RBAC, quotas, webhooks: every kind but those in `kinds` and those of definitions | 404, naming the kind |
//! | `exec`, `attach`, `portforward`, `proxy`, `eviction`, `scale`: every subresource but `status` and `pods/log` | 404, naming it |
//! | rules in CEL, conversion webhooks | the definition is taken; a warning says that nothing calls them |
//! | protobuf and CBOR answers; OpenAPI v2 | 406; 404: clients take JSON and v3 |
//! | protobuf bodies of kinds beyond those in `protobuf` | 415 |
//! | admission, authorization: who has the token may do everything | reviews answer yes |

mod apply;
pub mod attempt;
mod builtin;
mod crd;
#[cfg(feature = "serve")]
mod credentials;
mod discovery;
mod duplicate_keys;
#[cfg(feature = "serve")]
pub mod endpoint;
mod event_conversion;
#[cfg(feature = "fault")]
pub mod fault;
mod field_set;
mod gc;
mod identity;
mod jobs;
mod json_path;
mod kinds;
mod list;
mod list_options;
pub mod log;
mod metadata;
pub mod node;
mod object;
mod openapi;
mod patch;
mod protobuf;
mod regular_file;
mod representation;
mod route;
mod schema;
mod selector;
#[cfg(feature = "serve")]
pub mod serve;
mod service;
pub mod shim;
mod status;
mod store;
mod table;
mod watch;
mod write;

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::json;
use tokio::task::JoinHandle;

pub use crd::{ValidationRule, ValidationRules};
pub use identity::Identity;
pub use service::{ResponseBody, Service};
pub use status::StatusError;
pub use store::DiskError;

use kinds::NAMESPACES;
pub use node::Limits;
use node::{Logs, NodeHandle, NodeOptions};
use object::Key;
use store::Store;

/// The namespaces every cluster has.
const USUAL_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Where everything is kept: objects, logs, volumes.
    pub directory: PathBuf,
    /// This program: what a container's shim, and `flightdeck` in a container's command, is.
    pub program: PathBuf,
    /// Containers that may run at the same time; with 0 there is an API alone, without Job controller and node.
    pub max_containers: usize,
    /// Environment of this process that containers may be given parts of.
    pub environment: BTreeMap<String, String>,
    /// What logs and volumes may take of the disk.
    pub limits: Limits,
    /// What the definitions of custom resources say in CEL, which is not evaluated here.
    pub validation_rules: ValidationRules,
    /// Names under which the cluster presents itself.
    pub identity: Identity,
}

impl ClusterOptions {
    /// Returns options for an API without node and Job controller, stored in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            program: PathBuf::new(),
            max_containers: 0,
            environment: BTreeMap::new(),
            limits: Limits::default(),
            validation_rules: &[],
            identity: Identity::default(),
        }
    }
}

/// Why a cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("cannot set up the embedded cluster: {0}")]
    SetUp(#[from] StatusError),
    #[error("cannot start the embedded cluster's node: {0}")]
    Node(#[source] std::io::Error),
}

/// A running cluster.
pub struct Cluster {
    store: Store,
    service: Service,
    identity: Identity,
    collector: JoinHandle<()>,
    node: Option<NodeHandle>,
}

impl From<ClusterOptions> for NodeOptions {
    fn from(options: ClusterOptions) -> Self {
        Self {
            directory: options.directory,
            program: options.program,
            max_containers: options.max_containers,
            environment: options.environment,
            limits: options.limits,
            identity: options.identity,
        }
    }
}

impl Cluster {
    /// Opens the cluster of a directory, or makes a new one there.
    pub async fn open(options: ClusterOptions) -> Result<Self, OpenError> {
        let (store, changes) = Store::open(&options.directory)?;
        let logs = Logs::new(&options.directory).map_err(OpenError::Node)?;
        let service = Service::new(
            store.clone(),
            logs,
            options.validation_rules,
            options.identity.clone(),
        );
        make_usual_namespaces(&store).await?;
        let collector = tokio::spawn(gc::run(store.clone(), changes));
        let client = kube::Client::new(service.clone(), "default");
        let identity = options.identity.clone();
        let node = if options.max_containers > 0 {
            Some(node::start(client, options.into()).map_err(OpenError::Node)?)
        } else {
            None
        };
        Ok(Self {
            store,
            service,
            identity,
            collector,
            node,
        })
    }

    /// A client that calls this cluster without a network.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API itself.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// Returns the names under which the cluster presents itself.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Kills every container, and starts none any more. Resolves when no process of any is left.
    pub async fn stop_containers(&self) {
        if let Some(node) = &self.node {
            node.stop_containers().await;
        }
    }

    /// Ends everything this cluster does in this process; what was acknowledged is on disk. Containers go on under their
    /// shims, and the next cluster of this directory finds them.
    pub async fn shutdown(self) {
        if let Some(node) = &self.node {
            node.shutdown();
        }
        self.collector.abort();
        let store = self.store.clone();
        if tokio::task::spawn_blocking(move || store.close())
            .await
            .is_err()
        {
            tracing::error!("the embedded store did not close");
        }
    }
}

async fn make_usual_namespaces(store: &Store) -> Result<(), StatusError> {
    store
        .write(false, |transaction| {
            let Some(kind) = transaction.registry().of_resource(NAMESPACES).cloned() else {
                return Ok(());
            };
            for name in USUAL_NAMESPACES {
                if transaction
                    .get(&kind.resource, &Key::new("", name))
                    .is_none()
                {
                    let body = json!({"metadata": {"name": name}});
                    write::create(
                        transaction,
                        &kind,
                        "",
                        body,
                        &write::WriteOptions::default(),
                    )?;
                }
            }
            Ok(())
        })
        .await
}
