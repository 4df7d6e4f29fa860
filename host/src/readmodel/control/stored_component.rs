//! The components that the control schema holds, as people see them.

use super::control_db::ControlDb;
use super::control_sql::ControlRow;
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

impl ControlDb<'_> {
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
