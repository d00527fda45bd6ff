//! What the console wants done, as values: `update` answers with them, [`super::perform`] does them.

use super::{panels::detail, world::TaskId};
use crate::{runs::RunKind, verbs};

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leave the console.
    Quit,
    /// Back to the shell until it says `fg`.
    Suspend,
    /// Read the repository and the task file again.
    ReadRepository,
    /// Run the pre-flight checks. Lane "preflight".
    Check {
        kind: RunKind,
        tasks: Vec<TaskId>,
        /// Ask the remote, instead of taking what was fetched last.
        ask: bool,
    },
    Launch(Box<verbs::Launch>),
    Stop(verbs::Stop),
    Retry(verbs::Retry),
    AddContext(verbs::AddContext),
    Delete(verbs::Delete),
    /// Open an address in the browser.
    Browse(String),
    /// Put text on the clipboard.
    Copy(String),
    /// What the Detail panel needs.
    Detail(detail::Want),
}

/// How an effect ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Name of the run that was launched.
    Launched(String),
    Stopped(String),
    Retried(String),
    Deleted(String),
    Copied(String),
    /// It did not work: one sentence.
    Failed(String),
}

/// What an update asks for, and whether anything visible changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub list: Vec<Effect>,
    pub redraw: bool,
}

impl Effects {
    /// Asks for one thing more.
    pub fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }
}
