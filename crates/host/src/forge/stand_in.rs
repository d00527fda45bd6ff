//! A stand-in for GitHub on loopback, for the demo and for tests: the part of its API that [`super::Forge`] calls, in the
//! shapes that GitHub documents, and a page per pull request.
//!
//! Given a bare repository it answers from what is really there: branches exist or do not, two branches without a commit
//! between them are refused, a pull request whose commits reached its base is merged. Pull requests are kept in a JSON file.

mod api;
mod checks;
mod graphql;
mod origin;
mod page;
mod pages;
mod pulls;
mod reviews;
mod shape;
mod store;

use std::{collections::VecDeque, io, net::SocketAddr, path::PathBuf, sync::Arc};

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc::UnboundedSender},
    task::JoinHandle,
};

use store::Store;

/// The token of a stand-in that this program serves: no secret, and nothing else is ever sent to one.
pub const TOKEN: &str = "stand-in";

/// What a stand-in stands for.
#[derive(Clone, Debug, Default)]
pub struct StandInOptions {
    /// Where its pull requests are kept; made when it is not there.
    pub state_file: PathBuf,
    /// The repository its answers are true to; without one, every branch is believed.
    pub bare_repository: Option<PathBuf>,
    /// `owner/name` of the only repository it has; without one, every name is served.
    pub repository: Option<String>,
    /// The only token it accepts; without one, calls need none.
    pub token: Option<String>,
    /// The only people and teams (`organisation/team`) it knows; without a list, everybody.
    pub people: Option<Vec<String>>,
    /// Told of every call of the API and its answer.
    pub recorder: Option<UnboundedSender<Exchange>>,
}

/// One call and what was answered; bodies are null where there is none.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub sent: Value,
    pub status: StatusCode,
    pub answered: Value,
}

/// An answer given in place of the real one, for tests.
#[derive(Clone, Debug)]
pub struct Planned {
    pub method: Method,
    /// Part of the path and query that the call must hold.
    pub path: String,
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// How many calls it is given to.
    pub times: usize,
}

/// A stand-in that serves until it is dropped.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    planned: Arc<Mutex<VecDeque<Planned>>>,
    server: JoinHandle<()>,
}

/// Serves on `listener`.
///
/// # Errors
/// When the listener has no address, or the state file is there and cannot be read.
pub async fn serve(listener: TcpListener, options: StandInOptions) -> io::Result<StandIn> {
    let address = listener.local_addr()?;
    let planned = Arc::new(Mutex::new(VecDeque::new()));
    let service = Arc::new(Service {
        url: format!("http://{address}"),
        store: Mutex::new(Store::open(&options.state_file).await?),
        options,
        planned: Arc::clone(&planned),
    });
    let router = api::router(service);
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "the stand-in for GitHub ended");
        }
    });
    Ok(StandIn {
        address,
        planned,
        server,
    })
}

impl StandIn {
    /// Base of its REST API; the pages of its pull requests are below it too.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Plans an answer; plans are used in the order they were made.
    pub async fn plan(&self, planned: Planned) {
        self.planned.lock().await.push_back(planned);
    }

    /// Ends it; its address is free again when this returns.
    pub async fn stop(mut self) {
        self.server.abort();
        // It was cancelled a moment ago.
        drop((&mut self.server).await);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// What the handlers share.
struct Service {
    url: String,
    options: StandInOptions,
    store: Mutex<Store>,
    planned: Arc<Mutex<VecDeque<Planned>>>,
}

impl Service {
    /// The planned answer to a call, if there is one.
    async fn planned(&self, method: &Method, path: &str) -> Option<Planned> {
        let mut plans = self.planned.lock().await;
        let at = plans
            .iter()
            .position(|plan| plan.method == *method && path.contains(&plan.path))?;
        let plan = plans.get_mut(at)?;
        plan.times = plan.times.saturating_sub(1);
        let answer = plan.clone();
        if answer.times == 0 {
            plans.remove(at);
        }
        Some(answer)
    }

    fn accepts(&self, headers: &HeaderMap) -> bool {
        self.options.token.as_ref().is_none_or(|token| {
            let sent = headers
                .get(http::header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            sent.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
        })
    }
}
