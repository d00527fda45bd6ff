//! The names under which a cluster presents itself to its clients.

/// Names under which a cluster presents itself: in its kubeconfig, in `/version`, as a field manager and as an event source.
///
/// The default is neutral. A program that embeds a cluster sets its own name, so that users recognize what they talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the cluster, user and context in the kubeconfig, subject of the server certificate, and name under which
    /// containers find [`ClusterOptions::program`](crate::ClusterOptions::program) in their PATH.
    pub name: String,
    /// Version of the embedding program: the build metadata of `/version`, and
    /// [`Endpoint::version`](crate::endpoint::Endpoint::version).
    pub version: String,
    /// Field manager and event source of the node and the Job controller.
    pub component: String,
    /// Pod annotation that lists environment variables a container inherits from this process, as
    /// `<container>=NAME,NAME;<container>=NAME`.
    pub inherit_env_annotation: String,
}

impl Identity {
    /// Returns an identity whose names all derive from `name`.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            version: version.into(),
            component: name.clone(),
            inherit_env_annotation: format!("{name}/inherit-env"),
            name,
        }
    }

    /// The `gitVersion` of `/version`: the Kubernetes version served, with this program as build metadata.
    pub(crate) fn git_version(&self) -> String {
        format!("v1.33.0+{}-{}", self.name, self.version)
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    }
}
