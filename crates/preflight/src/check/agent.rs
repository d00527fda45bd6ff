//! `agent`: the agent's program or image is available.

use super::{Check, Facts, Verdict};

pub(super) struct Agent;

impl Check for Agent {
    fn id(&self) -> &'static str {
        "agent"
    }

    fn title(&self) -> &'static str {
        "Agent"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let agent = facts.agent.as_ref()?;
        Some(match &agent.found {
            Ok(place) => Verdict::pass(format!("{}: {place}", agent.name)),
            Err(why) => Verdict::fail(format!("{}: {why}", agent.name))
                .because("Install it, choose another agent, or configure it under [agents]."),
        })
    }
}
