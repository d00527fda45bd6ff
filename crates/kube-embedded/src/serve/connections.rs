//! Accepts connections, and closes those that do not authenticate or stay idle.
//!
//! Any local process can connect. Unauthenticated connections are limited in number and time, and a new one evicts the
//! oldest, so that they cannot lock out clients that hold the token.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::{
    super::{Service, StatusError, credentials::Credentials, service::error_response},
    ServerOptions,
    backend::{self, Backend},
};

/// How long to wait before accepting again after a system error, such as too many open files.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// Maximum number of unauthenticated connections.
const MAX_UNAUTHENTICATED: usize = 64;
/// Maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 64 << 10;

/// The API behind a token check.
#[derive(Clone)]
pub(super) struct AuthService {
    credentials: Arc<Credentials>,
    backend: Backend,
    auth_timeout: Duration,
    idle_timeout: Duration,
}

impl AuthService {
    pub(super) fn new(credentials: Credentials, service: Service, options: &ServerOptions) -> Self {
        Self {
            credentials: Arc::new(credentials),
            backend: backend::backend(service, options),
            auth_timeout: options.auth_timeout,
            idle_timeout: options.idle_timeout,
        }
    }

    async fn call(
        self,
        request: Request<Incoming>,
        peer: Arc<Peer>,
    ) -> Result<Response<backend::Body>, backend::Error> {
        let header = request.headers().get(header::AUTHORIZATION);
        if self
            .credentials
            .admits(header.map(http::HeaderValue::as_bytes))
        {
            peer.authenticate();
            self.backend.oneshot(request).await
        } else {
            Ok(error_response(&StatusError::unauthorized()).map(backend::body))
        }
    }
}

/// The client of one connection.
#[derive(Default)]
struct Peer {
    is_authenticated: AtomicBool,
    authenticated: Notify,
}

impl Peer {
    fn authenticate(&self) {
        if !self.is_authenticated.swap(true, Ordering::Relaxed) {
            self.authenticated.notify_one();
        }
    }

    fn is_authenticated(&self) -> bool {
        self.is_authenticated.load(Ordering::Relaxed)
    }
}

/// Accepts connections until it is dropped, and closes them with it. `count` holds the number of authenticated connections.
pub(super) async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    service: AuthService,
    count: watch::Sender<usize>,
) {
    let mut open = JoinSet::new();
    let mut unauthenticated: VecDeque<(AbortHandle, Arc<Peer>)> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    unauthenticated.retain(|(task, peer)| !task.is_finished() && !peer.is_authenticated());
                    if unauthenticated.len() >= MAX_UNAUTHENTICATED
                        && let Some((oldest, _)) = unauthenticated.pop_front()
                    {
                        oldest.abort();
                    }
                    let peer = Arc::<Peer>::default();
                    let serving = connection(stream, acceptor.clone(), service.clone(), peer.clone(), count.clone());
                    unauthenticated.push_back((open.spawn(serving), peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    service: AuthService,
    peer: Arc<Peer>,
    count: watch::Sender<usize>,
) {
    // Responses are small and awaited: do not wait for more data to fill a packet.
    drop(stream.set_nodelay(true));
    let auth_timeout = service.auth_timeout;
    let mut serving = pin!(serve(stream, acceptor, service, peer.clone()));
    tokio::select! {
        () = &mut serving => return,
        () = tokio::time::sleep(auth_timeout) => return,
        () = peer.authenticated.notified() => {}
    }
    let _counted = CountGuard::new(count);
    serving.await;
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, service: AuthService, peer: Arc<Peer>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let idle_timeout = service.idle_timeout;
    let call = service_fn(move |request| service.clone().call(request, peer.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Measured from the end of a response to the end of the next request's head.
        .header_read_timeout(idle_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), call)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection closed with an error");
    }
}

/// Counts one connection until it is dropped.
struct CountGuard(watch::Sender<usize>);

impl CountGuard {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
