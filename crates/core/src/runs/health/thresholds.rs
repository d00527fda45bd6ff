//! Thresholds of the detectors.

use serde::Deserialize;

/// Settings in `config/health.toml`, which documents each of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    pub silent_minutes: u32,
    pub tool_minutes: u32,
    pub repeated_calls: usize,
    pub refused_calls: usize,
    pub api_retries: i64,
    pub pending_minutes: u32,
    /// Percent.
    pub budget_share: u32,
    /// US dollars; 0 for no limit.
    pub cost_usd: f64,
    /// Tokens; 0 if unknown until the stream reports it.
    pub context_window: i64,
}

impl Thresholds {
    /// Returns [`Self::cost_usd`] in millionths; `None` without a limit.
    #[must_use]
    pub fn cost_micro_usd(&self) -> Option<i64> {
        (self.cost_usd > 0.0).then(|| (self.cost_usd * 1e6).round() as i64)
    }
}
