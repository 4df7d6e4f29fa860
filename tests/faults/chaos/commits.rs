//! Judges the history of commits that MySQL's triggers wrote: checkpoints only go forward, one batch at a time, and
//! under each epoch one host writes. A generation becomes live when it is as far as the one before.

use std::collections::{BTreeMap, BTreeSet};

use laterna::position::Position;

use super::checker::Violations;
use super::ground::{address, id};
use super::history::{Advance, Change, Grant};
use super::schedule::Who;

/// Each lease's epochs, one after another, each with one owner; gives how often a lease changed hands.
pub fn grants(grants: &[Grant], violations: &mut Violations) -> usize {
    let mut latest: BTreeMap<&str, &Grant> = BTreeMap::new();
    let mut take_overs = 0;
    for grant in grants {
        if let Some(before) = latest.get(grant.projection.as_str()) {
            if grant.epoch != before.epoch && grant.epoch != before.epoch + 1 {
                violations.add(format!("a lease went from {before:?} to {grant:?}"));
            }
            let (new, old) = (grant.owner.as_str(), before.owner.as_str());
            if grant.epoch == before.epoch && new != old && !new.is_empty() {
                violations.add(format!("two owners of one epoch: {before:?}, then {grant:?}"));
            }
            take_overs += usize::from(grant.epoch > before.epoch);
        }
        latest.insert(&grant.projection, grant);
    }
    take_overs
}

/// The checkpoint of each lane of each generation, commit by commit.
pub fn advances(advances: &[Advance], grants: &[Grant], violations: &mut Violations) {
    let owners: BTreeMap<(&str, u64), &str> = grants
        .iter()
        .filter(|grant| !grant.owner.is_empty())
        .map(|grant| ((grant.projection.as_str(), grant.epoch), grant.owner.as_str()))
        .collect();
    let mut latest: BTreeMap<(&str, u32, u32), &Advance> = BTreeMap::new();
    for advance in advances {
        if let Some(before) = latest.insert((&advance.projection, advance.generation, advance.lane), advance)
        {
            if let Some(wrong) = step(before, advance) {
                violations.add(format!("{wrong}: {before:?}, then {advance:?}"));
            }
            let is_batch = advance.batch != before.batch;
            let owner = owners.get(&(advance.projection.as_str(), advance.epoch)).copied();
            if is_batch && owner != writer(&advance.by) {
                violations.add(format!("the epoch is {owner:?}'s, and another one wrote: {advance:?}"));
            }
        }
    }
}

/// A generation takes the live one's place when it is as far, but where an operator took what a MongoDB has that was put
/// back.
pub fn changes(changes: &[Change], accepted: &BTreeSet<(String, u32)>, violations: &mut Violations) {
    let mut latest: BTreeMap<&str, u32> = BTreeMap::new();
    for change in changes {
        let ([gone, come], [before, after]) = (change.generations, change.events);
        if latest.insert(&change.projection, come).is_some_and(|live| live != gone) {
            violations.add(format!("another generation was live: {change:?}"));
        }
        if after < before && !accepted.contains(&(change.projection.clone(), come)) {
            violations.add(format!("a generation became live that was not as far: {change:?}"));
        }
    }
}

/// What is wrong with a step of a lane.
fn step(before: &Advance, after: &Advance) -> Option<&'static str> {
    let (was, is) = (position(before), position(after));
    if after.epoch < before.epoch {
        Some("an epoch that was over wrote")
    } else if after.batch != before.batch && after.batch != before.batch + 1 {
        Some("a batch is missing or was done twice")
    } else if is.compare(&was).is_lt() {
        Some("a checkpoint went back")
    } else if after.events < before.events {
        Some("a checkpoint counts fewer events than before")
    } else if after.batch == before.batch && (after.events != before.events || is.compare(&was).is_ne()) {
        Some("a checkpoint moved without a batch")
    } else {
        None
    }
}

fn position(advance: &Advance) -> Position {
    serde_json::from_str(&advance.position).expect("it is one of the host's positions")
}

/// The host whose sessions come from an address.
fn writer(came_from: &str) -> Option<&'static str> {
    Who::BOTH.into_iter().find(|who| address(*who).to_string() == came_from).map(id)
}
