//! Gives a projection another component, or the one before: checked on the real tables first, then a row, which the host
//! that writes follows.

use std::time::Duration;

use super::commands::{Commands, PATIENCE, counted};
use super::generations;
use crate::component::fit::{HowItFits, fit};
use crate::component::registry::short;
use crate::component::standing::StandingComponent;
use crate::failure::{Failure, Fault};
use crate::readmodel::control::command::{Act, Command, CommandOutcome, Request, Tried};
use crate::readmodel::control::deployment::{InForce, Origin, Proposal};
use crate::readmodel::mysql::session::{Session, within};

/// How long reading and compiling a component may take.
const LOAD_PATIENCE: Duration = Duration::from_mins(4);

/// Carries a deployment out, or records in its result why not. Any host can, and several may try at once.
pub(super) async fn carry_out(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
) -> Result<Tried, Failure> {
    let carried_out = match &asked.request {
        Request::Deploy { .. } | Request::Rollback => deploy(commands, session, asked).await,
        _ => generations::carry_out(commands, session, asked).await,
    };
    match carried_out {
        Err(failure) if !matches!(failure.fault(), Fault::Environment | Fault::Fenced) => {
            let outcome = CommandOutcome::Failed(failure.without_values());
            commands.finish(session, asked.id, &outcome).await?;
            Ok(Tried::Over)
        }
        carried_out => carried_out,
    }
}

async fn deploy(commands: &Commands, session: &mut Session, asked: &Command) -> Result<Tried, Failure> {
    let projection = commands.settings.name.as_str();
    let in_force = commands.db(session).deployment_in_force().await?;
    let seen = in_force.as_ref().map(|in_force| in_force.id);
    match prepare(commands, session, asked, in_force).await {
        Ok(Prepared::Ready { digest, origin, canary }) => {
            let proposal = Proposal {
                projection: &commands.settings.name,
                digest: &digest,
                origin,
                by: &asked.requested_by,
                canary,
                command: Some(asked.id),
            };
            let result = format!("deployed {}", short(&digest));
            let act = Act::Deploy(Some(proposal));
            let mut db = commands.db(session);
            let tried = within(
                PATIENCE,
                "recording the deployment",
                db.carry_out(asked, &commands.settings.owner, seen, act, |_| result.clone()),
            )
            .await;
            commands.feed.nudge();
            tried.map(counted)
        }
        Ok(Prepared::Nowhere) => {
            let none = format!("`{projection}` has had one component only: there is none to go back to");
            let mut db = commands.db(session);
            within(
                PATIENCE,
                "recording the rollback",
                db.carry_out(asked, &commands.settings.owner, seen, Act::Deploy(None), |_| none.clone()),
            )
            .await
            .map(counted)
        }
        Ok(Prepared::OtherTables { digest, origin }) => {
            generations::deploy(commands, session, asked, seen, &digest, origin).await
        }
        Ok(Prepared::Refused { digest, reason }) => {
            let proposal = Proposal {
                projection: &commands.settings.name,
                digest: &digest,
                origin: Origin::Command,
                by: &asked.requested_by,
                canary: Duration::ZERO,
                command: Some(asked.id),
            };
            let mut db = commands.db(session);
            db.refuse_deployment(proposal, &reason).await?;
            let outcome = CommandOutcome::Failed(format!("{} is refused: {reason}", short(&digest)));
            commands.finish(session, asked.id, &outcome).await?;
            Ok(Tried::Over)
        }
        Err(failure) => Err(failure),
    }
}

enum Prepared {
    Ready {
        digest: String,
        origin: Origin,
        canary: Duration,
    },
    OtherTables {
        digest: String,
        origin: Origin,
    },
    Refused {
        digest: String,
        reason: String,
    },
    /// A rollback has no component to go back to.
    Nowhere,
}

async fn prepare(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
    in_force: Option<InForce>,
) -> Result<Prepared, Failure> {
    let (servers, versions) = (&commands.servers, &commands.versions);
    let (digest, origin, canary) = if let Request::Deploy { digest, canary_seconds } = &asked.request {
        (digest.clone(), Origin::Command, Duration::from_secs((*canary_seconds).into()))
    } else {
        let before = in_force.as_ref().and_then(|in_force| in_force.previous.clone());
        let Some(before) = before else { return Ok(Prepared::Nowhere) };
        (before, Origin::Rollback, Duration::ZERO)
    };
    let getting = versions.get(session, servers, &digest);
    let next = match within(LOAD_PATIENCE, "loading the component", getting).await {
        Ok(next) => next,
        Err(failure @ Failure::Misconfigured { .. }) => {
            return Ok(Prepared::Refused { digest, reason: failure.to_string() });
        }
        Err(failure) => return Err(failure),
    };
    let getting = versions.standing(session, servers, in_force.as_ref());
    let now = within(LOAD_PATIENCE, "loading the component in force", getting).await?;
    // What cannot be loaded cannot take its place back.
    let is_back_possible = !matches!(now, StandingComponent::Unloadable { .. });
    let canary = if is_back_possible { canary } else { Duration::ZERO };
    let fitting = fit(session, servers, &now, &next);
    Ok(match within(PATIENCE, "checking the component on the tables", fitting).await? {
        HowItFits::Live => Prepared::Ready { digest, origin, canary },
        HowItFits::OtherTables => Prepared::OtherTables { digest, origin },
        HowItFits::Not(reason) => Prepared::Refused { digest, reason },
    })
}
