//! The rows of a generation in the control schema: how far its lanes are, which letters are new, and how all of it is
//! forgotten.

use crate::event::Aggregate;
use crate::failure::Failure;
use crate::readmodel::control::control_db::{LeaderDb, ProjectionDb};
use crate::text::harmless;

impl LeaderDb<'_> {
    /// Forgets a generation whose tables are gone: its rows in every table of the control schema, a bounded number at a time.
    pub async fn forget_generation(&mut self, generation: u32) -> Result<(), Failure> {
        const ROWS: u64 = 1000;
        let own = "projection = ? AND generation = ?";
        let of_letters = format!("letter IN (SELECT id FROM laterna.dead_letter WHERE {own})");
        // The row itself goes last: until then, whoever comes next goes on here.
        for (table, whose) in [
            ("dead_letter_part", of_letters.as_str()),
            ("dead_letter", own),
            ("dedupe", own),
            ("checkpoint", own),
            ("deployment_lane", own),
            ("generation", own),
        ] {
            let text = format!("DELETE FROM laterna.{table} WHERE {whose} LIMIT {ROWS}");
            let sql = self.statement("forgetting a generation", text);
            loop {
                let mut transaction = self.begin("forgetting a generation").await?;
                let gone = sql.bind(transaction.projection).bind(generation).run(&mut transaction).await?;
                let gone = gone.rows_affected();
                transaction.commit().await?;
                if gone < ROWS {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl ProjectionDb<'_> {
    /// How far a generation's lanes are: deliveries committed, and how many of them became dead letters that are still there.
    pub async fn generation_progress(&mut self, generation: u32) -> Result<(u64, u64), Failure> {
        let sql = self.statement(
            "reading how far a generation is",
            "SELECT CAST(COALESCE(SUM(events), 0) AS UNSIGNED), \
             CAST(GREATEST(COALESCE(SUM(letters), 0), 0) AS UNSIGNED) \
             FROM laterna.checkpoint WHERE projection = ? AND generation = ?",
        );
        let row = sql.bind(self.projection).bind(generation).row(self.connection()).await?;
        Ok((row.get(0)?, row.get(1)?))
    }

    /// The first dead letter of a generation whose event is in no letter of the live one, for people.
    pub async fn first_new_letter(&mut self, generation: u32, live: u32) -> Result<Option<String>, Failure> {
        let sql = self.statement(
            "reading a generation's dead letters",
            "SELECT COALESCE(event_type, '?'), aggregate_key, COALESCE(class, '?') FROM laterna.dead_letter d \
             WHERE projection = ? AND generation = ? AND NOT EXISTS (SELECT 1 FROM laterna.dead_letter l \
             WHERE l.projection = d.projection AND l.generation = ? AND l.document_key = d.document_key \
             AND CAST(l.event_id AS BINARY) <=> CAST(d.event_id AS BINARY)) ORDER BY id LIMIT 1",
        );
        let first = sql.bind(self.projection).bind(generation).bind(live);
        let first = first.first(self.connection()).await?;
        let Some(row) = first else { return Ok(None) };
        let text = |index: usize| row.get::<String>(index);
        let key: Option<Vec<u8>> = row.get(1)?;
        let aggregate = key.and_then(|key| Aggregate::from_key(&key).ok());
        let aggregate = aggregate.map_or_else(|| "?".to_owned(), |aggregate| aggregate.spelled());
        Ok(Some(format!("{} of {aggregate}: {}", harmless(&text(0)?), text(2)?)))
    }
}
