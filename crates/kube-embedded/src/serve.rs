//! The API over HTTPS on loopback, for other processes. Without the token every path and verb is 401.

mod connections;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{
    Cluster,
    access::{Access, AccessError},
    endpoint::{self, Endpoint},
    fault::Faults,
};
use connections::Gate;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("listening on loopback: {0}")]
    Listen(#[source] io::Error),
    #[error("{path}: {source}")]
    Announce { path: PathBuf, source: io::Error },
}

/// How a server treats those who connect.
#[derive(Clone)]
pub struct ServerOptions {
    /// How long a connection is kept that has not shown the token.
    pub auth_timeout: Duration,
    /// How long one that has shown it may ask nothing. Answers, however long they take, are not counted.
    pub idle_timeout: Duration,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            auth_timeout: Duration::from_secs(10),
            // Kubernetes' API server closes connections that are idle for as long.
            idle_timeout: Duration::from_secs(90),
            faults: Faults::none(),
        }
    }
}

/// A server that runs until it is shut down.
pub struct Server {
    directory: PathBuf,
    endpoint: Endpoint,
    clients: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `cluster`, and writes into `directory` how it is reached. The caller holds the directory's [`endpoint::Lock`].
    pub async fn start(cluster: &Cluster, directory: &Path) -> Result<Self, ServeError> {
        Self::start_with(cluster, directory, ServerOptions::default()).await
    }

    /// The same, with its own idea of how to treat who connects.
    pub async fn start_with(
        cluster: &Cluster,
        directory: &Path,
        options: ServerOptions,
    ) -> Result<Self, ServeError> {
        let identity = cluster.identity();
        let mut access = Access::open(directory, &identity.name)?;
        let listener = listen(access.port).await.map_err(ServeError::Listen)?;
        access.port = listener.local_addr().map_err(ServeError::Listen)?.port();
        let address = format!("https://{}:{}", Ipv4Addr::LOCALHOST, access.port);
        let kubeconfig = access.write(directory, &identity.name, &address)?;
        let acceptor = TlsAcceptor::from(Arc::new(access.tls()?));
        let endpoint = Endpoint {
            address,
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            version: identity.version.clone(),
            kubeconfig,
            fault_rules: options.faults.counts().len(),
        };
        let (count, clients) = watch::channel(0);
        let gate = Gate::new(access, cluster.service(), &options);
        let accepting = tokio::spawn(connections::accept(listener, acceptor, gate, count));
        let failed = |source| ServeError::Announce {
            path: directory.to_owned(),
            source,
        };
        endpoint::announce(directory, &endpoint).map_err(failed)?;
        Ok(Self {
            directory: directory.to_owned(),
            endpoint,
            clients,
            accepting,
        })
    }

    /// How it is reached.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many connections are open that have shown the token.
    #[must_use]
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.clients.clone()
    }

    /// Ends it; open connections are cut, as watches never end by themselves.
    pub async fn shutdown(self) {
        endpoint::withdraw(&self.directory);
        self.accepting.abort();
        // Cancelled is what it is to be.
        drop(self.accepting.await);
    }
}

/// The port of the last start where it is free, so that a kubeconfig in use stays good.
async fn listen(port: u16) -> io::Result<TcpListener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match TcpListener::bind(at(port)).await {
        Err(error) if port != 0 && error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind(at(0)).await
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_somebody_else_has_by_now_is_given_up() {
        let theirs = listen(0).await.unwrap();
        let port = theirs.local_addr().unwrap().port();
        let own = listen(port).await.unwrap();
        assert_ne!(own.local_addr().unwrap().port(), port);
    }
}
