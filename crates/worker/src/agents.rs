//! The agents that live in this binary. Every other agent is a program that the run's `agent.sh` starts.

pub mod template;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use futures::future::BoxFuture;

/// An agent inside this binary.
pub struct BuiltIn {
    /// Its name in the settings, and after `flightdeck agent`.
    pub name: &'static str,
    /// What it is, for help.
    pub about: &'static str,
    run: fn() -> BoxFuture<'static, ExitCode>,
}

/// Every agent inside this binary.
pub const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "template",
    about: "Writes documents from the tasks' own text, offline",
    run: || Box::pin(template::main()),
}];

/// Runs the built-in agent of that name in the current directory, as a run's `agent.sh` does; 2 when there is none.
pub async fn run(name: &str) -> ExitCode {
    if let Some(agent) = BUILT_IN.iter().find(|agent| agent.name == name) {
        return (agent.run)().await;
    }
    let known = BUILT_IN.map(|agent| agent.name).join(", ");
    // Nothing can be said about a closed stderr.
    let _ = writeln!(
        io::stderr(),
        "no built-in agent is called `{name}`; there is: {known}"
    );
    ExitCode::from(2)
}
