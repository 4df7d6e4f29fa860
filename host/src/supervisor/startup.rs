//! What has to be true before the first event: the source is the one the checkpoint is for, the tables and the
//! lanes exist, every statement can be prepared. Nothing is guessed: a missing checkpoint is never "now".

pub mod beginning;
pub mod readiness;

use super::settings::Settings;
use crate::component::version::Loaded;
use crate::failure::{Failure, Lost};
use crate::pipeline::run::RunPlan;
use crate::position::{ClusterTime, Position};
use crate::readmodel::control::registration::Registration;
use crate::readmodel::lane::checkpoint::LaneRow;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::tables;
use crate::servers::Servers;
use crate::source::{HistoryIndex, SourceIdentity};
use crate::statement::{Manifest, Ordering};
use beginning::Beginning;
use readiness::{FIRST_GENERATION, Readiness, Standing};

/// Makes everything ready for the lanes to run under this epoch.
pub async fn prepare(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    epoch: u64,
) -> Result<(u32, RunPlan), Failure> {
    let (mut session, mut applier) = tokio::try_join!(servers.ddl.connect(), servers.applier.connect())?;
    let (control, name, schema) = (&servers.control, &settings.name, &loaded.deployed.schema);
    let found = control.of(&mut session, name).registration().await?;
    let (ddl, readers) = (&mut session, &mut applier);
    let mut readiness = Readiness { servers, settings, loaded, applier: readers, ddl };
    let generation = match Standing::of(name, found)? {
        Standing::Begun(registration) => {
            readiness.ask_to_go_on(&registration).await?.demand_none()?;
            control.of(&mut session, name).under(epoch).claim_tables(schema).await?;
            registration.live_generation
        }
        Standing::New => {
            readiness.ask_to_begin().await?.demand_none()?;
            let identity = servers.outbox.identify().await?.ok_or_else(|| servers.outbox.missing())?;
            begin(servers, settings, loaded, epoch, &mut session, &identity).await?;
            FIRST_GENERATION
        }
    };
    let rows = control.of(&mut applier, name).lane_rows(generation).await?;
    if readiness::nothing_was_applied(&rows) {
        let order = session.text_order();
        tables::create_absent(&mut session, schema, order).await?;
    }
    control.of(&mut applier, name).under(epoch).demand_witness(&servers.ddl, generation).await?;
    tables::prepare(&mut applier, schema).await?;
    control.of(&mut applier, name).under(epoch).recount_letters(generation).await?;
    let rows = control.of(&mut applier, name).lane_rows(generation).await?;
    not_from_the_future(servers, &rows).await?;
    Ok((generation, run_plan(servers, settings, loaded, epoch, generation, rows, &mut applier).await?))
}

/// The lanes that run this time. A new lane count first lets the old lanes come to one position.
pub(super) async fn run_plan(
    servers: &Servers,
    settings: &Settings,
    loaded: &Loaded,
    epoch: u64,
    generation: u32,
    rows: Vec<LaneRow>,
    session: &mut Session,
) -> Result<RunPlan, Failure> {
    let lanes = lanes(settings, loaded);
    let (from, projection) = (rows.len(), &settings.name);
    let furthest = match resize_step(&rows, lanes) {
        Some(ResizeStep::Run) => return Ok(RunPlan { rows, until: None }),
        Some(ResizeStep::Meet(furthest)) => {
            tracing::info!(projection, from, to = lanes, "the lanes come to one position");
            return Ok(RunPlan { rows, until: Some(furthest) });
        }
        Some(ResizeStep::Replace(furthest)) => furthest,
        None => return Err(readiness::checkpoints_gone(projection)),
    };
    let (control, name) = (&servers.control, &settings.name);
    let mut db = control.of(session, name);
    db.under(epoch).replace_lanes(generation, lanes, &furthest).await?;
    tracing::info!(projection, from, to = lanes, "the number of lanes changed");
    let rows = db.lane_rows(generation).await?;
    Ok(RunPlan { rows, until: None })
}

/// What brings a projection from its rows to a number of lanes.
#[derive(Debug, PartialEq)]
pub enum ResizeStep {
    /// The rows are as they should be.
    Run,
    /// The lanes stand at different positions, and come to the furthest of them first.
    Meet(Position),
    /// The lanes stand at one position, and other rows take their place.
    Replace(Position),
}

