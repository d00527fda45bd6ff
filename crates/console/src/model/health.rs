//! What is wrong with the runs under way: derived from the world and the clock, and never more often than something may
//! have changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::world::{Entry, RunId, World};
use flightdeck_core::runs::health::{self, Facts, Finding, PodState, Thresholds};

/// What was found last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    findings: BTreeMap<RunId, Vec<Finding>>,
    due: Option<Timestamp>,
}

impl Health {
    /// Looks at every run again; gives what was not found the last time.
    pub fn look(
        &mut self,
        world: &World,
        thresholds: &Thresholds,
        now: Timestamp,
    ) -> Vec<(RunId, Finding)> {
        let pods = world.owned.pods_of_runs();
        let mut news = Vec::new();
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
                    news.push((id.clone(), finding.clone()));
                }
            }
            if !findings.is_empty() {
                found.insert(id.clone(), findings);
            }
        }
        self.findings = found;
        news
    }

    /// What is wrong with a run, the worst first.
    #[must_use]
    pub fn of(&self, run: &str) -> &[Finding] {
        self.findings.get(run).map_or(&[], Vec::as_slice)
    }

    /// When to look again though nothing happens.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        self.due
    }
}

fn pod(entry: &Entry, present: bool) -> PodState<'_> {
    match &entry.trouble {
        Some(why) => PodState::Blocked(why),
        None if present => PodState::Running,
        None => PodState::Absent,
    }
}
