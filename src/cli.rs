//! The command line: what can be typed, and the verbs that print and exit. Front ends of their own (the console, the
//! demo, the background server, the stages) are started by `main`.

mod clean;
mod doctor;
mod embedded;
mod ledger;
mod logs;
pub mod manifests;
mod merge;
mod migrate;
pub mod output;
mod preflight;
mod run;
mod runs;
mod session;
mod tasks;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

pub use output::Format;
pub use preflight::subject;
pub use session::Session;
pub use tasks::Tasks;

use crate::telemetry::LogFormat;
use flightdeck_core::runs::RunKind;
use flightdeck_verbs::{AddContext, Clean, Delete, Launch, Retry, Stop};

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

/// Where to work, and on what.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The repository, or a folder inside it.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    pub repo: PathBuf,
    /// A context of your kubeconfig instead of the embedded cluster.
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// Namespace. Default: the context's, else `default`.
    #[arg(long, short, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Theme of the console.
    #[arg(long, global = true, value_name = "NAME")]
    pub theme: Option<String>,
    /// Keep configuration and state below this folder instead of the usual places.
    #[arg(long, global = true, value_name = "DIR", hide = true)]
    pub home: Option<PathBuf>,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Open the console (the same as no command).
    Console,
    /// Try everything on a sample project: no cluster, no key, no network.
    Demo(Demo),
    /// Launch a run.
    #[command(subcommand)]
    Run(Run),
    /// Look at runs and change them.
    #[command(subcommand)]
    Runs(Runs),
    /// What is kept of runs on this machine after they are gone from the cluster.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Find runs nobody needs any more, and delete them.
    Clean(CleanArguments),
    /// Look at the plan, and change the status of its tasks.
    #[command(subcommand)]
    Tasks(Tasks),
    /// Ask whether what a pod would clone is what you are looking at.
    Preflight(Preflight),
    /// Look what a cluster lacks before runs can run on it, each with the command that helps.
    Doctor(DoctorArguments),
    /// The embedded cluster.
    #[command(subcommand)]
    Embedded(Embedded),
    /// Make suspended runs of the TaskRuns of an older platform.
    Migrate(migrate::MigrateArguments),
    /// Print what a cluster needs, for kubectl apply --server-side -f -.
    Manifests(manifests::Manifests),
    /// Run the controller of a cluster: it starts and follows the stages of runs.
    ///
    /// In a pod it looks after the pod's own cluster and namespace. Its settings are the shipped ones with the ConfigMap
    /// `flightdeck-settings` over them, taken up as it changes; nothing is read from this machine.
    Controller(ControllerArguments),
    /// Print every path this program uses.
    Info {
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// A stage of a run, inside its pod.
    #[command(hide = true)]
    Stage { words: Vec<String> },
    /// An agent that is part of this program, inside its pod.
    #[command(hide = true)]
    Agent { name: String },
    /// The process above a container of the embedded cluster.
    #[command(hide = true)]
    Shim {
        #[arg(long)]
        spec: PathBuf,
    },
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder that holds all of it; made when missing, taken up when there. Default: `demo` in the state directory.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// No terminal: document every task, print a summary, leave no process behind.
    #[arg(long)]
    pub headless: bool,
    /// Serve a stand-in for GitHub on loopback and make real pull requests on it.
    #[arg(long)]
    pub forge: bool,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `run docs|code`
#[derive(Debug, Subcommand)]
pub enum Run {
    /// An agent writes the four documents of each task.
    Docs(RunArguments),
    /// An agent implements one task.
    Code(RunArguments),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub launch: Launch,
    /// Print the resource instead of creating it.
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for the end, and exit by it: 0 succeeded, 1 failed, 4 cancelled.
    #[arg(long)]
    pub wait: bool,
    /// Print the log as it comes.
    #[arg(long)]
    pub follow: bool,
    /// Give up waiting after this many seconds (exit code 124; the run goes on).
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `runs ...`
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// The runs of this repository.
    List {
        /// Runs of every repository.
        #[arg(long, short = 'A')]
        all: bool,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// One run, whole.
    Get {
        name: String,
        #[arg(long, short, value_enum, default_value_t)]
        output: Format,
    },
    /// The log of a run, every stage of it; of one that is gone from the cluster what the ledger kept.
    Logs(logs::Logs),
    /// End the current attempt; its log stays.
    Stop(Stop),
    /// Start a new attempt.
    Retry(Retry),
    /// Tell the agent something it did not know, and start a new attempt.
    Context(AddContext),
    /// Remove a run and everything it owned; its record stays.
    Delete(Delete),
    /// Bring the branch of a run into the current one.
    Merge {
        name: String,
        /// Do it; without this the plan is printed.
        #[arg(long)]
        yes: bool,
    },
}

/// `clean`
#[derive(Debug, Args)]
pub struct CleanArguments {
    #[command(flatten)]
    pub clean: Clean,
    /// Runs of every repository, not only this one.
    #[arg(long, short = 'A')]
    pub all: bool,
    /// Let runs go that are being deleted and wait for a controller that is gone.
    #[arg(long, conflicts_with_all = ["all", "older", "phase", "rules", "finished"])]
    pub finalizers: bool,
    /// Delete without asking.
    #[arg(long)]
    pub yes: bool,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `doctor`
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// The agent that runs would use, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Whose Git credentials runs would use.
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `controller`
#[derive(Debug, Args)]
pub struct ControllerArguments {
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Form of the log, which goes to stderr.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// `preflight`
#[derive(Debug, Args)]
pub struct Preflight {
    /// docs or code.
    #[arg(long, default_value = "docs", value_parser = kind)]
    pub kind: RunKind,
    /// The task of a code run.
    #[arg(long = "task", value_name = "ID")]
    pub tasks: Vec<String>,
    /// The tag of the plan. Default: the one in use.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
    /// The agent, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Whose Git credentials a run would use on a real cluster.
    #[arg(long, value_name = "USER")]
    pub github_user: Option<String>,
    /// Code: the service the task belongs to. Default: the repository's name.
    #[arg(long)]
    pub service: Option<String>,
    /// Put right what can safely be: commit the files a run reads, push the branch. Asks first.
    #[arg(long)]
    pub fix: bool,
    /// Put it right without asking.
    #[arg(long, requires = "fix")]
    pub yes: bool,
    /// Leave a failed check out of the verdict, and why; may be given several times.
    #[arg(long = "override", value_name = "CHECK=REASON", value_parser = override_of)]
    pub overrides: Vec<(String, String)>,
    #[arg(long, short, value_enum, default_value_t)]
    pub output: Format,
}

/// `embedded ...`
#[derive(Debug, Subcommand)]
pub enum Embedded {
    /// Run the background server in the foreground.
    Serve {
        /// Leave the terminal's session, as the console starts it.
        #[arg(long, hide = true)]
        detach: bool,
        /// Misbehave on purpose, by the rules of this file (config/faults.toml explains them): a rehearsal.
        #[arg(long, value_name = "FILE")]
        fault: Option<PathBuf>,
    },
    /// Whether it runs, and where.
    Status,
    /// End it. Containers that are running go on and are found again at the next start.
    Stop,
    /// The kubeconfig for kubectl.
    Kubeconfig {
        /// Print its path instead of its content.
        #[arg(long)]
        path: bool,
    },
}

/// Runs a command that prints and exits; its exit code. Commands that are front ends of their own are `main`'s.
pub async fn run(session: &Session, command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Run(Run::Docs(arguments)) => run::run(session, RunKind::Docs, arguments).await,
        Command::Run(Run::Code(arguments)) => run::run(session, RunKind::Code, arguments).await,
        Command::Runs(command) => runs::runs(session, command).await,
        Command::Ledger(command) => ledger::ledger(session, command).await,
        Command::Clean(arguments) => clean::clean(session, arguments).await,
        Command::Tasks(command) => tasks::tasks(session, command).await,
        Command::Preflight(arguments) => preflight::preflight(session, arguments).await,
        Command::Doctor(arguments) => doctor::doctor(session, arguments).await,
        Command::Embedded(Embedded::Status) => embedded::status(session),
        Command::Embedded(Embedded::Stop) => embedded::stop(session).await,
        Command::Embedded(Embedded::Kubeconfig { path }) => {
            embedded::kubeconfig(session, path).await
        }
        Command::Migrate(arguments) => migrate::migrate(session, arguments).await,
        Command::Manifests(wanted) => manifests::print(&wanted, session.place.namespace.as_deref()),
        Command::Info { output } => embedded::info(session, output),
        Command::Console
        | Command::Demo(_)
        | Command::Controller(_)
        | Command::Embedded(Embedded::Serve { .. })
        | Command::Stage { .. }
        | Command::Agent { .. }
        | Command::Shim { .. } => Ok(2),
    }
}

fn override_of(word: &str) -> Result<(String, String), String> {
    match word.split_once('=') {
        Some((check, reason)) if !reason.trim().is_empty() => {
            Ok((check.trim().to_owned(), reason.trim().to_owned()))
        }
        _ => Err("write CHECK=REASON, like tasks-pushed=\"the remote is a mirror\"".into()),
    }
}

fn kind(word: &str) -> Result<RunKind, String> {
    serde_json::from_value(word.into()).map_err(|_| "docs or code".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_the_readme_types_is_understood() {
        for line in [
            "flightdeck",
            "flightdeck demo --headless -o json",
            "flightdeck demo --forge --dir /tmp/x",
            "flightdeck run docs --task 1 --agent template --wait --follow",
            "flightdeck run code --task 2 --agent template --budget 2.50",
            "flightdeck runs logs docs-x --follow",
            "flightdeck preflight --fix --yes --override sync=known -o json",
            "flightdeck tasks list --status pending,review priority:high",
            "flightdeck tasks set-status 3.2 done --tag mvp",
            "flightdeck clean --older 3d --yes",
            "flightdeck clean --rule orphan --rule workspace --yes",
            "flightdeck clean --finalizers --context prod -n agents",
            "flightdeck embedded kubeconfig --path",
            "flightdeck migrate --dry-run --task 1 --task 2",
            "flightdeck manifests all --image registry.example/flightdeck:1 --namespace runs",
            "flightdeck doctor --context prod -n agents --github-user ada",
            "flightdeck controller --context prod -n agents --listen 0.0.0.0:8080 --log-format json",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
