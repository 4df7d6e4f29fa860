//! Which projections there are, which outbox each is made from, and which generation of its tables is live.

use sqlx::{Connection, Row};

use super::control::Control;
use super::generation;
use super::lease;
use super::mysql_error::classify;
use super::query::Run;
use super::session::Session;
use crate::failure::Failure;

/// A projection as the control schema knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub projection: String,
    pub live_generation: u32,
    pub lanes: u32,
    /// The identity of the source, as it was when the projection began.
    pub source: String,
}

/// What is registered under a name.
pub async fn find(
    session: &mut Session,
    control: &Control,
    projection: &str,
) -> Result<Option<Registration>, Failure> {
    Ok(all(session, control).await?.into_iter().find(|registration| registration.projection == projection))
}

/// All projections, by name.
pub async fn all(session: &mut Session, control: &Control) -> Result<Vec<Registration>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the projections", &error);
    let sql = control
        .sql("SELECT projection, live_generation, lanes, source FROM laterna.projection ORDER BY projection");
    let rows = sqlx::query(&sql).rows(&mut session.connection).await.map_err(failed)?;
    let registration = |row: &sqlx::mysql::MySqlRow| {
        Ok(Registration {
            projection: row.try_get(0).map_err(failed)?,
            live_generation: row.try_get(1).map_err(failed)?,
            lanes: row.try_get(2).map_err(failed)?,
            source: row.try_get(3).map_err(failed)?,
        })
    };
    rows.iter().map(registration).collect()
}

/// Registers a projection that has no lanes yet.
pub async fn register(
    session: &mut Session,
    control: &Control,
    registration: &Registration,
) -> Result<(), Failure> {
    let sql = control.sql(
        "INSERT INTO laterna.projection (projection, live_generation, lanes, source) VALUES (?, ?, 0, ?) \
         ON DUPLICATE KEY UPDATE source = IF(lanes = 0, VALUES(source), source)",
    );
    sqlx::query(&sql)
        .bind(&registration.projection)
        .bind(registration.live_generation)
        .bind(&registration.source)
        .run(&mut session.connection)
        .await
        .map_err(|error| classify("registering the projection", &error))?;
    Ok(())
}

/// Takes the registration of a projection back that has no lanes yet.
pub async fn withdraw(session: &mut Session, control: &Control, projection: &str) -> Result<(), Failure> {
    let sql = control.sql("DELETE FROM laterna.projection WHERE projection = ? AND lanes = 0");
    let removed = sqlx::query(&sql).bind(projection).run(&mut session.connection).await;
    removed.map_err(|error| classify("taking the registration back", &error))?;
    Ok(())
}

/// Gives a generation up for the next one, which has no lanes yet: its checkpoints and marks go, its letters stay with
/// it as they were. Gives the number of the new one.
pub async fn open_generation(
    session: &mut Session,
    control: &Control,
    projection: &str,
    live: u32,
    epoch: u64,
) -> Result<u32, Failure> {
    let failed = |error: sqlx::Error| classify("opening a new generation", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    lease::prove(&mut transaction, control, projection, epoch).await?;
    for table in ["checkpoint", "dedupe"] {
        let sql =
            control.sql(&format!("DELETE FROM laterna.{table} WHERE projection = ? AND generation = ?"));
        sqlx::query(&sql).bind(projection).bind(live).run(&mut transaction).await.map_err(failed)?;
    }
    let next = generation::next_number(&mut transaction, control, projection).await?;
    let sql = control.sql(
        "UPDATE laterna.projection SET live_generation = ?, lanes = 0 WHERE projection = ? AND live_generation = ?",
    );
    let opened = sqlx::query(&sql).bind(next).bind(projection).bind(live).run(&mut transaction).await;
    let opened = opened.map_err(failed)?;
    if opened.rows_affected() != 1 {
        let message = format!("generation {live} of `{projection}` is not live any more");
        return Err(Failure::TransactionLost { code: 0, message });
    }
    transaction.commit().await.map_err(failed)?;
    Ok(next)
}
