//! Prometheus metrics of the controller.

mod collector;
mod requests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::Instant,
};

use prometheus_client::{
    encoding::prometheus_text,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use collector::{Memory, RunCounts};
pub use requests::CountRequests;

use flightdeck_core::{
    resources::{Attempt, Usage},
    runs::{Run, RunKind},
};

/// Buckets of the durations of attempts, in seconds.
const STAGE_SECONDS: [f64; 9] = [
    5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0,
];

/// Buckets of the durations of reconciliations, in seconds.
const RECONCILE_SECONDS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Names and values of `N` labels, in the order they are printed.
type Labels<const N: usize> = [(&'static str, String); N];

/// One series per set of `N` labels.
type Series<const N: usize, M> = Family<Labels<N>, M>;

/// One histogram per set of `N` labels.
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

type Dollars = Counter<f64, AtomicU64>;

/// The metrics. Clones share their values.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    leader: Gauge,
    settings_valid: Gauge,
    settings_loads: Series<1, Counter>,
    runs: RunCounts,
    stage_ends: Series<3, Counter>,
    stage_duration: Histograms<2>,
    agent_cost: Series<2, Dollars>,
    agent_tokens: Series<3, Counter>,
    agent_turns: Series<2, Counter>,
    reconciles: Series<2, Counter>,
    reconcile_duration: Histograms<1>,
    queue_length: Series<1, Gauge>,
    in_progress: Series<1, Gauge>,
    api_requests: Series<3, Counter>,
    /// Names of the runs in the reconcile queue.
    queued: Mutex<BTreeMap<RunKind, BTreeSet<String>>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Default for Metrics {
    /// Returns empty metrics of a process that starts now.
    fn default() -> Self {
        let started = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
        let build = Series::<1, Gauge>::default();
        build
            .get_or_create(&labels([("version", env!("CARGO_PKG_VERSION"))]))
            .set(1);
        let mut inner = Inner {
            registry: Registry::default(),
            leader: Gauge::default(),
            settings_valid: Gauge::default(),
            settings_loads: Family::default(),
            runs: RunCounts::default(),
            stage_ends: Family::default(),
            stage_duration: Family::new_with_constructor(|| Histogram::new(STAGE_SECONDS)),
            agent_cost: Family::default(),
            agent_tokens: Family::default(),
            agent_turns: Family::default(),
            reconciles: Family::default(),
            reconcile_duration: Family::new_with_constructor(|| Histogram::new(RECONCILE_SECONDS)),
            queue_length: Family::default(),
            in_progress: Family::default(),
            api_requests: Family::default(),
            queued: Mutex::default(),
        };
        inner.settings_valid.set(1);
        inner.register(build, started);
        Self(Arc::new(inner))
    }
}

impl Inner {
    /// Names all metrics, in the order they are printed. The registry ends each help text with a period, and the
    /// encoder each name of a counter with `_total`.
    fn register(&mut self, build: Series<1, Gauge>, started: f64) {
        let registry = &mut self.registry;
        registry.register(
            "flightdeck_build_info",
            "Always 1; the version is a label",
            build,
        );
        registry.register(
            "flightdeck_leader",
            "1 while this process is the leader",
            self.leader.clone(),
        );
        registry.register(
            "flightdeck_settings_valid",
            "0 while a settings ConfigMap is invalid and older settings are in effect",
            self.settings_valid.clone(),
        );
        registry.register(
            "flightdeck_settings_loads",
            "Reads of settings ConfigMaps, by result (taken, refused)",
            self.settings_loads.clone(),
        );
        registry.register_collector(Box::new(self.runs.clone()));
        registry.register(
            "flightdeck_stage_ends",
            "Ended attempts of stages, by kind, stage and reason",
            self.stage_ends.clone(),
        );
        registry.register(
            "flightdeck_stage_duration_seconds",
            "Duration of attempts, by kind and stage",
            self.stage_duration.clone(),
        );
        registry.register(
            "flightdeck_agent_cost_usd",
            "Cost reported by agents, by kind and agent",
            self.agent_cost.clone(),
        );
        registry.register(
            "flightdeck_agent_tokens",
            "Tokens reported by agents, by kind, agent and type",
            self.agent_tokens.clone(),
        );
        registry.register(
            "flightdeck_agent_turns",
            "Turns reported by agents, by kind and agent",
            self.agent_turns.clone(),
        );
        registry.register(
            "flightdeck_reconciles",
            "Reconciliations, by kind and result (ok, or the category of the error)",
            self.reconciles.clone(),
        );
        registry.register(
            "flightdeck_reconcile_duration_seconds",
            "Duration of reconciliations, by kind",
            self.reconcile_duration.clone(),
        );
        registry.register(
            "flightdeck_reconcile_queue_length",
            "Runs waiting to be reconciled, by kind",
            self.queue_length.clone(),
        );
        registry.register(
            "flightdeck_reconciles_in_progress",
            "Runs being reconciled, by kind",
            self.in_progress.clone(),
        );
        registry.register(
            "flightdeck_api_requests",
            "Requests to the API server, by verb, resource and code (0: no response)",
            self.api_requests.clone(),
        );
        registry.register_collector(Box::new(Memory));
        registry.register(
            "process_start_time_seconds",
            "Start time of the process, in seconds since 1970",
            ConstGauge::new(started),
        );
    }

    /// Changes the names in the queue of a kind, and the gauge with them.
    fn queue(&self, kind: RunKind, change: impl FnOnce(&mut BTreeSet<String>)) {
        let mut queued = self.queued.lock().unwrap_or_else(PoisonError::into_inner);
        let names = queued.entry(kind).or_default();
        change(names);
        self.queue_length
            .get_or_create(&labels([("kind", kind.as_str())]))
            .set(names.len() as i64);
    }
}

impl Metrics {
    /// Sets whether this process leads.
    pub(crate) fn leading(&self, leading: bool) {
        self.0.leader.set(leading.into());
    }

    /// Sets whether every settings ConfigMap is valid.
    pub(crate) fn settings_valid(&self, valid: bool) {
        self.0.settings_valid.set(valid.into());
    }

    /// Counts a read of a settings ConfigMap, by whether it was accepted.
    pub(crate) fn settings_read(&self, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        let of = labels([("result", result)]);
        self.0.settings_loads.get_or_create(&of).inc();
    }

    /// Sets the function that lists the runs of a kind for each scrape.
    pub(crate) fn runs_of(
        &self,
        kind: RunKind,
        runs: impl Fn() -> Vec<(String, Option<String>)> + Send + 'static,
    ) {
        self.0.runs.set(kind, runs);
    }

    /// Adds a run to the queue, if it is not in it.
    pub(crate) fn queued(&self, kind: RunKind, name: &str) {
        self.0.queue(kind, |names| {
            names.insert(name.to_owned());
        });
    }

    /// Starts timing a reconcile; report the result on the returned guard. A dropped guard is not counted.
    #[must_use]
    pub(crate) fn reconciling(&self, kind: RunKind, name: &str) -> Reconciling {
        self.0.queue(kind, |names| {
            names.remove(name);
        });
        let of = labels([("kind", kind.as_str())]);
        let in_progress = self.0.in_progress.get_or_create_owned(&of);
        in_progress.inc();
        Reconciling {
            metrics: self.clone(),
            kind,
            in_progress,
            started: Instant::now(),
        }
    }

    /// Counts what is new in a written status compared to `before`: ended stages, and the agent's usage.
    pub(crate) fn written(&self, before: &Run, attempts: &[Attempt], usage: Option<Usage>) {
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
            let of = labels([("kind", kind), ("stage", stage), ("reason", reason)]);
            self.0.stage_ends.get_or_create(&of).inc();
            let time = |text: &Option<String>| text.as_deref()?.parse::<jiff::Timestamp>().ok();
            if let (Some(start), Some(end)) =
                (time(&attempt.started_at), time(&attempt.finished_at))
            {
                let took = end.duration_since(start).as_secs_f64().max(0.0);
                let of = labels([("kind", kind), ("stage", stage)]);
                self.0.stage_duration.get_or_create(&of).observe(took);
            }
        }
        let Some(usage) = usage else { return };
        let old = before.status.usage.unwrap_or_default();
        let agent = before.spec.agent.as_str();
        let of = labels([("kind", kind), ("agent", agent)]);
        // Counters only increase, whatever an agent reports.
        let more = |new: i64, old: i64| new.saturating_sub(old).max(0) as u64;
        let cost = more(usage.cost_micro_usd, old.cost_micro_usd) as f64 / 1e6;
        self.0.agent_cost.get_or_create(&of).inc_by(cost);
        let turns = more(usage.turns, old.turns);
        self.0.agent_turns.get_or_create(&of).inc_by(turns);
        for (what, tokens) in [
            ("input", more(usage.input_tokens, old.input_tokens)),
            ("output", more(usage.output_tokens, old.output_tokens)),
            (
                "cache_read",
                more(usage.cache_read_tokens, old.cache_read_tokens),
            ),
        ] {
            let of = labels([("kind", kind), ("agent", agent), ("type", what)]);
            self.0.agent_tokens.get_or_create(&of).inc_by(tokens);
        }
    }

    /// Counts a request to the API server; `code` is 0 without a response.
    pub(crate) fn request(&self, verb: &str, resource: &str, code: u16) {
        let code = code.to_string();
        let of = labels([("verb", verb), ("resource", resource), ("code", &code)]);
        self.0.api_requests.get_or_create(&of).inc();
    }

    /// Returns all metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.0.registry);
        text
    }
}

fn labels<const N: usize>(of: [(&'static str, &str); N]) -> Labels<N> {
    of.map(|(name, value)| (name, value.to_owned()))
}

/// A running reconcile.
pub(crate) struct Reconciling {
    metrics: Metrics,
    kind: RunKind,
    in_progress: Gauge,
    started: Instant,
}

impl Reconciling {
    /// Counts the reconcile with its result: `ok`, or the error's category.
    pub(crate) fn ended(self, result: &str) {
        let took = self.started.elapsed().as_secs_f64();
        let Inner {
            reconciles,
            reconcile_duration,
            ..
        } = &*self.metrics.0;
        let kind = ("kind", self.kind.as_str());
        reconciles
            .get_or_create(&labels([kind, ("result", result)]))
            .inc();
        reconcile_duration
            .get_or_create(&labels([kind]))
            .observe(took);
    }
}

impl Drop for Reconciling {
    fn drop(&mut self) {
        self.in_progress.dec();
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
            "flightdeck_stage_duration_seconds_sum{kind=\"docs\",stage=\"agent\"} 100.0",
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
    fn flags_are_numbers_and_labels_are_escaped() {
        let metrics = Metrics::default();
        has(&metrics, "flightdeck_leader 0");
        has(&metrics, "flightdeck_settings_valid 1");
        metrics.request("get", "a\"b\\c\nd", 200);
        metrics.leading(true);
        metrics.settings_read(false);
        metrics.settings_valid(false);
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
    }

    #[test]
    fn names_and_types_are_the_documented_ones() {
        let metrics = Metrics::default();
        metrics.settings_read(true);
        metrics.runs_of(RunKind::Docs, || {
            vec![("Pending".to_owned(), Some("InUse".to_owned()))]
        });
        let ended = Attempt {
            started_at: Some("2026-01-01T00:00:00Z".into()),
            finished_at: Some("2026-01-01T00:01:40Z".into()),
            ..Attempt::default()
        };
        metrics.written(&run(), &[ended], Some(Usage::default()));
        metrics.reconciling(RunKind::Docs, "a").ended("ok");
        metrics.request("get", "docsruns", 200);
        let text = metrics.text();
        let types: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .collect();
        assert_eq!(
            types,
            [
                "flightdeck_build_info gauge",
                "flightdeck_leader gauge",
                "flightdeck_settings_valid gauge",
                "flightdeck_settings_loads_total counter",
                "flightdeck_stage_ends_total counter",
                "flightdeck_stage_duration_seconds histogram",
                "flightdeck_agent_cost_usd_total counter",
                "flightdeck_agent_tokens_total counter",
                "flightdeck_agent_turns_total counter",
                "flightdeck_reconciles_total counter",
                "flightdeck_reconcile_duration_seconds histogram",
                "flightdeck_reconcile_queue_length gauge",
                "flightdeck_reconciles_in_progress gauge",
                "flightdeck_api_requests_total counter",
                "process_start_time_seconds gauge",
                "flightdeck_runs gauge",
                "flightdeck_runs_waiting gauge",
                "process_resident_memory_bytes gauge",
            ]
        );
        assert!(text.contains("# HELP flightdeck_leader 1 while this process is the leader.\n"));
        assert!(text.ends_with('\n'));
    }
}
