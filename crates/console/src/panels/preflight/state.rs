//! State of the Pre-flight panel.

use std::cmp::Reverse;

use crate::{
    list::List,
    world::{Check, Checks},
};

/// State of the panel.
#[derive(Clone, Debug, Default)]
pub struct PreflightPanel {
    /// Check ids, by descending level.
    pub list: List<String>,
}

impl PreflightPanel {
    /// Rebuilds the rows. Selects the worst check unless the panel has the focus.
    pub fn refresh(&mut self, checks: &Checks, focused: bool) {
        let mut lines: Vec<&Check> = checks.lines.iter().collect();
        lines.sort_by_key(|check| Reverse(check.level));
        let ids = lines.into_iter().map(|check| check.id.to_owned());
        self.list.set_rows(ids.collect());
        if !focused {
            self.list.select_at(0);
        }
    }
}
