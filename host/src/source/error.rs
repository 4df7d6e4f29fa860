//! The meaning of an error of the MongoDB driver. Classified by code, never by label: 136 and 10334 carry none, and the
//! driver would retry them for ever. By text only where one error wraps another.

use mongodb::error::{Error, ErrorKind};

use super::unreachable::{selection, short};
use crate::failure::{Failure, Lost};

/// The remedy where the message names what is wrong with the address or the names of the outbox.
const CHECK_SETTINGS: &str = "correct `mongodb.uri`, `mongodb.database` or `mongodb.outbox`";

/// The failure that an error is, with what was being done.
pub fn classify(doing: &str, error: &Error) -> Failure {
    classify_at("", doing, error)
}

/// The same, where the servers of the URI are known.
pub fn classify_at(named: &str, doing: &str, error: &Error) -> Failure {
    let message = format!("{doing}: {}", plain(error, named));
    match code(error) {
        Some(code) => by_code(code, message),
        None => match *error.kind {
            ErrorKind::Authentication { .. } => Failure::AccessDenied { code: 18, message },
            ErrorKind::InvalidArgument { .. } => Failure::misconfigured(message, CHECK_SETTINGS),
            _ => Failure::SourceUnavailable { message },
        },
    }
}

/// One line a code: the place is lost, access, set-up; everything else heals by trying again.
pub fn by_code(code: i32, message: String) -> Failure {
    // An error of the pipeline wraps the one of the document that did not fit.
    if matches!(code, 10334 | 17419 | 17420) || says_oversized(&message) {
        return Failure::Oversized { message };
    }
    let lost = |cause, reason| Failure::ResumeLost { cause, reason };
    match code {
        // ChangeStreamHistoryLost, CappedPositionLost, and the codes of older servers for them.
        286 | 136 | 40576 => lost(Lost::History, message),
        // ChangeStreamFatalError: the event of the token is not in this stream.
        280 => lost(Lost::UnknownToken, message),
        // InvalidResumeToken, and tokens that do not parse.
        260 | 9 | 15 | 207 | 40647 | 40649 => lost(Lost::BadToken, message),
        // ChangeStreamInvalidated.
        346 => lost(Lost::Ended, message),
        // Unauthorized, AuthenticationFailed, UserNotFound, Atlas.
        13 | 18 | 11 | 8000 => {
            Failure::AccessDenied { code: u32::try_from(code).unwrap_or_default(), message }
        }
        40573 => Failure::misconfigured(message, "start mongod with --replSet and run rs.initiate() once"),
        166 => Failure::misconfigured(message, "name a collection, not a view, in `mongodb.outbox`"),
        // NamespaceNotFound, InvalidNamespace.
        26 | 73 => Failure::misconfigured(message, CHECK_SETTINGS),
        // An unknown stage, InvalidOptions, NotImplemented.
        40324 | 72 | 238 => Failure::misconfigured(message, "use a MongoDB of a supported version"),
        // IndexNotFound, and refusals of a hint (BadValue).
        2 | 27 => Failure::misconfigured(
            message,
            "create the index for history again (`laterna check` prints the command), and restart",
        ),
        _ => Failure::SourceUnavailable { message },
    }
}

fn says_oversized(message: &str) -> bool {
    ["BSONObjectTooLarge", "BSONObj size:", "(10334", "(17419", "(17420"]
        .iter()
        .any(|words| message.contains(words))
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// The error without the driver's frame of labels and backtraces, with the servers that it is about.
fn plain(error: &Error, named: &str) -> String {
    let text = match &*error.kind {
        ErrorKind::Command(command) => {
            return format!("{} ({} {})", command.message, command.code, command.code_name);
        }
        // The driver adds its whole view of the cluster.
        ErrorKind::ServerSelection { message, .. } => return selection(message, named),
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => short(&error.kind.to_string()),
        ErrorKind::Authentication { message, .. } => message.clone(),
        kind => return kind.to_string(),
    };
    if named.is_empty() { text } else { format!("{named}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;

    #[test]
    fn each_code_has_its_failure() {
        let class = |code| by_code(code, String::new()).class();
        let cause = |code| match by_code(code, String::new()) {
            Failure::ResumeLost { cause, .. } => cause,
            other => panic!("{code}: {other}"),
        };
        for code in [286, 136, 40576] {
            assert_eq!(cause(code), Lost::History, "{code}");
        }
        for code in [260, 9, 15, 207, 40647, 40649] {
            assert_eq!(cause(code), Lost::BadToken, "{code}");
        }
        assert_eq!([280, 346].map(cause), [Lost::UnknownToken, Lost::Ended]);
        for code in [13, 18, 11, 8000] {
            assert_eq!(class(code), "access-denied", "{code}");
        }
        for code in [40573, 166, 26, 73, 40324, 72, 238, 2, 27] {
            assert_eq!(class(code), "misconfigured", "{code}");
        }
        for code in [10334, 17419, 17420] {
            assert_eq!(class(code), "oversized", "{code}");
        }
    }

    #[test]
    fn an_event_that_does_not_fit_is_known_by_its_text_too() {
        let message =
            "Executor error during getMore :: caused by :: BSONObj size: 16789000 (0x1002E08) is invalid.";
        assert_eq!(by_code(8, message.to_owned()).class(), "oversized");
    }

    #[test]
    fn what_heals_by_itself_is_tried_again() {
        for code in HEALING {
            assert_eq!(by_code(code, String::new()).fault(), Fault::Environment, "{code}");
        }
    }

    /// Failovers, lost cursors, limits of time and load, and a code that nobody has met.
    const HEALING: [i32; 31] = [
        6, 7, 43, 50, 63, 89, 91, 112, 133, 134, 150, 189, 202, 211, 216, 234, 237, 246, 262, 365, 402, 433,
        449, 9001, 10058, 10107, 11600, 11602, 13388, 13435, 99999,
    ];
}
