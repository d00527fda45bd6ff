//! Integration tests of the embedded Kubernetes API, in one binary. None of them needs Flightdeck.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_collect,
    clippy::needless_pass_by_value,
    clippy::print_stderr
)]

mod access;
mod api;
mod conformance;
mod durability;
mod faults;
mod kube_rs;
mod kubectl;
mod node;
mod program;
mod responses;
mod shim;
mod support;
