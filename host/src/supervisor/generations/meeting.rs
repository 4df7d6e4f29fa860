//! Decides what comes next of a generation that stands where the live one does: cut-over, comparison, a wait for an operator, or more
//! building. Pure.

use super::completeness;
use crate::position::Position;
use crate::readmodel::control::deployment::Origin;
use crate::readmodel::control::generation::{Generation, GenerationState, Purpose};
use crate::readmodel::lane::checkpoint::LaneRow;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// It is built on, and why.
    BackToWork(String),
    /// Both come to this position.
    Meet(Position),
    /// Both are compared as they are.
    Compare,
    /// Whether the outbox holds all that the live one took has to be known first.
    AskOutbox,
    /// It waits for an operator's word: this is what it lacks.
    Wait(String),
    /// It takes the live one's place.
    CutOver,
}

/// Where the lanes of both generations stand.
#[derive(Debug, Clone, Copy)]
pub struct BothLanes<'a> {
    pub live: &'a [LaneRow],
    pub beside: &'a [LaneRow],
}

/// What is known of the live lanes' events.
#[derive(Debug, Clone, Copy)]
pub struct LiveEvents<'a> {
    /// Why it is not known which these are.
    pub untold: Option<&'a String>,
    pub outbox: &'a OutboxAnswer,
}

/// What is known of the outbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OutboxAnswer {
    #[default]
    Unasked,
    /// What it lacks of the live lanes' events, if it lacks any.
    Asked(Option<String>),
}

/// What comes next where the lanes stand so. `waited` says that the live ones had their time to come to one position with the others.
pub fn next(generation: &Generation, lanes: BothLanes<'_>, waited: bool, events: LiveEvents<'_>) -> Next {
    let BothLanes { live, beside } = lanes;
    let all = || live.iter().chain(beside).map(|row| &row.position);
    let Some(furthest) = all().max_by(|a, b| a.compare(b)) else {
        return Next::BackToWork("its lanes are gone".to_owned());
    };
    let at = |rows: &[LaneRow]| rows.iter().all(|row| row.position.compare(furthest).is_eq());
    match generation.purpose {
        // Where the live lanes cannot go on, it is enough that the others are further.
        Purpose::Replace | Purpose::Look if at(beside) && (at(live) || waited) => {
            let lacks = if generation.lacks_accepted {
                None
            } else if events.untold.is_some() {
                events.untold.cloned()
            } else if at(live) {
                completeness::lacks(live, beside, generation.origin == Origin::Rollback)
            } else {
                // What the live lanes took has to be in the outbox still, from which the others took it.
                let OutboxAnswer::Asked(lacks) = events.outbox else { return Next::AskOutbox };
                lacks.clone()
            };
            lacks.map_or(Next::CutOver, Next::Wait)
        }
        Purpose::Verify | Purpose::Repair if at(beside) && at(live) => Next::Compare,
        _ => Next::Meet(furthest.clone()),
    }
}

/// The generation to work on next: one that is being dropped comes before one that is being built, since a command may wait for
/// its end, and what is built may wait for an operator.
pub fn first(next_step: &[Generation]) -> Option<&Generation> {
    let goes = next_step.iter().find(|one| one.state == GenerationState::Dropping);
    goes.or_else(|| next_step.iter().find(|one| one.state != GenerationState::Kept))
}

/// Why a generation that has caught up does not meet the live one before an operator says a word.
pub fn awaits_word(projection: &str, generation: &Generation) -> Option<String> {
    let lacks = generation.lacks.as_ref().filter(|_| !generation.lacks_accepted)?;
    Some(format!(
        "{lacks}; `laterna generations accept {projection} {0}` takes it as it is, `laterna generations drop {projection} {0}` \
         gives it up",
        generation.generation
    ))
}

/// What a generation becomes that was compared, and what it lacks then. Where rows differ, a repair takes the live one's
/// place, unless events are missing.
pub fn compared(
    purpose: Purpose,
    is_clean: bool,
    lacks: Option<&String>,
) -> ((GenerationState, Purpose), Option<String>) {
    if purpose == Purpose::Repair && !is_clean {
        return ((GenerationState::Building, Purpose::Replace), lacks.cloned());
    }
    ((GenerationState::Dropping, purpose), None)
}
