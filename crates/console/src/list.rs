//! State of a list: selection, marks and scroll position, keyed by identity, so that they survive updates of the rows.

use std::{collections::BTreeSet, ops::Range};

use crate::command::Command;

/// A list of keys, in display order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<K> {
    rows: Vec<K>,
    /// Index of the selected row; 0 if there is none.
    cursor: usize,
    /// Index of the first visible row.
    scroll: usize,
    /// Visible rows.
    height: usize,
    marked: BTreeSet<K>,
    /// Start of an open range.
    anchor: Option<K>,
}

impl<K> Default for List<K> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            cursor: 0,
            scroll: 0,
            height: 1,
            marked: BTreeSet::new(),
            anchor: None,
        }
    }
}

impl<K: Clone + Ord> List<K> {
    /// Replaces the rows. The selected row keeps its position on screen; if it is gone, the row at its index is selected.
    /// Marks of missing rows are kept; see [`Self::forget_marks`].
    pub fn set_rows(&mut self, rows: Vec<K>) {
        let selected = self.selected().cloned();
        let on_screen = self.cursor.saturating_sub(self.scroll);
        self.rows = rows;
        let found = selected.and_then(|key| self.rows.iter().position(|row| *row == key));
        self.cursor = found.unwrap_or(self.cursor).min(self.last());
        self.scroll = self.cursor.saturating_sub(on_screen);
        self.reveal();
    }

    /// Moves the selection. Returns `false` if the command is not a movement.
    pub(crate) fn move_selection(&mut self, command: Command) -> bool {
        match command {
            Command::Up => self.move_by(-1),
            Command::Down => self.move_by(1),
            Command::Top => self.select_at(0),
            Command::Bottom => self.select_at(usize::MAX),
            Command::HalfUp => self.page(-1, true),
            Command::HalfDown => self.page(1, true),
            Command::PageUp => self.page(-1, false),
            Command::PageDown => self.page(1, false),
            _ => return false,
        }
        true
    }

    /// Removes the marks of objects that no longer exist.
    pub fn forget_marks(&mut self, exists: impl Fn(&K) -> bool) {
        self.marked.retain(|key| exists(key));
    }

    /// Sets the number of visible rows. 0, for a collapsed panel, keeps the scroll position.
    pub fn set_height(&mut self, height: usize) {
        if height > 0 {
            self.height = height;
            self.reveal();
        }
    }

