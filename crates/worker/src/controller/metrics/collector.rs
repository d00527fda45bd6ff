//! Metrics that are computed for each scrape.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use super::labels;
use flightdeck_core::runs::RunKind;

/// Returns the runs of a kind as `(phase, waiting reason)`.
type Runs = Box<dyn Fn() -> Vec<(String, Option<String>)> + Send>;

/// Numbers of runs by phase and by waiting reason. Clones share the sources.
#[derive(Clone, Default)]
pub(super) struct RunCounts(Arc<Mutex<BTreeMap<RunKind, Runs>>>);

impl fmt::Debug for RunCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunCounts(…)")
    }
}

impl RunCounts {
    pub(super) fn set(
        &self,
        kind: RunKind,
        runs: impl Fn() -> Vec<(String, Option<String>)> + Send + 'static,
    ) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(kind, Box::new(runs));
    }
}

impl Collector for RunCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut phases: BTreeMap<(RunKind, String), u64> = BTreeMap::new();
        let mut reasons = phases.clone();
        for (kind, runs) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            for (phase, reason) in runs() {
                *phases.entry((*kind, phase)).or_default() += 1;
                if let Some(reason) = reason {
                    *reasons.entry((*kind, reason)).or_default() += 1;
                }
            }
        }
        for (name, help, label, counts) in [
            (
                "flightdeck_runs",
                "Existing runs, by kind and phase.",
                "phase",
                phases,
            ),
            (
                "flightdeck_runs_waiting",
                "Pending runs, by kind and the reason they wait.",
                "reason",
                reasons,
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((kind, value), count) in counts {
                let of = labels([("kind", kind.as_str()), (label, &value)]);
                family.encode_family(&of)?.encode_gauge(&count)?;
            }
        }
        Ok(())
    }
}

/// The resident memory of this process, if the system reports it.
#[derive(Debug)]
pub(super) struct Memory;

impl Collector for Memory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(bytes) = resident_bytes() else {
            return Ok(());
        };
        ConstGauge::new(bytes).encode(encoder.encode_descriptor(
            "process_resident_memory_bytes",
            "Resident memory.",
            None,
            MetricType::Gauge,
        )?)
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
