//! Forgetting a projection: everything that the control schema holds of it goes, and its live tables stay.
//!
//! It takes the lease first, so that no host writes meanwhile. It must not touch the live tables.

use std::time::Duration;

use super::control::lease::{self, Acquired};
use super::control::schema::Control;
use super::control::{generation, ownership, pause};
use super::cut_over;
use super::lane::witness;
use super::mysql::session::{Connector, Session};
use crate::failure::Failure;

/// How long another host has to wait for the lease if this process is killed where MySQL does not notice.
const LEASE: Duration = Duration::from_mins(2);

const FORGETTING: &str = "forgetting the projection";

/// How many rows are removed in one transaction.
const ROWS: u64 = 1000;

/// The tables whose rows make a projection.
const AT_LAST: [&str; 3] = ["checkpoint", "pause", "projection"];

/// The table that keeps its row: epochs only rise, also for a successor of that name.
const LEASES: &str = "lease";

/// The result of forgetting a projection.
#[derive(Debug, PartialEq, Eq)]
pub enum Forgotten {
    Done {
        /// The live tables, which stay as they are.
        tables: Vec<String>,
        /// How many generations beside the live one were dropped.
        generations: usize,
    },
    /// A host runs it.
    Runs { owner: String },
}

/// Forgets a projection under its lease. Killed anywhere, it can be begun again.
pub async fn forget(
    session: &mut Session,
    ddl: &Connector,
    control: &Control,
    projection: &str,
    by: &str,
) -> Result<Forgotten, Failure> {
    let epoch = match lease::acquire(session, ddl, control, projection, by, LEASE).await? {
        Acquired::Mine { epoch } => epoch,
        Acquired::Taken { owner } => return Ok(Forgotten::Runs { owner }),
    };
    let tables = ownership::tables(session, control, projection).await?;
    let generations = generation::list(session, control, projection).await?;
    let mut work = Forgetting { session, control, projection, epoch };
    work.pause(by).await?;
    if !generations.is_empty() {
        let mut ddl = ddl.connect().await?;
        for generation in &generations {
            cut_over::drop_place(&mut ddl, &generation.place).await?;
        }
    }
    work.remove_rows().await?;
    // Until then its lanes have rows.
    witness::drop(&mut ddl.connect().await?, control, projection, ddl.database()).await?;
    lease::release(session, control, projection, epoch).await?;
    Ok(Forgotten::Done { tables, generations: generations.len() })
}

struct Forgetting<'a> {
    session: &'a mut Session,
    control: &'a Control,
    projection: &'a str,
    epoch: u64,
}

impl Forgetting<'_> {
    /// Keeps a host that starts after a crash of this from going on without what is gone.
    async fn pause(&mut self, by: &str) -> Result<(), Failure> {
        let Self { session, control, projection, epoch } = self;
        let mut transaction = session.begin(FORGETTING).await?;
        lease::prove(&mut transaction, control, projection, *epoch).await?;
        let why = format!("it is being forgotten; run `laterna forget {projection}` again");
        pause::pause(&mut transaction, control, projection, by, &why).await?;
        transaction.commit().await
    }

    /// Removes the projection's rows: large tables first, a bounded number of rows at a time, and the registration
    /// last, at once.
    async fn remove_rows(&mut self) -> Result<(), Failure> {
        let parts = "letter IN (SELECT id FROM laterna.dead_letter WHERE projection = ?)";
        self.remove("dead_letter_part", parts).await?;
        for table in self.tables().await? {
            if !AT_LAST.contains(&table.as_str()) && table != LEASES {
                self.remove(&table, "projection = ?").await?;
            }
        }
        let Self { session, control, projection, epoch } = self;
        let mut transaction = session.begin(FORGETTING).await?;
        lease::prove(&mut transaction, control, projection, *epoch).await?;
        for table in AT_LAST {
            let sql =
                control.statement(FORGETTING, format!("DELETE FROM laterna.{table} WHERE projection = ?"));
            sql.bind(&**projection).run(&mut transaction).await?;
        }
        transaction.commit().await
    }

    /// The control tables that hold rows of projections, those of later versions included.
    async fn tables(&mut self) -> Result<Vec<String>, Failure> {
        let sql = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.columns \
                   WHERE table_schema = ? AND column_name = 'projection' ORDER BY table_name";
        let sql = self.control.statement(FORGETTING, sql);
        let rows = sql.bind(self.control.schema()).rows(&mut self.session.connection).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn remove(&mut self, table: &str, whose: &str) -> Result<(), Failure> {
        let Self { session, control, projection, epoch } = self;
        let sql =
            control.statement(FORGETTING, format!("DELETE FROM laterna.{table} WHERE {whose} LIMIT {ROWS}"));
        loop {
            lease::renew(session, control, projection, *epoch, LEASE).await?;
            let mut transaction = session.begin(FORGETTING).await?;
            lease::prove(&mut transaction, control, projection, *epoch).await?;
            let gone = sql.bind(&**projection).run(&mut transaction).await?;
            transaction.commit().await?;
            if gone.rows_affected() < ROWS {
                return Ok(());
            }
        }
    }
}
