//! The API over HTTPS on loopback, for other processes. Without the token every path and verb is 401.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    Cluster, Failure, Service,
    access::{Access, AccessError},
    endpoint::{self, Endpoint},
    service::{ResponseBody, refusal},
};

/// How long a client may take to say who it is, and what it wants.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error of the system (too many open files), how long no connection is taken.
const PAUSE: Duration = Duration::from_millis(200);

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

/// A server that runs until it is shut down.
pub struct Server {
    directory: PathBuf,
    endpoint: Endpoint,
    connections: watch::Receiver<usize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Serves `cluster`, and writes into `directory` how it is reached. The caller holds the directory's [`endpoint::Lock`].
    pub async fn start(cluster: &Cluster, directory: &Path) -> Result<Self, ServeError> {
        let mut access = Access::open(directory)?;
        let listener = listen(access.port).await.map_err(ServeError::Listen)?;
        access.port = listener.local_addr().map_err(ServeError::Listen)?.port();
        let address = format!("https://{}:{}", Ipv4Addr::LOCALHOST, access.port);
        let kubeconfig = access.write(directory, &address)?;
        let acceptor = TlsAcceptor::from(Arc::new(access.tls()?));
        let endpoint = Endpoint {
            address,
            pid: i32::try_from(std::process::id()).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            kubeconfig,
        };
        let (count, connections) = watch::channel(0);
        let gate = Gate {
            access: Arc::new(access),
            service: cluster.service(),
        };
        let accepting = tokio::spawn(accept(listener, acceptor, gate, count));
        let failed = |source| ServeError::Announce {
            path: directory.to_owned(),
            source,
        };
        endpoint::announce(directory, &endpoint).map_err(failed)?;
        Ok(Self {
            directory: directory.to_owned(),
            endpoint,
            connections,
            accepting,
        })
    }

    /// How it is reached.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<usize> {
        self.connections.clone()
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

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    gate: Gate,
    count: watch::Sender<usize>,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, acceptor.clone(), gate.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
        count.send_replace(open.len());
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, gate: Gate) {
    // Answers are small and awaited: never held back to be sent together.
    drop(stream.set_nodelay(true));
    let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else {
        return;
    };
    let answer = service_fn(move |request| gate.clone().answer(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

/// The API behind its token.
#[derive(Clone)]
struct Gate {
    access: Arc<Access>,
    service: Service,
}

impl Gate {
    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<ResponseBody>, std::convert::Infallible> {
        let header = request
            .headers()
            .get(header::AUTHORIZATION)
            .map(http::HeaderValue::as_bytes);
        if self.access.admits(header) {
            self.service.oneshot(request).await
        } else {
            Ok(refusal(&Failure::unauthorized()))
        }
    }
}
