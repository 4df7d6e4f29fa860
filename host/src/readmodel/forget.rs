//! Forgetting a projection: everything that the control schema holds of it goes, and its live tables stay.
//!
//! It takes the lease first, so that no host writes meanwhile. It must not touch the live tables.

use std::time::Duration;

use super::control::control_db::{LeaderDb, ProjectionDb};
use super::control::lease::Acquired;
use super::control::recorded_change::{ChangedBy, RecordedChange};
use super::cut_over;
use super::lane::dead_letter::Selection;
use super::mysql::session::Connector;
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

/// The table that keeps the rows about projections of that name that were forgotten, and those rows that go.
const COMMANDS: &str = "command";
const OTHER_COMMANDS: &str = r#"projection = ? AND request NOT LIKE '{"do":"forget"%'"#;

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

impl ProjectionDb<'_> {
    /// Forgets the projection under its lease, which is taken for `by`, and records that `who` wanted it so; `ddl` is the account that
    /// drops tables. Killed anywhere, it can be begun again.
    pub async fn forget(&mut self, ddl: &Connector, by: &str, who: &str) -> Result<Forgotten, Failure> {
        let epoch = match self.acquire_lease(ddl, by, LEASE).await? {
            Acquired::Mine { epoch } => epoch,
            Acquired::Taken { owner } => return Ok(Forgotten::Runs { owner }),
        };
        let tables = self.tables().await?;
        let generations = self.generations().await?;
        let letters = self.count_letters(&Selection::default()).await?.all();
        let (control, projection) = (self.control, self.projection);
        let mut leader = self.under(epoch);
        leader.pause_until_forgotten(by).await?;
        if !generations.is_empty() {
            let mut ddl = ddl.connect().await?;
            for generation in &generations {
                cut_over::drop_place(&mut ddl, &generation.place).await?;
            }
        }
        let change =
            RecordedChange::Forget { tables: tables.clone(), letters, generations: generations.len() };
        leader.remove_rows(who, &change).await?;
        // Until then its lanes have rows.
        control.of(&mut ddl.connect().await?, projection).drop_witness(ddl.database()).await?;
        leader.release_lease().await?;
        Ok(Forgotten::Done { tables, generations: generations.len() })
    }
}

impl LeaderDb<'_> {
    /// Keeps a host that starts after a crash of this from going on without what is gone.
    async fn pause_until_forgotten(&mut self, by: &str) -> Result<(), Failure> {
        let why = format!("it is being forgotten; run `laterna forget {}` again", self.projection);
        let mut transaction = self.begin(FORGETTING).await?;
        transaction.pause(by, &why).await?;
        transaction.commit().await
    }

    /// Removes the projection's rows: large tables first, a bounded number of rows at a time, and the registration
    /// last, at once, together with the record of it. What is recorded of earlier projections of that name stays.
    async fn remove_rows(&mut self, who: &str, change: &RecordedChange) -> Result<(), Failure> {
        let parts = "letter IN (SELECT id FROM laterna.dead_letter WHERE projection = ?)";
        self.remove_rows_of("dead_letter_part", parts).await?;
        for table in self.tables_of_projections().await? {
            if !AT_LAST.contains(&table.as_str()) && table != LEASES {
                let whose = if table == COMMANDS { OTHER_COMMANDS } else { "projection = ?" };
                self.remove_rows_of(&table, whose).await?;
            }
        }
        let mut transaction = self.begin(FORGETTING).await?;
        // What was asked for meanwhile is no wish about a successor.
        let text = format!("DELETE FROM laterna.{COMMANDS} WHERE {OTHER_COMMANDS}");
        let sql = transaction.statement(FORGETTING, text);
        sql.bind(transaction.projection).run(&mut transaction).await?;
        for table in AT_LAST {
            let text = format!("DELETE FROM laterna.{table} WHERE projection = ?");
            let sql = transaction.statement(FORGETTING, text);
            sql.bind(transaction.projection).run(&mut transaction).await?;
        }
        let by = ChangedBy { projection: transaction.projection, who, carried_out_by: who };
        transaction.record_change(by, change, "forgotten; its tables stay").await?;
        transaction.commit().await
    }

    /// The control tables that hold rows of projections, those of later versions included.
    async fn tables_of_projections(&mut self) -> Result<Vec<String>, Failure> {
        let sql = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.columns \
                   WHERE table_schema = ? AND column_name = 'projection' ORDER BY table_name";
        let sql = self.statement(FORGETTING, sql);
        let rows = sql.bind(self.control.schema()).rows(self.connection()).await?;
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn remove_rows_of(&mut self, table: &str, whose: &str) -> Result<(), Failure> {
        let text = format!("DELETE FROM laterna.{table} WHERE {whose} LIMIT {ROWS}");
        let sql = self.statement(FORGETTING, text);
        loop {
            self.renew_lease(LEASE).await?;
            let mut transaction = self.begin(FORGETTING).await?;
            let gone = sql.bind(transaction.projection).run(&mut transaction).await?;
            transaction.commit().await?;
            if gone.rows_affected() < ROWS {
                return Ok(());
            }
        }
    }
}
