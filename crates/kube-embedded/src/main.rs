//! `kube-embedded serve DIRECTORY`: serves a cluster until it is interrupted.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use kube_embedded::{Cluster, ClusterOptions, endpoint::Lock, serve::Server, shim};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
Serves a Kubernetes API on loopback, and runs pods as local processes.

Usage: kube-embedded serve DIRECTORY [--containers N]

Arguments:
  DIRECTORY         Where to keep objects, logs and volumes; created if missing

Options:
  --containers N    Maximum number of running containers; 0 serves the API only [default: 4]

Prints the path of the kubeconfig once clients can connect. SIGTERM and SIGINT stop the server; containers keep running,
and the next server of the directory finds them.
";

/// A parsed command line.
enum Command {
    Help,
    Serve {
        directory: PathBuf,
        max_containers: usize,
    },
    /// Runs a container; started by the node.
    Shim {
        spec: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match parse(&arguments) {
        Some(Command::Help) => write!(io::stdout(), "{USAGE}").map_err(Into::into),
        // A shim needs no async runtime, and there is one per container.
        Some(Command::Shim { spec }) => return shim::main(&spec),
        Some(Command::Serve {
            directory,
            max_containers,
        }) => run(&directory, max_containers),
        None => {
            drop(write!(io::stderr(), "{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "kube-embedded: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[&str]) -> Option<Command> {
    let serve = |directory: &str, max_containers| Command::Serve {
        directory: directory.into(),
        max_containers,
    };
    match arguments {
        ["-h" | "--help"] => Some(Command::Help),
        ["serve", directory] => Some(serve(directory, 4)),
        ["serve", directory, "--containers", count] => Some(serve(directory, count.parse().ok()?)),
        ["shim", "--spec", spec] => Some(Command::Shim { spec: spec.into() }),
        _ => None,
    }
}

#[tokio::main]
async fn run(directory: &Path, max_containers: usize) -> Result<(), Box<dyn Error>> {
    let Some(_lock) = Lock::acquire(directory)? else {
        return Err(format!("another process serves {}", directory.display()).into());
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let cluster = Cluster::open(ClusterOptions {
        program: std::env::current_exe()?,
        max_containers,
        // Variables that are not UTF-8 cannot be part of a pod anyway.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        ..ClusterOptions::new(directory)
    })
    .await?;
    let server = Server::start(&cluster, directory).await?;
    writeln!(io::stdout(), "{}", server.endpoint().kubeconfig.display())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.shutdown().await;
    cluster.shutdown().await;
    Ok(())
}
