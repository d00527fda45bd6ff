//! Whether an agent can be used where its run will run.

use std::{env, ffi::OsStr};

use crate::AgentFacts;
use flightdeck_host::settings::{BUILT_IN_AGENTS, Settings};

/// Returns whether the agent can be used: its program is on the `PATH` of the embedded cluster, or its image is set.
#[must_use]
pub fn facts(name: &str, settings: &Settings, embedded: bool, path: Option<&OsStr>) -> AgentFacts {
    let found = match settings.agents.get(name) {
        None => {
            let known: Vec<&str> = settings.agents.keys().map(String::as_str).collect();
            Err(format!("the settings know only {}", known.join(", ")))
        }
        Some(_) if BUILT_IN_AGENTS.contains(&name) => Ok("part of flightdeck".into()),
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
