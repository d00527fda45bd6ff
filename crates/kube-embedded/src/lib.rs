//! A Kubernetes API server, and a node, inside your process.
//!
//! `kube-embedded` lets Rust programs test against a Kubernetes API without installing or starting anything, and run
//! Jobs and pods on a single machine without a container runtime. It is written for [`kube`]: [`Cluster::client`]
//! returns a [`kube::Client`] that calls the API in process. With the feature `serve` other clients, such as kubectl,
//! connect over HTTPS.
//!
//! # Example
//!
//! A small controller, tested against a cluster in a temporary directory:
//!
//! ```
//! use std::pin::pin;
//!
//! use futures::TryStreamExt;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::{
//!     Api, Client, ResourceExt,
//!     api::{Patch, PatchParams, PostParams},
//!     runtime::{WatchStreamExt, wait::await_condition, watcher},
//! };
//! use kube_embedded::{Cluster, ClusterOptions};
//! use serde_json::json;
//!
//! /// The code under test: sets the label `seen` on every ConfigMap.
//! async fn label_config_maps(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let maps = Api::<ConfigMap>::default_namespaced(client);
//!     let mut events = pin!(watcher(maps.clone(), watcher::Config::default()).applied_objects());
//!     while let Some(map) = events.try_next().await? {
//!         let apply = Patch::Apply(json!({
//!             "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": {"seen": "true"}},
//!         }));
//!         maps.patch(&map.name_any(), &PatchParams::apply("labeler"), &apply).await?;
//!     }
//!     Ok(())
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let cluster = Cluster::open(ClusterOptions::new(directory.path())).await?;
//! let maps = Api::<ConfigMap>::default_namespaced(cluster.client());
//! let map = serde_json::from_value(json!({"metadata": {"name": "settings"}}))?;
//! maps.create(&PostParams::default(), &map).await?;
//!
//! let labeled = await_condition(maps, "settings", |map: Option<&ConfigMap>| {
//!     map.is_some_and(|map| map.labels().contains_key("seen"))
//! });
//! tokio::select! {
//!     result = label_config_maps(cluster.client()) => result?,
//!     result = labeled => drop(result?),
//! }
//! cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What is served
//!
//! * Namespaces, ConfigMaps, Secrets, PersistentVolumeClaims, Pods, Events (core/v1 and events.k8s.io/v1), Jobs, Leases
//!   and CustomResourceDefinitions, with all verbs, the `status` subresource, and `pods/log`.
//! * Custom resources: structural schemas with pruning, defaulting and validation, CEL rules, printer columns, selectable
//!   fields.
//! * Lists with paging and resource versions, watches with bookmarks and initial events, label and field selectors,
//!   tables and partial metadata.
//! * JSON Patch, merge patch, strategic merge patch, server-side apply with managed fields, dry runs, field validation.
//! * Finalizers, owner references, garbage collection with all propagation policies, namespace deletion.
//! * Discovery (legacy and aggregated), OpenAPI v3, and the protobuf requests that kubectl sends.
//! * The Job controller, and a node that runs pods as local processes, if [`ClusterOptions::max_containers`] is not 0.
//!
//! # What is not served
//!
//! | not served | response |
//! |---|---|
//! | other kinds, such as Services, Nodes, Deployments and RBAC | 404, naming the kind |
//! | other subresources, such as `exec`, `attach`, `portforward`, `eviction` and `scale` | 404, naming the subresource |
//! | CEL rules (`x-kubernetes-validations`) with times, URLs, quantities and other types, see `kube-rules` | the definition is accepted, with a warning and the condition `RulesIgnored`, which name the rule |
//! | conversion webhooks | the definition is accepted, with a warning |
//! | admission webhooks, quotas | never called, never enforced |
//! | authorization | the holder of the token may do everything; access reviews say so |
//! | responses in protobuf or CBOR | 406 |
//! | protobuf requests beyond those of kubectl | 415 |
//! | OpenAPI v2 | 404 |
//!
//! Pods run as processes of the current user: no images, no isolation, no network of their own. A pod that asks for
//! something the node cannot provide, such as probes, waits with a message that names it.
//!
//! # Features
//!
//! | feature | default | content |
//! |---|---|---|
//! | `serve` | yes | the API over HTTPS on loopback, with a kubeconfig: [`serve`], [`endpoint`] |
//! | `fault` | no | fault injection for tests: errors, delays, cut and stale responses (module `fault`) |
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | `service`, `route`, `discovery`, `openapi` | HTTP requests and responses |
//! | `write`, `builtin`, `metadata`, `crd`, `schema` | semantics of writes |
//! | `gc` | garbage collection |
//! | `list`, `watch`, `selector`, `list_options` | lists and watches |
//! | `representation`, `table`, `json_path` | content negotiation and tables |
//! | `patch`, `apply`, `field_set`, `event_conversion` | patches and field ownership |
//! | `store` | objects in memory and on disk |
//! | `attempt`, `shim`, `log` | containers: their directory, their supervisor, their output |
//! | `jobs`, `node` | the Job controller and the node |
//! | `serve`, `endpoint`, `credentials` | HTTPS |
//! | `fault` | fault injection |
//! | `kinds`, `object`, `status`, `identity` | shared types |