    const fn last(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    /// Scrolls the selected row into view.
    fn reveal(&mut self) {
        let lowest = (self.cursor + 1).saturating_sub(self.height);
        let end = self.rows.len().saturating_sub(self.height);
        self.scroll = self
            .scroll
            .clamp(lowest, self.cursor.max(lowest))
            .min(end.max(lowest));
    }

    /// Returns the selected row.
    pub fn selected(&self) -> Option<&K> {
        self.rows.get(self.cursor)
    }

    /// Returns the index of the selected row.
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Returns the index of the first visible row.
    pub const fn scroll(&self) -> usize {
        self.scroll
    }

    pub fn rows(&self) -> &[K] {
        &self.rows
    }

    /// Returns the indices of the visible rows.
    pub fn visible(&self) -> Range<usize> {
        self.scroll..(self.scroll + self.height).min(self.rows.len())
    }

    /// Selects a row. Returns `false` if it is not in the list.
    pub fn select(&mut self, key: &K) -> bool {
        let found = self.rows.iter().position(|row| row == key);
        if let Some(at) = found {
            self.select_at(at);
        }
        found.is_some()
    }

    /// Selects the row at an index, at most the last one.
    pub fn select_at(&mut self, at: usize) {
        self.cursor = at.min(self.last());
        self.reveal();
    }

    /// Scrolls the rows that belong to the selected one, directly below it, into view, as many as fit.
    pub fn reveal_below(&mut self, belongs: impl Fn(&K) -> bool) {
        let below = self.rows.iter().skip(self.cursor + 1);
        let end = self.cursor + 1 + below.take_while(|row| belongs(row)).count();
        let enough = end.saturating_sub(self.height);
        self.scroll = self.scroll.max(enough.min(self.cursor));
    }

    /// Moves the selection by rows.
    pub fn move_by(&mut self, rows: isize) {
        self.select_at(self.cursor.saturating_add_signed(rows));
    }

    /// Moves the selection by a page or half a page.
    pub fn page(&mut self, direction: isize, half: bool) {
        let rows = if half { self.height / 2 } else { self.height };
        self.move_by(direction * rows.max(1) as isize);
    }

    /// Scrolls and keeps the selection visible.
    pub fn wheel(&mut self, rows: isize) {
        let end = self.rows.len().saturating_sub(self.height);
        self.scroll = self.scroll.saturating_add_signed(rows).min(end);
        let last = (self.scroll + self.height).saturating_sub(1);
        self.cursor = self.cursor.clamp(self.scroll, last).min(self.last());
    }

    /// Toggles the mark of the selected row and moves down, or marks the open range.
    pub fn toggle_mark(&mut self) {
        if self.anchor.is_some() {
            self.marked.extend(self.range_keys());
            self.anchor = None;
            return;
        }
        if let Some(key) = self.selected().cloned() {
            if !self.marked.remove(&key) {
                self.marked.insert(key);
            }
            self.move_by(1);
        }
    }

    /// Opens a range at the selected row, or marks the open range.
    pub fn toggle_range(&mut self) {
        if self.anchor.is_some() {
            self.toggle_mark();
        } else {
            self.anchor = self.selected().cloned();
        }
    }

    fn range_keys(&self) -> Vec<K> {
        let anchor = self.anchor.as_ref();
        let Some(start) = anchor.and_then(|key| self.rows.iter().position(|row| row == key)) else {
            return Vec::new();
        };
        let (low, high) = (start.min(self.cursor), start.max(self.cursor));
        self.rows[low..=high.min(self.last())].to_vec()
    }

    /// Returns the indices of the open range.
    pub fn open_range(&self) -> Option<Range<usize>> {
        let anchor = self.anchor.as_ref()?;
        let start = self.rows.iter().position(|row| row == anchor)?;
        Some(start.min(self.cursor)..start.max(self.cursor) + 1)
    }

    /// Removes all marks. Returns `false` if there were none.
    pub fn clear_marks(&mut self) -> bool {
        let had = !self.marked.is_empty() || self.anchor.is_some();
        self.marked.clear();
        self.anchor = None;
        had
    }

    /// Marks all rows, or none if all are marked.
    pub fn toggle_all(&mut self) {
        if self.rows.iter().all(|row| self.marked.contains(row)) {
            self.marked.clear();
        } else {
            self.marked.extend(self.rows.iter().cloned());
        }
    }

    /// Returns the marked keys, including hidden rows.
    pub const fn marked(&self) -> &BTreeSet<K> {
        &self.marked
    }

    /// Marks rows.
    pub fn mark(&mut self, keys: impl IntoIterator<Item = K>) {
        self.marked.extend(keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: impl IntoIterator<Item = u32>, height: usize) -> List<u32> {
        let mut list = List::default();
        list.set_height(height);
        list.set_rows(rows.into_iter().collect());
        list
    }

    #[test]
    fn selection_keeps_its_key_and_screen_line() {
        let mut list = list(0..100, 10);
        list.move_by(50);
        let line = list.cursor() - list.scroll();
        list.set_rows((20..120).chain(500..600).collect());
        assert_eq!(list.selected(), Some(&50));
        assert_eq!(list.cursor() - list.scroll(), line);
        list.set_rows((20..50).chain(51..80).collect());
        assert_eq!(list.selected(), Some(&51), "the next row is selected");
    }

    #[test]
    fn selects_the_next_row_when_one_is_removed() {
        let mut list = list([1, 2, 3], 5);
        list.move_by(1);
        list.set_rows(vec![1, 3]);
        assert_eq!(list.selected(), Some(&3));
        list.set_rows(vec![]);
        assert_eq!(list.selected(), None);
        list.move_by(-3);
        list.toggle_mark();
        assert_eq!(list.visible(), 0..0);
    }

    #[test]
    fn selection_is_always_visible() {
        let mut list = list(0..30, 7);
        for step in [29, -29, 15, -4, 3, 100, -1000] {
            list.move_by(step);
            assert!(list.visible().contains(&list.cursor()), "{step}");
        }
        list.select_at(29);
        list.set_height(3);
        assert!(list.visible().contains(&29));
        list.wheel(-100);
        assert!(list.visible().contains(&list.cursor()));
        assert_eq!(list.scroll(), 0);
    }

    #[test]
    fn collapsing_keeps_the_scroll_position() {
        let mut list = list(0..30, 10);
        list.select_at(20);
        list.move_by(-4);
        let before = list.visible();
        assert_ne!(before.start, list.cursor());
        list.set_height(0);
        list.set_height(10);
        assert_eq!(list.visible(), before);
    }

    #[test]
    fn reveals_rows_below_the_selected_one() {
        for (selected, last, scroll) in [(9, 12, 3), (9, 9, 0), (9, 25, 9), (2, 5, 0), (5, 11, 2)] {
            let mut list = list(0..30, 10);
            list.select_at(selected);
            list.reveal_below(|row| *row <= last);
            assert_eq!(list.scroll(), scroll, "{selected} to {last}");
            assert_eq!(list.cursor(), selected);
        }
    }

    #[test]
    fn marks_survive_a_filter() {
        let mut list = list(0..10, 5);
        list.select_at(2);
        list.toggle_range();
        list.move_by(3);
        list.toggle_mark();
        list.set_rows(vec![3, 9]);
        assert_eq!(
            list.marked().iter().copied().collect::<Vec<_>>(),
            [2, 3, 4, 5]
        );
        list.forget_marks(|key| *key != 4);
        assert_eq!(list.marked().len(), 3);
        assert!(list.clear_marks());
        assert!(!list.clear_marks());
    }
}
