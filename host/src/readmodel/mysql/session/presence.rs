//! Other sessions of the server, as one of them sees them: whether they are connected or idle, and their end.

use std::time::Duration;

use sqlx::Row;

use super::Session;
use crate::failure::Failure;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::query::{RunQuery, send};

/// The state of a session as another one sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is listed; or the server cannot list its sessions just now.
    Connected,
    /// It would be listed if it were connected.
    Gone,
    /// It is not listed, and would not be if it were connected: MySQL shows an account its own sessions only.
    Hidden,
}

impl Session {
    /// Ends another session, e.g. one whose commit is uncertain. Where that is not allowed, the epoch is what fences it.
    pub async fn kill(&mut self, id: u64) -> Result<(), Failure> {
        match send(&mut self.connection, &format!("KILL {id}")).await {
            Ok(_) => Ok(()),
            Err(error) => match classify("ending an old session", &error) {
                // 1094: there is no such session any more. 1095: it is another account's.
                Failure::Unknown { code: 1094 | 1095, .. } => Ok(()),
                failure => Err(failure),
            },
        }
    }

    /// Finds out whether a session is connected that `account` has made; none where that is not known.
    pub async fn presence(&mut self, id: u64, account: Option<&str>) -> Result<Presence, Failure> {
        // Whoever is not shown to itself is shown nothing at all, e.g. an account that stands in for another.
        let listed = sqlx::query(
            "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist WHERE id IN (?, CONNECTION_ID())",
        )
        .bind(id)
        .rows(&mut self.connection)
        .await;
        let listed = match listed.map_err(|error| not_shown(&error)) {
            Err(Failure::TransactionLost { code: 3854, .. }) => return Ok(Presence::Connected),
            listed => listed?.iter().map(|row| row.try_get(0)).collect::<Result<Vec<u64>, _>>(),
        };
        let listed = listed.map_err(|error| classify("looking for a session", &error))?;
        if listed.contains(&id) {
            return Ok(Presence::Connected);
        }
        let is_own = account == Some(self.account.as_str());
        Ok(if is_own && listed.contains(&self.id) { Presence::Gone } else { Presence::Hidden })
    }

    /// Returns true where a session of this account waits for its client, and has for some time, or is gone.
    pub(super) async fn is_idle(&mut self, id: u64, time: Duration) -> Result<bool, Failure> {
        let account = self.account.clone();
        match self.presence(id, Some(&account)).await? {
            Presence::Connected => {}
            Presence::Gone => return Ok(true),
            Presence::Hidden => return Ok(false),
        }
        let busy = sqlx::query(
            "SELECT 1 FROM information_schema.processlist WHERE id = ? AND NOT (command = 'Sleep' AND time >= ?)",
        )
        .bind(id)
        .bind(time.as_secs())
        .first(&mut self.connection)
        .await;
        Ok(busy.map_err(|error| not_shown(&error))?.is_none())
    }
}

/// MySQL cannot list its sessions while one of them runs a statement whose values are not text. That passes.
fn not_shown(error: &sqlx::Error) -> Failure {
    match number(error) {
        Some(3854) => {
            Failure::TransactionLost { code: 3854, message: format!("looking for a session: {error}") }
        }
        _ => classify("looking for a session", error),
    }
}
