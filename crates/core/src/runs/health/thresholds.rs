//! From when on something is called wrong.

use serde::Deserialize;

/// The settings of `config/health.toml`, where each is explained.
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
    /// US dollars; 0: no bound.
    pub cost_usd: f64,
    /// Tokens; 0: unknown until the stream says it.
    pub context_window: i64,
}

impl Thresholds {
    /// [`Self::cost_usd`] in millionths; `None` when there is no bound.
    #[must_use]
    pub fn cost_micro_usd(&self) -> Option<i64> {
        (self.cost_usd > 0.0).then(|| (self.cost_usd * 1e6).round() as i64)
    }
}
