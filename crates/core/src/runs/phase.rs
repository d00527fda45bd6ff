//! Phase of a run.

/// Phase of a run. An unknown phase from a newer controller is shown as is, and counts as unfinished.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
    Other(String),
}

impl Phase {
    /// Parses `status.phase`.
    #[must_use]
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            None | Some("" | "Pending") => Self::Pending,
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            Some("Cancelled") => Self::Cancelled,
            Some(other) => Self::Other(other.to_owned()),
        }
    }

    /// Value for `status.phase`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Other(word) => word,
        }
    }

    /// Whether the phase is terminal.
    #[must_use]
    pub const fn finished(&self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}
