//! The meaning of an error of MySQL or MariaDB: one table, by code.
//!
//! The driver's own errors (a broken pipe, a malformed packet, a timeout) always mean that the connection is lost; it
//! is never used again.

use std::io::ErrorKind;

use sqlx::Error;
use sqlx::mysql::MySqlDatabaseError;

use crate::failure::{Failure, RESTORE_TOGETHER};
use crate::text::without_quotations;

/// The failure that an error of one of the host's own statements is, with what was being done. It is no event's fault.
pub fn classify(doing: &str, error: &Error) -> Failure {
    match judge(doing, error) {
        Failure::RefusedValue { code, message } | Failure::KeyConflict { code, message } => {
            let message = if NAMES_ONLY.contains(&code) { message } else { without_quotations(&message) };
            Failure::misconfigured(
                format!(
                    "MySQL refuses what the host itself asks of it (error {code}), which is no event's fault: {message}"
                ),
                "look whether that table was changed, or what a trigger on it does",
            )
        }
        failure => failure,
    }
}

fn judge(doing: &str, error: &Error) -> Failure {
    match error {
        Error::Database(database) => match database.try_downcast_ref::<MySqlDatabaseError>() {
            Some(mysql) => by_code(mysql.number(), format!("{doing}: {}", mysql.message())),
            None => lost(doing, error),
        },
        Error::Configuration(reason) => Failure::misconfigured(
            format!("{doing}: {reason}"),
            "correct the URL of MySQL, or the files that it names",
        ),
        Error::Tls(reason) => Failure::misconfigured(
            format!("{doing}: MySQL answers, but no encrypted connection comes about: {reason}"),
            "correct `ssl-mode` and `ssl-ca` in the URL, or the server's certificate",
        ),
        Error::RowNotFound => Failure::misconfigured(
            format!("{doing}: a row is missing that has to be there, in the control schema or of the server"),
            RESTORE_TOGETHER,
        ),
        Error::ColumnDecode { .. }
        | Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::TypeNotFound { .. }
        | Error::Encode(_)
        | Error::Decode(_) => Failure::misconfigured(
            format!("{doing}: the control schema is not as expected: {error}"),
            "undo what was changed in it by hand, or restore it together with the read model's tables",
        ),
        _ => lost(doing, error),
    }
}

/// The failure that an error of a projector's statement is. A code that no table knows, or that means something else on
/// this server, is suspect of being the event's.
pub fn classify_statement(name: &str, is_mariadb: bool, error: &Error) -> Failure {
    let doing = format!("running `{name}`");
    let code = number(error).unwrap_or_default();
    if code >= SERVERS_OWN && is_mariadb == (code == MYSQL_IDLE) {
        return Failure::UnknownRefusal { code, message: format!("{doing}: {error}") };
    }
    match judge(&doing, error) {
        // MariaDB's max_statement_time, MySQL's max_execution_time.
        Failure::TransactionLost { code: code @ (1969 | 3024), message } => {
            Failure::TooSlow { message: format!("{message} (error {code})") }
        }
        Failure::Unknown { message, .. } => Failure::UnknownRefusal { code, message },
        failure => failure,
    }
}

