//! Prometheus metrics of the controller.

mod counts;
mod families;
mod requests;
mod text;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use counts::Counts;
use families::FAMILIES;
pub use requests::CountRequests;
use text::Text;

use flightdeck_core::{
    resources::{Attempt, Usage},
    runs::{Run, RunKind},
};

/// The metrics. Clones share their values.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Counts>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        Self(Arc::new(Mutex::new(Counts::since(now))))
    }
}

impl Metrics {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets whether this process leads.
    pub(crate) fn leading(&self, leading: bool) {
        self.counts().leading = leading;
    }

    /// Sets whether every settings ConfigMap is valid.
    pub(crate) fn settings_valid(&self, valid: bool) {
        self.counts().settings_valid = valid;
    }

    /// Counts a read of a settings ConfigMap, by whether it was accepted.
    pub(crate) fn settings_read(&self, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.counts().add(
            "flightdeck_settings_loads_total",
            &[("result", result)],
            1.0,
        );
    }

    /// Sets the function that lists the runs of a kind for each scrape.
    pub(crate) fn runs_of(
        &self,
        kind: RunKind,
        runs: impl Fn() -> Vec<(String, Option<String>)> + Send + 'static,
    ) {
        self.counts().runs.insert(kind, Box::new(runs));
    }

    /// Adds a run to the queue, if it is not in it.
    pub(crate) fn queued(&self, kind: RunKind, name: &str) {
        let mut counts = self.counts();
        counts
            .queued
            .entry(kind)
            .or_default()
            .insert(name.to_owned());
    }

    /// Starts timing a reconcile; report the result on the returned guard. A dropped guard is not counted.
    #[must_use]
    pub(crate) fn reconciling(&self, kind: RunKind, name: &str) -> Reconciling {
        let mut counts = self.counts();
        if let Some(queued) = counts.queued.get_mut(&kind) {
            queued.remove(name);
        }
        let of = [("kind", kind.as_str())];
        counts.add("flightdeck_reconciles_in_progress", &of, 1.0);
        Reconciling {
            metrics: self.clone(),
            kind,
            started: Instant::now(),
        }
    }

    /// Counts what is new in a written status compared to `before`: ended stages, and the agent's usage.
    pub(crate) fn written(&self, before: &Run, attempts: &[Attempt], usage: Option<Usage>) {
        let mut counts = self.counts();
        let kind = before.kind.as_str();
        let known = |attempt: &Attempt| {
            let old = before.status.attempts.iter();
            let mut old = old.filter(|old| old.job_name == attempt.job_name);
            old.any(|old| old.finished_at.is_some())
        };
        for attempt in attempts {
            if attempt.finished_at.is_none() || known(attempt) {
                continue;
            }
            let reason = attempt.reason.as_deref().unwrap_or("Succeeded");
            let stage = attempt.stage.as_str();
            let labels = [("kind", kind), ("stage", stage), ("reason", reason)];
            counts.add("flightdeck_stage_ends_total", &labels, 1.0);
            let time = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
            if let (Some(start), Some(end)) =
                (time(&attempt.started_at), time(&attempt.finished_at))
            {
                let took = end.duration_since(start).as_secs_f64().max(0.0);
                let of = [("kind", kind), ("stage", stage)];
                counts.observe("flightdeck_stage_duration_seconds", &of, took);
            }
        }
        let Some(usage) = usage else { return };
        let old = before.status.usage.unwrap_or_default();
        let agent = before.spec.agent.as_str();
        let of = [("kind", kind), ("agent", agent)];
        // Counters only increase, whatever an agent reports.
        let more = |new: i64, old: i64| new.saturating_sub(old).max(0) as f64;
        counts.add(
            "flightdeck_agent_cost_usd_total",
            &of,
            more(usage.cost_micro_usd, old.cost_micro_usd) / 1e6,
        );
        counts.add(
            "flightdeck_agent_turns_total",
            &of,
            more(usage.turns, old.turns),
        );
        for (what, tokens) in [
            ("input", more(usage.input_tokens, old.input_tokens)),
            ("output", more(usage.output_tokens, old.output_tokens)),
            (
                "cache_read",
                more(usage.cache_read_tokens, old.cache_read_tokens),
            ),
        ] {
            let of = [("kind", kind), ("agent", agent), ("type", what)];
            counts.add("flightdeck_agent_tokens_total", &of, tokens);
        }
    }

    /// Counts a request to the API server; `code` is 0 without a response.
    pub(crate) fn request(&self, verb: &str, resource: &str, code: u16) {
        let code = code.to_string();
        let labels = [
            ("verb", verb),
            ("resource", resource),
            ("code", code.as_str()),
        ];
        self.counts()
            .add("flightdeck_api_requests_total", &labels, 1.0);
    }

    /// Returns all metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let counts = self.counts();
        let mut text = Text::default();
        for family in FAMILIES {
            text.family(family);
            counts.print(family, &mut text);
        }
        text.into_string()
    }
}

/// A running reconcile.
pub(crate) struct Reconciling {
    metrics: Metrics,
    kind: RunKind,
    started: Instant,
}

impl Reconciling {
    /// Counts the reconcile with its result: `ok`, or the error's category.
    pub(crate) fn ended(self, result: &str) {
        let took: Duration = self.started.elapsed();
        let mut counts = self.metrics.counts();
        let kind = self.kind.as_str();
        let labels = [("kind", kind), ("result", result)];
        counts.add("flightdeck_reconciles_total", &labels, 1.0);
        let name = "flightdeck_reconcile_duration_seconds";
        counts.observe(name, &[("kind", kind)], took.as_secs_f64());
    }
}

