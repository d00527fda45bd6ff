//! Whether a controller is ready, and the small HTTP server that tells so: `/healthz`, `/readyz`, `/metrics`.
//!
//! Ready means that every watch it needs has listed what there is. One that does not lead needs none of the runs' watches.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use tokio::net::TcpListener;

use super::Metrics;

/// What has to be there before a controller is of use. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Health {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `part` is needed, and is not there: why.
    pub fn waits_for(&self, part: &'static str, why: &str) {
        self.parts().insert(part, Some(why.to_owned()));
    }

    /// Says why `part` is not there yet; nothing once it is: a watch that breaks comes back by itself.
    pub fn still_waits_for(&self, part: &'static str, why: &str) {
        if let Some(reason @ Some(_)) = self.parts().get_mut(part) {
            *reason = Some(why.to_owned());
        }
    }

    /// `part` is there.
    pub fn has(&self, part: &'static str) {
        self.parts().insert(part, None);
    }

    /// `part` is not needed any more.
    pub fn without(&self, part: &'static str) {
        self.parts().remove(part);
    }

    /// What is missing, a line each.
    pub fn missing(&self) -> Vec<String> {
        let parts = self.parts();
        let missing = parts
            .iter()
            .filter_map(|(part, why)| Some((part, why.as_ref()?)));
        missing
            .map(|(part, why)| format!("{part}: {why}"))
            .collect()
    }
}

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health) {
    let router = Router::new()
        // A process that answers is alive: one whose controller has ended, ends itself.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(health)
        .merge(
            Router::new()
                .route("/metrics", get(text))
                .with_state(metrics),
        );
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "metrics and health are not served any more");
    }
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let missing = health.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let lines = missing.iter().fold(String::new(), |mut lines, line| {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{line}");
        lines
    });
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

async fn text(State(metrics): State<Metrics>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_once_is_not_missed_again_until_it_is_waited_for_anew() {
        let health = Health::default();
        // Nobody waits for it.
        health.still_waits_for("runs", "cut off");
        assert!(health.missing().is_empty());
        health.waits_for("runs", "not listed yet");
        health.still_waits_for("runs", "cut off");
        assert_eq!(health.missing(), ["runs: cut off"]);
        health.has("runs");
        health.still_waits_for("runs", "cut off");
        assert!(health.missing().is_empty());
        health.waits_for("runs", "not listed yet");
        assert_eq!(health.missing(), ["runs: not listed yet"]);
        health.without("runs");
        assert!(health.missing().is_empty());
    }
}
