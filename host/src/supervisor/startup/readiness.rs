//! What keeps a projection from beginning, or from going on. The run asks before it writes anything, and `laterna check`
//! asks the same, so that both say the same.

use super::{history_is_readable, not_from_the_future, same_source};
use crate::component::version::Loaded;
use crate::failure::{Failure, Fault, RESTORE_TOGETHER};
use crate::position::Position;
use crate::readmodel::control::ownership;
use crate::readmodel::control::registration::Registration;
use crate::readmodel::lane::checkpoint::{self, LaneRow};
use crate::readmodel::mysql::session::Session;
use crate::readmodel::privileges::{Accounts, Demand};
use crate::readmodel::tables;
use crate::readmodel::tables::rehearsal;
use crate::servers::Servers;
use crate::source::OutboxReader;
use crate::supervisor::hold::{HoldCheck, holds_stream};
use crate::supervisor::settings::Settings;

/// The generation that a projection begins with.
pub const FIRST_GENERATION: u32 = 1;

/// What a projection is by what is registered.
#[derive(Debug)]
pub enum Standing {
    /// It has not begun.
    New,
    /// Its lanes are there.
    Begun(Registration),
}

impl Standing {
    pub fn of(projection: &str, found: Option<Registration>) -> Result<Self, Failure> {
        match found {
            Some(registration) if registration.lanes > 0 => Ok(Self::Begun(registration)),
            Some(registration) if registration.live_generation > FIRST_GENERATION => {
                Err(half_emptied(projection))
            }
            _ => Ok(Self::New),
        }
    }
}

/// An older version emptied tables before it filled them again.
fn half_emptied(projection: &str) -> Failure {
    Failure::misconfigured(
        format!(
            "an older version of the host has begun to empty the tables of `{projection}`, to fill them again, and has not \
             come to the end"
        ),
        format!(
            "run that version until it has; or `laterna forget {projection}`, drop its tables, and start"
        ),
    )
}

/// A projection that has begun has a checkpoint for each lane.
pub fn checkpoints_gone(projection: &str) -> Failure {
    Failure::misconfigured(format!("the checkpoints of `{projection}` are gone"), RESTORE_TOGETHER)
}

/// What stands in the way, in the order in which a run meets it, and what else should be known.
#[derive(Debug, Default)]
pub struct Findings {
    pub obstacles: Vec<Failure>,
    pub notes: Vec<String>,
}

