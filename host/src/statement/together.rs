//! How several operations of one statement become one: written for several rows, or folded into one of the same row.
//!
//! Words only. `sql::dml` finds them, and `sql::coalesce` acts on them.

/// How a statement is written for several rows: its parts, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiRow {
    pub parts: Vec<RowPart>,
    /// How many rows one statement may have.
    pub rows_max: usize,
    /// No two of its rows may have one key.
    pub is_apart: bool,
    /// A row may have NULL anywhere.
    pub takes_null: bool,
}

/// A part of a statement of several rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowPart {
    Text(String),
    /// A text once for each row, with these of the row's parameters.
    Rows {
        row: String,
        between: &'static str,
        parameters: Vec<usize>,
    },
}

impl MultiRow {
    /// How many placeholders a row takes.
    pub fn placeholders(&self) -> usize {
        self.parameters().count()
    }

    /// The text for this many rows.
    pub fn text(&self, rows: usize) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                RowPart::Text(part) => text.push_str(part),
                RowPart::Rows { row, between, .. } => {
                    for at in 0..rows {
                        text.push_str(if at == 0 { "" } else { between });
                        text.push_str(row);
                    }
                }
            }
        }
        text
    }

    /// The parameters of a row, as often as they are sent.
    pub fn parameters(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().flat_map(RowPart::parameters).copied()
    }
}

impl RowPart {
    /// The parameters of a row that stand in it.
    pub fn parameters(&self) -> &[usize] {
        match self {
            Self::Text(_) => &[],
            Self::Rows { parameters, .. } => parameters,
        }
    }
}

/// What is known of a statement that touches one row only, the one whose primary key its parameters name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyed {
    /// The parameter of each column of the primary key, in the key's order.
    pub key: Vec<usize>,
    /// For each parameter, what a second operation on the same row does to the first, where the two together are one.
    pub merges: Option<Vec<Merge>>,
    /// It leaves no row of this key.
    pub erases: bool,
    /// No server refuses it once its values fit.
    pub is_harmless: bool,
}

/// What becomes of a parameter when two operations on one row become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The later one counts.
    Last,
    /// They are added, where both have the same sign: with as many digits behind the point as the column keeps.
    Sum { scale: u32 },
}
