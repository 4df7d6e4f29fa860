//! Which projections there are, which outbox each is made from, and which generation of its tables is live.

use super::control_db::{ControlDb, ProjectionDb};
use super::control_sql::ControlRow;
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

impl ProjectionDb<'_> {
    /// Finds the registration of a projection.
    pub async fn registration(&mut self) -> Result<Option<Registration>, Failure> {
        let all = self.registrations().await?;
        Ok(all.into_iter().find(|registration| registration.projection == self.projection))
    }
}

impl ControlDb<'_> {
    /// All projections, by name.
    pub async fn registrations(&mut self) -> Result<Vec<Registration>, Failure> {
        let sql = self.statement(
            "reading the projections",
            "SELECT projection, live_generation, lanes, source FROM laterna.projection ORDER BY projection",
        );
        let rows = sql.rows(self.connection()).await?;
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
    pub async fn register(&mut self, registration: &Registration) -> Result<(), Failure> {
        let sql = self.statement(
            "registering the projection",
            "INSERT INTO laterna.projection (projection, live_generation, lanes, source) VALUES (?, ?, 0, ?) \
             ON DUPLICATE KEY UPDATE source = IF(lanes = 0, VALUES(source), source)",
        );
        sql.bind(&registration.projection)
            .bind(registration.live_generation)
            .bind(&registration.source)
            .run(self.connection())
            .await?;
        Ok(())
    }
}

impl ProjectionDb<'_> {
    /// Takes the registration of a projection back that has no lanes yet.
    pub async fn withdraw(&mut self) -> Result<(), Failure> {
        let sql = self.statement(
            "taking the registration back",
            "DELETE FROM laterna.projection WHERE projection = ? AND lanes = 0",
        );
        sql.bind(self.projection).run(self.connection()).await?;
        Ok(())
    }
}
