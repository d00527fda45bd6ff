//! The agents that live in this binary. Every other agent is a program that the run's `agent.sh` starts.

pub mod template;

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    process::ExitCode,
};

use futures::future::BoxFuture;

use crate::{preflight::AgentFacts, settings::Settings};

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

/// Whether the agent of that name can be used: its program is on the `PATH` of the embedded cluster, or its image is set.
#[must_use]
pub fn facts(name: &str, settings: &Settings, embedded: bool, path: Option<&OsStr>) -> AgentFacts {
    let found = match settings.agents.get(name) {
        None => {
            let known: Vec<&str> = settings.agents.keys().map(String::as_str).collect();
            Err(format!("the settings know only {}", known.join(", ")))
        }
        Some(_) if BUILT_IN.iter().any(|agent| agent.name == name) => {
            Ok("part of flightdeck".into())
        }
        Some(agent) if embedded => on_path(&agent.program, path)
            .ok_or_else(|| format!("{} is not on the PATH", agent.program)),
        Some(agent) if agent.image.is_empty() => {
            Err(format!("no image is set; set [agents.{name}] image"))
        }
        Some(agent) => Ok(agent.image.clone()),
    };
    AgentFacts {
        name: name.to_owned(),
        found,
    }
}

fn on_path(program: &str, path: Option<&OsStr>) -> Option<String> {
    let mut candidates = env::split_paths(path?).map(|directory| directory.join(program));
    candidates
        .find(|candidate| candidate.is_file())
        .map(|candidate| candidate.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_cannot_be_used_says_why() {
        let settings = Settings::shipped();
        let reason = |name: &str, embedded: bool| {
            facts(name, &settings, embedded, Some(OsStr::new("/nowhere"))).found
        };
        assert_eq!(reason("template", true), Ok("part of flightdeck".into()));
        assert_eq!(
            reason("claude", true),
            Err("claude is not on the PATH".into())
        );
        assert_eq!(
            reason("claude", false),
            Err("no image is set; set [agents.claude] image".into())
        );
        assert_eq!(
            reason("nobody", true),
            Err("the settings know only claude, template".into())
        );
    }

    #[test]
    fn a_program_is_found_where_the_path_says() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("claude"), "").unwrap();
        let found = facts(
            "claude",
            &Settings::shipped(),
            true,
            Some(directory.path().as_os_str()),
        )
        .found;
        assert_eq!(
            found,
            Ok(directory.path().join("claude").display().to_string())
        );
    }
}
