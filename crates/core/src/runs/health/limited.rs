//! The model's provider refuses requests, or does not answer them.

use super::{Detector, Facts, Finding, Help, next_minute};
use crate::text;

pub(super) const DETECTOR: Detector = Detector {
    id: "rate-limited",
    about: "The model's provider refuses requests for now, or does not answer them",
    find,
    due: |facts| {
        let until = facts.signals.limited.as_ref()?.1?;
        if until <= facts.now {
            return None;
        }
        next_minute(facts.now, facts.now).map(|minute| minute.min(until))
    },
};

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let signals = facts.signals;
    if signals.ended {
        return None;
    }
    let thresholds = facts.thresholds;
    let sentence = if let Some((what, until)) = &signals.limited {
        match until {
            Some(until) if *until <= facts.now => return None,
            Some(until) => {
                let lasts = until.duration_since(facts.now).as_secs();
                format!("{what}, for another {}", text::age(lasts))
            }
            None => what.clone(),
        }
    } else {
        let (times, why) = signals.retried.as_ref()?;
        if thresholds.api_retries == 0 || *times < thresholds.api_retries {
            return None;
        }
        format!("the model's provider has not answered {times} times: {why}")
    };
    Some(Finding {
        detector: DETECTOR.id,
        sentence,
        needs_you: true,
        help: Some(Help::Stop),
    })
}
