//! Which projections there are, which outbox each is made from, and which generation of its tables is live.

use sqlx::Row;

use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

/// A projection as the control schema knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub projection: String,
    pub live_generation: u32,
    pub lanes: u32,
    /// The identity of the source, as it was when the projection began.
    pub source: String,
}

/// Finds the registration of a projection.
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
