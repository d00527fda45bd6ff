//! Stages of a run. Each is a separate Job, so it can be retried, timed and inspected separately.

use serde::{Deserialize, Serialize};

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Clones the branch and verifies the tasks. Has the Git credential.
    Prep,
    /// Runs the agent. Has the model credential only.
    Agent,
    /// Validates the changes and pushes them. Has the Git credential.
    Publish,
}

impl Stage {
    /// All stages, in execution order.
    pub const ALL: [Self; 3] = [Self::Prep, Self::Agent, Self::Publish];

    /// Name, as in labels and statuses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prep => "prep",
            Self::Agent => "agent",
            Self::Publish => "publish",
        }
    }

    /// Returns the stage with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// Returns the following stage.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Prep => Some(Self::Agent),
            Self::Agent => Some(Self::Publish),
            Self::Publish => None,
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
