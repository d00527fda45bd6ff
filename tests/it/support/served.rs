//! An embedded cluster without node, served over HTTPS as other processes meet it.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
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

/// The cluster, what serves it, and a client of that.
pub struct Served {
    pub cluster: Cluster,
    pub server: Server,
    pub client: Client,
    _directory: tempfile::TempDir,
}

impl Served {
    pub async fn new() -> Self {
        Self::with(ServerOptions::default()).await
    }

    pub async fn with(options: ServerOptions) -> Self {
        Self::on(0, options).await
    }

    /// With a node that runs containers.
    pub async fn with_node() -> Self {
        Self::on(2, ServerOptions::default()).await
    }

    async fn on(max_containers: usize, options: ServerOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cluster = cluster(directory.path(), max_containers).await;
        let server = Server::start_with(&cluster, directory.path(), options);
        let server = server.await.unwrap();
        let client = client(server.endpoint()).await;
        Self {
            cluster,
            server,
            client,
            _directory: directory,
        }
    }

    pub async fn end(self) {
        self.server.shutdown().await;
        self.cluster.shutdown().await;
    }
}

/// Opens and serves the cluster of a directory.
pub async fn open(directory: &Path, options: ServerOptions) -> (Cluster, Server) {
    let cluster = cluster(directory, 0).await;
    let server = Server::start_with(&cluster, directory, options)
        .await
        .unwrap();
    (cluster, server)
}

async fn cluster(directory: &Path, max_containers: usize) -> Cluster {
    let path = std::env::var("PATH").unwrap();
    let options = ClusterOptions {
        identity: flightdeck::daemon::identity(),
        directory: directory.to_owned(),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers,
        limits: kube_embedded::Limits::default(),
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
    };
    Cluster::open(options).await.unwrap()
}

/// A client made of the kubeconfig, as anybody's.
pub async fn client(endpoint: &Endpoint) -> Client {
    let kubeconfig = Kubeconfig::read_from(&endpoint.kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Token of a server.
pub fn token(endpoint: &Endpoint) -> String {
    let text = std::fs::read_to_string(&endpoint.kubeconfig).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("token: "));
    line.unwrap().to_owned()
}

/// A plain connection to a server.
pub async fn connect(endpoint: &Endpoint) -> TcpStream {
    let address = endpoint.address.strip_prefix("https://").unwrap();
    TcpStream::connect(address).await.unwrap()
}

/// An encrypted connection to a server, asked for by `name`, which its certificate need not have.
pub async fn encrypted(endpoint: &Endpoint, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
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

/// HTTP on an encrypted connection.
pub async fn http(endpoint: &Endpoint) -> SendRequest<http_body_util::Full<Bytes>> {
    let stream = encrypted(endpoint, "127.0.0.1").await.unwrap();
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}
