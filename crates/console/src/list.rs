//! State of a list: what is selected, marked and scrolled to, all keyed by identity and not by row, so that it survives
//! every update of what is listed.

use std::{collections::BTreeSet, ops::Range};

/// Rows of some kind of key, in the order they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<K> {
    rows: Vec<K>,
    /// Index of the selected row; 0 when there is none.
    cursor: usize,
    /// Index of the first visible row.
    scroll: usize,
    /// Rows that fit; from the layout.
    height: usize,
    marked: BTreeSet<K>,
    /// Where a range began.
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
    /// Puts new rows in place of the old ones. The selected one stays where it is on the screen; if it is gone, the one
    /// that took its place is selected. Marks of rows that a filter hides stay; see [`Self::forget_marks`].
    pub fn set_rows(&mut self, rows: Vec<K>) {
        let selected = self.selected().cloned();
        let on_screen = self.cursor.saturating_sub(self.scroll);
        self.rows = rows;
        let found = selected.and_then(|key| self.rows.iter().position(|row| *row == key));
        self.cursor = found.unwrap_or(self.cursor).min(self.last());
        self.scroll = self.cursor.saturating_sub(on_screen);
        self.reveal();
    }

    /// Drops the marks of rows that no longer exist.
    pub fn forget_marks(&mut self, exists: impl Fn(&K) -> bool) {
        self.marked.retain(|key| exists(key));
    }

    /// How many rows fit on the screen now. A list that is folded away, and has none, keeps its place.
    pub fn set_height(&mut self, height: usize) {
        if height > 0 {
            self.height = height;
            self.reveal();
        }
    }

    const fn last(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    fn reveal(&mut self) {
        let lowest = (self.cursor + 1).saturating_sub(self.height);
        let end = self.rows.len().saturating_sub(self.height);
        self.scroll = self
            .scroll
            .clamp(lowest, self.cursor.max(lowest))
            .min(end.max(lowest));
    }

    /// The selected row.
    pub fn selected(&self) -> Option<&K> {
        self.rows.get(self.cursor)
    }

    /// Index of the selected row.
    pub const fn cursor(&self) -> usize {
        self.cursor
    }

    /// Index of the first visible row.
    pub const fn scroll(&self) -> usize {
        self.scroll
    }

    /// Every row.
    pub fn rows(&self) -> &[K] {
        &self.rows
    }

    /// Indices of the visible rows.
    pub fn visible(&self) -> Range<usize> {
        self.scroll..(self.scroll + self.height).min(self.rows.len())
    }

    /// Selects a row, if it is there.
    pub fn select(&mut self, key: &K) -> bool {
        let found = self.rows.iter().position(|row| row == key);
        if let Some(at) = found {
            self.select_at(at);
        }
        found.is_some()
    }

    /// Selects the row at an index, or the last one.
    pub fn select_at(&mut self, at: usize) {
        self.cursor = at.min(self.last());
        self.reveal();
    }

    /// Scrolls so that of the rows right below the selected one that belong to it as many are seen as fit with it.
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

    /// Moves by a page, or by half of one.
    pub fn page(&mut self, direction: isize, half: bool) {
        let rows = if half { self.height / 2 } else { self.height };
        self.move_by(direction * rows.max(1) as isize);
    }

    /// Scrolls without losing the selection from sight.
    pub fn wheel(&mut self, rows: isize) {
        let end = self.rows.len().saturating_sub(self.height);
        self.scroll = self.scroll.saturating_add_signed(rows).min(end);
        let last = (self.scroll + self.height).saturating_sub(1);
        self.cursor = self.cursor.clamp(self.scroll, last).min(self.last());
    }

    /// Marks or unmarks the selected row (or, while a range is open, closes it) and steps down.
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

    /// Begins a range at the selected row, or marks the one that is open.
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

    /// Index range of the range that is open.
    pub fn open_range(&self) -> Option<Range<usize>> {
        let anchor = self.anchor.as_ref()?;
        let start = self.rows.iter().position(|row| row == anchor)?;
        Some(start.min(self.cursor)..start.max(self.cursor) + 1)
    }

    /// Takes every mark away; `false` when there was none.
    pub fn clear_marks(&mut self) -> bool {
        let had = !self.marked.is_empty() || self.anchor.is_some();
        self.marked.clear();
        self.anchor = None;
        had
    }

    /// Marks every row, or none when all are marked.
    pub fn toggle_all(&mut self) {
        if self.rows.iter().all(|row| self.marked.contains(row)) {
            self.marked.clear();
        } else {
            self.marked.extend(self.rows.iter().cloned());
        }
    }

    /// What is marked, hidden rows included.
    pub const fn marked(&self) -> &BTreeSet<K> {
        &self.marked
    }

    /// Marks these rows.
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
    fn the_selection_stays_on_its_row_and_on_its_line_when_rows_come_and_go() {
        let mut list = list(0..100, 10);
        list.move_by(50);
        let line = list.cursor() - list.scroll();
        list.set_rows((20..120).chain(500..600).collect());
        assert_eq!(list.selected(), Some(&50));
        assert_eq!(list.cursor() - list.scroll(), line);
        list.set_rows((20..50).chain(51..80).collect());
        assert_eq!(list.selected(), Some(&51), "the next one takes its place");
    }

    #[test]
    fn a_row_that_is_gone_gives_its_place_to_the_next() {
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
    fn what_is_selected_is_always_visible() {
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
    fn a_list_that_was_folded_away_stands_where_it_stood() {
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
    fn what_belongs_to_the_selected_row_is_seen_with_it_as_far_as_it_fits() {
        for (selected, last, scroll) in [(9, 12, 3), (9, 9, 0), (9, 25, 9), (2, 5, 0), (5, 11, 2)] {
            let mut list = list(0..30, 10);
            list.select_at(selected);
            list.reveal_below(|row| *row <= last);
            assert_eq!(list.scroll(), scroll, "{selected} to {last}");
            assert_eq!(list.cursor(), selected);
        }
    }

    #[test]
    fn marks_survive_a_filter_and_ranges_mark_both_ends() {
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
