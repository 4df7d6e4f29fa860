//! What an error of MySQL or MariaDB means: one table, by code.
//!
//! The driver's own errors (a broken pipe, a malformed packet, a timeout) always mean that the connection is
//! lost; it is never used again.

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use crate::failure::Failure;

/// The failure that an error is, with what was being done.
pub fn classify(doing: &str, error: &Error) -> Failure {
    match error {
        Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
            Some(mysql) => by_code(mysql.number(), format!("{doing}: {}", mysql.message())),
            None => lost(doing, error),
        },
        Error::Configuration(reason) => Failure::Misconfigured { reason: format!("{doing}: {reason}") },
        Error::ColumnDecode { .. } | Error::ColumnNotFound(_) | Error::Decode(_) => Failure::Misconfigured {
            reason: format!("{doing}: the control schema is not as expected: {error}"),
        },
        _ => lost(doing, error),
    }
}

fn lost(doing: &str, error: &Error) -> Failure {
    Failure::ConnectionLost { message: format!("{doing}: {error}") }
}

fn by_code(code: u16, message: String) -> Failure {
    match code {
        // Deadlock, lock wait, lock table full, changed since read, interrupted, time limits, commit hooks.
        1213 | 1205 | 1206 | 1614 | 1637 | 1020 | 1317 | 1969 | 3024 | 3058 | 3572 | 3101 | 3100 | 1180
        | 1181 => Failure::TransactionLost { code, message },
        // Shutdown, killed, aborted, too many connections, blocked, timed out in idleness, packet too large
        // (the server closes the connection with it).
        1040
        | 1203
        | 1226
        | 1053
        | 1077..=1080
        | 1129
        | 1152
        | 1153
        | 1158..=1161
        | 1184
        | 1927
        | 3169
        | 4031 => Failure::ConnectionLost { message: format!("{message} (error {code})") },
        // Read-only, offline, not ready, full disk, no memory, engine errors, too many prepared statements.
        1290 | 1836 | 1874 | 3032 | 3168 | 1223 | 1047 | 1021 | 1114 | 1037 | 1038 | 1041 | 1135 | 1030
        | 1026 | 1461 => Failure::CannotWrite { code, message },
        // Conversions, ranges, NULL, JSON, CHECK (3819, MariaDB 4025), row size.
        1406 | 1264 | 1265 | 1366 | 1367 | 1292 | 1411 | 1441 | 1525 | 1690 | 1365 | 1300 | 3988 | 1048
        | 1364 | 1138 | 3140 | 3141 | 3143 | 3144 | 3147 | 3150 | 3157 | 3819 | 4025 | 1118 | 1436 | 1301 => {
            Failure::RefusedValue { code, message }
        }
        // Duplicate key, foreign keys.
        1062 | 1451 | 1452 | 1216 | 1217 => Failure::KeyConflict { code, message },
        // SQL that does not fit the tables, tables or columns that are missing.
        1064 | 1149 | 1136 | 1058 | 1110 | 1241 | 1242 | 1305 | 1318 | 1210 | 1295 | 1221 | 1093 | 1052
        | 1146 | 1051 | 1054 | 1109 | 1072 | 1049 | 1390 => Failure::SchemaMismatch { code, message },
        // Privileges, passwords, locked or expired accounts.
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 3118 | 1820 | 1862 | 3159 | 1698 => {
            Failure::AccessDenied { code: code.into(), message }
        }
        // Session variables.
        1193 | 1231 | 1238 | 1298 => Failure::Misconfigured { reason: format!("{message} (error {code})") },
        _ => Failure::Unknown { code: code.into(), message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;

    #[test]
    fn each_code_falls_to_the_one_who_is_at_fault() {
        let fault = |code| by_code(code, String::new()).fault();
        for code in [1213, 1205, 1040, 1053, 1077, 1080, 1290, 1021, 1461, 1158, 1161, 4031] {
            assert_eq!(fault(code), Fault::Environment, "{code}");
        }
        for code in [1406, 1264, 1048, 3140, 4025, 3819, 1062, 1452] {
            assert_eq!(fault(code), Fault::Event, "{code}");
        }
        for code in [1146, 1054, 1142, 1045, 1193, 65000] {
            assert_eq!(fault(code), Fault::Setup, "{code}");
        }
    }

    #[test]
    fn whatever_is_no_answer_of_the_server_is_a_lost_connection() {
        let errors =
            [Error::PoolClosed, Error::WorkerCrashed, Error::Protocol("x".into()), Error::RowNotFound];
        for error in errors {
            assert_eq!(classify("testing", &error).class(), "connection-lost", "{error}");
        }
    }
}
