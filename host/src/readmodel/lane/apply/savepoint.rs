//! Savepoints of a lane's transaction: one that is gone proves that its transaction is.

use crate::failure::Failure;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::send;
use crate::readmodel::mysql::session::Session;

pub(super) async fn savepoint(session: &mut Session, sql: &str) -> Result<(), Failure> {
    match send(&mut session.connection, sql).await {
        Ok(_) => Ok(()),
        Err(error) => match classify("using a savepoint", &error) {
            // 1305: there is no such savepoint, so the transaction that had it is gone.
            Failure::SchemaMismatch { code: 1305, message } => {
                Err(Failure::TransactionLost { code: 1305, message })
            }
            failure => Err(failure),
        },
    }
}
