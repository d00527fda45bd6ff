//! Detects problems of active runs from the agent stream, the pods and the clock. One detector per file, one row of
//! [`DETECTORS`] each. Detectors are pure: facts in, findings out.

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

/// Input of the detectors.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub now: Timestamp,
    pub run: &'a Run,
    /// Extracted from the agent stream.
    pub signals: &'a Signals,
    pub pod: PodState<'a>,
    /// Cost so far, in millionths of a US dollar.
    pub cost_micro_usd: i64,
    pub thresholds: &'a Thresholds,
}

/// State of the pod of the current stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState<'a> {
    /// Not created, or still starting.
    Absent,
    /// Cannot start, with the reason.
    Blocked(&'a str),
    Running,
}

/// A detected problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Id of the detector.
    pub detector: &'static str,
    /// One sentence without a full stop. May contain remote text: sanitise before showing.
    pub message: String,
    /// Whether the run makes no progress, or wastes money, until a person acts.
    pub needs_action: bool,
    /// Suggested action.
    pub remedy: Option<Remedy>,
}

/// Suggested action for a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Stop the run.
    Stop,
    /// Show the events of its pods.
    Events,
    /// Show the agent timeline.
    Timeline,
}

/// Detects one kind of problem.
pub struct Detector {
    pub id: &'static str,
    /// Description for the help screen.
    pub about: &'static str,
    find: fn(&Facts<'_>) -> Option<Finding>,
    /// Next time at which the result may change without an event.
    due: fn(&Facts<'_>) -> Option<Timestamp>,
}

/// All detectors, in display order.
pub const DETECTORS: [Detector; 7] = [
    pod::DETECTOR,
    waiting::DETECTOR,
    budget::DETECTOR,
    limited::DETECTOR,
    looping::DETECTOR,
    silent::DETECTOR,
    refused::DETECTOR,
];

/// Returns the problems of the run, those that need action first. Empty for finished or cancelled runs.
#[must_use]
pub fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    if facts.run.ended() || facts.run.cancelled() {
        return Vec::new();
    }
    let mut found: Vec<Finding> = DETECTORS
        .iter()
        .filter_map(|detector| (detector.find)(facts))
        .collect();
    found.sort_by_key(|finding| !finding.needs_action);
    found
}

/// Returns the next time at which [`findings`] may change without an event; always after `facts.now`.
#[must_use]
pub fn next_check(facts: &Facts<'_>) -> Option<Timestamp> {
    if facts.run.ended() || facts.run.cancelled() {
        return None;
    }
    let times = DETECTORS
        .iter()
        .filter_map(|detector| (detector.due)(facts));
    times.filter(|at| *at > facts.now).min()
}

impl Facts<'_> {
    /// Returns when the current attempt of a stage started; `None` if the stage is not active.
    fn started(&self, stage: Stage) -> Option<Timestamp> {
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

/// Returns the time `minutes` after `at`.
fn after(at: Timestamp, minutes: u32) -> Option<Timestamp> {
    at.checked_add(SignedDuration::from_mins(minutes.into()))
        .ok()
}

/// Returns when a duration since `at` completes its next full minute.
fn next_minute(at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let minutes = now.duration_since(at).as_mins().max(0) + 1;
    at.checked_add(SignedDuration::from_mins(minutes)).ok()
}

/// Returns when a finding about a state since `at` first applies, or when its duration next changes.
fn due_after(at: Timestamp, minutes: u32, now: Timestamp) -> Option<Timestamp> {
    // 0 disables a detector.
    let begins = after(at, minutes).filter(|_| minutes > 0)?;
    if now < begins {
        Some(begins)
    } else {
        next_minute(at, now)
    }
}

/// For detectors that depend on events only.
const fn never(_: &Facts<'_>) -> Option<Timestamp> {
    None
}
