//! Helpers of the benchmarks of processes.

#![allow(dead_code)] // No benchmark uses all of them.

use std::{collections::BTreeMap, fs, path::Path};

use kube_embedded::{Cluster, ClusterOptions, Limits};

/// The program to measure.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_flightdeck");

/// Prints a result.
pub(crate) fn say(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<58} {figure}");
}

/// Returns the number in a line of `/proc/PID/status`.
pub(crate) fn status(pid: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

pub(crate) fn memory(pid: &str, field: &str) -> String {
    status(pid, field).map_or_else(
        || "unknown on this system".into(),
        |kib| format!("{:.1} MiB", kib as f64 / 1024.0),
    )
}

/// Opens a cluster in this process.
pub(crate) async fn open(directory: &Path, max_containers: usize) -> Cluster {
    let path = std::env::var("PATH").unwrap();
    Cluster::open(ClusterOptions {
        identity: flightdeck::daemon::identity(),
        directory: directory.to_owned(),
        program: PROGRAM.into(),
        max_containers,
        limits: Limits::default(),
        environment: BTreeMap::from([("PATH".to_owned(), path)]),
    })
    .await
    .unwrap()
}
