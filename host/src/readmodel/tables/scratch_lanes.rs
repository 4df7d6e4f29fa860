//! Lanes as a host has them on tables in the scratch schema, with a control schema of their own, for measuring. All that
//! they write is thrown away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::trial::{Trial, TrialStatement};
use crate::failure::Failure;
use crate::position::Position;
use crate::readmodel::control::lease::Acquired;
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::Lane;
use crate::readmodel::lane::apply::LaneModel;
use crate::readmodel::mysql::error::classify;
use crate::readmodel::mysql::query::{send, text_rows};
use crate::readmodel::mysql::session::Connector;
use crate::statement::Schema;

/// The tables' schema and the control schema of these lanes. They go with them, or with the next ones.
const SCRATCH_TABLES: &str = "laterna_bench_rows";
const SCRATCH_CONTROL: &str = "laterna_bench_host";

/// How long another measurement on the server is waited for, in seconds.
const PATIENCE: u32 = 120;

/// The time for which the lanes may write.
const TTL: Duration = Duration::from_hours(1);

/// Questions whose median is the round trip.
const ROUND_TRIPS: usize = 51;

/// A table with fewer rows is read as a whole for good reasons.
const ROWS_WORTH_AN_INDEX: u64 = 1000;

pub struct ScratchLanes {
    trial: Trial,
    connector: Connector,
    control: Control,
    schema: Arc<Schema>,
    /// How many sets of lanes there were: each is a projection of its own.
    sets: u32,
}

/// A statement that reads a whole table to find its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeTableRead {
    pub statement: String,
    pub table: String,
    pub rows: u64,
}

impl ScratchLanes {
    pub async fn begin(connector: &Connector, schema: &Arc<Schema>) -> Result<Self, Failure> {
        let trial = Trial::begin_in(SCRATCH_TABLES, PATIENCE, connector, schema).await?;
        let (connector, control) = (connector.in_database(SCRATCH_TABLES), Control::new(SCRATCH_CONTROL));
        let mut lanes = Self { trial, connector, control, schema: schema.clone(), sets: 0 };
        match lanes.make().await {
            Ok(()) => Ok(lanes),
            Err(failure) => {
                lanes.clear().await?;
                Err(failure)
            }
        }
    }

    async fn make(&mut self) -> Result<(), Failure> {
        self.trial.make_schema(SCRATCH_CONTROL).await?;
        self.control.migrate(self.trial.session()).await
    }

    /// So many lanes that begin here, on empty tables. Those before them must not be used any more.
    pub async fn lanes(
        &mut self,
        count: u32,
        window: usize,
        begin: &Position,
    ) -> Result<Vec<LaneModel>, Failure> {
        self.trial.again(&self.schema).await?;
        self.sets += 1;
        let projection = format!("bench-{}", self.sets);
        let session = self.trial.session();
        let order = session.text_order();
        let mut db = self.control.of(session, &projection);
        db.create_missing_tables(&self.schema, order).await?;
        let acquired = db.acquire_lease(&self.connector, "a measurement", TTL).await?;
        let Acquired::Mine { epoch } = acquired else {
            return Err(Failure::Bug { what: "a new projection's lease is somebody's".to_owned() });
        };
        db.under(epoch).replace_lanes(1, count, begin).await?;
        let mut lanes = Vec::new();
        for lane in 0..count {
            let lane = Lane { projection: projection.clone(), generation: 1, lane };
            let (connector, control) = (self.connector.clone(), self.control.clone());
            let mut model = LaneModel::new(connector, control, lane, epoch, window);
            model.load().await?;
            lanes.push(model);
        }
        Ok(lanes)
    }

    /// How long a question without work takes: the median of several.
    pub async fn round_trip(&mut self) -> Result<Duration, Failure> {
        let mut took = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            self.send("DO 0").await?;
            took.push(began.elapsed());
        }
        took.sort_unstable();
        Ok(took[ROUND_TRIPS / 2])
    }

    /// Asks the server how it finds the rows of these statements, in the tables as the last lanes have left them.
    pub async fn whole_table_reads(
        &mut self,
        statements: &[TrialStatement],
    ) -> Result<Vec<WholeTableRead>, Failure> {
        for table in &self.schema.tables.clone() {
            let analyzed = format!("ANALYZE TABLE `{}`", table.name);
            self.rows(&analyzed).await?;
        }
        let explain =
            if self.trial.session().is_mariadb() { "EXPLAIN" } else { "EXPLAIN FORMAT=TRADITIONAL" };
        // MySQL has a column for partitions behind the table, MariaDB has none unless it is asked.
        let (access, rows) = if self.trial.session().is_mariadb() { (3, 8) } else { (4, 9) };
        let mut found = Vec::new();
        for TrialStatement { name, sql } in statements {
            for row in self.rows(&format!("{explain} {sql}")).await? {
                let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
                let rows = cell(rows).parse().unwrap_or_default();
                // A scan of the whole primary key is one of the whole table.
                let is_whole = ["ALL", "index"].contains(&cell(access).as_str());
                if is_whole && rows >= ROWS_WORTH_AN_INDEX {
                    found.push(WholeTableRead { statement: name.clone(), table: cell(2), rows });
                }
            }
        }
        Ok(found)
    }

    /// Drops both schemas.
    pub async fn clear(&mut self) -> Result<(), Failure> {
        self.trial.clear().await?;
        self.trial.clear_schema(SCRATCH_CONTROL).await
    }

    async fn send(&mut self, sql: &str) -> Result<(), Failure> {
        let sent = send(&mut self.trial.session().connection, sql).await;
        sent.map(|_| ()).map_err(|error| failed(&error))
    }

    async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Failure> {
        text_rows(&mut self.trial.session().connection, sql).await.map_err(|error| failed(&error))
    }
}

fn failed(error: &sqlx::Error) -> Failure {
    classify(&format!("measuring in `{SCRATCH_TABLES}`"), error)
}
