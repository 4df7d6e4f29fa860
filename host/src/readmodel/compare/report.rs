//! The report of a comparison: counts that are exact, and a bounded sample of the rows.

use serde::{Deserialize, Serialize};

/// The findings of verifying a projection. Stored as JSON, and read by people and machines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    pub projection: String,
    /// Where both generations stood.
    pub position: String,
    /// The components that made the live rows.
    pub digests: Vec<String>,
    /// Events that an operator gave up: the rebuild passes them by.
    pub discarded: u64,
    /// Dead letters of the live generation: what they hold back is not in its rows.
    pub letters: u64,
    /// Those of the one that was made anew.
    pub rebuilt_letters: u64,
    /// The events of the live rows that the outbox does not hold any more, in words.
    #[serde(default)]
    pub lacks: Option<String>,
    pub seconds: f64,
    pub tables: Vec<TableReport>,
}

impl ComparisonReport {
    /// Returns true where a rebuild would change nothing.
    pub fn is_clean(&self) -> bool {
        self.tables.iter().all(TableReport::is_clean)
    }
}

/// The findings in one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableReport {
    pub table: String,
    /// Why no rows were compared.
    pub not_compared: Option<String>,
    /// How the tables themselves differ, which names the columns that were not compared.
    pub definition: Vec<String>,
    /// The columns of the primary key.
    pub key: Vec<ReportColumn>,
    /// The columns that were compared.
    pub columns: Vec<ReportColumn>,
    pub live_rows: u64,
    pub rebuilt_rows: u64,
    /// Rows that a rebuild makes, and that are not there; by their keys.
    pub missing: FoundRows<Vec<Option<String>>>,
    /// Rows that are there, and that a rebuild does not make; by their keys.
    pub extra: FoundRows<Vec<Option<String>>>,
    /// Rows that are on both sides with other values.
    pub different: FoundRows<DifferentRow>,
}

impl TableReport {
    pub fn is_clean(&self) -> bool {
        self.not_compared.is_none()
            && self.definition.is_empty()
            && self.missing.rows == 0
            && self.extra.rows == 0
            && self.different.rows == 0
    }

    /// How long the texts of the samples are.
    pub(super) fn sample_bytes(&self) -> usize {
        let values = self.different.samples.iter().flat_map(|row| {
            let differences = row.differences.iter();
            row.key.iter().chain(differences.flat_map(|one| [&one.live, &one.rebuilt]))
        });
        let keys = self.missing.samples.iter().chain(&self.extra.samples).flatten();
        keys.chain(values).flatten().map(String::len).sum()
    }
}

/// A column, and how its values are to be read: each is a text, or nothing where it is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportColumn {
    pub name: String,
    pub kind: ValueKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    Number,
    /// `YYYY-MM-DD`, or with the time.
    Time,
    Text,
    Json,
    /// `0x` and hexadecimal digits.
    Binary,
}

/// How many rows of a kind there are, and the first of them by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRows<T> {
    pub rows: u64,
    pub samples: Vec<T>,
}

impl<T> Default for FoundRows<T> {
    fn default() -> Self {
        Self { rows: 0, samples: Vec::new() }
    }
}

/// A row that has other values after a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferentRow {
    /// The row's key, as it is in the live table.
    pub key: Vec<Option<String>>,
    /// The columns that differ; some of them, where `columns` counts more.
    pub differences: Vec<Difference>,
    /// How many columns differ.
    pub columns: usize,
}

/// One value, on either side. A long one is cut, and shows its length and the beginning of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub column: String,
    pub live: Option<String>,
    pub rebuilt: Option<String>,
}
