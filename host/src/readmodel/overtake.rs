//! What a deployment, or a way back, ends so that it waits for nothing: whatever is being built beside the live tables, and
//! deployments that were asked for before it and are not done. It never ends a generation that is just taking the live one's
//! place.

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Row};

use super::command::{Command, Outcome, Request, finish_in};
use super::control::Control;
use super::deployment::{self, Proposal};
use super::generation::{self, Generation, Purpose, State};
use super::lease;
use super::mysql_error::classify;
use super::query::Run;
use super::session::Session;
use crate::failure::Failure;

const BETWEEN: &str = "something else was deployed just now";

/// What stands before a command that overtakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Free,
    /// It ends with this.
    Ends(Outcome),
    /// Another host has done it.
    Over,
    /// What goes on just now cannot be ended; it takes a moment.
    Waits(String),
}

/// Clears the way of a deployment or a rollback, in its transaction. `seen` is the deployment that was in force when it was
/// decided what is to be done.
pub async fn clear(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    command: &Command,
    (seen, needs_place): (Option<u64>, bool),
) -> Result<Way, Failure> {
    let others = deployments(connection, control, projection, command.id).await?;
    if !others.iter().any(|other| other.id == command.id && other.state == "pending") {
        return Ok(Way::Over);
    }
    if let Some(later) = others.iter().find(|other| other.id > command.id && other.state == "done") {
        let why = format!("superseded by command {}, which was asked for after it", later.id);
        return Ok(Way::Ends(Outcome::Failed(why)));
    }
    let in_force = in_force(connection, control, projection).await?;
    if in_force.as_ref().map(|(id, _)| *id) != seen {
        return Ok(Way::Waits(BETWEEN.to_owned()));
    }
    let standing = generation::locked(connection, control, projection).await?;
    if let Some(obstacle) = generation::is_taking_over(&standing) {
        return Ok(Way::Waits(obstacle));
    }
    let by = superseded(command);
    let earlier = others.iter().filter(|other| other.id < command.id && other.state == "pending");
    let mut given_up = None;
    for other in earlier {
        finish_in(connection, control, other.id, &Outcome::Failed(by.clone())).await?;
        given_up = given_up.or((!other.is_rollback).then(|| format!("command {}", other.id)));
    }
    let digest = in_force.map(|(_, digest)| digest).unwrap_or_default();
    // What was deployed and has to be built first is not in force yet: that is what is taken back.
    let comes = |one: &&Generation| one.is_built() && one.purpose == Purpose::Replace && one.digest != digest;
    if command.request == Request::Rollback {
        let coming = standing.iter().find(comes);
        given_up = given_up.or(coming.map(|one| format!("generation {}", one.generation)));
    }
    let ends = |one: &Generation| match command.request {
        Request::Rollback if given_up.is_some() => comes(&one),
        _ => needs_place || one.purpose != Purpose::Look,
    };
    generation::give_up(connection, control, projection, &standing, (&ends, &by)).await?;
    Ok(match given_up {
        Some(what) if command.request == Request::Rollback => Way::Ends(Outcome::Done(format!(
            "{what} is given up before it came into force; {} stays so",
            digest.get(..12).unwrap_or("what is there")
        ))),
        _ => Way::Free,
    })
}

/// What is made from the deployment in force waits where another one came between.
pub async fn still_in_force(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    seen: Option<u64>,
) -> Result<Way, Failure> {
    let in_force = in_force(connection, control, projection).await?;
    Ok(if in_force.map(|(id, _)| id) == seen { Way::Free } else { Way::Waits(BETWEEN.to_owned()) })
}

/// Why something else ends, for whoever waits for it.
pub fn superseded(command: &Command) -> String {
    format!(
        "superseded by command {} ({}): ask again if it is still wanted",
        command.id,
        command.request.told()
    )
}

/// A command that deploys, or goes back.
struct Other {
    id: u64,
    state: String,
    is_rollback: bool,
}

/// Those that are not done, and those that were asked for after this one and are; locked, in the same order by everybody.
async fn deployments(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    command: u64,
) -> Result<Vec<Other>, Failure> {
    let failed = |error: sqlx::Error| classify("reading commands", &error);
    let sql = control.sql(
        "SELECT id, CAST(state AS CHAR), CAST(request LIKE '{\"do\":\"rollback\"%' AS SIGNED) FROM laterna.command \
         WHERE projection = ? AND (state = 'pending' OR (state = 'done' AND id > ?)) \
         AND (request LIKE '{\"do\":\"rollback\"%' OR request LIKE '{\"do\":\"deploy\"%') ORDER BY id FOR UPDATE",
    );
    let rows = sqlx::query(&sql).bind(projection).bind(command).rows(connection).await.map_err(failed)?;
    let one = |row: &sqlx::mysql::MySqlRow| {
        Ok(Other {
            id: row.try_get(0).map_err(failed)?,
            state: row.try_get(1).map_err(failed)?,
            is_rollback: row.try_get::<i64, _>(2).map_err(failed)? != 0,
        })
    };
    rows.iter().map(one).collect()
}

/// The deployment that is in force, and its digest; locked.
async fn in_force(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
) -> Result<Option<(u64, String)>, Failure> {
    let failed = |error: sqlx::Error| classify("reading the deployment", &error);
    let sql = control.sql(
        "SELECT id, digest FROM laterna.deployment WHERE projection = ? AND state = 'deployed' \
         ORDER BY id DESC LIMIT 1 FOR UPDATE",
    );
    let found = sqlx::query(&sql).bind(projection).first(connection).await.map_err(failed)?;
    let pair =
        |row: sqlx::mysql::MySqlRow| Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
    found.map(pair).transpose()
}

/// Records a deployment under the lease, and gives up what is being built with another component. Why not, when one is just
/// taking the live one's place. After a failure the session must not be used again.
pub async fn deploy_under_lease(
    session: &mut Session,
    control: &Control,
    proposal: Proposal<'_>,
    epoch: u64,
) -> Result<Result<(), String>, Failure> {
    let failed = |error: sqlx::Error| classify("recording the deployment", &error);
    let mut transaction = session.connection.begin().await.map_err(failed)?;
    lease::prove(&mut transaction, control, proposal.projection, epoch).await?;
    let standing = generation::locked(&mut transaction, control, proposal.projection).await?;
    if let Some(obstacle) = generation::is_taking_over(&standing) {
        transaction.rollback().await.map_err(failed)?;
        return Ok(Err(obstacle));
    }
    let why = format!("superseded by a deployment of {}", proposal.by);
    let ends = |one: &Generation| one.purpose != Purpose::Look;
    generation::give_up(&mut transaction, control, proposal.projection, &standing, (&ends, &why)).await?;
    deployment::deploy(&mut transaction, control, proposal).await?;
    transaction.commit().await.map_err(failed)?;
    Ok(Ok(()))
}

impl Generation {
    /// Whether it is on its way to something, and can be given up.
    fn is_built(&self) -> bool {
        matches!(self.state, State::Building | State::Meeting | State::Comparing)
    }
}