/// The next step towards a number of lanes. Without any row there is none.
pub fn resize_step(rows: &[LaneRow], lanes: u32) -> Option<ResizeStep> {
    let furthest = rows.iter().map(|row| &row.position).max_by(|a, b| a.compare(b))?;
    Some(if rows.len() == lanes as usize {
        ResizeStep::Run
    } else if rows.iter().any(|row| row.position.compare(furthest).is_lt()) {
        ResizeStep::Meet(furthest.clone())
    } else {
        ResizeStep::Replace(furthest.clone())
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
    let position = None;
    beginning::in_order(&mut First { servers, settings, loaded, epoch, session, identity, position }).await
}

/// A projection that begins.
struct First<'a> {
    servers: &'a Servers,
    settings: &'a Settings,
    loaded: &'a Loaded,
    epoch: u64,
    session: &'a mut Session,
    identity: &'a SourceIdentity,
    position: Option<Position>,
}

impl Beginning for First<'_> {
    async fn is_complete(&mut self) -> Result<(), Failure> {
        if self.settings.from_history {
            self.servers.outbox.complete_history(self.identity).await
        } else {
            Ok(())
        }
    }

    async fn register(&mut self) -> Result<(), Failure> {
        let Self { servers, settings, loaded, session, identity, .. } = self;
        let (control, name, schema) = (&servers.control, &settings.name, &loaded.deployed.schema);
        control.of(session, name).tables_are_not_anothers(schema).await?;
        let start = servers.outbox.current_token().await?;
        let history = settings.from_history && !servers.outbox.is_empty_at(&start).await?;
        let position = if history {
            // Whether its events have sequences was asked before.
            ordering_index(servers, loaded).await?;
            Position::Scan { start, key: None, beside: 0 }
        } else {
            Position::Stream { token: start }
        };
        let order = session.text_order();
        control.of(session, name).create_missing_tables(schema, order).await?;
        let registration = Registration {
            projection: settings.name.clone(),
            live_generation: FIRST_GENERATION,
            lanes: 0,
            source: serde_json::to_string(identity).expect("an identity holds only text"),
        };
        control.on(session).register(&registration).await?;
        self.position = Some(position);
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), Failure> {
        let (control, schema) = (&self.servers.control, &self.loaded.deployed.schema);
        control.of(self.session, &self.settings.name).under(self.epoch).claim_tables(schema).await
    }

    async fn withdraw(&mut self) -> Result<(), Failure> {
        self.servers.control.of(self.session, &self.settings.name).withdraw().await
    }

    async fn place(&mut self) -> Result<(), Failure> {
        let Self { servers, settings, loaded, session, epoch, position, .. } = self;
        let (control, name, lanes) = (&servers.control, &settings.name, lanes(settings, loaded));
        let Some(position) = position else { return Ok(()) };
        control.of(session, name).under(*epoch).replace_lanes(FIRST_GENERATION, lanes, position).await
    }
}

/// Whether history, as the outbox keeps it, is in an order that the projector can be given events in.
pub async fn history_is_readable(servers: &Servers, loaded: &Loaded) -> Result<(), Failure> {
    let index = ordering_index(servers, loaded).await?;
    servers.outbox.has_sequences(&servers.decoder, &index).await
}

/// The index in whose order the projector can be given history.
async fn ordering_index(servers: &Servers, loaded: &Loaded) -> Result<HistoryIndex, Failure> {
    let index = servers.outbox.history_index(servers.decoder.fields()).await?;
    history_has_order(&loaded.deployed.manifest)?;
    Ok(index)
}

/// The failure of a projection that was forgotten while it ran.
pub(super) fn not_registered(projection: &str) -> Failure {
    Failure::misconfigured(
        format!("`{projection}` is not registered any more"),
        "if it was forgotten on purpose, take it out of the configuration; otherwise restart the host, and it begins again",
    )
}

/// Whether history has the order that a projector needs: no server has to be asked.
pub fn history_has_order(manifest: &Manifest) -> Result<(), Failure> {
    if manifest.ordering == Ordering::Stream && !manifest.commutative {
        return Err(Failure::misconfigured(
            "the projector needs commit order over all aggregates, which history does not have",
            "declare its operations commutative, or begin with `start = \"now\"`",
        ));
    }
    Ok(())
}

/// A projector that needs the order of the whole stream gets one lane.
pub fn lanes(settings: &Settings, loaded: &Loaded) -> u32 {
    match loaded.deployed.manifest.ordering {
        Ordering::Aggregate => settings.lanes,
        Ordering::Stream => 1,
    }
}

pub(super) fn same_source(
    projection: &str,
    registration: &Registration,
    now: Option<SourceIdentity>,
) -> Result<SourceIdentity, Failure> {
    let then: Option<SourceIdentity> = serde_json::from_str(&registration.source).ok();
    if let Some(same) = now.as_ref().filter(|now| then.as_ref() == Some(now)) {
        return Ok(same.clone());
    }
    let name = |outbox: SourceIdentity| {
        let SourceIdentity { replica_set, namespace, collection } = outbox;
        format!("{namespace} of replica set {replica_set} (collection {collection})")
    };
    let then = then.map_or("an unknown outbox".to_owned(), name);
    let (cause, reason) = match now {
        Some(now) => {
            (Lost::OtherOutbox, format!("`{projection}` was made from {then}, but this is {}", name(now)))
        }
        None => {
            (Lost::NoCollection, format!("`{projection}` was made from {then}, which is not there any more"))
        }
    };
    Err(Failure::ResumeLost { cause, reason })
}

/// A checkpoint that the source has not come to yet belongs to another history, e.g. of a restored database.
pub async fn not_from_the_future(servers: &Servers, rows: &[LaneRow]) -> Result<(), Failure> {
    not_beyond(servers.outbox.now().await?, rows)
}

/// Refuses a checkpoint that is later than the source's newest write.
pub fn not_beyond(now: ClusterTime, rows: &[LaneRow]) -> Result<(), Failure> {
    let newest = rows.iter().filter_map(|row| row.position.time()).max();
    match newest {
        // A high-water mark may be one write ahead, so seconds are compared.
        Some(newest) if newest.seconds > now.seconds => Err(Failure::ResumeLost {
            cause: Lost::FromTheFuture,
            reason: format!(
                "the checkpoint is at {newest}, but the source's newest write is of {now}: it was restored from a backup"
            ),
        }),
        _ => Ok(()),
    }
}
