//! Overtaking: a deployment or a rollback waits for nothing, so it ends whatever is being built beside the live tables,
//! and deployments that were asked for before it and are not done. It never ends a generation that is just taking the
//! live one's place.

use super::{Act, Command, CommandOutcome, Request, asks_for};
use crate::failure::Failure;
use crate::readmodel::control::control_db::{ControlTransaction, LeaderDb, ProjectionTransaction};
use crate::readmodel::control::control_sql::ControlRow;
use crate::readmodel::control::deployment::{self, Proposal};
use crate::readmodel::control::generation::{self, Generation, GenerationState, Purpose};
use crate::readmodel::control::lease::UnderLease;

const BETWEEN: &str = "something else was deployed just now";

/// The way of a command: free, blocked or over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Free,
    /// It ends with this.
    Ends(CommandOutcome),
    /// Another host has done it.
    Over,
    /// A change that is under way cannot be ended, and takes a moment.
    Waits(String),
}

/// The rows of a projection that a command is decided on. They are locked: nobody else changes them meanwhile.
#[derive(Debug, Clone, Default)]
pub struct LockedRows {
    /// True while the command is still to be done.
    pub is_pending: bool,
    /// Commands that deploy, or go back, and are not done. Whichever is done first has ended those that were asked for before it.
    pub deployments: Vec<Other>,
    /// The deployment that is in force, and its digest.
    pub in_force: Option<(u64, String)>,
    pub standing: Vec<Generation>,
    /// True where a generation stands for the command already.
    pub stands_for: bool,
}

/// The commands and generations that a command ends to have its way free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleared {
    pub commands: Vec<u64>,
    pub generations: Vec<u32>,
}

/// Decides whether a command can be carried out, and what ends for that. `seen` is the deployment that was in force
/// when the command was prepared.
pub fn way(command: &Command, seen: Option<u64>, act: &Act<'_>, rows: &LockedRows) -> (Way, Cleared) {
    let in_force = rows.in_force.as_ref().map(|(id, _)| *id);
    let nothing = Cleared::default();
    if !rows.is_pending {
        return (Way::Over, nothing);
    }
    if !overtakes(&command.request) {
        // What is made from the deployment in force waits where another one came between.
        let is_same = seen.is_none() || in_force == seen;
        return (if is_same { Way::Free } else { Way::Waits(BETWEEN.to_owned()) }, nothing);
    }
    if in_force != seen {
        return (Way::Waits(BETWEEN.to_owned()), nothing);
    }
    if let Some(obstacle) = generation::is_taking_over(&rows.standing) {
        return (Way::Waits(obstacle), nothing);
    }
    let earlier = || rows.deployments.iter().filter(|other| other.id < command.id);
    let digest = rows.in_force.as_ref().map(|(_, digest)| digest.as_str()).unwrap_or_default();
    // What was deployed and has to be built first is not in force yet: that is what is taken back.
    let comes = |one: &Generation| one.is_built() && one.purpose == Purpose::Replace && one.digest != digest;
    let mut given_up =
        earlier().find(|other| !other.is_rollback).map(|other| format!("command {}", other.id));
    if command.request == Request::Rollback {
        let coming = rows.standing.iter().find(|one| comes(one));
        given_up = given_up.or(coming.map(|one| format!("generation {}", one.generation)));
    }
    // What is only put in force needs no place of its own, and leaves what is looked at where it is.
    let needs_place = !matches!(act, Act::Deploy(_));
    let ends = |one: &&Generation| match command.request {
        Request::Rollback if given_up.is_some() => comes(one),
        _ => one.is_built() && (needs_place || one.purpose != Purpose::Look),
    };
    let cleared = Cleared {
        commands: earlier().map(|other| other.id).collect(),
        generations: rows.standing.iter().filter(ends).map(|one| one.generation).collect(),
    };
    let way = match given_up {
        Some(what) if command.request == Request::Rollback => Way::Ends(CommandOutcome::Done(format!(
            "{what} is given up before it came into force; {} stays so",
            digest.get(..12).unwrap_or("what is there")
        ))),
        _ => Way::Free,
    };
    (way, cleared)
}

/// Returns true for a command that waits for nothing that is being built.
pub fn overtakes(request: &Request) -> bool {
    matches!(request, Request::Deploy { .. } | Request::Rollback)
}

