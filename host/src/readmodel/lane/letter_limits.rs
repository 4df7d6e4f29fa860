//! How much the dead letters of a projection are, and how much they may be.
//!
//! Each lane counts in its own checkpoint row what it added and took away, in the same transaction; the sum over the
//! lanes is what there is. A lane sees what the others have committed, so lanes that park at the same moment may go
//! beyond the limit together: by one batch's letters each, no more. Every start counts anew.

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use crate::failure::Failure;
use crate::readmodel::control::control_db::{LeaderDb, ProjectionDb};
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// Letters and the bytes of their documents; negative when they become less.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    pub letters: i64,
    pub bytes: i64,
}

impl Volume {
    /// So much more.
    pub fn more(letters: i64, bytes: u64) -> Self {
        Self { letters, bytes: i64::try_from(bytes).unwrap_or(i64::MAX) }
    }

    /// So much less.
    pub fn less(letters: i64, bytes: u64) -> Self {
        let Self { letters, bytes } = Self::more(letters, bytes);
        Self { letters: -letters, bytes: -bytes }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { letters: self.letters + other.letters, bytes: self.bytes + other.bytes }
    }
}

/// How much the dead letters of a projection may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub letters_max: u64,
    pub bytes_max: u64,
}

impl Limits {
    pub const NONE: Self = Self { letters_max: u64::MAX, bytes_max: u64::MAX };

    /// A failure unless there is room for more letters beside those that are there.
    pub fn hold(self, used: Volume, more: Volume) -> Result<(), Failure> {
        let Self { letters_max, bytes_max } = self;
        let sum = used.plus(more);
        if count(sum.letters) <= letters_max && count(sum.bytes) <= bytes_max {
            return Ok(());
        }
        let (letters, bytes) = (count(used.letters), count(used.bytes));
        Err(Failure::LettersFull { letters, bytes, letters_max, bytes_max })
    }
}

/// Sums up the dead letters of all lanes.
pub async fn used(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    generation: u32,
) -> Result<Volume, Failure> {
    let failed = |error: sqlx::Error| classify("adding up the dead letters", &error);
    let sql = control.sql(
        "SELECT CAST(COALESCE(SUM(letters), 0) AS SIGNED), CAST(COALESCE(SUM(letter_bytes), 0) AS SIGNED) \
         FROM laterna.checkpoint WHERE projection = ? AND generation = ?",
    );
    let row = sqlx::query(&sql).bind(projection).bind(generation).row(connection).await.map_err(failed)?;
    Ok(Volume { letters: row.try_get(0).map_err(failed)?, bytes: row.try_get(1).map_err(failed)? })
}

impl ProjectionDb<'_> {
    /// Sums up the dead letters of all lanes.
    pub async fn letters_used(&mut self, generation: u32) -> Result<Volume, Failure> {
        let (control, projection) = (self.control, self.projection);
        used(self.connection(), control, projection, generation).await
    }
}

impl LeaderDb<'_> {
    /// Counts all letters and gives the sum to the first lane. Only before the lanes run: none of them writes meanwhile.
    pub async fn recount_letters(&mut self, generation: u32) -> Result<(), Failure> {
        let doing = "counting the dead letters";
        let mut transaction = self.begin(doing).await?;
        let count = transaction.statement(
            doing,
            "SELECT COUNT(*), CAST(COALESCE(SUM(COALESCE(document_bytes, LENGTH(document))), 0) AS SIGNED) \
             FROM laterna.dead_letter WHERE projection = ? AND generation = ?",
        );
        let row = count.bind(transaction.projection).bind(generation).row(&mut transaction).await?;
        let (letters, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
        let share = transaction.statement(
            doing,
            "UPDATE laterna.checkpoint SET letters = IF(lane = 0, ?, 0), letter_bytes = IF(lane = 0, ?, 0) \
             WHERE projection = ? AND generation = ?",
        );
        let shared = share.bind(letters).bind(bytes).bind(transaction.projection).bind(generation);
        shared.run(&mut transaction).await?;
        transaction.commit().await
    }
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_from_both_sides() {
        let limits = Limits { letters_max: 2, bytes_max: 100 };
        let fits =
            |letters, bytes| limits.hold(Volume { letters: 1, bytes: 50 }, Volume { letters, bytes }).is_ok();
        assert!(fits(1, 50) && fits(0, 0) && fits(-1, -1));
        assert!(!fits(2, 50) && !fits(1, 51));
        assert!(Limits::NONE.hold(Volume::default(), Volume { letters: i64::MAX, bytes: i64::MAX }).is_ok());
    }
}
