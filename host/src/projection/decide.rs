//! What to do about a failure: one pure function.

use crate::failure::{Failure, Fault};

/// How often a code that nobody knows is tried again.
const UNKNOWN_ATTEMPTS: u32 = 3;

/// What the lane does next with its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The same batch again, after a wait.
    Retry,
    /// Find the events at fault, park them, commit the others. One whose fault may be a matter of timing waits
    /// until the other lanes have passed it ([`super::progress`]).
    Isolate,
    /// Give the batch back: the projection starts again from its checkpoint.
    Restart,
    /// Give the batch back: the projection waits for an operator.
    Pause,
    /// Give the batch back: another host writes.
    Stop,
}

/// `attempts` counts the tries of this batch that failed before.
pub fn decide(failure: &Failure, attempts: u32) -> Decision {
    match failure {
        Failure::Unknown { .. } if attempts < UNKNOWN_ATTEMPTS => Decision::Retry,
        Failure::CommitsLost { .. } | Failure::TakenBack { .. } => Decision::Restart,
        _ => match failure.fault() {
            Fault::Event => Decision::Isolate,
            Fault::Environment => Decision::Retry,
            Fault::Setup => Decision::Pause,
            Fault::Fenced => Decision::Stop,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_retried_for_as_long_as_it_takes() {
        let failure = Failure::ConnectionLost { message: String::new() };
        assert_eq!(decide(&failure, 1_000_000), Decision::Retry);
    }

    #[test]
    fn an_events_fault_is_isolated_at_once() {
        let failure = Failure::RefusedValue { code: 1406, message: String::new() };
        assert_eq!(decide(&failure, 0), Decision::Isolate);
    }

    #[test]
    fn a_setup_is_never_blamed_on_events() {
        let failure = Failure::SchemaMismatch { code: 1146, message: String::new() };
        assert_eq!(decide(&failure, 0), Decision::Pause);
        let failure = Failure::Unknown { code: 9999, message: String::new() };
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS - 1), Decision::Retry);
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS), Decision::Pause);
    }

    #[test]
    fn another_writer_stops_and_lost_commits_restart() {
        assert_eq!(decide(&Failure::Fenced { mine: 1, found: 2 }, 0), Decision::Stop);
        assert_eq!(decide(&Failure::CommitsLost { committed: 2, found: 1 }, 0), Decision::Restart);
    }
}