impl ProjectionTransaction<'_> {
    /// Reads what a command is decided on, and locks it; in the same order, whoever does so.
    pub async fn lock_rows(&mut self, command: &Command) -> Result<LockedRows, Failure> {
        let mut rows = LockedRows::default();
        if overtakes(&command.request) {
            rows.deployments = self.lock_deployments().await?;
            rows.is_pending = rows.deployments.iter().any(|other| other.id == command.id);
        } else {
            rows.is_pending = self.lock_pending_command(command.id).await?;
        }
        if rows.is_pending {
            rows.in_force = self.lock_deployment_in_force().await?;
            rows.standing = self.lock_generations().await?;
            rows.stands_for = rows.standing.iter().any(|one| one.command == Some(command.id));
        }
        Ok(rows)
    }
}

impl ControlTransaction<'_> {
    /// Locks a command, and returns true while it is still to be done.
    pub(super) async fn lock_pending_command(&mut self, id: u64) -> Result<bool, Failure> {
        let lock = self.statement(
            "carrying a command out",
            "SELECT 1 FROM laterna.command WHERE id = ? AND state = 'pending' FOR UPDATE",
        );
        let found = lock.bind(id).first(self).await?;
        Ok(found.is_some())
    }
}

/// Why something else ends, for whoever waits for it.
pub fn superseded(command: &Command) -> String {
    format!(
        "superseded by command {} ({}): ask again if it is still wanted",
        command.id,
        command.request.told()
    )
}

/// A command that deploys, or goes back, and is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other {
    pub id: u64,
    pub is_rollback: bool,
}

impl ProjectionTransaction<'_> {
    /// Locks the commands that deploy, or go back, and are not done, in the same order whoever does so.
    async fn lock_deployments(&mut self) -> Result<Vec<Other>, Failure> {
        let sql = self.statement(
            "reading commands",
            format!(
                "SELECT id, CAST({} AS SIGNED) FROM laterna.command \
                 WHERE projection = ? AND state = 'pending' AND {} ORDER BY id FOR UPDATE",
                asks_for(&["rollback"]),
                asks_for(&["rollback", "deploy"])
            ),
        );
        let rows = sql.bind(self.projection).rows(self).await?;
        let one = |row: &ControlRow| Ok(Other { id: row.get(0)?, is_rollback: row.is(1)? });
        rows.iter().map(one).collect()
    }

    /// The deployment that is in force, and its digest; locked.
    async fn lock_deployment_in_force(&mut self) -> Result<Option<(u64, String)>, Failure> {
        let sql = self.statement(
            "reading the deployment",
            "SELECT id, digest FROM laterna.deployment WHERE projection = ? AND state = 'deployed' \
             ORDER BY id DESC LIMIT 1 FOR UPDATE",
        );
        let found = sql.bind(self.projection).first(self).await?;
        let pair = |row: ControlRow| Ok((row.get(0)?, row.get(1)?));
        found.map(pair).transpose()
    }
}

impl LeaderDb<'_> {
    /// Records a deployment under the lease, and gives up what is being built with another component. It is blocked while a
    /// generation is taking the live one's place. After a failure the session must not be used again.
    pub async fn deploy_over_others(&mut self, proposal: Proposal<'_>) -> Result<UnderLease<()>, Failure> {
        let mut transaction = self.begin("recording the deployment").await?;
        let control = transaction.control;
        let standing = transaction.lock_generations().await?;
        if let Some(obstacle) = generation::is_taking_over(&standing) {
            transaction.rollback().await?;
            return Ok(UnderLease::Blocked(obstacle));
        }
        let why = format!("superseded by a deployment of {}", proposal.by);
        let ends = standing.iter().filter(|one| one.is_built() && one.purpose != Purpose::Look);
        let ends: Vec<u32> = ends.map(|one| one.generation).collect();
        transaction.give_up_generations(&ends, &why).await?;
        deployment::deploy(&mut transaction, control, proposal).await?;
        transaction.commit().await?;
        Ok(UnderLease::Done(()))
    }
}

impl Generation {
    /// Returns true while it is being built, and can be given up.
    fn is_built(&self) -> bool {
        matches!(
            self.state,
            GenerationState::Building | GenerationState::Meeting | GenerationState::Comparing
        )
    }
}