/// The code of an error that is an answer of the server.
pub fn number(error: &Error) -> Option<u16> {
    error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

fn lost(doing: &str, error: &Error) -> Failure {
    if matches!(error, Error::Io(error) if error.kind() == ErrorKind::TimedOut) {
        return Failure::TimedOut { message: format!("{doing}: {error}") };
    }
    Failure::ConnectionLost { message: format!("{doing}: {error}") }
}

/// From here on, a code means one thing on MySQL and another on MariaDB. Those that have a class are MariaDB's, but one.
const SERVERS_OWN: u16 = 4000;
const MYSQL_IDLE: u16 = 4031;

/// The refusals whose message quotes names, and no values.
const NAMES_ONLY: &[u16] = &[1406, 1264, 1265, 1048, 1364, 1118, 3819, 4025];

type ToFailure = fn(u16, String) -> Failure;

/// The codes that have a class, and the failure that they are. No code stands twice; any other is unknown: one of the
/// host's own statements pauses the projection after some tries, one of a projector's blames the event if others pass.
const CODES: [(&[u16], ToFailure); 10] = [
    (TRANSACTION_LOST, |code, message| Failure::TransactionLost { code, message }),
    (CONNECTION_LOST, |code, message| Failure::ConnectionLost {
        message: format!("{message} (error {code})"),
    }),
    (LIMIT_REACHED, |code, message| Failure::LimitReached {
        code,
        message: format!("{message}{}", limit(code)),
    }),
    (CANNOT_WRITE, |code, message| Failure::CannotWrite { code, message }),
    (REFUSED_VALUE, |code, message| Failure::RefusedValue { code, message }),
    (KEY_CONFLICT, |code, message| Failure::KeyConflict { code, message }),
    (TOO_LARGE, |code, message| Failure::TooLarge { code, message }),
    (SCHEMA_MISMATCH, |code, message| Failure::SchemaMismatch { code, message }),
    (ACCESS_DENIED, |code, message| Failure::AccessDenied {
        code: code.into(),
        message: format!("{message}{}", way_out(code)),
    }),
    (MISCONFIGURED, |code, message| {
        Failure::misconfigured(format!("{message} (error {code})"), remedy(code))
    }),
];

/// Which limit it is.
fn limit(code: u16) -> &'static str {
    match code {
        1040 => ": `max_connections` of the server is reached",
        1203 => ": `max_user_connections` of the server is reached for this account",
        // Its message names the resource.
        _ => ": a limit of this account (ALTER USER ... WITH), or `max_user_connections` of the server",
    }
}

/// The remedy for a code of [`MISCONFIGURED`].
fn remedy(code: u16) -> &'static str {
    match code {
        1665 => {
            "set `binlog_format = ROW` on the server (MIXED will do); with STATEMENT it takes no row at the isolation that \
             the host needs"
        }
        1067 => {
            "give the column a valid DEFAULT, or none: the host's sessions are strict, and take no date without a month and \
             a day (NO_ZERO_DATE)"
        }
        1032 | 1034 | 1194 | 1195 | 1712 => "run CHECK TABLE on the table, then repair or restore it",
        _ => "use a MySQL or MariaDB of a supported version, without a proxy in between",
    }
}

/// The remedy for an account, where the code alone is enough.
fn way_out(code: u16) -> &'static str {
    match code {
        1524 => {
            ": the server does not have the plugin that the account logs in by: ALTER USER to one that it has"
        }
        1251 => ": ALTER USER to `caching_sha2_password` (MySQL) or `mysql_native_password` (MariaDB)",
        _ => "",
    }
}

/// Deadlock, lock wait, lock table full, changed since read, interrupted, time limits, commit hooks; the table was
/// altered since the snapshot or since the statement was prepared.
const TRANSACTION_LOST: &[u16] =
    &[1213, 1205, 1206, 1614, 1637, 1020, 1317, 1969, 3024, 3058, 3572, 3101, 3100, 1180, 1181, 1412, 1615];

/// Shutdown, killed, aborted, blocked, timed out in idleness, packet too large (the server closes
/// the connection with it), a prepared statement that the session does not have any more.
const CONNECTION_LOST: &[u16] =
    &[1053, 1077, 1078, 1079, 1080, 1129, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1243, 1927, 3169, 4031];

/// Connections of the server, those of an account, and what else an account may use.
const LIMIT_REACHED: &[u16] = &[1040, 1203, 1226];

/// Read-only, offline, not ready, full disk, no memory, engine errors, too many prepared statements.
const CANNOT_WRITE: &[u16] = &[
    1015, 1036, 1290, 1792, 1836, 1874, 3032, 3168, 1223, 1047, 1021, 1114, 1037, 1038, 1041, 1135, 1030,
    1026, 1461,
];

