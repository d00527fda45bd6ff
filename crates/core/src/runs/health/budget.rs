//! The run reaches or exceeds its budget.

use super::{Detector, Facts, Finding, Remedy, never};
use crate::text::usd;

pub(super) const DETECTOR: Detector = Detector {
    id: "budget",
    about: "The run approaches or exceeds its budget or the limit in the settings",
    find,
    due: never,
};

fn find(facts: &Facts<'_>) -> Option<Finding> {
    let own = facts.run.spec.budget_usd.as_deref();
    let own = own
        .and_then(|budget| budget.parse::<f64>().ok())
        .map(|budget| (budget * 1e6).round() as i64);
    let bounds = [own, facts.thresholds.cost_micro_usd()];
    let bound = bounds
        .into_iter()
        .flatten()
        .filter(|bound| *bound > 0)
        .min();
    let cost = facts.cost_micro_usd;
    let finding = |message, needs_action| Finding {
        detector: DETECTOR.id,
        message,
        needs_action,
        remedy: Some(Remedy::Stop),
    };
    let Some(bound) = bound else {
        let message = "the agent has used up its budget".to_owned();
        return facts.signals.over_budget.then(|| finding(message, true));
    };
    let share = i128::from(cost) * 100 / i128::from(bound);
    if facts.signals.over_budget || cost >= bound {
        let message = format!("budget used up: {} of {}", usd(cost), usd(bound));
        Some(finding(message, true))
    } else if facts.thresholds.budget_share > 0 && share >= facts.thresholds.budget_share.into() {
        let message = format!(
            "{share}% of the budget used: {} of {}",
            usd(cost),
            usd(bound)
        );
        Some(finding(message, false))
    } else {
        None
    }
}
