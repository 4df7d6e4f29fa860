//! That a generation lacks what the live one took, and waits for an operator's word.

use sqlx::Connection;

use super::{Generation, Purpose};
use crate::failure::Failure;
use crate::readmodel::control::lease;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// Lets a generation wait for an operator's word, under the lease: it lacks what the live one took. False when it is in
/// another state by now.
pub async fn record_lacks(
    session: &mut Session,
    control: &Control,
    (projection, epoch): (&str, u64),
    generation: &Generation,
    (purpose, lacks): (Purpose, &str),
) -> Result<bool, Failure> {
    let failed = |error: sqlx::Error| classify("recording what a generation lacks", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    lease::prove(&mut transaction, control, projection, epoch).await?;
    let sql = control.sql(
        "UPDATE laterna.generation SET state = 'building', purpose = ?, lacks = ?, reason = ? \
         WHERE projection = ? AND generation = ? AND state = ?",
    );
    let moved = sqlx::query(&sql)
        .bind(purpose.name())
        .bind(lacks)
        .bind(lacks)
        .bind(projection)
        .bind(generation.generation)
        .bind(generation.state.name())
        .run(&mut transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(moved.rows_affected() == 1)
}
