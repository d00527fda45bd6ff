//! Availability of agents.

use std::{env, ffi::OsStr};

use crate::AgentFacts;
use flightdeck_host::settings::{BUILT_IN_AGENTS, Settings};

/// Returns whether the agent can be used: its program is on the `PATH` of the embedded cluster, or its image is set.
#[must_use]
pub fn facts(name: &str, settings: &Settings, embedded: bool, path: Option<&OsStr>) -> AgentFacts {
    let found = match settings.agents.get(name) {
        None => {
            let known: Vec<&str> = settings.agents.keys().map(String::as_str).collect();
            Err(format!(
                "not in the settings, which have {}",
                known.join(", ")
            ))
        }
        Some(_) if BUILT_IN_AGENTS.contains(&name) => Ok("built in".into()),
        Some(agent) if embedded => on_path(&agent.program, path)
            .ok_or_else(|| format!("{} is not on the PATH", agent.program)),
        Some(agent) if agent.image.is_empty() => {
            Err(format!("no image configured; set [agents.{name}] image"))
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
    fn explains_unusable_agents() {
        let settings = Settings::shipped();
        let reason = |name: &str, embedded: bool| {
            facts(name, &settings, embedded, Some(OsStr::new("/nowhere"))).found
        };
        assert_eq!(reason("template", true), Ok("built in".into()));
        assert_eq!(
            reason("claude", true),
            Err("claude is not on the PATH".into())
        );
        assert_eq!(
            reason("claude", false),
            Err("no image configured; set [agents.claude] image".into())
        );
        assert_eq!(
            reason("nobody", true),
            Err("not in the settings, which have claude, template".into())
        );
    }

    #[test]
    fn finds_program_on_path() {
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
