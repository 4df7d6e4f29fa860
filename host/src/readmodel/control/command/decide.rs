//! The decision about a command on components and generations, from the rows that it depends on: pure.

use super::overtake::{self, LockedRows, Way};
use super::{Command, CommandOutcome};
use crate::readmodel::control::deployment::Proposal;
use crate::readmodel::control::generation::{self, Change, Generation, Wanted};

/// The end of a try to carry a command out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It is done with, by this host or by another one, or goes on by itself.
    Over,
    /// It is to be tried again.
    Waits(String),
}

/// The change that a command asks for.
#[derive(Debug, Clone)]
pub enum Act<'a> {
    /// Put a component in force. Without one there is none to go back to; but what is not in force yet may be taken back.
    Deploy(Option<Proposal<'a>>),
    Open(Wanted<'a>),
    Change {
        projection: &'a str,
        generation: u32,
        change: Change,
    },
}

/// A change of the control schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command ends: this one, or one that it supersedes.
    Finish(u64, CommandOutcome),
    /// Generations are given up, and why.
    GiveUp(Vec<u32>, String),
    Deploy,
    Open,
    Set(Box<Generation>),
}

/// The decision about a command: changes that are made in one transaction, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub steps: Vec<Step>,
    pub tried: Tried,
}

/// Decides what a command comes to; `result` is its text when it is done. A command that waits for what its generation comes to
/// stays as it is.
pub fn decide(
    command: &Command,
    seen: Option<u64>,
    act: &Act<'_>,
    result: &str,
    rows: &LockedRows,
) -> Decided {
    let over = |steps| Decided { steps, tried: Tried::Over };
    let ends = |outcome| Step::Finish(command.id, outcome);
    let (way, cleared) = overtake::way(command, seen, act, rows);
    let by = overtake::superseded(command);
    let failed = CommandOutcome::Failed(by.clone());
    let mut steps: Vec<Step> =
        cleared.commands.iter().map(|other| Step::Finish(*other, failed.clone())).collect();
    steps.extend(some(cleared.generations.clone(), &by));
    // What is given up is not in the way of what follows.
    let mut standing = rows.standing.clone();
    for gone in standing.iter_mut().filter(|one| cleared.generations.contains(&one.generation)) {
        gone.state = gone.given_up();
    }
    match way {
        Way::Over => return over(vec![]),
        Way::Waits(what) => return Decided { steps: vec![], tried: Tried::Waits(what) },
        Way::Ends(outcome) => {
            steps.push(ends(outcome));
            return over(steps);
        }
        Way::Free => {}
    }
    let refused = |why: String| over(vec![ends(CommandOutcome::Failed(why))]);
    match act {
        Act::Deploy(None) => return refused(result.to_owned()),
        Act::Deploy(Some(_)) => steps.push(Step::Deploy),
        // Another host was faster.
        Act::Open(wanted) if wanted.command.is_some() && rows.stands_for => return over(vec![]),
        Act::Open(wanted) => match generation::opening(&standing, wanted.overtakes.is_some()) {
            Ok(gone) => {
                steps.extend(some(gone, wanted.overtakes.unwrap_or_default()));
                steps.push(Step::Open);
                if wanted.command.is_some() {
                    return over(steps);
                }
            }
            Err(why) => return refused(why),
        },
        Act::Change { projection, generation, change } => {
            match generation::changing(&standing, projection, *generation, change) {
                Ok(changed) => {
                    let why = format!("superseded by the return to generation {generation}");
                    steps.extend(some(changed.gives_up, &why));
                    steps.push(Step::Set(Box::new(changed.generation)));
                }
                Err(why) => return refused(why),
            }
        }
    }
    steps.push(ends(CommandOutcome::Done(result.to_owned())));
    over(steps)
}

fn some(generations: Vec<u32>, why: &str) -> Option<Step> {
    (!generations.is_empty()).then(|| Step::GiveUp(generations, why.to_owned()))
}
