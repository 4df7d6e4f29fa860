//! What of a server's settings and an account's privileges cannot work.

use sqlx::Row;

use super::Session;
use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::RunQuery;

impl Session {
    /// The settings of the server or the account that cannot work: each with what to do.
    pub async fn unfit_settings(&mut self, needs: u32) -> Result<Vec<String>, Failure> {
        let failed = |error: sqlx::Error| classify("reading the server's settings", &error);
        let rows = sqlx::query(
            "SHOW VARIABLES WHERE variable_name IN ('binlog_format', 'log_bin', 'max_connections', 'max_user_connections')",
        );
        let mut unfit = vec![];
        let mut settings = std::collections::HashMap::new();
        for row in rows.rows(&mut self.connection).await.map_err(failed)? {
            let (name, value): (String, String) =
                (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
            settings.insert(name, value);
        }
        let is = |name: &str, value: &str| {
            settings.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        if is("log_bin", "ON") && is("binlog_format", "STATEMENT") {
            unfit.push("`binlog_format` is STATEMENT, with which the server takes no row at the isolation that the host \
                 needs (error 1665): set it to ROW (MIXED will do)".to_owned());
        }
        for limit in ["max_connections", "max_user_connections"] {
            let most: u32 = settings.get(limit).and_then(|most| most.parse().ok()).unwrap_or_default();
            // 0 is no limit.
            if (1..needs).contains(&most) {
                unfit.push(format!(
                    "`{limit}` is {most} for this account, and this host's projections need {needs} connections: raise it, \
                     or configure fewer lanes"
                ));
            }
        }
        Ok(unfit)
    }

    /// A privilege of this account with which it would write to a server that is read-only.
    pub async fn too_broad_privileges(&mut self) -> Result<Option<&'static str>, Failure> {
        const BROAD: [&str; 4] = ["ALL PRIVILEGES", "SUPER", "CONNECTION_ADMIN", "READ_ONLY ADMIN"];
        let failed = |error: sqlx::Error| classify("reading the account's privileges", &error);
        let rows = sqlx::query("SHOW GRANTS").rows(&mut self.connection).await.map_err(failed)?;
        for row in rows {
            let grant: String = row.try_get(0).map_err(failed)?;
            let global = grant.contains(" ON *.* ");
            if let Some(found) = BROAD.into_iter().find(|broad| global && grant.contains(broad)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}
