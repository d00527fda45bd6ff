//! An embedded cluster served over HTTPS, as other processes reach it.

use std::{path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::Full;
use hyper::{body::Bytes, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use kube_embedded::{
    Cluster, ClusterOptions,
    endpoint::Endpoint,
    serve::{Server, ServerOptions},
};

/// A cluster in a temporary directory, its server, and a client that uses the kubeconfig.
pub struct HttpsCluster {
    pub cluster: Cluster,
    pub server: Server,
    pub client: Client,
    _directory: tempfile::TempDir,
}

impl HttpsCluster {
    /// Starts a cluster without a node.
    pub async fn start() -> Self {
        Self::start_with(ServerOptions::default()).await
    }

    /// Starts a cluster without a node, with these options of the server.
    pub async fn start_with(options: ServerOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = ClusterOptions::new(directory.path());
        Self::serve(directory, cluster, options).await
    }

    /// Starts a cluster with a node that runs up to two containers under the shim of `program`.
    pub async fn start_with_node(program: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = ClusterOptions {
            program: program.into(),
            max_containers: 2,
            environment: [("PATH".to_owned(), std::env::var("PATH").unwrap())].into(),
            ..ClusterOptions::new(directory.path())
        };
        Self::serve(directory, cluster, ServerOptions::default()).await
    }

    async fn serve(
        directory: tempfile::TempDir,
        cluster: ClusterOptions,
        options: ServerOptions,
    ) -> Self {
        let cluster = Cluster::open(cluster).await.unwrap();
        let server = Server::start_with(&cluster, directory.path(), options);
        let server = server.await.unwrap();
        let client = client(&server.endpoint().kubeconfig).await;
        Self {
            cluster,
            server,
            client,
            _directory: directory,
        }
    }

    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.cluster.stop_containers().await;
        self.cluster.shutdown().await;
    }
}

/// Returns a client for the current context of a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Returns the token of a server.
pub fn token(endpoint: &Endpoint) -> String {
    let text = std::fs::read_to_string(&endpoint.kubeconfig).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "));
    line.unwrap().to_owned()
}

/// Opens a TCP connection to a server.
pub async fn connect(endpoint: &Endpoint) -> TcpStream {
    let address = endpoint.address.strip_prefix("https://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// Opens a TLS connection to a server. Fails if its certificate is not valid for `name`.
pub async fn connect_tls(endpoint: &Endpoint, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let kubeconfig = Kubeconfig::read_from(&endpoint.kubeconfig).unwrap();
    let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
    let authority = cluster.certificate_authority_data.unwrap();
    let pem = BASE64_STANDARD.decode(authority).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(tls))
        .connect(name, connect(endpoint).await)
        .await
}

/// Opens an HTTP connection over TLS to a server.
pub async fn connect_http(endpoint: &Endpoint) -> SendRequest<Full<Bytes>> {
    let stream = connect_tls(endpoint, "127.0.0.1").await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}
