//! Moves of a generation from the state it was in to another one, under the lease.

use super::{Generation, GenerationState, Purpose};
use crate::failure::Failure;
use crate::readmodel::control::lease;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::session::Session;

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

/// Moves a generation on, and returns false when it is in another state by now.
pub async fn advance(
    session: &mut Session,
    control: &Control,
    lease: (&str, u64),
    generation: &Generation,
    (state, purpose): (GenerationState, Purpose),
    reason: Option<&str>,
) -> Result<bool, Failure> {
    let is_attempt = generation.state != GenerationState::Building
        && state == GenerationState::Building
        && purpose == generation.purpose;
    let to = Moved { state, purpose, reason, lacks: None, is_attempt };
    move_to(session, control, lease, generation, to).await
}

/// Moves a generation back to being built, where it waits for an operator's confirmation: it lacks events of the live one.
/// Returns false when it is in another state by now.
pub async fn record_lacks(
    session: &mut Session,
    control: &Control,
    lease: (&str, u64),
    generation: &Generation,
    (purpose, lacks): (Purpose, &str),
) -> Result<bool, Failure> {
    let (reason, lacks) = (Some(lacks), Some(lacks));
    let to = Moved { state: GenerationState::Building, purpose, reason, lacks, is_attempt: false };
    move_to(session, control, lease, generation, to).await
}

/// Records in how many seconds a generation will take the live one's place; nothing where nobody can tell.
pub async fn record_left(
    session: &mut Session,
    control: &Control,
    projection: &str,
    (generation, seconds): (u32, Option<u64>),
) -> Result<(), Failure> {
    let sql = control.statement(
        "recording how long a generation will take",
        "UPDATE laterna.generation SET ready_at = CURRENT_TIMESTAMP(6) + INTERVAL ? SECOND \
         WHERE projection = ? AND generation = ? AND state = 'building'",
    );
    // What lies beyond is no time that a timestamp holds.
    let seconds = seconds.filter(|seconds| *seconds < YEAR);
    sql.bind(seconds).bind(projection).bind(generation).run(&mut session.connection).await?;
    Ok(())
}

async fn move_to(
    session: &mut Session,
    control: &Control,
    (projection, epoch): (&str, u64),
    generation: &Generation,
    to: Moved<'_>,
) -> Result<bool, Failure> {
    let mut transaction = session.begin("recording a generation's state").await?;
    lease::prove(&mut transaction, control, projection, epoch).await?;
    let sql = control.statement(
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
        .bind(projection)
        .bind(generation.generation)
        .bind(generation.state.name())
        .run(&mut transaction)
        .await?;
    transaction.commit().await?;
    Ok(moved.rows_affected() == 1)
}
