//! The changes that operators may make to generations beside the live one: pure.

use super::{Generation, GenerationState, Purpose};
use crate::readmodel::control::deployment::Origin;

/// A change of a generation beside the live one, as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It takes the live one's place whatever dead letters it has, and whatever it was shown to lack, where that is known.
    Accept {
        shown: Option<String>,
    },
    /// It catches up and takes the live one's place again.
    Return,
    Drop,
}

/// The result of a change: the generation as it is then, and those that are given up for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    pub generation: Generation,
    pub gives_up: Vec<u32>,
}

/// Why no other generation can be begun just now.
pub fn in_the_way(standing: &[Generation]) -> Option<String> {
    let busy = standing
        .iter()
        .find(|generation| !matches!(generation.state, GenerationState::Kept | GenerationState::Dropping))?;
    Some(format!(
        "generation {} is {}; one is built at a time: wait for it, or give it up with `laterna generations drop`",
        busy.generation,
        busy.state.name()
    ))
}

/// Why nothing may happen to the live generation just now: another one is taking its place.
pub fn is_taking_over(standing: &[Generation]) -> Option<String> {
    let next = standing.iter().find(|one| one.state == GenerationState::CuttingOver)?;
    Some(format!("generation {} is just taking the live one's place", next.generation))
}

/// Which generations are given up where another one begins; or why it does not begin: beside one that is being built only
/// what overtakes it does.
pub fn opening(standing: &[Generation], overtakes: bool) -> Result<Vec<u32>, String> {
    let obstacle = if overtakes { is_taking_over(standing) } else { in_the_way(standing) };
    obstacle.map_or_else(|| Ok(built(standing)), Err)
}

/// Those that are on their way to something.
fn built(standing: &[Generation]) -> Vec<u32> {
    let is_built =
        |one: &&Generation| !matches!(one.state, GenerationState::Kept | GenerationState::Dropping);
    standing.iter().filter(is_built).map(|one| one.generation).collect()
}

/// Applies a change to a generation, or returns why it is not made.
pub fn changing(
    standing: &[Generation],
    projection: &str,
    generation: u32,
    change: &Change,
) -> Result<Changed, String> {
    let found = standing.iter().find(|found| found.generation == generation).ok_or_else(|| {
        format!(
            "there is no generation {generation} beside the live one; `laterna generations list {projection}` lists them"
        )
    })?;
    if let Some(obstacle) = obstacle(found, standing, change) {
        return Err(obstacle);
    }
    let found = found.clone();
    Ok(match change {
        // What was not shown yet is not accepted.
        Change::Accept { .. } => {
            let lacks_accepted = found.lacks_accepted || found.lacks.is_some();
            let generation = Generation { accepted: true, lacks_accepted, reason: None, ..found };
            Changed { generation, gives_up: vec![] }
        }
        Change::Return => {
            let generation = Generation {
                state: GenerationState::Building,
                purpose: Purpose::Replace,
                accepted: true,
                attempts: 0,
                reason: None,
                origin: Origin::Rollback,
                lacks: None,
                lacks_accepted: false,
                ..found
            };
            Changed { generation, gives_up: built(standing) }
        }
        Change::Drop => {
            Changed { generation: Generation { state: GenerationState::Dropping, ..found }, gives_up: vec![] }
        }
    })
}

/// Why a generation cannot be changed so.
fn obstacle(found: &Generation, standing: &[Generation], change: &Change) -> Option<String> {
    let (number, state) = (found.generation, found.state);
    match change {
        Change::Accept { .. }
            if matches!(state, GenerationState::Kept | GenerationState::Dropping)
                || found.purpose != Purpose::Replace =>
        {
            Some(format!("generation {number} is not one that waits to take the live one's place"))
        }
        // A word about something else is none about this.
        Change::Accept { shown: Some(shown) } => {
            let lacks = found.lacks.as_ref().filter(|lacks| !found.lacks_accepted && *lacks != shown)?;
            Some(format!(
                "since you looked, it was found that generation {number} lacks events: {lacks}; accept it again if you agree"
            ))
        }
        Change::Return if state != GenerationState::Kept => {
            Some(format!("generation {number} is {}; only a kept one can return", state.name()))
        }
        Change::Return if !found.part.is_all() => Some(format!(
            "generation {number} holds a part of history only, so it cannot take the live one's place"
        )),
        Change::Return => is_taking_over(standing),
        Change::Drop if state == GenerationState::CuttingOver => {
            Some(format!("generation {number} is just taking the live one's place"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readmodel::control::generation::HistoryFilter;

    fn generation(state: GenerationState) -> Generation {
        Generation { place: "laterna_g2_accounts".into(), ..Generation::plain(2, state) }
    }

    #[test]
    fn a_generation_is_changed_only_where_that_makes_sense() {
        let accept = || Change::Accept { shown: None };
        let refused = |state, change: Change| {
            let found = generation(state);
            obstacle(&found, std::slice::from_ref(&found), &change).is_some()
        };
        assert!(!refused(GenerationState::Building, accept()) && refused(GenerationState::Kept, accept()));
        assert!(refused(GenerationState::Dropping, accept()));
        assert!(
            !refused(GenerationState::Kept, Change::Return)
                && refused(GenerationState::Building, Change::Return)
        );
        assert!(
            !refused(GenerationState::Kept, Change::Drop)
                && !refused(GenerationState::Building, Change::Drop)
        );
        assert!(refused(GenerationState::CuttingOver, Change::Drop));
        let part = HistoryFilter { aggregate: Some("Account/1".into()), ..HistoryFilter::default() };
        let look = Generation { part, ..generation(GenerationState::Kept) };
        assert!(obstacle(&look, &[], &Change::Return).is_some());
        let busy = [generation(GenerationState::Kept), generation(GenerationState::Building)];
        assert_eq!(obstacle(&busy[0], &busy, &Change::Return), None, "the way back waits for nothing");
        let busy = [generation(GenerationState::Kept), generation(GenerationState::CuttingOver)];
        assert!(
            obstacle(&busy[0], &busy, &Change::Return)
                .is_some_and(|why| why.contains("taking the live one's"))
        );
    }

    #[test]
    fn a_word_counts_for_what_was_shown_and_for_nothing_that_was_found_since() {
        let lacks =
            |lacks: &str| Generation { lacks: Some(lacks.into()), ..generation(GenerationState::Building) };
        let accept = |shown: Option<&str>| Change::Accept { shown: shown.map(str::to_owned) };
        let after = |found: &Generation, shown| {
            changing(std::slice::from_ref(found), "accounts", 2, &accept(shown)).map(|one| one.generation)
        };
        assert!(after(&lacks("event 7"), Some("event 7")).is_ok_and(|one| one.lacks_accepted));
        let late = after(&lacks("event 7"), Some("")).expect_err("it was not shown");
        assert!(late.contains("event 7"), "{late}");
        assert!(after(&lacks("event 7"), None).is_ok_and(|one| one.lacks_accepted), "it cannot say so");
        assert!(after(&generation(GenerationState::Building), Some("")).is_ok_and(|one| !one.lacks_accepted));
    }
}
