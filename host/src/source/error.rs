//! What an error of the MongoDB driver means. Classified by code, never by text or label: 136 and 10334 carry
//! no label, and the driver would retry them for ever.

use mongodb::error::{Error, ErrorKind};

use crate::failure::Failure;

/// The failure that an error is, with what was being done.
pub fn classify(doing: &str, error: &Error) -> Failure {
    let message = format!("{doing}: {}", plain(error));
    match code(error) {
        Some(code) => by_code(code, message),
        None => match *error.kind {
            ErrorKind::Authentication { .. } => Failure::AccessDenied { code: 18, message },
            ErrorKind::InvalidArgument { .. } => Failure::Misconfigured { reason: message },
            _ => Failure::SourceUnavailable { message },
        },
    }
}

/// One line a code: the place is lost, access, set-up; everything else heals by trying again.
pub fn by_code(code: i32, message: String) -> Failure {
    match code {
        // ChangeStreamHistoryLost, CappedPositionLost, ChangeStreamFatalError, InvalidResumeToken and tokens that
        // do not parse.
        286 | 136 | 280 | 260 | 9 | 15 | 40647 | 40649 => Failure::ResumeLost { reason: message },
        // Unauthorized, AuthenticationFailed, UserNotFound, Atlas.
        13 | 18 | 11 | 8000 => {
            Failure::AccessDenied { code: u32::try_from(code).unwrap_or_default(), message }
        }
        // Not a replica set, a view, no such namespace, invalid namespace, unknown stage, invalid options,
        // IndexNotFound-like refusals of a hint (BadValue), an event beyond the document limit.
        40573 | 166 | 26 | 73 | 40324 | 72 | 238 | 2 | 27 | 10334 => {
            Failure::Misconfigured { reason: message }
        }
        _ => Failure::SourceUnavailable { message },
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// The error without the driver's frame of labels and backtraces.
fn plain(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => {
            format!("{} ({} {})", command.message, command.code, command.code_name)
        }
        // The driver adds its whole view of the cluster.
        ErrorKind::ServerSelection { message, .. } => {
            let end = message.find(" Topology").unwrap_or(message.len());
            message[..end].to_owned()
        }
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;

    #[test]
    fn each_code_has_its_failure() {
        let class = |code| by_code(code, String::new()).class();
        for code in [286, 136, 280, 260, 9, 15, 40647] {
            assert_eq!(class(code), "resume-lost", "{code}");
        }
        for code in [13, 18] {
            assert_eq!(class(code), "access-denied", "{code}");
        }
        for code in [40573, 166, 26, 10334] {
            assert_eq!(class(code), "misconfigured", "{code}");
        }
    }

    #[test]
    fn what_heals_by_itself_is_tried_again() {
        for code in [6, 7, 43, 63, 89, 91, 112, 133, 189, 211, 234, 237, 262, 9001, 10107, 11600, 13435] {
            assert_eq!(by_code(code, String::new()).fault(), Fault::Environment, "{code}");
        }
    }
}
