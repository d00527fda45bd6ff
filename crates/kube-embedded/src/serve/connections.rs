//! Connections: taken, encrypted, and closed again when they show no token, or nothing for long.
//!
//! Any process of this machine can connect. So that one without the token cannot keep those with it out, strangers are few
//! and short: a new one makes the oldest go.

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
use tower::{Layer, ServiceExt};

use super::{
    super::{
        StatusError, Service,
        access::Access,
        fault::{self, Cut, Faulty, FaultyBody},
        service::refusal,
    },
    ServerOptions,
};

/// After an error of the system (too many open files), how long no connection is taken.
const PAUSE: Duration = Duration::from_millis(200);
/// Connections that have not shown the token, at most.
const MOST_STRANGERS: usize = 64;
/// The largest head of a request, in bytes.
const LARGEST_HEAD: usize = 64 << 10;

/// The API behind its token.
#[derive(Clone)]
pub(super) struct Gate {
    access: Arc<Access>,
    service: Faulty<Service>,
    auth_timeout: Duration,
    idle_timeout: Duration,
}

impl Gate {
    pub(super) fn new(access: Access, service: Service, options: &ServerOptions) -> Self {
        Self {
            access: Arc::new(access),
            service: options.faults.layer().layer(service),
            auth_timeout: options.auth_timeout,
            idle_timeout: options.idle_timeout,
        }
    }

    async fn answer(
        self,
        request: Request<Incoming>,
        visitor: Arc<Visitor>,
    ) -> Result<Response<FaultyBody>, Cut> {
        let header = request.headers().get(header::AUTHORIZATION);
        if self.access.admits(header.map(http::HeaderValue::as_bytes)) {
            visitor.admit();
            self.service.oneshot(request).await
        } else {
            Ok(refusal(&StatusError::unauthorized()).map(fault::whole))
        }
    }
}

/// Whoever is at the other end of a connection.
#[derive(Default)]
struct Visitor {
    admitted: AtomicBool,
    news: Notify,
}

impl Visitor {
    fn admit(&self) {
        if !self.admitted.swap(true, Ordering::Relaxed) {
            self.news.notify_one();
        }
    }

    fn is_stranger(&self) -> bool {
        !self.admitted.load(Ordering::Relaxed)
    }
}

/// Takes connections until it is dropped; they end with it. `count` tells how many have shown the token.
pub(super) async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    gate: Gate,
    count: watch::Sender<usize>,
) {
    let mut open = JoinSet::new();
    let mut strangers: VecDeque<(AbortHandle, Arc<Visitor>)> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    strangers.retain(|(task, visitor)| !task.is_finished() && visitor.is_stranger());
                    if strangers.len() >= MOST_STRANGERS && let Some((oldest, _)) = strangers.pop_front() {
                        oldest.abort();
                    }
                    let visitor = Arc::<Visitor>::default();
                    let serving = connection(stream, acceptor.clone(), gate.clone(), visitor.clone(), count.clone());
                    strangers.push_back((open.spawn(serving), visitor));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    gate: Gate,
    visitor: Arc<Visitor>,
    count: watch::Sender<usize>,
) {
    // Answers are small and awaited: never held back to be sent together.
    drop(stream.set_nodelay(true));
    let patience = gate.auth_timeout;
    let mut serving = pin!(serve(stream, acceptor, gate, visitor.clone()));
    tokio::select! {
        () = &mut serving => return,
        () = tokio::time::sleep(patience) => return,
        () = visitor.news.notified() => {}
    }
    let _counted = Counted::new(count);
    serving.await;
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, gate: Gate, visitor: Arc<Visitor>) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let idle_timeout = gate.idle_timeout;
    let answer = service_fn(move |request| gate.clone().answer(request, visitor.clone()));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs from the end of an answer to the end of the next request's head.
        .header_read_timeout(idle_timeout)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke");
    }
}

/// One of those counted, until it is dropped.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|open| *open += 1);
        Self(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
