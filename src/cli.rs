//! The command line. Verbs are generated from their table; the commands here wait, follow, ask, or start other front ends.

mod embedded;
mod logs;
pub mod manifests;
pub mod output;
mod preflight;
mod run;
mod session;
mod verbs;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

pub use output::Format;
pub use session::Session;
pub use verbs::{Invocation, Parsed, command, parse, run as run_verb};

use crate::telemetry::LogFormat;

/// An operations console for AI coding-agent runs.
///
/// Without a command it opens the console on the repository of the working directory.
#[derive(Debug, Parser)]
#[command(
    name = "flightdeck",
    version,
    max_term_width = 110,
    arg_required_else_help = false
)]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Global options.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Repository, or a directory inside it.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub repo: PathBuf,
    /// Kubeconfig context; without it the embedded cluster is used.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Namespace. Default: the context's, else `default`.
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Theme of the console.
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Directory for configuration and state, instead of the default ones.
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    pub home: Option<PathBuf>,
}

/// Commands that are not generated.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the console (the default).
    Console,
    /// Try Flightdeck on a sample project, offline and without an API key.
    Demo(Demo),
    /// Show and change runs.
    #[command(subcommand)]
    Runs(Runs),
    /// Manage the embedded cluster.
    #[command(subcommand)]
    Embedded(Embedded),
    /// Print manifests for kubectl apply --server-side -f -.
    Manifests(manifests::Manifests),
    /// Run the controller.
    ///
    /// In a pod it uses the pod's cluster and namespace. Its settings are the defaults overridden by the ConfigMap
    /// `flightdeck-settings`, which is watched. Local configuration is ignored.
    Controller(ControllerArguments),
    /// Run a stage of a run, inside its pod.
    #[command(hide = true)]
    Stage { words: Vec<String> },
    /// Run a built-in agent, inside its pod.
    #[command(hide = true)]
    Agent { name: String },
    /// Run the parent process of a container of the embedded cluster.
    #[command(hide = true)]
    Shim {
        #[arg(long)]
        spec: PathBuf,
    },
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Directory of the demo; created if missing. Default: `demo` in the state directory.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Without a terminal: document all tasks, print a summary and exit.
    #[arg(long)]
    pub headless: bool,
    /// Serve a fake GitHub on loopback and create pull requests on it.
    #[arg(long)]
    pub forge: bool,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `runs ...`
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// Print the log of a run, from the cluster or the ledger.
    Logs(logs::Logs),
}

/// `controller`
#[derive(Debug, Args)]
pub struct ControllerArguments {
    /// Address of /metrics, /healthz and /readyz.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Format of the log on stderr.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// `embedded ...`
#[derive(Debug, Subcommand)]
pub enum Embedded {
    /// Run the background server in the foreground.
    Serve {
        /// Detach from the terminal.
        #[arg(long, hide = true)]
        detach: bool,
        /// Inject faults by the rules of this file (see config/faults.toml).
        #[arg(long, value_name = "FILE")]
        fault: Option<PathBuf>,
    },
    /// Print the kubeconfig.
    Kubeconfig {
        /// Print the path instead of the content.
        #[arg(long)]
        path: bool,
    },
}

/// Runs a command and returns its exit code. `main` starts the other front ends.
pub async fn run(session: &Session, command: Command) -> anyhow::Result<u8> {
    match command {
        // Archived logs need no cluster, so this connects only if necessary.
        Command::Runs(Runs::Logs(logs)) => logs::logs(session, &logs).await,
        Command::Embedded(Embedded::Kubeconfig { path }) => {
            embedded::kubeconfig(session, path).await
        }
        Command::Manifests(wanted) => manifests::print(&wanted, session.place.namespace.as_deref()),
        Command::Console
        | Command::Demo(_)
        | Command::Controller(_)
        | Command::Embedded(Embedded::Serve { .. })
        | Command::Stage { .. }
        | Command::Agent { .. }
        | Command::Shim { .. } => Ok(2),
    }
}
