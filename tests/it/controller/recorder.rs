//! A client that records its requests and can be cut off.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request};
use kube::client::{Body, Client};
use tokio::sync::Notify;
use tower::ServiceExt;

use kube_embedded::Cluster;

/// What happens at the write of this number, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// This write and all later ones are not sent: the process died.
    Dead(usize),
    /// The write is done, but its response is lost.
    Unanswered(usize),
}

/// The recorded requests; clones share them.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    lines: Arc<Mutex<Vec<String>>>,
    /// The created Jobs.
    pub jobs_made: Arc<AtomicUsize>,
    /// Notified when a client was cut off.
    pub dead: Arc<Notify>,
}

/// Formats a request as `PATCH docsruns/status`; lists and watches have their own verbs.
fn line(request: &Request<Body>) -> String {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let after = path.split("/namespaces/").nth(1).unwrap_or(path);
    let parts: Vec<&str> = after.split('/').skip(1).collect();
    let (resource, named) = (parts.first().unwrap_or(&""), parts.len() > 1);
    let what = match parts.get(2) {
        Some(sub) => format!("{resource}/{sub}"),
        None => (*resource).to_owned(),
    };
    let verb = match (request.method().as_str(), named) {
        ("GET", false) if query.contains("watch=true") => "WATCH",
        ("GET", false) => "LIST",
        (method, _) => method,
    };
    format!("{verb} {what}")
}

impl Recorder {
    /// Returns a client whose process dies, or whose responses are lost, as `cut` says. Does not count Leases.
    pub(super) fn client(&self, cluster: &Cluster, cut: Option<Cut>) -> Client {
        let (asked, service) = (self.clone(), cluster.service());
        let writes = Arc::new(AtomicUsize::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (asked, service, writes) = (asked.clone(), service.clone(), Arc::clone(&writes));
            async move {
                let line = line(&request);
                let counts = request.method() != Method::GET && !line.ends_with(" leases");
                let number =
                    writes.fetch_add(usize::from(counts), Ordering::SeqCst) + usize::from(counts);
                if let Some(Cut::Dead(at)) = cut
                    && number >= at
                {
                    asked.dead.notify_one();
                    return std::future::pending().await;
                }
                asked.lines.lock().unwrap().push(line.clone());
                // A sent request is processed even if no one waits for its response.
                let sent = tokio::spawn(async move {
                    let Ok(answer) = service.oneshot(request).await;
                    if line == "POST jobs" && answer.status() == http::StatusCode::CREATED {
                        asked.jobs_made.fetch_add(1, Ordering::SeqCst);
                    }
                    answer
                });
                let answer = sent.await.map_err(std::io::Error::other)?;
                if counts && cut == Some(Cut::Unanswered(number)) {
                    return Err(std::io::Error::other("the answer is lost"));
                }
                Ok(answer)
            }
        });
        Client::new(service, "default")
    }

    /// Returns the number of requests of this kind.
    pub(super) fn count(&self, what: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        let matching = lines
            .iter()
            .filter(|line| *line == what || line.starts_with(&format!("{what} ")));
        matching.count()
    }

    /// Returns all writes in order.
    pub(super) fn writes(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let read = |line: &&String| {
            ["GET", "LIST", "WATCH"]
                .iter()
                .any(|verb| line.starts_with(verb))
        };
        lines.iter().filter(|line| !read(line)).cloned().collect()
    }
}
