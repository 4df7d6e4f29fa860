//! What to do about a failure: one pure function.

use crate::failure::{Failure, Fault};

/// How often a key conflict is tried again before it is judged: with several lanes, the row it waits for may still
/// be on its way. With the waits of [`crate::retry::Backoff`] that is about 3 s.
const CONFLICT_ATTEMPTS: u32 = 6;

/// How often a code that nobody knows is tried again.
const UNKNOWN_ATTEMPTS: u32 = 3;

/// What the lane does next with its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The same batch again, after a wait.
    Retry,
    /// Find the events at fault, park them, commit the others.
    Isolate,
    /// Give the batch back: the projection starts again from its checkpoint.
    Restart,
    /// Give the batch back: the projection waits for an operator.
    Pause,
    /// Give the batch back: another host writes.
    Stop,
}

/// `attempts` counts the tries of this batch that failed before.
pub fn decide(failure: &Failure, attempts: u32, lanes: u32) -> Decision {
    match failure {
        Failure::KeyConflict { .. } if lanes > 1 && attempts < CONFLICT_ATTEMPTS => Decision::Retry,
        Failure::Unknown { .. } if attempts < UNKNOWN_ATTEMPTS => Decision::Retry,
        Failure::CommitsLost { .. } => Decision::Restart,
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
        assert_eq!(decide(&failure, 1_000_000, 4), Decision::Retry);
    }

    #[test]
    fn an_events_fault_is_isolated_at_once() {
        let failure = Failure::RefusedValue { code: 1406, message: String::new() };
        assert_eq!(decide(&failure, 0, 4), Decision::Isolate);
    }

    #[test]
    fn a_key_conflict_is_judged_late_between_lanes_and_at_once_in_one() {
        let failure = Failure::KeyConflict { code: 1062, message: String::new() };
        assert_eq!(decide(&failure, CONFLICT_ATTEMPTS - 1, 4), Decision::Retry);
        assert_eq!(decide(&failure, CONFLICT_ATTEMPTS, 4), Decision::Isolate);
        assert_eq!(decide(&failure, 0, 1), Decision::Isolate);
    }

    #[test]
    fn a_setup_is_never_blamed_on_events() {
        let failure = Failure::SchemaMismatch { code: 1146, message: String::new() };
        assert_eq!(decide(&failure, 0, 1), Decision::Pause);
        let failure = Failure::Unknown { code: 9999, message: String::new() };
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS - 1, 1), Decision::Retry);
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS, 1), Decision::Pause);
    }

    #[test]
    fn another_writer_stops_and_lost_commits_restart() {
        assert_eq!(decide(&Failure::Fenced { mine: 1, found: 2 }, 0, 1), Decision::Stop);
        assert_eq!(decide(&Failure::CommitsLost { committed: 2, found: 1 }, 0, 1), Decision::Restart);
    }
}
