//! Problems of active runs, derived from the world and the clock.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    command::Command,
    world::{RunEntry, RunId, World},
};
use flightdeck_core::runs::health::{self, Facts, Finding, PodState, Remedy, Thresholds};

/// The current findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    findings: BTreeMap<RunId, Vec<Finding>>,
    due: Option<Timestamp>,
}

impl Health {
    /// Checks all active runs again. Returns the findings that are new.
    pub fn refresh(
        &mut self,
        world: &World,
        thresholds: &Thresholds,
        now: Timestamp,
    ) -> Vec<(RunId, Finding)> {
        let pods = world.owned.pods_of_runs();
        let mut new = Vec::new();
        let mut found = BTreeMap::new();
        self.due = None;
        for (id, entry) in world.runs.iter().filter(|(_, entry)| entry.active()) {
            let facts = Facts {
                now,
                run: &entry.run,
                signals: &entry.progress.signals,
                pod: pod(entry, pods.contains(id.as_str())),
                cost_micro_usd: entry.usage().cost_micro_usd,
                thresholds,
            };
            self.due = self.due.into_iter().chain(health::next_check(&facts)).min();
            let findings = health::findings(&facts);
            let known = self.of(id);
            for finding in &findings {
                if !known.iter().any(|known| known.detector == finding.detector) {
                    new.push((id.clone(), finding.clone()));
                }
            }
            if !findings.is_empty() {
                found.insert(id.clone(), findings);
            }
        }
        self.findings = found;
        new
    }

    /// The findings of a run, the most severe first.
    #[must_use]
    pub fn of(&self, run: &str) -> &[Finding] {
        self.findings.get(run).map_or(&[], Vec::as_slice)
    }

    /// When to check again even if the world does not change.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

fn pod(entry: &RunEntry, present: bool) -> PodState<'_> {
    match &entry.trouble {
        Some(why) => PodState::Blocked(why),
        None if present => PodState::Running,
        None => PodState::Absent,
    }
}

/// Returns the command that helps with a health finding, and its label.
#[must_use]
pub(crate) const fn remedy_command(remedy: Remedy) -> (Command, &'static str) {
    match remedy {
        Remedy::Stop => (Command::Stop, "stop"),
        Remedy::Events => (Command::Describe, "events"),
        Remedy::Timeline => (Command::NextError, "show"),
    }
}
