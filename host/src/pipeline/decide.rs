//! Decisions about failures: pure functions.

use crate::failure::{Failure, Fault};

/// How often a code that nobody knows is tried again.
const UNKNOWN_ATTEMPTS: u32 = 3;

/// How often a batch is tried that takes too long, before it is tried in parts.
const SLOW_ATTEMPTS: u32 = 1;

/// Into how many parts it is split then: each try of the part with what is slow takes all its time again.
const SLOW_PARTS: usize = 8;

/// How often a probe may find nothing at fault before the batch is halved: what was refused may be what the host made of
/// several events.
const FRUITLESS_MAX: u32 = 2;

/// Pauses because all events fail, before an operator has to decide how it goes on.
const PAUSES_MAX: u32 = 20;

/// The lane's next step with its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Try the batch again, after a wait.
    Retry,
    /// Try the batch in so many parts.
    Split(usize),
    /// Find the events at fault, park them, commit the others. One whose fault may be a matter of timing waits
    /// until the other lanes have passed it ([`super::frontier`]).
    Isolate,
    /// Give the batch back: the projection starts again from its checkpoint.
    Restart,
    /// Give the batch back: the projection waits for an operator.
    Pause,
    /// Give the batch back: another host writes.
    Stop,
}

/// `attempts` counts the tries before that failed in the same way, one after the other, of a batch of so many entries.
pub fn decide(failure: &Failure, attempts: u32, entries: usize) -> Decision {
    match failure {
        Failure::Unknown { .. } if attempts < UNKNOWN_ATTEMPTS => Decision::Retry,
        Failure::TooLarge { .. } if entries > 1 => Decision::Split(2),
        Failure::TooSlow { .. } if attempts < SLOW_ATTEMPTS => Decision::Retry,
        Failure::TooSlow { .. } if entries > 1 => Decision::Split(SLOW_PARTS),
        Failure::CommitsLost { .. } | Failure::TakenBack { .. } => Decision::Restart,
        _ => match failure.fault() {
            Fault::Event => Decision::Isolate,
            Fault::Environment => Decision::Retry,
            Fault::Setup => Decision::Pause,
            Fault::Fenced => Decision::Stop,
        },
    }
}

/// The lane's next step with a batch that MySQL refused, where no event of it is refused alone.
pub fn decide_fruitless(attempts: u32, entries: usize) -> Decision {
    if attempts >= FRUITLESS_MAX && entries > 1 { Decision::Split(2) } else { Decision::Retry }
}

/// Returns true where a failure of unknown cause was tried often enough to find who is at fault.
pub fn is_tried_enough(failure: &Failure, attempts: u32) -> bool {
    match failure {
        Failure::TooSlow { .. } => attempts >= SLOW_ATTEMPTS,
        _ => attempts >= UNKNOWN_ATTEMPTS,
    }
}

/// Evidence about refusals of which it is not known whether the events are at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// How many aggregates' events were refused alone, with nothing applied since the first of them.
    pub failing: usize,
    /// How many aggregates' events were taken by MySQL meanwhile.
    pub passing: usize,
    pub is_tried_enough: bool,
    /// How often the projection was paused for this before.
    pub pauses: u32,
}

/// Who is at fault for such refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It is too early to judge: try the batch again, after a wait.
    NotYet,
    /// These events: they are parked, and the breaker counts them.
    Events,
    /// Whatever all events meet: the projection pauses, and is tried again.
    Setup,
    /// An operator has to decide: the breaker opens.
    Unclear,
}

