//! An in-process stand-in for GitHub, for the demo and tests: the part of the API that the GitHub client uses, in
//! GitHub's documented JSON, and a web page per pull request.
//!
//! With a bare repository, its responses reflect that repository: missing branches and branches without new commits
//! are refused, and a pull request counts as merged once its base contains its head. Pull requests are stored in a
//! JSON file.

mod api;
mod checks;
mod graphql;
mod origin;
mod page;
mod pagination;
mod pulls;
mod responses;
mod reviews;
mod store;

use std::{collections::VecDeque, io, net::SocketAddr, path::PathBuf, sync::Arc};

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc::UnboundedSender},
    task::JoinHandle,
};

use super::{ForgeKind, ForgeOptions, Secret, github::GitHub};
use store::Store;

/// The row of [`KINDS`](super::KINDS). Calls carry its own token, so a user's token never reaches it.
pub(super) const KIND: ForgeKind = ForgeKind {
    name: NAME,
    label: "GitHub stand-in",
    token_variables: &[],
    recognizes: |_| false,
    open: |target, options| {
        let token = Secret::new(TOKEN);
        let options = ForgeOptions { token, ..options };
        Ok(Box::new(GitHub::new(target, options)?))
    },
};

/// The kind of a stand-in in the settings.
pub const NAME: &str = "stand-in";

/// The token of a stand-in served by this program. Not a secret; it is sent only to stand-ins.
pub const TOKEN: &str = "stand-in";

/// Options of a stand-in.
#[derive(Clone, Debug, Default)]
pub struct StandInOptions {
    /// The file that stores pull requests; created if it does not exist.
    pub state_file: PathBuf,
    /// The bare repository that responses reflect. Without one, every branch is assumed to exist.
    pub bare_repository: Option<PathBuf>,
    /// The only repository, as `owner/name`. Without one, every name is served.
    pub repository: Option<String>,
    /// The only accepted token. Without one, calls need no token.
    pub token: Option<String>,
    /// The only known users and teams (`organisation/team`). Without a list, all names are known.
    pub people: Option<Vec<String>>,
    /// Receives every API call with its response.
    pub recorder: Option<UnboundedSender<RecordedCall>>,
}

/// A recorded API call. Bodies are null if absent.
#[derive(Clone, Debug, Default)]
pub struct RecordedCall {
    pub method: Method,
    /// Path and query.
    pub uri: String,
    pub sent: Value,
    pub status: StatusCode,
    pub answered: Value,
}

/// A canned response, for tests.
#[derive(Clone, Debug)]
pub struct CannedResponse {
    pub method: Method,
    /// Substring of the path and query that a request must contain.
    pub path: String,
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    /// The number of requests it is returned for.
    pub times: usize,
}

/// A running stand-in. Dropping it stops the server.
#[derive(Debug)]
pub struct StandIn {
    address: SocketAddr,
    planned: Arc<Mutex<VecDeque<CannedResponse>>>,
    server: JoinHandle<()>,
}

/// Serves on `listener`.
///
/// # Errors
/// If the listener has no address, or the state file exists and cannot be read.
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
            tracing::warn!(%error, "the GitHub stand-in stopped");
        }
    });
    Ok(StandIn {
        address,
        planned,
        server,
    })
}

impl StandIn {
    /// Returns the base URL of the REST API and of the pull requests' pages.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a canned response. Responses are used in the order they were added.
    pub async fn plan(&self, planned: CannedResponse) {
        self.planned.lock().await.push_back(planned);
    }

    /// Stops the server. Its address is free when this returns.
    pub async fn stop(mut self) {
        self.server.abort();
        // The result is always "cancelled".
        drop((&mut self.server).await);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// State shared by the handlers.
struct Service {
    url: String,
    options: StandInOptions,
    store: Mutex<Store>,
    planned: Arc<Mutex<VecDeque<CannedResponse>>>,
}

impl Service {
    /// Returns the canned response for a request, if there is one.
    async fn planned(&self, method: &Method, path: &str) -> Option<CannedResponse> {
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
