//! What is wrong with a run under way, as far as its agent's stream, its pods and the clock tell. One detector a file, one
//! row of [`DETECTORS`] each; all of them pure: facts in, findings out.

mod budget;
mod limited;
mod looping;
mod pod;
mod refused;
mod signals;
mod silent;
mod thresholds;
mod waiting;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

pub use signals::{Repeated, Signals};
pub use thresholds::Thresholds;

use super::{Run, Stage};

/// What is known of a run under way.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub now: Timestamp,
    pub run: &'a Run,
    /// What its agent's stream says.
    pub signals: &'a Signals,
    pub pod: Pod<'a>,
    /// Millionths of a US dollar that it has cost so far.
    pub cost_micro_usd: i64,
    pub thresholds: &'a Thresholds,
}

/// How the pod of the stage under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pod<'a> {
    /// There is none, or it is on its way.
    Absent,
    /// It cannot start: why, as a sentence.
    Held(&'a str),
    Running,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the detector that found it.
    pub detector: &'static str,
    /// What is wrong, in one sentence without a full stop. May hold remote text: sanitise before showing.
    pub sentence: String,
    /// Nothing goes on, or money is lost, until a person acts.
    pub needs_you: bool,
    /// What helps.
    pub help: Option<Help>,
}

/// What a person can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Stop the run.
    Stop,
    /// Look at the events of its pods.
    Events,
    /// Look at what the agent did.
    Timeline,
}

/// Looks for one thing.
pub struct Detector {
    pub id: &'static str,
    /// What it looks for, for people.
    pub about: &'static str,
    find: fn(&Facts<'_>) -> Option<Finding>,
    /// The next moment at which it may judge otherwise though nothing happens.
    due: fn(&Facts<'_>) -> Option<Timestamp>,
}

/// Every detector; what it finds is shown in this order.
pub const DETECTORS: [Detector; 7] = [
    pod::DETECTOR,
    waiting::DETECTOR,
    budget::DETECTOR,
    limited::DETECTOR,
    looping::DETECTOR,
    silent::DETECTOR,
    refused::DETECTOR,
];

/// What is wrong with the run now, the worst first. Nothing is wrong with a run that has ended.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.run.ended() || facts.run.cancelled() {
        return Vec::new();
    }
    let mut found: Vec<Finding> = DETECTORS
        .iter()
        .filter_map(|detector| (detector.find)(facts))
        .collect();
    found.sort_by_key(|finding| !finding.needs_you);
    found
}

/// The next moment at which [`findings`] may differ though nothing happens; always later than `facts.now`.
#[must_use]
pub fn due(facts: &Facts<'_>) -> Option<Timestamp> {
    if facts.run.ended() || facts.run.cancelled() {
        return None;
    }
    let times = DETECTORS
        .iter()
        .filter_map(|detector| (detector.due)(facts));
    times.filter(|at| *at > facts.now).min()
}

impl Facts<'_> {
    /// When the attempt at a stage began that is under way; `None` when that stage is not under way.
    fn began(&self, stage: Stage) -> Option<Timestamp> {
        let attempt = self.run.status.attempts.iter().rev().find(|attempt| {
            attempt.stage == stage.as_str()
                && attempt.context_version == self.run.spec.context_version
        })?;
        if attempt.finished_at.is_some() {
            return None;
        }
        attempt.started_at.as_deref()?.parse().ok()
    }
}

/// `minutes` after a moment.
fn after(at: Timestamp, minutes: u32) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_mins(minutes.into()))
        .ok()
}

/// When something that lasts since `at` has lasted another full minute.
fn next_minute(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let minutes = now.duration_since(at).as_mins().max(0) + 1;
    at.checked_add(SignedDuration::from_mins(minutes)).ok()
}

/// When a sentence about what lasts since `at` begins to hold, and then each time it must be said anew.
fn from_then_on(at: Timestamp, minutes: u32, now: Timestamp) -> Option<Timestamp> {
    // 0 turns a detector off.
    let begins = after(at, minutes).filter(|_| minutes > 0)?;
    if now < begins {
        Some(begins)
    } else {
        next_minute(at, now)
    }
}

/// For detectors that only what happens can change.
const fn never(_: &Facts<'_>) -> Option<Timestamp> {
    None
}
