//! What has to be true before the first event: the source is the one the checkpoint is for, the tables and the
//! lanes exist, every statement can be prepared. Nothing is guessed: a missing checkpoint is never "now".

use super::{Course, Loaded, Servers, Settings};
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::registration::{self, Registration};
use crate::readmodel::{LaneRow, Session, checkpoint, tables};
use crate::source::SourceIdentity;
use crate::statement::Ordering;

/// The generation that a projection begins with.
const FIRST_GENERATION: u32 = 1;

/// Makes everything ready for the lanes to run under this epoch.
pub async fn prepare(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    epoch: u64,
) -> Result<(u32, Course), Failure> {
    let identity = servers.outbox.identify().await?;
    let mut session = servers.ddl.connect().await?;
    let schema = &loaded.deployed.schema;
    let found = registration::find(&mut session, &servers.control, &settings.name).await?;
    let generation = match found {
        Some(registration) if registration.lanes > 0 => {
            same_source(&settings.name, &registration, &identity)?;
            registration.live_generation
        }
        _ => {
            tables::rehearse(&mut session, &servers.control, servers.applier.database(), schema).await?;
            begin(servers, settings, loaded, epoch, &mut session, &identity).await?;
            FIRST_GENERATION
        }
    };
    let mut applier = servers.applier.connect().await?;
    tables::prepare(&mut applier, schema).await?;
    let rows = checkpoint::rows(&mut applier, &servers.control, &settings.name, generation).await?;
    not_from_the_future(servers, &rows).await?;
    Ok((generation, course(servers, settings, loaded, epoch, generation, rows, &mut applier).await?))
}

/// The lanes that run this time. A new lane count first lets the old lanes come to one position.
async fn course(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    epoch: u64,
    generation: u32,
    rows: Vec<LaneRow>,
    session: &mut Session,
) -> Result<Course, Failure> {
    let lanes = lanes(settings, loaded);
    let (from, projection) = (rows.len(), &settings.name);
    let furthest = match towards(&rows, lanes) {
        Some(Towards::Run) => return Ok(Course { rows, until: None }),
        Some(Towards::Meet(furthest)) => {
            tracing::info!(projection, from, to = lanes, "the lanes come to one position");
            return Ok(Course { rows, until: Some(furthest) });
        }
        Some(Towards::Replace(furthest)) => furthest,
        None => {
            return Err(Failure::Misconfigured {
                reason: format!(
                    "the checkpoints of `{projection}` are gone; restore the control schema together with the read \
                     model's tables"
                ),
            });
        }
    };
    let (control, name) = (&servers.control, &settings.name);
    checkpoint::replace(session, control, name, generation, epoch, lanes, &furthest).await?;
    tracing::info!(projection, from, to = lanes, "the number of lanes changed");
    let rows = checkpoint::rows(session, control, name, generation).await?;
    Ok(Course { rows, until: None })
}

/// What brings a projection from its rows to a number of lanes.
#[derive(Debug, PartialEq)]
pub(super) enum Towards {
    /// The rows are as they should be.
    Run,
    /// The lanes stand at different positions, and come to the furthest of them first.
    Meet(Position),
    /// The lanes stand at one position, and other rows take their place.
    Replace(Position),
}

/// The next step towards a number of lanes. Without any row there is none.
pub(super) fn towards(rows: &[LaneRow], lanes: u32) -> Option<Towards> {
    let furthest = rows.iter().map(|row| &row.position).max_by(|a, b| a.compare(b))?;
    Some(if rows.len() == lanes as usize {
        Towards::Run
    } else if rows.iter().any(|row| row.position.compare(furthest).is_lt()) {
        Towards::Meet(furthest.clone())
    } else {
        Towards::Replace(furthest.clone())
    })
}

/// The first start of a projection: its tables, its registration, its lanes.
async fn begin(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    epoch: u64,
    session: &mut Session,
    identity: &SourceIdentity,
) -> Result<(), Failure> {
    let start = servers.outbox.current_token().await?;
    let history = settings.from_history && !servers.outbox.is_empty_at(&start).await?;
    let position = if history {
        servers.outbox.history_index(servers.decoder.fields()).await?;
        let manifest = &loaded.deployed.manifest;
        if manifest.ordering == Ordering::Stream && !manifest.commutative {
            return Err(Failure::Misconfigured {
                reason: "the projector needs commit order over all aggregates, which history does not have; declare \
                         its operations commutative, or begin with `start = \"now\"`"
                    .to_owned(),
            });
        }
        Position::Scan { start, key: None, beside: 0 }
    } else {
        Position::Stream { token: start }
    };
    tables::create_missing(session, &loaded.deployed.schema).await?;
    let registration = Registration {
        projection: settings.name.clone(),
        live_generation: FIRST_GENERATION,
        lanes: 0,
        source: serde_json::to_string(identity).expect("an identity holds only text"),
    };
    registration::register(session, &servers.control, &registration).await?;
    let (control, name) = (&servers.control, &settings.name);
    checkpoint::replace(session, control, name, FIRST_GENERATION, epoch, lanes(settings, loaded), &position)
        .await
}

/// A projector that needs the order of the whole stream gets one lane.
fn lanes(settings: &Settings, loaded: &Loaded) -> u32 {
    match loaded.deployed.manifest.ordering {
        Ordering::Aggregate => settings.lanes,
        Ordering::Stream => 1,
    }
}

fn same_source(projection: &str, registration: &Registration, now: &SourceIdentity) -> Result<(), Failure> {
    let then: Option<SourceIdentity> = serde_json::from_str(&registration.source).ok();
    if then.as_ref() == Some(now) {
        return Ok(());
    }
    let then = then.map_or("an unknown outbox".to_owned(), |then| {
        format!("{} of replica set {} (collection {})", then.namespace, then.replica_set, then.collection)
    });
    Err(Failure::ResumeLost {
        reason: format!(
            "`{projection}` was made from {then}, but this is {} of replica set {} (collection {}); point `mongodb` at \
             the outbox it was made from, or give the projection another name",
            now.namespace, now.replica_set, now.collection
        ),
    })
}

/// A checkpoint that the source has not come to yet belongs to another history, e.g. of a restored database.
async fn not_from_the_future(servers: &Servers, rows: &[LaneRow]) -> Result<(), Failure> {
    let now = servers.outbox.now().await?;
    let newest = rows.iter().filter_map(|row| row.position.time()).max();
    match newest {
        // A high-water mark may be one write ahead, so seconds are compared.
        Some(newest) if newest.seconds > now.seconds => Err(Failure::ResumeLost {
            reason: format!(
                "the checkpoint is at {newest}, but the source's newest write is of {now}: it was restored from a backup"
            ),
        }),
        _ => Ok(()),
    }
}
