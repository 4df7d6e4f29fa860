//! Components count as stored now where something begins to refer to them, so that none is removed that is about to be used.

use sqlx::mysql::MySqlConnection;

use super::control_db::ControlDb;
use super::schema::Control;
use super::stored_component::Halves;
use crate::failure::Failure;

/// Requires, in the transaction that writes the reference, that all components are stored that a digest stands for. Their rows stay
/// locked until it ends: whoever removes unused ones either came first, or finds them too young.
pub(super) async fn require(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    digest: &str,
) -> Result<(), Failure> {
    let Some(gone) = renew(connection, control, digest).await? else { return Ok(()) };
    Err(Failure::misconfigured(
        format!("the component {gone} is not in the control schema any more"),
        format!("deploy it again from its file: `laterna deploy FILE --projection {projection}`"),
    ))
}

impl ControlDb<'_> {
    /// Counts the components that a digest stands for as stored now. Returns false where one is gone.
    pub async fn renew_component(&mut self, digest: &str) -> Result<bool, Failure> {
        let control = self.control;
        Ok(renew(self.connection(), control, digest).await?.is_none())
    }
}

/// Counts them as stored now, and returns the one that is gone.
async fn renew(
    connection: &mut MySqlConnection,
    control: &Control,
    digest: &str,
) -> Result<Option<String>, Failure> {
    let Halves { projector, upcaster } = Halves::read(connection, control, digest).await?;
    let mut halves: Vec<String> = [Some(projector), upcaster].into_iter().flatten().collect();
    // All lock them in one order, so that no two wait for each other.
    halves.sort_unstable();
    let sql = control.statement(
        "keeping the component",
        "UPDATE laterna.component SET stored_at = CURRENT_TIMESTAMP(6) WHERE digest = ?",
    );
    for half in halves {
        // The connection counts rows that were found, also where they stay as they are.
        if sql.bind(&half).run(connection).await?.rows_affected() == 0 {
            return Ok(Some(half));
        }
    }
    Ok(None)
}