impl Drop for Reconciling {
    fn drop(&mut self) {
        let of = [("kind", self.kind.as_str())];
        let mut counts = self.metrics.counts();
        counts.add("flightdeck_reconciles_in_progress", &of, -1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flightdeck_core::resources::{DocsRun, RunStatus};

    fn run() -> Run {
        let run: DocsRun = serde_json::from_value(serde_json::json!({
            "apiVersion": "orchestrator.io/v1", "kind": "DocsRun", "metadata": { "name": "docs-1" },
            "spec": { "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskIds": ["1"], "agent": "claude" },
        }))
        .unwrap();
        run.into()
    }

    #[track_caller]
    fn has(metrics: &Metrics, line: &str) {
        let text = metrics.text();
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }

    #[test]
    fn counts_ended_stages_and_usage_once() {
        let metrics = Metrics::default();
        let ended = Attempt {
            stage: "agent".into(),
            job_name: "docs-1-agent".into(),
            started_at: Some("2026-01-01T00:00:00Z".into()),
            finished_at: Some("2026-01-01T00:01:40Z".into()),
            ..Attempt::default()
        };
        let usage = Usage {
            input_tokens: 40,
            output_tokens: 2,
            cost_micro_usd: 250_000,
            turns: 3,
            ..Usage::default()
        };
        let before = run();
        metrics.written(&before, std::slice::from_ref(&ended), Some(usage));
        let after = Run {
            status: RunStatus {
                attempts: vec![ended.clone()],
                usage: Some(usage),
                ..RunStatus::default()
            },
            ..before
        };
        metrics.written(&after, &[ended], Some(usage));
        has(
            &metrics,
            "flightdeck_stage_ends_total{kind=\"docs\",stage=\"agent\",reason=\"Succeeded\"} 1",
        );
        has(
            &metrics,
            "flightdeck_stage_duration_seconds_bucket{kind=\"docs\",stage=\"agent\",le=\"60\"} 0",
        );
        has(
            &metrics,
            "flightdeck_stage_duration_seconds_bucket{kind=\"docs\",stage=\"agent\",le=\"300\"} 1",
        );
        has(
            &metrics,
            "flightdeck_stage_duration_seconds_bucket{kind=\"docs\",stage=\"agent\",le=\"+Inf\"} 1",
        );
        has(
            &metrics,
            "flightdeck_stage_duration_seconds_sum{kind=\"docs\",stage=\"agent\"} 100",
        );
        has(
            &metrics,
            "flightdeck_agent_cost_usd_total{kind=\"docs\",agent=\"claude\"} 0.25",
        );
        has(
            &metrics,
            "flightdeck_agent_tokens_total{kind=\"docs\",agent=\"claude\",type=\"input\"} 40",
        );
        has(
            &metrics,
            "flightdeck_agent_turns_total{kind=\"docs\",agent=\"claude\"} 3",
        );
    }

    #[test]
    fn counts_queued_and_running_reconciles_separately() {
        let metrics = Metrics::default();
        for name in ["a", "a", "b"] {
            metrics.queued(RunKind::Docs, name);
        }
        has(
            &metrics,
            "flightdeck_reconcile_queue_length{kind=\"docs\"} 2",
        );
        let running = metrics.reconciling(RunKind::Docs, "a");
        has(
            &metrics,
            "flightdeck_reconcile_queue_length{kind=\"docs\"} 1",
        );
        has(
            &metrics,
            "flightdeck_reconciles_in_progress{kind=\"docs\"} 1",
        );
        running.ended("ok");
        drop(metrics.reconciling(RunKind::Docs, "b"));
        has(
            &metrics,
            "flightdeck_reconciles_in_progress{kind=\"docs\"} 0",
        );
        has(
            &metrics,
            "flightdeck_reconciles_total{kind=\"docs\",result=\"ok\"} 1",
        );
        has(
            &metrics,
            "flightdeck_reconcile_duration_seconds_count{kind=\"docs\"} 1",
        );
    }

    #[test]
    fn counts_runs_by_phase_and_waiting_reason() {
        let metrics = Metrics::default();
        metrics.runs_of(RunKind::Code, || {
            let pending = |why: &str| ("Pending".to_owned(), Some(why.to_owned()));
            vec![
                pending("InUse"),
                pending("InUse"),
                ("Succeeded".to_owned(), None),
            ]
        });
        has(
            &metrics,
            "flightdeck_runs{kind=\"code\",phase=\"Pending\"} 2",
        );
        has(
            &metrics,
            "flightdeck_runs{kind=\"code\",phase=\"Succeeded\"} 1",
        );
        has(
            &metrics,
            "flightdeck_runs_waiting{kind=\"code\",reason=\"InUse\"} 2",
        );
    }

    #[test]
    fn samples_belong_to_a_family_and_labels_are_escaped() {
        let metrics = Metrics::default();
        metrics.request("get", "a\"b\\c\nd", 200);
        metrics.leading(true);
        metrics.settings_read(false);
        metrics.settings_valid(false);
        let text = metrics.text();
        has(
            &metrics,
            r#"flightdeck_api_requests_total{verb="get",resource="a\"b\\c\nd",code="200"} 1"#,
        );
        has(&metrics, "flightdeck_leader 1");
        has(&metrics, "flightdeck_settings_valid 0");
        has(
            &metrics,
            "flightdeck_settings_loads_total{result=\"refused\"} 1",
        );
        assert!(text.ends_with('\n'));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = FAMILIES.iter().any(|family| name.starts_with(family.name));
            assert!(family, "{line}");
        }
    }
}
