//! The containers of a run's pods: each container of a stage is one row of [`STEPS`].
//!
//! A step reads the environment the controller set (the table in `runs/manifest.rs`), logs to standard output, and writes a
//! [`StageReport`] to the termination message as its last action. It has no access to the cluster: only to files, git and
//! the Git host.

mod agent;
mod branch;
mod changes;
mod checkout;
mod clone;
mod collect;
mod docs;
mod environment;
mod error;
mod fetch;
mod history;
mod lfs;
mod patch;
mod plan;
mod policy;
mod pull_request;
mod push;
mod rebuild;
mod remote;
mod setup;
mod ssh;
mod submodules;
mod verify;

use std::{fs, io::Write, path::Path, process::ExitCode};

use futures::future::BoxFuture;

use environment::StageEnv;
use error::StageError;

use flightdeck_core::{
    runs::{StageReport, env, reason},
    text,
};

/// Exit code if the cloned tasks differ from those verified at launch.
const TASKS_MISMATCH: u8 = 65;

/// One container of a stage.
pub struct Step {
    /// Arguments of `flightdeck stage`.
    pub name: &'static str,
    /// Its description in the help.
    pub about: &'static str,
    /// Reason of errors that have none.
    reason: &'static str,
    run: fn(StageEnv) -> BoxFuture<'static, Result<StageReport, StageError>>,
}

/// Every container of every stage, in the order they run.
pub const STEPS: [Step; 5] = [
    Step {
        name: "prep clone",
        about: "Clone the source branch and verify the tasks (has the Git credential)",
        reason: reason::CLONE_FAILED,
        run: |stage| Box::pin(clone::run(stage)),
    },
    Step {
        name: "prep setup",
        about: "Set up the workspace from the clone",
        reason: reason::CLONE_FAILED,
        run: |stage| Box::pin(setup::run(stage)),
    },
    Step {
        name: "agent",
        about: "Run the agent in its checkout (has the model credential)",
        reason: reason::AGENT_FAILED,
        run: |stage| Box::pin(agent::run(stage)),
    },
    Step {
        name: "publish collect",
        about: "Bundle the agent's commits",
        reason: reason::PUSH_FAILED,
        run: |stage| Box::pin(collect::run(stage)),
    },
    Step {
        name: "publish push",
        about: "Check the commits, push them, open the pull request (has the Git credential)",
        reason: reason::PUSH_FAILED,
        run: |stage| Box::pin(push::run(stage)),
    },
];

/// Runs the step `name` (`["prep", "clone"]`). Returns 0 on success, 65 if the tasks differ from those verified, 2 for an
/// unknown step, else 1.
pub async fn run(name: &[String]) -> ExitCode {
    let name = name.join(" ");
    let Some(step) = STEPS.iter().find(|step| step.name == name) else {
        let names = STEPS.map(|step| step.name).join(", ");
        log(format!("unknown stage `{name}`; available: {names}"));
        return ExitCode::from(2);
    };
    let result = match StageEnv::from_environment() {
        Ok(stage) => (step.run)(stage).await,
        Err(error) => Err(error),
    };
    let (report, code) = match result {
        Ok(report) => (report, 0),
        Err(error) => {
            let report = error.into_report(step.reason);
            log(report.message.as_deref().unwrap_or_default());
            let mismatch = report.reason.as_deref() == Some(reason::TASKS_MISMATCH);
            (report, if mismatch { TASKS_MISMATCH } else { 1 })
        }
    };
    match write_report(&report) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            log(error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Logs a line to standard output, without control characters.
fn log(line: impl AsRef<str>) {
    // A closed log is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{}", text::sanitize(line.as_ref()));
}

/// Writes the termination message in one write: the kubelet reads whatever is there when the container ends.
fn write_report(report: &StageReport) -> Result<(), StageError> {
    let Some(path) = std::env::var_os(env::TERMINATION_MESSAGE).filter(|path| !path.is_empty())
    else {
        return Ok(());
    };
    let path = Path::new(&path);
    fs::write(path, report.to_message()).map_err(StageError::file("write", path))
}
