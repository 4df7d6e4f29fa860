//! Which projections there are, which outbox each is made from, and which generation of its tables is live.

use super::control_sql::ControlRow;
use super::schema::Control;
use crate::failure::Failure;
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
    let sql = control.statement(
        "reading the projections",
        "SELECT projection, live_generation, lanes, source FROM laterna.projection ORDER BY projection",
    );
    let rows = sql.rows(&mut session.connection).await?;
    let registration = |row: &ControlRow| {
        Ok(Registration {
            projection: row.get(0)?,
            live_generation: row.get(1)?,
            lanes: row.get(2)?,
            source: row.get(3)?,
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
    let sql = control.statement(
        "registering the projection",
        "INSERT INTO laterna.projection (projection, live_generation, lanes, source) VALUES (?, ?, 0, ?) \
         ON DUPLICATE KEY UPDATE source = IF(lanes = 0, VALUES(source), source)",
    );
    sql.bind(&registration.projection)
        .bind(registration.live_generation)
        .bind(&registration.source)
        .run(&mut session.connection)
        .await?;
    Ok(())
}

/// Takes the registration of a projection back that has no lanes yet.
pub async fn withdraw(session: &mut Session, control: &Control, projection: &str) -> Result<(), Failure> {
    let sql = control.statement(
        "taking the registration back",
        "DELETE FROM laterna.projection WHERE projection = ? AND lanes = 0",
    );
    sql.bind(projection).run(&mut session.connection).await?;
    Ok(())
}
