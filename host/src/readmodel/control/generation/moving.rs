//! Moves of a generation from the state it was in to another one, under the lease.

use super::{Generation, GenerationState, Purpose};
use crate::failure::Failure;
use crate::readmodel::control::control_db::{LeaderDb, ProjectionDb};

/// A longer time is not told, in seconds.
const YEAR: u64 = 365 * 24 * 3600;

/// The row of a generation after a move.
struct Moved<'a> {
    state: GenerationState,
    purpose: Purpose,
    reason: Option<&'a str>,
    /// Stays as it is where there is none.
    lacks: Option<&'a str>,
    is_attempt: bool,
}

impl LeaderDb<'_> {
    /// Moves a generation on, and returns false when it is in another state by now.
    pub async fn advance_generation(
        &mut self,
        generation: &Generation,
        state: GenerationState,
        purpose: Purpose,
        reason: Option<&str>,
    ) -> Result<bool, Failure> {
        let is_attempt = generation.state != GenerationState::Building
            && state == GenerationState::Building
            && purpose == generation.purpose;
        let to = Moved { state, purpose, reason, lacks: None, is_attempt };
        self.move_to(generation, to).await
    }

    /// Moves a generation back to being built, where it waits for an operator's confirmation: it lacks events of the live one.
    /// Returns false when it is in another state by now.
    pub async fn record_lacks(
        &mut self,
        generation: &Generation,
        purpose: Purpose,
        lacks: &str,
    ) -> Result<bool, Failure> {
        let (reason, lacks) = (Some(lacks), Some(lacks));
        let to = Moved { state: GenerationState::Building, purpose, reason, lacks, is_attempt: false };
        self.move_to(generation, to).await
    }
}

impl ProjectionDb<'_> {
    /// Records in how many seconds a generation will take the live one's place; nothing where nobody can tell.
    pub async fn record_left(&mut self, generation: u32, seconds: Option<u64>) -> Result<(), Failure> {
        let sql = self.statement(
            "recording how long a generation will take",
            "UPDATE laterna.generation SET ready_at = CURRENT_TIMESTAMP(6) + INTERVAL ? SECOND \
             WHERE projection = ? AND generation = ? AND state = 'building'",
        );
        // What lies beyond is no time that a timestamp holds.
        let seconds = seconds.filter(|seconds| *seconds < YEAR);
        sql.bind(seconds).bind(self.projection).bind(generation).run(self.connection()).await?;
        Ok(())
    }
}

impl LeaderDb<'_> {
    async fn move_to(&mut self, generation: &Generation, to: Moved<'_>) -> Result<bool, Failure> {
        let mut transaction = self.begin("recording a generation's state").await?;
        let sql = transaction.statement(
            "recording a generation's state",
            "UPDATE laterna.generation SET state = ?, purpose = ?, reason = ?, lacks = COALESCE(?, lacks), \
             attempts = attempts + ? WHERE projection = ? AND generation = ? AND state = ?",
        );
        let moved = sql
            .bind(to.state.name())
            .bind(to.purpose.name())
            .bind(to.reason)
            .bind(to.lacks)
            .bind(u32::from(to.is_attempt))
            .bind(transaction.projection)
            .bind(generation.generation)
            .bind(generation.state.name())
            .run(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(moved.rows_affected() == 1)
    }
}
