//! A line of a list.

use std::path::PathBuf;

use crate::{
    theme::Scope,
    world::{RunId, TaskId},
};

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    /// Words with their style, and a width if they form a column.
    pub(super) pieces: Vec<(String, Scope, Option<usize>)>,
    /// The full text, a paragraph per item.
    pub(super) full: Vec<(String, Scope)>,
    /// What Enter does.
    pub(super) link: Option<Link>,
}

/// Where a row leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// A line of a file, in the user's editor.
    Edit(PathBuf, usize),
    /// A task in the Tasks panel.
    Task(TaskId),
    /// The timeline of a run.
    Run(RunId),
}
