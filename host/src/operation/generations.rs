//! Generations, as operators want them: begun, accepted, brought back, dropped.

use super::commands::{Commands, PATIENCE, counted};
use crate::component::registry::short;
use crate::failure::Failure;
use crate::readmodel::control::command::overtake;
use crate::readmodel::control::command::{Act, Command, CommandOutcome, Request, Tried};
use crate::readmodel::control::deployment::Origin;
use crate::readmodel::control::generation::{Change, GenerationState, HistoryFilter, Purpose, Wanted};
use crate::readmodel::mysql::session::{Session, within};
use crate::supervisor::generations::rebuild_after_loss;

/// Carries out what concerns generations. Nothing happens here but that a row is written: the host that writes follows.
pub(super) async fn carry_out(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
) -> Result<Tried, Failure> {
    let (purpose, part, accept) = match &asked.request {
        Request::AcceptGeneration { generation, shown } => {
            let accept = Change::Accept { shown: shown.clone() };
            return change(commands, session, asked, None, *generation, accept).await;
        }
        Request::ReturnGeneration { generation } => {
            return change(commands, session, asked, None, *generation, Change::Return).await;
        }
        Request::DropGeneration { generation } => {
            return change(commands, session, asked, None, *generation, Change::Drop).await;
        }
        Request::Verify { repair } => {
            let purpose = if *repair { Purpose::Repair } else { Purpose::Verify };
            (purpose, HistoryFilter::default(), false)
        }
        Request::Rebuild { accept, until, aggregate } => {
            let part = HistoryFilter { until: until.clone(), aggregate: aggregate.clone() };
            (if part.is_all() { Purpose::Replace } else { Purpose::Look }, part, *accept)
        }
        other => {
            let outcome =
                CommandOutcome::Failed(format!("it does not concern generations: {}", other.told()));
            commands.finish(session, asked.id, &outcome).await?;
            return Ok(Tried::Over);
        }
    };
    let projection = &commands.settings.name;
    let in_force = commands.db(session).deployment_in_force().await?;
    let in_force = in_force.ok_or_else(|| not_begun(projection))?;
    if let Some(left) = in_force.canary.filter(|_| purpose != Purpose::Verify) {
        return Err(Failure::misconfigured(
            format!(
                "the component in force may be taken back for another {} s (its canary window)",
                left.as_secs() + 1
            ),
            "ask again then",
        ));
    }
    let plan = GenerationPlan { purpose, part, accept, origin: Origin::Command };
    open(commands, session, asked, Some(in_force.id), &in_force.digest, plan).await
}

fn not_begun(projection: &str) -> Failure {
    Failure::misconfigured(
        format!("`{projection}` has not begun yet"),
        "ask again when a host runs it (`laterna status`)",
    )
}

/// How a generation is to be made.
pub(super) struct GenerationPlan {
    pub purpose: Purpose,
    pub part: HistoryFilter,
    pub accept: bool,
    pub origin: Origin,
}

/// Begins a generation, if history gives all that it takes.
pub(super) async fn open(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
    seen: Option<u64>,
    digest: &str,
    plan: GenerationPlan,
) -> Result<Tried, Failure> {
    let (servers, projection) = (&commands.servers, &commands.settings.name);
    let loaded = commands.versions.get(session, servers, digest).await?;
    let found = commands.db(session).registration().await?;
    found.ok_or_else(|| not_begun(projection))?;
    let identity = servers.outbox.identify().await?.ok_or_else(|| servers.outbox.missing())?;
    within(
        PATIENCE,
        "asking for history",
        rebuild_after_loss::is_possible(servers, &commands.settings, &loaded, &identity),
    )
    .await?;
    let waits = matches!(plan.purpose, Purpose::Verify | Purpose::Repair).then_some(asked.id);
    let deploys = matches!(asked.request, Request::Deploy { .. } | Request::Rollback);
    let why = overtake::superseded(asked);
    let wanted = Wanted {
        projection,
        purpose: plan.purpose,
        digest,
        tables: &loaded.deployed.schema.table_names(),
        part: plan.part,
        expected: servers.outbox.estimate().await?,
        accepted: plan.accept,
        origin: plan.origin,
        command: waits,
        opened_by: Some(asked.id),
        by: &asked.requested_by,
        overtakes: deploys.then_some(&*why),
    };
    let result = |number| {
        format!(
            "generation {number} is built with {} beside the live one; `laterna generations list {projection}` shows how \
             far it is",
            short(digest)
        )
    };
    let mut db = commands.db(session);
    let opening = db.carry_out(asked, &commands.settings.owner, seen, Act::Open(wanted), result);
    within(PATIENCE, "beginning a generation", opening).await.map(counted)
}

async fn change(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
    seen: Option<u64>,
    generation: u32,
    change: Change,
) -> Result<Tried, Failure> {
    let projection = &commands.settings.name;
    let done = change.clone();
    let result = |number| match done {
        Change::Accept { .. } => {
            format!("generation {number} takes the live one's place when it has caught up")
        }
        Change::Return => format!("generation {number} catches up, and takes the live one's place"),
        Change::Drop => format!("generation {number} is dropped"),
    };
    let act = Act::Change { projection, generation, change };
    let mut db = commands.db(session);
    let changing = db.carry_out(asked, &commands.settings.owner, seen, act, result);
    within(PATIENCE, "changing a generation", changing).await.map(counted)
}

/// A component whose tables are not the live ones: a generation that was made with it and is kept returns; otherwise one is
/// made.
pub(super) async fn deploy(
    commands: &Commands,
    session: &mut Session,
    asked: &Command,
    seen: Option<u64>,
    digest: &str,
    origin: Origin,
) -> Result<Tried, Failure> {
    let standing = commands.db(session).generations().await?;
    let kept = standing
        .iter()
        .rev()
        .find(|one| one.state == GenerationState::Kept && one.digest == digest && one.part.is_all());
    if let Some(kept) = kept {
        return change(commands, session, asked, seen, kept.generation, Change::Return).await;
    }
    let plan =
        GenerationPlan { purpose: Purpose::Replace, part: HistoryFilter::default(), accept: false, origin };
    open(commands, session, asked, seen, digest, plan).await
}
