//! Clients for existing clusters: a kubeconfig context, or the cluster that the pod runs in.

mod plugin;
mod proxied;

use kube::{
    Config,
    config::{InClusterError, KubeConfigOptions, KubeconfigError},
};

pub use plugin::{PluginError, Prompts};
pub use proxied::{Stack, builder};

/// An error creating a client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("context {context}: {source}")]
    Kubeconfig {
        context: String,
        source: Box<KubeconfigError>,
    },
    #[error("not running in a pod ({0}): name the cluster with --context, as in your kubeconfig")]
    NoPod(#[source] Box<InClusterError>),
    #[error("cannot create the client: {0}")]
    Client(#[source] Box<kube::Error>),
    #[error(transparent)]
    Plugin(#[from] PluginError),
    #[error("cannot reach the cluster through a proxy: {0}")]
    Proxy(String),
}

/// Returns the configuration of a kubeconfig context.
pub async fn context_config(context: &str) -> Result<Config, ClientError> {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_kubeconfig(&options).await;
    config.map_err(|source| ClientError::Kubeconfig {
        context: context.to_owned(),
        source: Box::new(source),
    })
}

/// Returns the controller's configuration: a kubeconfig context, or the service account of its pod.
pub async fn controller_config(context: Option<&str>) -> Result<Config, ClientError> {
    match context {
        Some(context) => context_config(context).await,
        None => Config::incluster().map_err(|error| ClientError::NoPod(Box::new(error))),
    }
}
