//! What runs inside a run's pods: each container of a stage is one row of [`STEPS`].
//!
//! A step reads the surroundings the controller gave it (the table in `runs/manifest.rs`), says what it does in sentences
//! on standard output (that is the stage's log), and writes one [`StageReport`] to the termination message as its last
//! act. It knows no cluster: files, git and a forge are its whole world.

mod agent;
mod branch;
mod changes;
mod checkout;
mod clone;
mod collect;
mod docs;
mod error;
mod fetch;
mod history;
mod judge;
mod lay;
mod lfs;
mod place;
mod pull_request;
mod push;
mod remote;
mod ssh;
mod submodules;
mod verify;

use std::{fs, io::Write, path::Path, process::ExitCode};

use futures::future::BoxFuture;

use error::StageError;
use place::Place;

use flightdeck_core::{
    runs::{StageReport, env, reason},
    text,
};

/// Exit code of a stage that found other tasks than those that were verified at launch.
const TASKS_MISMATCH: u8 = 65;

/// One container of a stage.
pub struct Step {
    /// Words after `flightdeck stage`.
    pub name: &'static str,
    /// What it does, for help.
    pub about: &'static str,
    /// Reason of a failure that names none itself.
    reason: &'static str,
    run: fn(Place) -> BoxFuture<'static, Result<StageReport, StageError>>,
}

/// Every container of every stage, in the order they run.
pub const STEPS: [Step; 5] = [
    Step {
        name: "prep clone",
        about: "Clone the source branch and verify the tasks (holds the Git credential)",
        reason: reason::CLONE_FAILED,
        run: |place| Box::pin(clone::run(place)),
    },
    Step {
        name: "prep lay",
        about: "Lay out the workspace from the clone",
        reason: reason::CLONE_FAILED,
        run: |place| Box::pin(lay::run(place)),
    },
    Step {
        name: "agent",
        about: "Run the agent in its checkout (holds the model credential)",
        reason: reason::AGENT_FAILED,
        run: |place| Box::pin(agent::run(place)),
    },
    Step {
        name: "publish collect",
        about: "Bundle the agent's commits, as data",
        reason: reason::PUSH_FAILED,
        run: |place| Box::pin(collect::run(place)),
    },
    Step {
        name: "publish push",
        about: "Judge the commits, push them, open the pull request (holds the Git credential)",
        reason: reason::PUSH_FAILED,
        run: |place| Box::pin(push::run(place)),
    },
];

/// Runs the step called `name` (`["prep", "clone"]`) to its end: 0 done, 65 other tasks than verified, 2 no such step, 1 anything else.
pub async fn run(name: &[String]) -> ExitCode {
    let name = name.join(" ");
    let Some(step) = STEPS.iter().find(|step| step.name == name) else {
        let names = STEPS.map(|step| step.name).join(", ");
        say(format!("no stage is called `{name}`; there are: {names}"));
        return ExitCode::from(2);
    };
    let ended = match Place::from_environment() {
        Ok(place) => (step.run)(place).await,
        Err(error) => Err(error),
    };
    let (report, code) = match ended {
        Ok(report) => (report, 0),
        Err(error) => {
            let report = error.into_report(step.reason);
            say(report.message.as_deref().unwrap_or_default());
            let mismatch = report.reason.as_deref() == Some(reason::TASKS_MISMATCH);
            (report, if mismatch { TASKS_MISMATCH } else { 1 })
        }
    };
    match write_report(&report) {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            say(error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One sentence in the stage's log. Remote text in it becomes harmless here.
fn say(sentence: impl AsRef<str>) {
    // A log that nobody can take any more is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{}", text::sanitize(sentence.as_ref()));
}

/// Writes the report in one go: a kubelet reads whatever is there when the container ends.
fn write_report(report: &StageReport) -> Result<(), StageError> {
    let Some(path) = std::env::var_os(env::TERMINATION_MESSAGE).filter(|path| !path.is_empty())
    else {
        return Ok(());
    };
    let path = Path::new(&path);
    fs::write(path, report.to_message()).map_err(StageError::file("write", path))
}
