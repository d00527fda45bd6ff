//! The API over HTTPS on loopback, for other processes.
//!
//! Every request needs the bearer token of the kubeconfig; any other request is answered with 401.

mod backend;
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

#[cfg(feature = "fault")]
use super::fault::Faults;
use super::{
    Cluster,
    credentials::{Credentials, CredentialsError},
    endpoint::{self, Endpoint},
};
use connections::AuthService;

/// Reasons why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The certificate, token or kubeconfig cannot be read or written.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No port can be bound.
    #[error("cannot listen on loopback: {0}")]
    Listen(#[source] io::Error),
    /// The endpoint file cannot be written.
    #[error("cannot write the endpoint file in {path}: {source}")]
    Publish {
        /// The state directory.
        path: PathBuf,
        source: io::Error,
    },
}

/// Settings of a [`Server`].
#[derive(Clone)]
pub struct ServerOptions {
    /// How long a connection may stay open before it presents the token.
    pub auth_timeout: Duration,
    /// How long an authenticated connection may stay open between requests. A response in progress does not count.
    pub idle_timeout: Duration,
    /// Faults to inject into requests.
    #[cfg(feature = "fault")]
    pub faults: Faults,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            auth_timeout: Duration::from_secs(10),
            // As kube-apiserver.
            idle_timeout: Duration::from_secs(90),
            #[cfg(feature = "fault")]
            faults: Faults::none(),
        }
    }
}

impl ServerOptions {
    #[cfg(feature = "fault")]
    fn fault_rules(&self) -> usize {
        self.faults.counts().len()
    }

    #[cfg(not(feature = "fault"))]
    #[expect(
        clippy::unused_self,
        reason = "the same signature with the feature `fault`"
    )]
    const fn fault_rules(&self) -> usize {
        0
    }
}

/// A running server.
pub struct Server {
    directory: PathBuf,
    endpoint: Endpoint,
    clients: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `cluster`, and writes the endpoint file and the kubeconfig into `directory`. The caller holds the
    /// directory's [`endpoint::Lock`].
    pub async fn start(cluster: &Cluster, directory: &Path) -> Result<Self, ServeError> {
        Self::start_with(cluster, directory, ServerOptions::default()).await
    }

    /// Like [`Server::start`], with other settings than the default.
    pub async fn start_with(
        cluster: &Cluster,
        directory: &Path,
        options: ServerOptions,
    ) -> Result<Self, ServeError> {
        let identity = cluster.identity();
        let mut credentials = Credentials::open(directory, &identity.name)?;
        let listener = listen(credentials.port).await.map_err(ServeError::Listen)?;
        credentials.port = listener.local_addr().map_err(ServeError::Listen)?.port();
        let address = format!("https://{}:{}", Ipv4Addr::LOCALHOST, credentials.port);
        let kubeconfig = credentials.write(directory, &identity.name, &address)?;
        let acceptor = TlsAcceptor::from(Arc::new(credentials.tls()?));
        let endpoint = Endpoint {
            address,
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            version: identity.version.clone(),
            kubeconfig,
            fault_rules: options.fault_rules(),
        };
        let (count, clients) = watch::channel(0);
        let service = AuthService::new(credentials, cluster.service(), &options);
        let accepting = tokio::spawn(connections::accept(listener, acceptor, service, count));
        endpoint::publish(directory, &endpoint).map_err(|source| ServeError::Publish {
            path: directory.to_owned(),
            source,
        })?;
        Ok(Self {
            directory: directory.to_owned(),
            endpoint,
            clients,
            accepting,
        })
    }

    /// Returns where the server is reached.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the number of open connections that have authenticated.
    #[must_use]
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.clients.clone()
    }

    /// Stops the server and closes its connections, because watches would never end by themselves.
    pub async fn shutdown(self) {
        endpoint::remove(&self.directory);
        self.accepting.abort();
        // The only error is that the task was aborted.
        drop(self.accepting.await);
    }
}

/// Binds the port of the last start, so that existing kubeconfigs stay valid, or any port if that one is taken.
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
    async fn falls_back_when_port_is_taken() {
        let theirs = listen(0).await.unwrap();
        let port = theirs.local_addr().unwrap().port();
        let own = listen(port).await.unwrap();
        assert_ne!(own.local_addr().unwrap().port(), port);
    }
}
