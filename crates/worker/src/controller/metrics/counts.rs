//! The values of the metrics, and how each family is printed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    families::FAMILIES,
    text::{Family, Text},
};
use flightdeck_core::runs::RunKind;

/// Returns the runs of a kind as `(phase, waiting reason)`.
pub(crate) type Runs = Box<dyn Fn() -> Vec<(String, Option<String>)> + Send>;

/// All values, by family name and labels.
pub(crate) struct Counts {
    started: f64,
    pub values: BTreeMap<(&'static str, Labels), f64>,
    histograms: BTreeMap<(&'static str, Labels), Histogram>,
    pub runs: BTreeMap<RunKind, Runs>,
    /// Names of the runs in the reconcile queue.
    pub queued: BTreeMap<RunKind, BTreeSet<String>>,
    pub leading: bool,
    pub settings_valid: bool,
}

/// Label names and values, in the order they are printed.
pub(crate) type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Default)]
struct Histogram {
    /// Cumulative counts, per bound.
    buckets: Vec<u64>,
    sum: f64,
    count: u64,
}

impl Counts {
    /// Returns empty metrics of a process that started at `now`, in Unix seconds.
    pub(super) fn since(now: f64) -> Self {
        Self {
            started: now,
            values: BTreeMap::new(),
            histograms: BTreeMap::new(),
            runs: BTreeMap::new(),
            queued: BTreeMap::new(),
            leading: false,
            settings_valid: true,
        }
    }

    pub(super) fn add(&mut self, name: &'static str, labels: &[(&'static str, &str)], more: f64) {
        *self.values.entry((name, owned(labels))).or_default() += more;
    }

    pub(super) fn observe(
        &mut self,
        name: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
    ) {
        let bounds = FAMILIES
            .iter()
            .find(|family| family.name == name)
            .map_or(&[][..], Family::bounds);
        let histogram = self.histograms.entry((name, owned(labels))).or_default();
        histogram.buckets.resize(bounds.len(), 0);
        for (bucket, bound) in histogram.buckets.iter_mut().zip(bounds) {
            *bucket += u64::from(value <= *bound);
        }
        histogram.sum += value;
        histogram.count += 1;
    }

    pub(super) fn print(&self, family: &Family, text: &mut Text) {
        let flag = |on: bool| if on { 1.0 } else { 0.0 };
        match family.name {
            "flightdeck_build_info" => text.sample(
                family.name,
                &owned(&[("version", env!("CARGO_PKG_VERSION"))]),
                1.0,
            ),
            "flightdeck_leader" => text.sample(family.name, &[], flag(self.leading)),
            "flightdeck_settings_valid" => {
                text.sample(family.name, &[], flag(self.settings_valid));
            }
            "flightdeck_runs" => {
                self.print_runs(text, family.name, "phase", |(phase, _)| Some(phase));
            }
            "flightdeck_runs_waiting" => {
                self.print_runs(text, family.name, "reason", |(_, reason)| reason);
            }
            "flightdeck_reconcile_queue_length" => {
                for (kind, queued) in &self.queued {
                    let of = owned(&[("kind", kind.as_str())]);
                    text.sample(family.name, &of, queued.len() as f64);
                }
            }
            "process_resident_memory_bytes" => {
                if let Some(bytes) = resident_bytes() {
                    text.sample(family.name, &[], bytes);
                }
            }
            "process_start_time_seconds" => text.sample(family.name, &[], self.started),
            name => {
                for ((_, labels), value) in self.values.iter().filter(|((of, _), _)| *of == name) {
                    text.sample(name, labels, *value);
                }
                let histograms = self.histograms.iter().filter(|((of, _), _)| *of == name);
                for ((_, labels), histogram) in histograms {
                    let counts = family.bounds().iter().zip(&histogram.buckets);
                    text.histogram(name, labels, counts, histogram.sum, histogram.count);
                }
            }
        }
    }

    fn print_runs(
        &self,
        text: &mut Text,
        name: &'static str,
        label: &'static str,
        of: impl Fn((String, Option<String>)) -> Option<String>,
    ) {
        for (kind, runs) in &self.runs {
            let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
            for value in runs().into_iter().filter_map(&of) {
                *numbers.entry(value).or_default() += 1;
            }
            for (value, number) in numbers {
                let labels = [("kind", kind.to_string()), (label, value)];
                text.sample(name, &labels, number as f64);
            }
        }
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect()
}

/// Returns the resident memory of this process, if the system reports it.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}