/// Conversions, ranges, NULL, JSON and its paths, CHECK (3819, MariaDB 4025), row size, no partition for it, collations
/// that do not mix, arguments that a function does not take, regular expressions, logarithms, keys on expressions, base64, cascades that are too deep, a
/// subquery of several rows, a trigger's SIGNAL.
const REFUSED_VALUE: &[u16] = &[
    1406, 1264, 1265, 1366, 1367, 1292, 1411, 1441, 1525, 1690, 1365, 1300, 3854, 3988, 1048, 1364, 1138,
    3140, 3141, 3143, 3144, 3145, 3146, 3147, 3148, 3149, 3150, 3151, 3153, 3154, 3155, 3156, 3157, 3158,
    3165, 3966, 4036, 4037, 4038, 4040, 4041, 4042, 4043, 4044, 4046, 4048, 4051, 3819, 4025, 1118, 1713,
    1436, 1301, 1526, 1644, 1267, 1270, 1271, 1210, 1139, 3686, 3691, 3696, 3699, 1958, 3037, 3617, 3008,
    1242, 3020, 3685, 3688, 3689, 3692, 3693, 3694, 3695, 3697, 3751, 3752, 3903, 3904, 3907,
];

/// Duplicate key, foreign keys, and a duplicate key that a foreign key leads to.
const KEY_CONFLICT: &[u16] = &[1062, 1451, 1452, 1216, 1217, 1557, 1761, 1762];

/// A transaction that writes more than the binary log's cache takes.
const TOO_LARGE: &[u16] = &[1197];

/// SQL that does not fit the tables, tables or columns that are missing.
const SCHEMA_MISMATCH: &[u16] = &[
    1064, 1149, 1136, 1058, 1110, 1241, 1305, 1318, 1295, 1221, 1093, 1052, 1146, 1051, 1054, 1109, 1072,
    1049, 1390, 4078,
];

/// Privileges, passwords, locked or expired accounts, hosts that may not connect.
const ACCESS_DENIED: &[u16] =
    &[1044, 1045, 1130, 1142, 1143, 1227, 1370, 3118, 4151, 1820, 1862, 3159, 1698, 1524, 1251];

/// Session variables; tables that are damaged; a binary log of statements; a column's default that is no value of it.
const MISCONFIGURED: &[u16] = &[1665, 1067, 1193, 1231, 1238, 1298, 1032, 1034, 1194, 1195, 1712];

fn by_code(code: u16, message: String) -> Failure {
    match CODES.iter().find(|(codes, _)| codes.contains(&code)) {
        Some((_, failure)) => failure(code, message),
        None => Failure::Unknown { code: code.into(), message },
    }
}

/// Every code that has a class.
pub fn codes() -> impl Iterator<Item = u16> {
    CODES.iter().flat_map(|(codes, _)| codes.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;

    #[test]
    fn each_code_falls_to_the_one_who_is_at_fault() {
        let fault = |code| by_code(code, String::new()).fault();
        for code in [1213, 1205, 1040, 1226, 1053, 1077, 1080, 1290, 1021, 1461, 1158, 1161, 4031] {
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
    fn no_code_has_two_classes() {
        let mut codes: Vec<u16> = codes().collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn whatever_is_no_answer_of_the_server_is_a_lost_connection() {
        for error in [Error::PoolClosed, Error::WorkerCrashed, Error::Protocol("x".into())] {
            assert_eq!(classify("testing", &error).class(), "connection-lost", "{error}");
        }
        for error in [
            Error::RowNotFound,
            Error::ColumnNotFound("x".into()),
            Error::ColumnIndexOutOfBounds { index: 1, len: 1 },
            Error::Tls("a certificate".into()),
        ] {
            assert_eq!(classify("testing", &error).class(), "misconfigured", "a server answered: {error}");
        }
    }
}