#![warn(unreachable_pub)]

mod apply;
#[doc(hidden)]
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
#[doc(hidden)]
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

pub use identity::Identity;
pub use service::{ResponseBody, Service};
pub use status::StatusError;
pub use store::DiskError;

use kinds::NAMESPACES;
pub use node::Limits;
use node::{Logs, NodeHandle, NodeOptions};
use object::Key;
use store::Store;

/// Namespaces that every cluster has.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Settings of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// State directory: objects, logs and volumes. Created if missing.
    pub directory: PathBuf,
    /// Program that the node starts as `PROGRAM shim --spec FILE` for every container. It must call [`shim::main`] with
    /// the file. Usually the current executable; containers find it in their PATH as [`Identity::name`].
    pub program: PathBuf,
    /// Maximum number of containers that run at the same time. 0 for an API without node and Job controller.
    pub max_containers: usize,
    /// Environment from which containers inherit a few variables, and those their pod asks for; see
    /// [`Identity::inherit_env_annotation`].
    pub environment: BTreeMap<String, String>,
    /// Limits on disk usage.
    pub limits: Limits,
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
            identity: Identity::default(),
        }
    }
}

/// Reasons why a cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The object store cannot be opened.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The system namespaces cannot be created.
    #[error("cannot set up the embedded cluster: {0}")]
    SetUp(#[from] StatusError),
    /// The node's directories cannot be created or watched.
    #[error("cannot start the node of the embedded cluster: {0}")]
    Node(#[source] std::io::Error),
}

/// A running cluster. Call [`Cluster::shutdown`] to end it.
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
    /// Opens the cluster in [`ClusterOptions::directory`], or creates one. Needs a Tokio runtime.
    pub async fn open(options: ClusterOptions) -> Result<Self, OpenError> {
        let (store, changes) = Store::open(&options.directory)?;
        let logs = Logs::new(&options.directory).map_err(OpenError::Node)?;
        let service = Service::new(store.clone(), logs, options.identity.clone());
        create_system_namespaces(&store).await?;
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

    /// Returns a client that calls the API in process, with the default namespace `default`.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// Returns the API as a `tower::Service`.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// Returns the names under which the cluster presents itself.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Kills all containers and starts no more. Returns once no process is left.
    pub async fn stop_containers(&self) {
        if let Some(node) = &self.node {
            node.stop_containers().await;
        }
    }

    /// Stops the cluster and closes its files. Containers keep running under their shims; the next cluster in the
    /// directory finds them.
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
            tracing::error!("cannot close the object store");
        }
    }
}

async fn create_system_namespaces(store: &Store) -> Result<(), StatusError> {
    store
        .write(false, |transaction| {
            let Some(kind) = transaction.registry().of_resource(NAMESPACES).cloned() else {
                return Ok(());
            };
            for name in SYSTEM_NAMESPACES {
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
