//! What became of an aggregate's events, from what is remembered of some of them. Pure.

use serde::{Deserialize, Serialize};

use crate::readmodel::lane::dead_letter::Letter;
use crate::readmodel::lane::taken::{TakenAs, TakenFound};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventFate {
    /// What the projector made of it was applied to the live tables.
    Applied,
    /// It came to nothing: the projector does not take its type, or made nothing of it, or the upcaster did not.
    Ignored,
    /// It was a dead letter, and was given up.
    Discarded,
    /// It is a dead letter.
    Parked,
    /// It waits behind a dead letter of its aggregate.
    Held,
    /// It was taken, and it is not remembered what it came to.
    Passed,
    /// It was not taken yet.
    Pending,
    /// It is not known whether it was taken.
    Unknown,
}

impl EventFate {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Ignored => "ignored",
            Self::Discarded => "discarded",
            Self::Parked => "parked",
            Self::Held => "held",
            Self::Passed => "passed",
            Self::Pending => "pending",
            Self::Unknown => "unknown",
        }
    }

    /// What it became, what is not known of that, and the letter that it is.
    pub(super) fn of(what: TakenAs) -> (Self, Option<String>, Option<Letter>) {
        let said = |became| (became, None, None);
        match what {
            TakenAs::Applied => said(Self::Applied),
            TakenAs::Ignored => said(Self::Ignored),
            TakenAs::Discarded => said(Self::Discarded),
            TakenAs::Pending { .. } => said(Self::Pending),
            TakenAs::Unsaid | TakenAs::Passed => (Self::Passed, Some(FORGOTTEN.to_owned()), None),
            TakenAs::Unknown(why) => (Self::Unknown, Some(why.to_owned()), None),
            TakenAs::Letter(letter) if letter.is_held() => (Self::Held, None, Some(*letter)),
            TakenAs::Letter(letter) => (Self::Parked, None, Some(*letter)),
        }
    }
}

const FORGOTTEN: &str = "the host does not remember this event any more, so it is unknown what became of it, and with which component";

const NEVER_SEEN: &str =
    "the host does not remember this event: it was handled before the remembered ones, or not yet";

const PASSED_BY: &str = "the host does not remember this event, but has handled a later one of the aggregate: it handled this one \
    before the remembered ones, or the projection began after it";

/// What is known of a page's events, in their order. Those of an aggregate are taken in their order, and remembered in it: so
/// what one of them came to tells of those before it, and of those behind it. `newest`: what became of the last one there is,
/// where the page does not have it.
pub(super) fn settled(mut taken: Vec<TakenFound>, newest: Option<&TakenAs>) -> Vec<TakenFound> {
    let mut is_passed = newest.is_some_and(is_told);
    for one in taken.iter_mut().rev() {
        if is_told(&one.what) {
            is_passed = true;
        } else if is_passed && one.what != TakenAs::Passed {
            one.what = TakenAs::Unknown(PASSED_BY);
        }
    }
    let mut follows = false;
    for one in &mut taken {
        follows |= is_told(&one.what);
        if matches!(one.what, TakenAs::Pending { .. }) && !follows {
            one.what = TakenAs::Unknown(NEVER_SEEN);
        }
    }
    taken
}

/// Returns true where it is remembered what became of it.
fn is_told(what: &TakenAs) -> bool {
    matches!(
        what,
        TakenAs::Applied | TakenAs::Ignored | TakenAs::Discarded | TakenAs::Letter(_) | TakenAs::Unsaid
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use TakenAs::{Applied, Ignored, Passed, Unknown};

    const PENDING: TakenAs = TakenAs::Pending { may_be_forgotten: true };

    fn check(taken: &[TakenAs], newest: Option<&TakenAs>, expect: &[TakenAs]) {
        let taken = taken.iter().map(|what| TakenFound { what: what.clone(), row: None }).collect();
        let settled: Vec<TakenAs> = settled(taken, newest).into_iter().map(|one| one.what).collect();
        assert_eq!(settled, expect);
    }

    #[test]
    fn what_stands_behind_a_remembered_event_and_is_not_remembered_is_pending() {
        check(&[Applied, Ignored, PENDING], None, &[Applied, Ignored, PENDING]);
    }

    #[test]
    fn what_stands_before_a_remembered_event_is_not_pending() {
        check(&[PENDING, PENDING, Applied], None, &[Unknown(PASSED_BY), Unknown(PASSED_BY), Applied]);
        check(&[PENDING, Passed], Some(&Applied), &[Unknown(PASSED_BY), Passed]);
    }

    #[test]
    fn where_no_event_is_remembered_nobody_knows() {
        check(&[PENDING, PENDING], None, &[Unknown(NEVER_SEEN), Unknown(NEVER_SEEN)]);
        check(&[PENDING], Some(&PENDING), &[Unknown(NEVER_SEEN)]);
        check(&[Passed, Unknown("restored")], None, &[Passed, Unknown("restored")]);
    }
}
