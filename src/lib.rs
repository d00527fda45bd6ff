//! Flightdeck: a terminal operations console for AI coding-agent runs on Kubernetes.
//!
//! This package is the program: the command line, the connection to a cluster, the background server and the demo. Everything
//! else is in the crates, each of which may only use the ones above it (`tests/it/layers.rs` checks this):
//!
//! | crate | contents |
//! |---|---|
//! | `flightdeck-core` | resources, runs, tasks, transcripts, text: pure |
//! | `kube-embedded` | the embedded Kubernetes API and node |
//! | `flightdeck-host` | files, settings, git, clusters, the ledger, Git hosts |
//! | `flightdeck-preflight` | checks before a launch, and their fixes |
//! | `flightdeck-verbs` | the operations, listed in one table |
//! | `flightdeck-worker` | the controller, the stages of a run, the agents |
//! | `flightdeck-console` | the terminal console |

pub mod cli;
pub mod connect;
pub mod daemon;
pub mod demo;
pub mod telemetry;
