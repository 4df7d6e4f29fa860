//! The components that the control schema holds, as people see them.

use sqlx::Row;
use sqlx::mysql::MySqlRow;

use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;
use crate::readmodel::mysql::session::Session;

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

/// Components, the newest first; only the one with this digest where one is given.
pub async fn list(
    session: &mut Session,
    control: &Control,
    digest: Option<&str>,
    limit: u32,
) -> Result<Vec<StoredComponent>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the components", &error);
    let sql = control.sql(
        "SELECT digest, name, version, bytes, DATE_FORMAT(stored_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM laterna.component \
         WHERE ? IS NULL OR digest = ? ORDER BY stored_at DESC, digest LIMIT ?",
    );
    let asked = sqlx::query(&sql).bind(digest).bind(digest).bind(limit);
    let rows = asked.rows(&mut session.connection).await.map_err(failed)?;
    let component = |row: &MySqlRow| {
        Ok(StoredComponent {
            digest: row.try_get(0).map_err(failed)?,
            name: row.try_get(1).map_err(failed)?,
            version: row.try_get(2).map_err(failed)?,
            bytes: row.try_get(3).map_err(failed)?,
            stored_at: row.try_get(4).map_err(failed)?,
        })
    };
    rows.iter().map(component).collect()
}
