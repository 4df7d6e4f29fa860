//! How many letters there are, by class, each class with what to do about its letters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sqlx::mysql::MySqlRow;
use sqlx::{MySql, QueryBuilder, Row};

use super::selection::{Selection, narrow};
use crate::failure::{Failure, remedy_of_letters};
use crate::readmodel::control::control_db::ProjectionDb;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

/// The SQL expression for the kind under which the letter `d` is counted: its class, or that it is held.
pub const KIND: &str = "CAST(IF(d.state = 'held', 'held', COALESCE(d.class, 'unknown')) AS CHAR)";

/// The numbers of a projection's letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterCounts {
    /// Letters that wait behind another one of their aggregate.
    pub held: u64,
    /// Letters whose events failed, by class.
    pub by_class: BTreeMap<String, u64>,
}

/// How a projection's letters stand. It differs from before when one has come, gone or changed, and depends on no clock: ids
/// and the number of attempts only grow, and a letter is erased once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LetterStand {
    pub parked: u64,
    pub held: u64,
    /// The highest id there is.
    pub newest: Option<u64>,
    /// How often those that there are were tried.
    pub attempts: u64,
    /// How many of them were erased.
    pub erased: u64,
    /// How many events became letters, with those that are gone.
    pub total: u64,
}

/// Parked letters of one class, and what to do about them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ClassCount {
    pub class: String,
    pub letters: u64,
    /// Empty for a class that only a newer host knows.
    pub remedy: String,
}

impl LetterCounts {
    /// Counts by the words of [`KIND`].
    pub fn of(mut kinds: BTreeMap<String, u64>) -> Self {
        Self { held: kinds.remove("held").unwrap_or_default(), by_class: kinds }
    }

    /// Letters whose events failed.
    pub fn parked(&self) -> u64 {
        self.by_class.values().sum()
    }

    /// All letters.
    pub fn all(&self) -> u64 {
        self.parked() + self.held
    }
}

/// The classes as people see them, each with what to do about its letters.
pub fn with_remedies(by_class: &BTreeMap<String, u64>) -> Vec<ClassCount> {
    let one = |(class, letters): (&String, &u64)| ClassCount {
        class: class.clone(),
        letters: *letters,
        remedy: remedy_of_letters(class).unwrap_or_default().to_owned(),
    };
    by_class.iter().map(one).collect()
}

impl ProjectionDb<'_> {
    /// Counts the letters of a projection that a selection fits.
    pub async fn count_letters(&mut self, selection: &Selection) -> Result<LetterCounts, Failure> {
        let failed = |error: sqlx::Error| classify("counting dead letters", &error);
        let start = format!(
            "SELECT {KIND}, CAST(COUNT(*) AS UNSIGNED) FROM laterna.dead_letter d JOIN laterna.projection p \
             ON p.projection = d.projection AND p.live_generation = d.generation WHERE d.projection = "
        );
        let mut sql = QueryBuilder::<MySql>::new(self.control.sql(&start));
        sql.push_bind(self.projection);
        narrow(&mut sql, self.control, selection);
        sql.push(" GROUP BY 1");
        let rows = sql.build().rows(self.connection()).await.map_err(failed)?;
        let kinds = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        Ok(LetterCounts::of(kinds.collect::<Result<_, sqlx::Error>>().map_err(failed)?))
    }

    /// The ids of the letters that a selection fits, in order, at most `limit`, each with the kind under which it is counted, by
    /// the words of [`KIND`]: one look, so the counts are those of these letters.
    pub async fn letter_kinds(
        &mut self,
        selection: &Selection,
        limit: u32,
    ) -> Result<Vec<(u64, String)>, Failure> {
        let failed = |error: sqlx::Error| classify("reading dead letters", &error);
        let rows = self.selected_letters(&format!("d.id, {KIND}"), selection, limit).await?;
        let one = |row: &MySqlRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(|row| one(row).map_err(failed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_count_and_its_remedy() {
        let kinds = [("held", 4), ("rejected", 2), ("key-conflict", 1)];
        let counts = LetterCounts::of(kinds.map(|(kind, letters)| (kind.to_owned(), letters)).into());
        assert_eq!((counts.parked(), counts.held, counts.all()), (3, 4, 7));
        let shown = with_remedies(&counts.by_class);
        let classes: Vec<(&str, u64)> = shown.iter().map(|one| (one.class.as_str(), one.letters)).collect();
        assert_eq!(classes, [("key-conflict", 1), ("rejected", 2)]);
        assert!(shown.iter().all(|one| Some(one.remedy.as_str()) == remedy_of_letters(&one.class)));
    }
}
