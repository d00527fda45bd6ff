//! Filters of lists, as they are typed. What the words mean is `text::Terms`'s.

use super::field::Field;
use crate::text::{Column, Matching, Terms};

/// What is typed, and whether it is being typed now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub field: Field,
    pub open: bool,
}

impl Filter {
    /// Whether it keeps everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.field.text().trim().is_empty()
    }

    /// Made ready; `columns` are the names before a colon that mean a column.
    #[must_use]
    pub fn test(&self, columns: &[&'static str]) -> Terms {
        let part = |name: &&'static str| Column {
            name,
            matching: Matching::Part,
        };
        let columns: Vec<Column> = columns.iter().map(part).collect();
        Terms::parse(self.field.text(), &columns)
    }
}
