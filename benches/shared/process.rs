//! What the benches of whole processes share: the program, a cluster beside it, and how figures are read and said.

#![allow(dead_code)] // Each bench uses its part.

use std::{collections::BTreeMap, fs, path::Path};

use kube_embedded::{Cluster, ClusterOptions, Limits};

/// The program under measure, built with the bench.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_flightdeck");

pub fn say(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<58} {figure}");
}

/// A line of `/proc/PID/status`, its number.
pub fn status(pid: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

pub fn memory(pid: &str, field: &str) -> String {
    status(pid, field).map_or_else(
        || "unknown on this system".into(),
        |kib| format!("{:.1} MiB", kib as f64 / 1024.0),
    )
}

/// A cluster in this process.
pub async fn open(directory: &Path, max_containers: usize) -> Cluster {
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
