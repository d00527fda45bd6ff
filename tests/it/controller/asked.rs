//! A client that writes down what it asks, and that can be cut off.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, Request};
use kube::client::{Body, Client};
use tokio::sync::Notify;
use tower::ServiceExt;

use kube_embedded::Cluster;

/// What happens to the write of this number, counted from 1, and to what comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is never sent, as nothing after it is: its process ended.
    Dead(usize),
    /// It is done, and its answer lost.
    Unanswered(usize),
}

/// What was asked so far; clones share it.
#[derive(Clone, Default)]
pub struct Asked {
    lines: Arc<Mutex<Vec<String>>>,
    /// Jobs that were made.
    pub jobs_made: Arc<AtomicUsize>,
    /// Told when a client was cut off.
    pub dead: Arc<Notify>,
}

/// `PATCH docsruns/status`; lists and watches are called so.
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

impl Asked {
    /// A client of the cluster whose process ends, or whose answers are lost, as `cut` says. Leases do not count.
    pub fn client(&self, cluster: &Cluster, cut: Option<Cut>) -> Client {
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
                // What was sent is done, whether anybody still waits for its answer or not.
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

    /// How often this was asked; `LIST`: all of them.
    pub fn count(&self, what: &str) -> usize {
        let lines = self.lines.lock().unwrap();
        let matching = lines
            .iter()
            .filter(|line| *line == what || line.starts_with(&format!("{what} ")));
        matching.count()
    }

    /// Everything that is no read, in order.
    pub fn writes(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let read = |line: &&String| {
            ["GET", "LIST", "WATCH"]
                .iter()
                .any(|verb| line.starts_with(verb))
        };
        lines.iter().filter(|line| !read(line)).cloned().collect()
    }
}
