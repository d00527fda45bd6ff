//! Identifiers of panels, tabs and what they show. Everything in the console may use them; they use only the world.

use crate::world::{RunId, TaskId};

/// A panel. The order is that of the digits that focus them and of Tab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PanelId {
    #[default]
    Tasks,
    Runs,
    Preflight,
    Detail,
}

impl PanelId {
    pub const ALL: [Self; 4] = [Self::Tasks, Self::Runs, Self::Preflight, Self::Detail];

    /// Returns the next panel, wrapping at the end.
    #[must_use]
    pub fn next(self) -> Self {
        next_of(&Self::ALL, self)
    }

    /// Returns the previous panel, wrapping at the start.
    #[must_use]
    pub fn previous(self) -> Self {
        previous_of(&Self::ALL, self)
    }
}

/// A tab of the Detail panel, in the order of the tab bar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TabId {
    #[default]
    Task,
    Preview,
    Logs,
    Timeline,
    Diff,
    PullRequest,
    Events,
    Yaml,
    Check,
}

impl TabId {
    pub const ALL: &[Self] = &[
        Self::Task,
        Self::Preview,
        Self::Logs,
        Self::Timeline,
        Self::Diff,
        Self::PullRequest,
        Self::Events,
        Self::Yaml,
        Self::Check,
    ];
}

/// The object the Detail panel shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Task(TaskId),
    Run(RunId),
    /// A pre-flight check, by its id.
    Check(String),
}

/// Returns the item after `current`, wrapping at the end.
pub(crate) fn next_of<T: Copy + PartialEq>(items: &[T], current: T) -> T {
    let mut after = items.iter().skip_while(|item| **item != current).skip(1);
    *after.next().or(items.first()).unwrap_or(&current)
}

/// Returns the item before `current`, wrapping at the start.
pub(crate) fn previous_of<T: Copy + PartialEq>(items: &[T], current: T) -> T {
    let before = items.iter().take_while(|item| **item != current).last();
    *before.or(items.last()).unwrap_or(&current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_wrap_at_both_ends() {
        assert_eq!(PanelId::Tasks.next(), PanelId::Runs);
        assert_eq!(PanelId::Detail.next(), PanelId::Tasks);
        assert_eq!(PanelId::Tasks.previous(), PanelId::Detail);
        assert_eq!(next_of(&[1], 1), 1);
        assert_eq!(previous_of(&[], 3), 3);
    }

    #[test]
    fn lists_every_id_once_in_order() {
        assert!(PanelId::ALL.is_sorted());
        assert!(TabId::ALL.is_sorted());
    }
}
