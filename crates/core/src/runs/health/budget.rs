//! The money.

use super::{Detector, Facts, Finding, Help, never};

pub(super) const DETECTOR: Detector = Detector {
    id: "budget",
    about: "The run's budget, or the bound in the settings, is nearly or wholly spent",
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
    let dollars = |micro: i64| format!("${:.2}", micro as f64 / 1e6);
    let cost = facts.cost_micro_usd;
    let finding = |sentence, needs_you| Finding {
        detector: DETECTOR.id,
        sentence,
        needs_you,
        help: Some(Help::Stop),
    };
    let Some(bound) = bound else {
        let spent = "the agent has spent its budget".to_owned();
        return facts.signals.over_budget.then(|| finding(spent, true));
    };
    let share = i128::from(cost) * 100 / i128::from(bound);
    if facts.signals.over_budget || cost >= bound {
        let sentence = format!(
            "the budget is spent: {} of {}",
            dollars(cost),
            dollars(bound)
        );
        Some(finding(sentence, true))
    } else if facts.thresholds.budget_share > 0 && share >= facts.thresholds.budget_share.into() {
        let sentence = format!(
            "{share}% of the budget is spent: {} of {}",
            dollars(cost),
            dollars(bound)
        );
        Some(finding(sentence, false))
    } else {
        None
    }
}
