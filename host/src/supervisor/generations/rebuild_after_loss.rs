//! Making the tables anew because the place in the stream is lost: a generation is begun beside the live one, which stands
//! still and stays as it is until the other one takes its place.

use super::completeness;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::readmodel::control::deployment::Origin;
use crate::readmodel::control::generation::{Generation, GenerationState, HistoryFilter, Purpose, Wanted};
use crate::readmodel::control::lease::UnderLease;
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::source::SourceIdentity;
use crate::supervisor::on_servers::OnServers;
use crate::supervisor::settings::Settings;
use crate::supervisor::startup::{self, history_is_readable, not_from_the_future, same_source};

/// Begins a generation that is to take the place of the live one, for what that one lost, unless there is one. Refuses
/// where rows would be missing. The live lanes may not run.
pub(in crate::supervisor) async fn begin(
    host: &OnServers,
    epoch: u64,
    lost: &Failure,
) -> Result<(), Failure> {
    let OnServers { servers, settings, versions, .. } = host;
    let (control, name) = (&servers.control, settings.name.as_str());
    let mut session = servers.applier.connect().await?;
    let replaces = |one: &Generation| {
        one.purpose == Purpose::Replace
            && !matches!(one.state, GenerationState::Kept | GenerationState::Dropping)
    };
    if control.of(&mut session, name).generations().await?.iter().any(replaces) {
        return Ok(());
    }
    let in_force = control.of(&mut session, name).deployment_in_force().await?;
    let Some(in_force) = in_force else { return Err(lost.clone()) };
    let loaded = versions.get(&mut session, servers, &in_force.digest).await?;
    require_whole_history(host, &mut session, &loaded).await.map_err(|failure| refused(lost, failure))?;
    let wanted = Wanted {
        projection: name,
        purpose: Purpose::Replace,
        digest: &in_force.digest,
        tables: &loaded.deployed.schema.table_names(),
        part: HistoryFilter::default(),
        expected: servers.outbox.estimate().await?,
        accepted: false,
        origin: Origin::Command,
        command: None,
        opened_by: None,
        by: &settings.owner,
        overtakes: Some("superseded by a rebuild, since the place in the stream is lost"),
    };
    match control.of(&mut session, wanted.projection).under(epoch).open_generation(wanted).await? {
        UnderLease::Done(generation) => tracing::warn!(
            projection = name,
            generation,
            "{}; as `resume_lost` says, the tables are made anew beside these",
            lost.without_values()
        ),
        UnderLease::Blocked(reason) => tracing::warn!(projection = name, "no rebuild is begun: {reason}"),
    }
    Ok(())
}

/// Fails where the outbox does not give all that the live tables were made from.
async fn require_whole_history(
    host: &OnServers,
    session: &mut Session,
    loaded: &Loaded,
) -> Result<(), Failure> {
    let OnServers { servers, settings, .. } = host;
    let (control, name) = (&servers.control, settings.name.as_str());
    let mut db = control.of(session, name);
    let found = db.registration().await?;
    let registration = found.ok_or_else(|| startup::not_registered(name))?;
    let identity = same_source(name, &registration, servers.outbox.identify().await?)?;
    let live = registration.live_generation;
    let rows = db.lane_rows(live).await?;
    not_from_the_future(servers, &rows).await?;
    is_possible(servers, settings, loaded, &identity).await?;
    let lacks = completeness::outbox_lacks(servers, session, name, live, &rows).await?;
    may_begin(name, lacks)
}

/// Tables are made anew unasked only where the outbox holds all that the live ones were made from.
pub fn may_begin(projection: &str, lacks: Option<String>) -> Result<(), Failure> {
    let Some(lacks) = lacks else { return Ok(()) };
    let remedy = format!(
        "`laterna rebuild {projection}` makes other tables beside them, and asks before it uses them"
    );
    Err(Failure::misconfigured(lacks, remedy))
}

/// Whether the projection takes history, and it can be read. Whether it gives all that a read model was made from is known when it
/// was read.
pub async fn is_possible(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    identity: &SourceIdentity,
) -> Result<(), Failure> {
    settings.takes_history()?;
    servers.outbox.complete_history(identity).await?;
    history_is_readable(servers, loaded).await
}

/// Why the tables stay as they are, beside what was lost.
fn refused(lost: &Failure, why: Failure) -> Failure {
    match (lost, why) {
        (Failure::ResumeLost { cause, reason }, why @ Failure::Misconfigured { .. }) => Failure::ResumeLost {
            cause: *cause,
            reason: format!("{reason}; a rebuild is not possible: {why}"),
        },
        (_, why) => why,
    }
}
