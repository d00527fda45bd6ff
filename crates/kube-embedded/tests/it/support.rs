//! Helpers and a custom kind for several tests.

use std::{path::Path, time::Duration};

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use kube_embedded::{Cluster, ClusterOptions};

/// Upper limit for what happens at once on an idle machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// The program of this crate. The node uses it as the shim.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_kube-embedded");

/// A custom kind with a required list, a status subresource and a number.
#[derive(Clone, CustomResource, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "example.org",
    version = "v1",
    kind = "Widget",
    namespaced,
    status = "WidgetStatus",
    derive = "PartialEq"
)]
pub(crate) struct WidgetSpec {
    #[schemars(length(min = 1))]
    pub parts: Vec<String>,
    #[serde(default)]
    pub size: u32,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub(crate) struct WidgetStatus {
    pub phase: Option<String>,
}

/// Returns a valid widget of size 1.
pub(crate) fn widget(name: &str) -> Widget {
    let parts = vec!["wheel".to_owned()];
    Widget::new(name, WidgetSpec { parts, size: 1 })
}

/// Opens a cluster that passes only PATH on to containers. Without containers it has no node.
pub(crate) async fn open_cluster(directory: &Path, max_containers: usize) -> Cluster {
    let options = ClusterOptions {
        program: PROGRAM.into(),
        max_containers,
        environment: [("PATH".to_owned(), std::env::var("PATH").unwrap())].into(),
        ..ClusterOptions::new(directory)
    };
    Cluster::open(options).await.unwrap()
}
