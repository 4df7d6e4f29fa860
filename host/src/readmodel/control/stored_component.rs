//! The components that the control schema holds, as people see them, and which of them a deployed digest stands for.

use sqlx::mysql::MySqlConnection;

use super::control_db::ControlDb;
use super::control_sql::ControlRow;
use super::schema::Control;
use crate::failure::Failure;

/// A component that is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct StoredComponent {
    pub digest: String,
    /// Its own name and version.
    pub name: String,
    pub version: String,
    pub bytes: u64,
    pub stored_at: String,
}

/// The digests of the components that a deployed digest stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halves {
    pub projector: String,
    pub upcaster: Option<String>,
}

impl Halves {
    /// Reads them, also in a transaction.
    pub(super) async fn read(
        connection: &mut MySqlConnection,
        control: &Control,
        digest: &str,
    ) -> Result<Self, Failure> {
        let sql = control
            .statement("reading the pair", "SELECT projector, upcaster FROM laterna.pair WHERE digest = ?");
        let found = sql.bind(digest).first(connection).await?;
        let Some(row) = found else { return Ok(Self { projector: digest.to_owned(), upcaster: None }) };
        Ok(Self { projector: row.get(0)?, upcaster: Some(row.get(1)?) })
    }
}

impl ControlDb<'_> {
    /// Finds the parts of a deployed digest: a chain's two, or the projector alone.
    pub async fn halves(&mut self, digest: &str) -> Result<Halves, Failure> {
        let control = self.control;
        Halves::read(self.connection(), control, digest).await
    }

    /// Components, the newest first; only the one with this digest where one is given.
    pub async fn components(
        &mut self,
        digest: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredComponent>, Failure> {
        let sql = self.statement(
            "reading the components",
            "SELECT digest, name, version, bytes, DATE_FORMAT(stored_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM laterna.component \
             WHERE ? IS NULL OR digest = ? ORDER BY stored_at DESC, digest LIMIT ?",
        );
        let asked = sql.bind(digest).bind(digest).bind(limit);
        let rows = asked.rows(self.connection()).await?;
        let component = |row: &ControlRow| {
            Ok(StoredComponent {
                digest: row.get(0)?,
                name: row.get(1)?,
                version: row.get(2)?,
                bytes: row.get(3)?,
                stored_at: row.get(4)?,
            })
        };
        rows.iter().map(component).collect()
    }
}
