//! The agents built into this binary. Other agents are programs that the run's `agent.sh` starts.

mod template;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use futures::future::BoxFuture;

/// A built-in agent.
pub struct BuiltIn {
    /// Its name in the settings and in `flightdeck agent <name>`.
    pub name: &'static str,
    /// Its description in the help.
    pub about: &'static str,
    run: fn() -> BoxFuture<'static, ExitCode>,
}

/// All built-in agents.
pub const BUILT_IN: [BuiltIn; 1] = [BuiltIn {
    name: "template",
    about: "Write documents from the text of the tasks, offline",
    run: || Box::pin(template::main()),
}];

/// Runs the built-in agent `name` in the current directory, as a run's `agent.sh` does. Returns 2 if there is none.
pub async fn run(name: &str) -> ExitCode {
    if let Some(agent) = BUILT_IN.iter().find(|agent| agent.name == name) {
        return (agent.run)().await;
    }
    let known = BUILT_IN.map(|agent| agent.name).join(", ");
    // Ignore a closed stderr.
    let _ = writeln!(
        io::stderr(),
        "unknown built-in agent `{name}`; available: {known}"
    );
    ExitCode::from(2)
}
