//! The checker of each change of the shared rows: it refuses what a correct host would never do.
//!
//! It knows which events rows were made from, when something was shown and asked for, and nothing of what hosts
//! remember.

use std::collections::BTreeSet;
use std::time::Duration;

use super::rows::{AskedCommand, GenerationTables, Rows};
use crate::readmodel::control::command::overtake::overtakes;
use crate::readmodel::control::command::{Command, CommandOutcome, Request, Step, WAIT_MAX};
use crate::readmodel::control::generation::Generation;

/// How long what cures may take while hosts run, whatever else waits.
const CURE_MAX: Duration = Duration::from_mins(3);

/// The longest wait of a command before its reason is recorded.
const SILENCE_MAX: Duration = Duration::from_secs(90);

/// Tables never take the live ones' place without an event of theirs, unless an operator knew and confirmed it; nor with a
/// component that something was deployed after.
pub fn cut_over(rows: &Rows, next: &Generation) -> Result<(), String> {
    let number = next.generation;
    let (Some(here), Some(there)) = (rows.tables.get(&rows.live), rows.tables.get(&number)) else {
        return Err(format!("generation {number} takes the live one's place without tables"));
    };
    let lacking: Vec<i64> = here.events().difference(&there.events()).copied().collect();
    if !lacking.is_empty() && !rows.words.contains(&number) {
        return Err(format!(
            "generation {number} is live without the events {lacking:?}, and nobody confirmed it"
        ));
    }
    let before = rows.opened.get(&number).copied().unwrap_or_default();
    if next.digest != rows.in_force().1 && rows.deployments.len() > before {
        return Err(format!("generation {number} undoes what was deployed since it was begun"));
    }
    Ok(())
}

/// Tables are made anew unasked only when the outbox held all that the live ones were made from.
pub fn begun(rows: &Rows, held: &BTreeSet<i64>) -> Result<(), String> {
    let made = rows.tables.get(&rows.live).map(GenerationTables::events).unwrap_or_default();
    match made.difference(held).next() {
        Some(lacking) => {
            Err(format!("the tables are made anew unasked, and the outbox does not hold event {lacking}"))
        }
        None => Ok(()),
    }
}

/// A command changes nothing that was asked for after it, and accepts nothing that was not shown before.
pub fn decided(rows: &mut Rows, command: &Command, steps: &[Step]) -> Result<(), String> {
    let at = rows.commands.get(&command.id).map(|asked| asked.at);
    for step in steps {
        match step {
            Step::Deploy if rows.deployments.iter().any(|one| one.command > Some(command.id)) => {
                return Err(format!(
                    "command {} undoes a deployment that was asked for after it",
                    command.id
                ));
            }
            Step::Open
                if overtakes(&command.request)
                    && rows.deployments.iter().any(|one| one.command > Some(command.id)) =>
            {
                return Err(format!(
                    "command {} has tables built that undo a deployment which was asked for after it",
                    command.id
                ));
            }
            Step::Set(changed) if changed.lacks_accepted => {
                let number = changed.generation;
                if rows.shown.get(&number).is_none_or(|shown| Some(*shown) >= at) {
                    return Err(format!(
                        "generation {number} may lack what was not shown to whoever confirmed it"
                    ));
                }
                rows.words.insert(number);
            }
            Step::Finish(other, CommandOutcome::Failed(_)) if *other > command.id => {
                return Err(format!(
                    "command {} ends command {other}, which was asked for after it",
                    command.id
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing that waits blocks what cures; whatever waits has its reason recorded, and does not wait for ever.
pub fn waiting(rows: &Rows, up: Duration) -> Result<(), String> {
    for asked in rows.commands.values().filter(|asked| asked.ended.is_none()) {
        let (id, told) = (asked.command.id, asked.command.request.told());
        let age = asked.at.elapsed().min(up);
        // What needs MongoDB may need nothing when something else is in force.
        let same = rows.deployments.last().map_or(Duration::ZERO, |last| last.at.elapsed());
        if cures(rows, asked) && age.min(same) > CURE_MAX {
            return Err(format!("command {id} ({told}) waits for others: {:?}", asked.waits));
        }
        let stands = rows.standing.iter().any(|one| one.command == Some(id));
        if age > SILENCE_MAX && asked.waits.is_none() && !stands {
            return Err(format!("command {id} ({told}) has no reason recorded for its wait"));
        }
        if let Some((why, since)) = &asked.waits
            && since.elapsed() > WAIT_MAX + SILENCE_MAX
            && up > SILENCE_MAX
        {
            return Err(format!("command {id} ({told}) is not given up: {why}"));
        }
    }
    Ok(())
}

/// Returns true where a command needs nothing but rows.
fn cures(rows: &Rows, asked: &AskedCommand) -> bool {
    let fits = |digest: &str| digest.starts_with(&rows.in_force().1[..1]);
    match &asked.command.request {
        Request::Deploy { digest, .. } => fits(digest),
        Request::DropGeneration { .. } | Request::AcceptGeneration { .. } => true,
        Request::Rollback => rows.deployments.iter().all(|one| fits(&one.digest)),
        _ => false,
    }
}
