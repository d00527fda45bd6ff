//! The readiness of a controller, and the HTTP server for `/healthz`, `/readyz` and `/metrics`.
//!
//! A controller is ready once every watch it needs has listed its objects. Without leadership it needs no watches of runs.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;

use super::Metrics;

/// The parts a controller needs before it is ready, each with why it is not. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Health {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks `part` as required but not ready.
    pub(crate) fn set_pending(&self, part: &'static str, why: &str) {
        self.parts().insert(part, Some(why.to_owned()));
    }

    /// Updates the reason of a pending part. Ignores ready parts: a watch that fails later reopens by itself.
    pub(crate) fn update_pending(&self, part: &'static str, why: &str) {
        if let Some(reason @ Some(_)) = self.parts().get_mut(part) {
            *reason = Some(why.to_owned());
        }
    }

    /// Marks `part` as ready.
    pub(crate) fn set_ready(&self, part: &'static str) {
        self.parts().insert(part, None);
    }

    /// Removes `part`, which is not required any longer.
    pub(crate) fn remove(&self, part: &'static str) {
        self.parts().remove(part);
    }

    /// Returns the pending parts with their reasons.
    pub(crate) fn missing(&self) -> Vec<String> {
        let parts = self.parts();
        let missing = parts
            .iter()
            .filter_map(|(part, why)| Some((part, why.as_ref()?)));
        missing
            .map(|(part, why)| format!("{part}: {why}"))
            .collect()
    }
}

/// Serves health and metrics until the process ends.
pub(crate) async fn serve(listener: TcpListener, metrics: Metrics, health: Health) {
    let router = Router::new()
        // Always healthy: the process exits when its controller ends.
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .with_state(health)
        .merge(
            Router::new()
                .route("/metrics", get(text))
                .with_state(metrics),
        );
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the metrics and health server failed");
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
    let kind = [(header::CONTENT_TYPE, prometheus_text::CONTENT_TYPE)];
    (kind, metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_part_stays_ready_until_set_pending() {
        let health = Health::default();
        // Not required.
        health.update_pending("runs", "cut off");
        assert!(health.missing().is_empty());
        health.set_pending("runs", "not listed yet");
        health.update_pending("runs", "cut off");
        assert_eq!(health.missing(), ["runs: cut off"]);
        health.set_ready("runs");
        health.update_pending("runs", "cut off");
        assert!(health.missing().is_empty());
        health.set_pending("runs", "not listed yet");
        assert_eq!(health.missing(), ["runs: not listed yet"]);
        health.remove("runs");
        assert!(health.missing().is_empty());
    }
}
