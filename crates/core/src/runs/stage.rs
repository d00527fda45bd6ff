//! The stages of a run, each a Job of its own, so that each can be retried, timed and read by itself.

use serde::{Deserialize, Serialize};

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Clones the branch and verifies the tasks. Holds the Git credential.
    Prep,
    /// Runs the agent. Holds the model credential only.
    Agent,
    /// Judges the work, then pushes it. Holds the Git credential.
    Publish,
}

impl Stage {
    /// In the order they run.
    pub const ALL: [Self; 3] = [Self::Prep, Self::Agent, Self::Publish];

    /// `prep`, `agent` or `publish`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prep => "prep",
            Self::Agent => "agent",
            Self::Publish => "publish",
        }
    }

    /// The stage of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name)
    }

    /// The one that follows.
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
