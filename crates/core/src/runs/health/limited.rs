//! The model provider rejects or fails requests.

use super::{Detector, Facts, Finding, Remedy, next_minute};
use crate::text;

pub(super) const DETECTOR: Detector = Detector {
    id: "rate-limited",
    about: "The model provider rejects or fails requests",
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
    let message = if let Some((what, until)) = &signals.limited {
        match until {
            Some(until) if *until <= facts.now => return None,
            Some(until) => {
                let lasts = until.duration_since(facts.now).as_secs();
                format!("{what}, for {} more", text::age(lasts))
            }
            None => what.clone(),
        }
    } else {
        let (times, why) = signals.retried.as_ref()?;
        if thresholds.api_retries == 0 || *times < thresholds.api_retries {
            return None;
        }
        format!("{times} failed requests to the model provider: {why}")
    };
    Some(Finding {
        detector: DETECTOR.id,
        message,
        needs_action: true,
        remedy: Some(Remedy::Stop),
    })
}