/// One event is at fault where MySQL takes others, or where there is no other one to ask.
pub fn blame(evidence: Evidence) -> Blame {
    let Evidence { failing, passing, is_tried_enough, pauses } = evidence;
    if !is_tried_enough {
        Blame::NotYet
    } else if passing > 0 || failing < 2 {
        Blame::Events
    } else if pauses < PAUSES_MAX {
        Blame::Setup
    } else {
        Blame::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_retried_for_as_long_as_it_takes() {
        let failure = Failure::ConnectionLost { message: String::new() };
        assert_eq!(decide(&failure, 1_000_000, 9), Decision::Retry);
    }

    #[test]
    fn an_events_fault_is_isolated_at_once() {
        let failure = Failure::RefusedValue { code: 1406, message: String::new() };
        assert_eq!(decide(&failure, 0, 9), Decision::Isolate);
    }

    #[test]
    fn a_setup_is_never_blamed_on_events() {
        let failure = Failure::SchemaMismatch { code: 1146, message: String::new() };
        assert_eq!(decide(&failure, 0, 9), Decision::Pause);
        let failure = Failure::Unknown { code: 9999, message: String::new() };
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS - 1, 9), Decision::Retry);
        assert_eq!(decide(&failure, UNKNOWN_ATTEMPTS, 9), Decision::Pause);
    }

    #[test]
    fn another_writer_stops_and_lost_commits_restart() {
        assert_eq!(decide(&Failure::Fenced { mine: 1, found: 2 }, 0, 9), Decision::Stop);
        assert_eq!(decide(&Failure::CommitsLost { committed: 2, found: 1 }, 0, 9), Decision::Restart);
    }

    #[test]
    fn what_is_too_large_is_halved_until_it_is_one_event() {
        let failure = Failure::TooLarge { code: 1197, message: String::new() };
        assert_eq!(decide(&failure, 0, 2), Decision::Split(2));
        assert_eq!(decide(&failure, 0, 1), Decision::Isolate);
    }

    #[test]
    fn what_takes_too_long_twice_is_tried_in_parts_until_it_is_one_event() {
        let failure = Failure::TooSlow { message: String::new() };
        assert_eq!(decide(&failure, 0, 500), Decision::Retry);
        assert_eq!(decide(&failure, 1, 500), Decision::Split(SLOW_PARTS));
        assert_eq!(decide(&failure, 0, 1), Decision::Retry);
        assert_eq!(decide(&failure, 1, 1), Decision::Isolate);
        assert!(!is_tried_enough(&failure, 0) && is_tried_enough(&failure, 1));
        let silent = Failure::TimedOut { message: String::new() };
        assert_eq!(
            decide(&silent, 1_000_000, 1),
            Decision::Retry,
            "a server that answers nobody is waited for"
        );
    }

    #[test]
    fn what_is_refused_together_only_is_halved_before_long() {
        assert_eq!(decide_fruitless(FRUITLESS_MAX - 1, 9), Decision::Retry);
        assert_eq!(decide_fruitless(FRUITLESS_MAX, 9), Decision::Split(2));
        assert_eq!(decide_fruitless(1_000_000, 1), Decision::Retry);
    }

    #[test]
    fn a_refusal_that_no_table_knows_is_the_events_unless_all_that_were_tried_are_refused() {
        let failure = Failure::UnknownRefusal { code: 60_000, message: String::new() };
        assert_eq!(decide(&failure, 0, 1), Decision::Isolate);
        let tried = |failing, passing| Evidence { failing, passing, is_tried_enough: true, pauses: 0 };
        assert_eq!(blame(tried(1, 0)), Blame::Events, "there is no other one to ask");
        assert_eq!(blame(tried(30, 1)), Blame::Events, "the breaker counts them");
        assert_eq!(blame(tried(2, 0)), Blame::Setup);
        assert!(
            !is_tried_enough(&failure, UNKNOWN_ATTEMPTS - 1) && is_tried_enough(&failure, UNKNOWN_ATTEMPTS)
        );
        let early = Evidence { is_tried_enough: false, ..tried(1, 99) };
        assert_eq!(blame(early), Blame::NotYet);
        let late = |pauses| Evidence { pauses, ..tried(2, 0) };
        assert_eq!(blame(late(PAUSES_MAX - 1)), Blame::Setup);
        assert_eq!(blame(late(PAUSES_MAX)), Blame::Unclear);
    }
}