impl Findings {
    /// Keeps an obstacle. What is nobody's to settle, as an outage, ends the question.
    fn take<T>(&mut self, asked: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match asked {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.fault() == Fault::Setup => {
                self.obstacles.push(failure);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// The first obstacle as a failure.
    pub fn demand_none(self) -> Result<(), Failure> {
        self.obstacles.into_iter().next().map_or(Ok(()), Err)
    }
}

/// A projection with the component that it runs, and a session of each account.
pub struct Readiness<'a> {
    pub servers: &'a Servers,
    pub settings: &'a Settings,
    pub loaded: &'a Loaded,
    pub applier: &'a mut Session,
    pub ddl: &'a mut Session,
}

impl Readiness<'_> {
    /// What keeps a projection from beginning.
    pub async fn ask_to_begin(&mut self) -> Result<Findings, Failure> {
        let Self { servers, settings, .. } = *self;
        let mut findings = Findings::default();
        let found = findings.take(servers.outbox.identify().await)?;
        if let Some(identity) = found.flatten() {
            findings.take(if settings.from_history {
                servers.outbox.complete_history(&identity).await
            } else {
                Ok(())
            })?;
            findings.take(self.history().await)?;
        } else if findings.obstacles.is_empty() {
            findings.obstacles.push(servers.outbox.missing());
        }
        findings.take(self.accounts(true).await)?;
        findings.take(self.tables_are_free().await)?;
        let (schema, ddl) = (&self.loaded.deployed.schema, &mut *self.ddl);
        findings.take(tables::are_empty(ddl, schema).await)?;
        let rehearsed = rehearsal::rehearse(ddl, &servers.control, servers.applier.database(), schema).await;
        if let Some(rehearsed) = findings.take(rehearsed)? {
            findings.obstacles.extend(rehearsed.misfit);
            findings.notes.extend(rehearsed.meetings);
        }
        Ok(findings)
    }

    /// What keeps a projection from going on that has begun.
    pub async fn ask_to_go_on(&mut self, registration: &Registration) -> Result<Findings, Failure> {
        let Self { servers, settings, .. } = *self;
        let (control, name, live) = (&servers.control, &settings.name, registration.live_generation);
        let mut findings = Findings::default();
        if let Some(identity) = findings.take(servers.outbox.identify().await)? {
            findings.take(same_source(name, registration, identity))?;
        }
        findings.take(self.accounts(false).await)?;
        findings.take(self.tables_are_tied_to_nothing().await)?;
        let found =
            control.of(self.applier, name).witness_contradiction(servers.applier.database(), live).await;
        let found = findings.take(found)?.flatten();
        findings.obstacles.extend(found);
        let rows = control.of(self.applier, name).lane_rows(live).await;
        let rows = findings.take(rows)?.unwrap_or_default();
        if rows.is_empty() && findings.obstacles.is_empty() {
            findings.obstacles.push(checkpoints_gone(name));
        }
        findings.take(not_from_the_future(servers, &rows).await)?;
        findings.take(self.tables_fit(&rows).await)?;
        Ok(findings)
    }

    /// What holds events back that has nothing to do with the set-up: an operator's word, an open breaker, letters.
    pub async fn held(&mut self, generation: u32) -> Result<Option<Failure>, Failure> {
        let hold_check = HoldCheck {
            servers: self.servers.clone(),
            projection: self.settings.name.clone(),
            generation,
            holds_stream: holds_stream(self.settings, self.loaded),
            full: None,
        };
        hold_check.ask(self.applier).await
    }

    /// Whether the source can be read on from where the lanes stand.
    pub async fn source_goes_on(&mut self, generation: u32) -> Result<(), Failure> {
        let Self { servers, settings, .. } = *self;
        let rows = servers.control.of(self.applier, &settings.name).lane_rows(generation).await?;
        let Some(from) = rows.iter().map(|row| &row.position).min_by(|a, b| a.compare(b)) else {
            return Ok(());
        };
        let reader = OutboxReader::new(servers.outbox.clone(), servers.decoder.clone());
        reader.anchored(checkpoint::anchor(&rows)).open(from).await
    }

    /// Whether what the outbox holds can be read in order, where it is to be read.
    async fn history(&self) -> Result<(), Failure> {
        let start = self.servers.outbox.current_token().await?;
        if self.settings.from_history && !self.servers.outbox.is_empty_at(&start).await? {
            history_is_readable(self.servers, self.loaded).await?;
        }
        Ok(())
    }

    async fn accounts(&mut self, begins: bool) -> Result<(), Failure> {
        let Self { servers, settings, loaded, .. } = *self;
        let demand = Demand {
            control: &servers.control,
            projection: &settings.name,
            schema: &loaded.deployed.schema,
            begins,
        };
        let (applier, ddl) = (&mut *self.applier, &mut *self.ddl);
        Accounts { applier, ddl, live: servers.applier.database() }.meet(demand).await
    }

    async fn tables_are_free(&mut self) -> Result<(), Failure> {
        let (control, name) = (&self.servers.control, &self.settings.name);
        control.of(self.ddl, name).constraints_are_free(&self.loaded.deployed.schema).await?;
        self.tables_are_tied_to_nothing().await
    }

    async fn tables_are_tied_to_nothing(&mut self) -> Result<(), Failure> {
        let (control, name, schema) =
            (&self.servers.control, &self.settings.name, &self.loaded.deployed.schema);
        control.of(self.ddl, name).tables_are_not_anothers(schema).await?;
        ownership::nothing_is_tied(self.ddl, schema).await
    }

    /// Whether every statement fits the tables. Those to which nothing was applied may be gone: they are made again.
    async fn tables_fit(&mut self, rows: &[LaneRow]) -> Result<(), Failure> {
        let Self { servers, loaded, .. } = *self;
        let schema = &loaded.deployed.schema;
        match tables::prepare(self.applier, schema).await {
            Err(Failure::SchemaMismatch { .. }) if nothing_was_applied(rows) => {
                let database = servers.applier.database();
                let rehearsed = rehearsal::rehearse(self.ddl, &servers.control, database, schema).await?;
                rehearsed.misfit.map_or(Ok(()), Err)
            }
            prepared => prepared,
        }
    }
}

/// Whether no lane has taken any event yet.
pub fn nothing_was_applied(rows: &[LaneRow]) -> bool {
    let at_the_beginning = |row: &LaneRow| {
        row.events == 0 && matches!(row.position, Position::Scan { key: None, .. } | Position::Stream { .. })
    };
    !rows.is_empty() && rows.iter().all(at_the_beginning)
}

/// The same failure; where it is one of privileges, with all that the accounts lack, if they are asked and it is known.
pub async fn explained(servers: &Servers, projection: &str, loaded: &Loaded, failure: Failure) -> Failure {
    if !matches!(failure, Failure::AccessDenied { .. }) {
        return failure;
    }
    let asking = async {
        let (mut applier, mut ddl) = (servers.applier.connect().await?, servers.ddl.connect().await?);
        let demand =
            Demand { control: &servers.control, projection, schema: &loaded.deployed.schema, begins: true };
        let live = servers.applier.database();
        Accounts { applier: &mut applier, ddl: &mut ddl, live }.meet(demand).await
    };
    match asking.await {
        Err(told @ Failure::AccessDenied { .. }) => told,
        _ => failure,
    }
}
