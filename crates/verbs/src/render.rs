//! How the output of a verb is printed.

use serde::Serialize;
use serde_json::Value;

use super::VerbError;

/// How an output is printed to people and shells. JSON and YAML come from `Serialize`.
pub trait Render {
    /// Returns one name per object, for `-o name`.
    fn names(&self) -> Vec<String>;

    /// Returns the default view, for `-o table` and `-o wide`.
    fn view(&self) -> View;

    /// Returns sentences for stderr, printed with the default view only.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns sentences for stderr, printed with every format.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the exit code of the command line. Errors have their own.
    fn exit_code(&self) -> u8 {
        0
    }
}

/// The default view of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    Table(Table),
    /// Tables separated by empty lines.
    Tables(Vec<Table>),
    /// The output as YAML.
    Yaml,
    /// Lines of text.
    Text(Vec<String>),
    /// Nothing but the notices.
    Notices,
}

/// Rows under headings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

/// A column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub heading: &'static str,
    /// Shown with `-o wide` only.
    pub wide: bool,
}

impl Table {
    /// Returns a table with these headings; a heading that starts with `+` is shown with `-o wide` only.
    #[must_use]
    pub fn new(headings: &[&'static str], rows: Vec<Vec<String>>) -> Self {
        let column = |heading: &&'static str| Column {
            heading: heading.strip_prefix('+').unwrap_or(heading),
            wide: heading.starts_with('+'),
        };
        Self {
            columns: headings.iter().map(column).collect(),
            rows,
        }
    }

    /// Returns the headings and rows to print.
    #[must_use]
    pub fn visible(&self, wide: bool) -> (Vec<&'static str>, Vec<Vec<&str>>) {
        let shown = |column: &Column| wide || !column.wide;
        let headings = self.columns.iter().filter(|column| shown(column));
        let headings = headings.map(|column| column.heading).collect();
        let rows = self.rows.iter().map(|row| {
            let cells = self.columns.iter().zip(row);
            let cells = cells.filter(|(column, _)| shown(column));
            cells.map(|(_, cell)| cell.as_str()).collect()
        });
        (headings, rows.collect())
    }
}

/// A type-erased output.
pub trait Rendered: Render + Send {
    /// Returns the output as JSON.
    fn json(&self) -> Result<Value, VerbError>;
}

impl<T: Serialize + Render + Send> Rendered for T {
    fn json(&self) -> Result<Value, VerbError> {
        serde_json::to_value(self).map_err(|error| VerbError::Failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_columns_are_hidden_by_default() {
        let table = Table::new(
            &["NAME", "+UID", "AGE"],
            vec![vec!["a".into(), "1".into(), "2d".into()]],
        );
        assert_eq!(
            table.visible(false),
            (vec!["NAME", "AGE"], vec![vec!["a", "2d"]])
        );
        assert_eq!(
            table.visible(true),
            (vec!["NAME", "UID", "AGE"], vec![vec!["a", "1", "2d"]])
        );
    }
}
