//! Integration tests, in one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::needless_pass_by_value,
    clippy::single_match_else,
    clippy::format_push_string,
    clippy::format_collect
)]

mod background_server;
mod command_line;
mod controller;
mod corpus;
mod forge;
mod layers;
mod ledger;
mod live;
mod manifests;
mod operate;
mod preflight_cli;
mod readme;
mod real_cluster;
mod runs_logs;
mod sanitised;
#[path = "../../crates/console/tests/it/scenes.rs"]
mod scenes;
mod screen;
mod secrets;
mod stages;
mod stories;
mod support;
mod tasks_cli;
mod tasks_fuzz;
mod tasks_peer;
mod tasks_write;
mod transcript;
mod transcript_fuzz;
mod watch_faults;
