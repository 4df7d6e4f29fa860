//! Why the server refuses a projector's statement.

use crate::failure::Failure;
use crate::readmodel::mysql::error::classify_statement;
use crate::statement::Statement;

/// Why the server refuses a statement. An upsert that met another row is a conflict, which can be a matter of timing.
pub(super) fn by(statement: &Statement, is_mariadb: bool, error: &sqlx::Error) -> Failure {
    let doing = format!("running `{}`", statement.name);
    let is_key = |message: &str| statement.proves.iter().any(|key| message.contains(&format!("'{key}'")));
    match classify_statement(&statement.name, is_mariadb, error) {
        Failure::RefusedValue { code: 1048, message } if is_key(&message) => {
            let table = &statement.table;
            let message = format!("{doing}: another row of `{table}` has its value in another unique key");
            Failure::KeyConflict { code: 1062, message }
        }
        // The number that would be inserted: UNSIGNED, and a CHECK on each server.
        Failure::RefusedValue { code: code @ (1264 | 3819 | 4025), message }
            if !statement.adds.is_empty() =>
        {
            let columns = statement.adds.join("`, `");
            let message = format!("{message}. It adds to `{columns}`: {}", Statement::SUMS);
            Failure::RefusedValue { code, message }
        }
        failure => failure,
    }
}
