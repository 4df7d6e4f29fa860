//! Generations beside the live one: tables that are being filled, and those that were live before.
//!
//! Each has a schema of its own, its place, with a marker table in it. The live generation has no row here: the registration
//! names it, and its tables are in the read model's database.

mod changing;
mod contents;
mod moving;

use serde::{Deserialize, Serialize};

use super::control_db::{ControlTransaction, LeaderDb, ProjectionDb, ProjectionTransaction};
use super::control_sql::{ControlRow, ControlSql};
use super::deployment::Origin;
use super::lease::UnderLease;
use super::renewed_component;
use super::schema::Control;
use crate::failure::Failure;
use crate::readmodel::named::{named, unknown};

pub use changing::{Change, Changed, changing, is_taking_over, opening};

/// The purpose of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To take the live one's place.
    Replace,
    /// To be looked at: it holds a part of history.
    Look,
    /// To be compared with the live one.
    Verify,
    /// Compare as `verify` does, and take the live one's place where they differ.
    Repair,
}

impl Purpose {
    /// Returns true where both generations have to be at one position, row for row.
    pub fn is_compared(self) -> bool {
        matches!(self, Self::Verify | Self::Repair)
    }
}

/// How far a generation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GenerationState {
    /// It is filled, or catches up, beside the live one.
    Building,
    /// It has caught up: both come to one position.
    Meeting,
    /// Its tables are about to take the live ones' place, or have; its marker shows which.
    CuttingOver,
    /// Both are compared as they were at one position.
    Comparing,
    /// It stays as it is.
    Kept,
    /// It goes.
    Dropping,
}

named!(Purpose { Replace = "replace", Look = "look", Verify = "verify", Repair = "repair" });
named!(GenerationState {
    Building = "building",
    Meeting = "meeting",
    CuttingOver = "cutting-over",
    Comparing = "comparing",
    Kept = "kept",
    Dropping = "dropping",
});

/// A part of history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct HistoryFilter {
    /// Events that occurred up to this moment, RFC 3339 in UTC with milliseconds.
    pub until: Option<String>,
    /// Events of this aggregate, as `TYPE/ID`.
    pub aggregate: Option<String>,
}

impl HistoryFilter {
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

/// A generation that is to be.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub projection: &'a str,
    pub purpose: Purpose,
    /// The component it is made with.
    pub digest: &'a str,
    pub tables: &'a [String],
    pub part: HistoryFilter,
    /// How many documents the outbox holds.
    pub expected: u64,
    /// True where it takes the live one's place though it has dead letters of events that the live one applied.
    pub accepted: bool,
    pub origin: Origin,
    /// The command that waits for what comes of it.
    pub command: Option<u64>,
    /// The command that asked for it.
    pub opened_by: Option<u64>,
    pub by: &'a str,
    /// The reason for which whatever is being built is given up; without one, it does not begin beside that.
    pub overtakes: Option<&'a str>,
}

/// A generation beside the live one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Generation {
    pub generation: u32,
    /// The schema its tables are in.
    pub place: String,
    pub purpose: Purpose,
    pub state: GenerationState,
    pub digest: String,
    pub tables: Vec<String>,
    pub part: HistoryFilter,
    /// How many documents the outbox held when it was begun.
    pub expected: u64,
    /// True where it takes the live one's place though it has dead letters of events that the live one applied.
    pub accepted: bool,
    /// How often it tried to.
    pub attempts: u32,
    #[serde(skip, default = "unsaid")]
    pub origin: Origin,
    #[serde(skip)]
    pub command: Option<u64>,
    /// The operation that began it; none where a host did, or an older one.
    #[serde(rename = "operation")]
    pub opened_by: Option<u64>,
    pub by: String,
    /// When it was begun, or became what it is.
    pub since: String,
    /// For how many seconds it has been building.
    pub seconds: u64,
    /// The reason why it waits.
    pub reason: Option<String>,
    /// The part of the live one that it lacks, as was found when both were aligned, in words.
    pub lacks: Option<String>,
    /// True where it takes the live one's place all the same.
    pub lacks_accepted: bool,
    /// For how many seconds it will be built still, as the host that builds it judged last.
    #[serde(skip)]
    pub seconds_left: Option<i64>,
}

/// The origin of a generation that another host's API told of, which leaves it out.
fn unsaid() -> Origin {
    Origin::Command
}

/// The schema for a generation's tables while they are not live.
pub fn place(control: &Control, projection: &str, generation: u32) -> String {
    const NAME_MAX: usize = 64;
    let place = format!("{}_g{generation}_{projection}", control.schema());
    if place.len() <= NAME_MAX {
        return place;
    }
    let hash = xxhash_rust::xxh3::xxh3_64(projection.as_bytes());
    format!("{}_g{generation}_{hash:016x}", control.schema())
}

const COLUMNS: &str = "generation, place, CAST(purpose AS CHAR), CAST(state AS CHAR), digest, table_names, stop_at, \
    only_aggregate, expected, CAST(accepted AS SIGNED), attempts, CAST(origin AS CHAR), command, requested_by, \
    DATE_FORMAT(since, '%Y-%m-%dT%H:%i:%sZ'), \
    CAST(GREATEST(TIMESTAMPDIFF(SECOND, since, CURRENT_TIMESTAMP(6)), 0) AS UNSIGNED), reason, lacks, \
    CAST(lacks_accepted AS SIGNED), opened_by, TIMESTAMPDIFF(SECOND, CURRENT_TIMESTAMP(6), ready_at)";

#[cfg(test)]
impl Generation {
    /// A generation of all of history that nothing is known of but its number and its state.
    pub fn plain(generation: u32, state: GenerationState) -> Self {
        Self {
            generation,
            place: String::new(),
            purpose: Purpose::Replace,
            state,
            digest: String::new(),
            tables: vec![],
            part: HistoryFilter::default(),
            expected: 0,
            accepted: false,
            attempts: 0,
            origin: Origin::Command,
            command: None,
            opened_by: None,
            by: String::new(),
            since: String::new(),
            seconds: 0,
            reason: None,
            lacks: None,
            lacks_accepted: false,
            seconds_left: None,
        }
    }
}

impl ProjectionDb<'_> {
    /// The generations of a projection beside the live one, oldest first.
    pub async fn generations(&mut self) -> Result<Vec<Generation>, Failure> {
        let sql = self.statement(
            "reading the generations",
            format!("SELECT {COLUMNS} FROM laterna.generation WHERE projection = ? ORDER BY generation"),
        );
        let rows = sql.bind(self.projection).rows(self.connection()).await?;
        rows.iter().map(one).collect()
    }
}

impl ProjectionTransaction<'_> {
    /// Reads the generations of a projection, and locks them until the transaction ends.
    pub async fn lock_generations(&mut self) -> Result<Vec<Generation>, Failure> {
        let sql = self.statement(
            "reading the generations",
            format!(
                "SELECT {COLUMNS} FROM laterna.generation WHERE projection = ? ORDER BY generation FOR UPDATE"
            ),
        );
        let rows = sql.bind(self.projection).rows(self).await?;
        rows.iter().map(one).collect()
    }
}

fn one(row: &ControlRow) -> Result<Generation, Failure> {
    let text = |index: usize| row.get::<String>(index);
    let unknown = |word: &str| unknown("a generation's row", word);
    let (purpose, state, origin, tables) = (text(2)?, text(3)?, text(11)?, text(5)?);
    Ok(Generation {
        generation: row.get(0)?,
        place: text(1)?,
        purpose: Purpose::from_name(&purpose).ok_or_else(|| unknown(&purpose))?,
        state: GenerationState::from_name(&state).ok_or_else(|| unknown(&state))?,
        digest: text(4)?,
        tables: serde_json::from_str(&tables).map_err(|_| unknown(&tables))?,
        part: HistoryFilter { until: row.get(6)?, aggregate: row.get(7)? },
        expected: row.get(8)?,
        accepted: row.is(9)?,
        attempts: row.get(10)?,
        origin: Origin::from_name(&origin),
        command: row.get(12)?,
        by: text(13)?,
        since: text(14)?,
        seconds: row.get(15)?,
        reason: row.get(16)?,
        lacks: row.get(17)?,
        lacks_accepted: row.is(18)?,
        opened_by: row.get(19)?,
        seconds_left: row.get(20)?,
    })
}

impl Generation {
    /// What becomes of it when it is given up: one that was kept, and is on its way back, is kept again. So is one that was made
    /// anew for a way back, and that an operator has accepted.
    pub fn given_up(&self) -> GenerationState {
        let returns = self.accepted && self.origin == Origin::Rollback && self.purpose == Purpose::Replace;
        if returns { GenerationState::Kept } else { GenerationState::Dropping }
    }
}

impl ProjectionTransaction<'_> {
    /// Gives generations up, as [`Generation::given_up`] says, and records why.
    pub async fn give_up_generations(&mut self, numbers: &[u32], why: &str) -> Result<(), Failure> {
        let sql = self.statement(
            "giving a generation up",
            "UPDATE laterna.generation SET reason = ?, \
             state = IF(accepted AND origin = 'rollback' AND purpose = 'replace', 'kept', 'dropping') \
             WHERE projection = ? AND generation = ?",
        );
        for number in numbers {
            let given_up = sql.bind(why).bind(self.projection).bind(number);
            given_up.run(self).await?;
        }
        Ok(())
    }
}

impl ControlTransaction<'_> {
    /// Writes the row of a generation that begins. Its component must be stored.
    pub async fn insert_generation(&mut self, number: u32, wanted: &Wanted<'_>) -> Result<(), Failure> {
        let (control, projection) = (self.control, wanted.projection);
        renewed_component::require(self, control, projection, wanted.digest).await?;
        let insert = self.statement(
            "beginning a generation",
            "INSERT INTO laterna.generation (projection, generation, place, purpose, state, digest, table_names, stop_at, \
             only_aggregate, expected, accepted, origin, command, requested_by, opened_by) \
             VALUES (?, ?, ?, ?, 'building', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        insert
            .bind(projection)
            .bind(number)
            .bind(place(control, projection, number))
            .bind(wanted.purpose.name())
            .bind(wanted.digest)
            .bind(serde_json::to_string(wanted.tables).expect("names are text"))
            .bind(&wanted.part.until)
            .bind(&wanted.part.aggregate)
            .bind(wanted.expected)
            .bind(wanted.accepted)
            .bind(wanted.origin.name())
            .bind(wanted.command)
            .bind(wanted.by)
            .bind(wanted.opened_by)
            .run(self)
            .await?;
        Ok(())
    }
}

impl ProjectionTransaction<'_> {
    /// Writes what a generation was changed to.
    pub async fn set_generation(&mut self, changed: &Generation) -> Result<(), Failure> {
        let sql = self.statement(
            "changing a generation",
            "UPDATE laterna.generation SET since = IF(state = 'kept' AND ? = 'building', CURRENT_TIMESTAMP(6), since), \
             state = ?, purpose = ?, accepted = ?, attempts = ?, reason = ?, origin = ?, lacks = ?, lacks_accepted = ? \
             WHERE projection = ? AND generation = ?",
        );
        let set = sql
            .bind(changed.state.name())
            .bind(changed.state.name())
            .bind(changed.purpose.name())
            .bind(changed.accepted)
            .bind(changed.attempts)
            .bind(&changed.reason)
            .bind(changed.origin.name())
            .bind(&changed.lacks)
            .bind(changed.lacks_accepted)
            .bind(self.projection)
            .bind(changed.generation);
        set.run(self).await?;
        Ok(())
    }
}

impl LeaderDb<'_> {
    /// Begins a generation in a transaction of its own, under the lease, and gives its number, which is never used again.
    pub async fn open_generation(&mut self, wanted: Wanted<'_>) -> Result<UnderLease<u32>, Failure> {
        let mut transaction = self.begin("beginning a generation").await?;
        let number = transaction.new_generation_number().await?;
        let standing = transaction.lock_generations().await?;
        let gives_up = match opening(&standing, wanted.overtakes.is_some()) {
            Ok(gives_up) => gives_up,
            Err(obstacle) => {
                transaction.rollback().await?;
                return Ok(UnderLease::Blocked(obstacle));
            }
        };
        let why = wanted.overtakes.unwrap_or_default();
        transaction.give_up_generations(&gives_up, why).await?;
        transaction.insert_generation(number, &wanted).await?;
        transaction.commit().await?;
        Ok(UnderLease::Done(number))
    }
}

impl ProjectionTransaction<'_> {
    /// Takes a number that no generation has had, also where the control schema was restored to before one had it: its schema
    /// is there still.
    pub async fn new_generation_number(&mut self) -> Result<u32, Failure> {
        let sql = "SELECT 1 FROM information_schema.schemata WHERE schema_name = ?";
        loop {
            let number = self.next_generation_number().await?;
            let place = place(self.control, self.projection, number);
            let found =
                ControlSql::of_the_server("numbering a generation", sql).bind(&place).first(self).await;
            if found?.is_none() {
                return Ok(number);
            }
        }
    }

    /// Takes the next number of a projection, in a transaction.
    async fn next_generation_number(&mut self) -> Result<u32, Failure> {
        let count = self.statement(
            "numbering a generation",
            "UPDATE laterna.projection SET last_generation = GREATEST(live_generation, last_generation) + 1 \
             WHERE projection = ?",
        );
        count.bind(self.projection).run(self).await?;
        let read = self.statement(
            "numbering a generation",
            "SELECT last_generation FROM laterna.projection WHERE projection = ?",
        );
        let row = read.bind(self.projection).row(self).await?;
        row.get(0)
    }
}

impl ProjectionDb<'_> {
    /// Records what a generation waits for.
    pub async fn explain_generation(&mut self, generation: u32, reason: Option<&str>) -> Result<(), Failure> {
        let sql = self.statement(
            "recording what a generation waits for",
            "UPDATE laterna.generation SET reason = ? WHERE projection = ? AND generation = ?",
        );
        let explained = sql.bind(reason).bind(self.projection).bind(generation);
        explained.run(self.connection()).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_name_that_mysql_takes() {
        let control = Control::new("laterna");
        assert_eq!(place(&control, "accounts", 2), "laterna_g2_accounts");
        let (long, other) = ("a".repeat(64), format!("{}b", "a".repeat(63)));
        assert!(place(&control, &long, 4_000_000_000).len() <= 64);
        assert_ne!(place(&control, &long, 2), place(&control, &other, 2));
    }

    #[test]
    fn names_are_read_as_they_were_written() {
        for state in [
            GenerationState::Building,
            GenerationState::Meeting,
            GenerationState::CuttingOver,
            GenerationState::Comparing,
            GenerationState::Kept,
            GenerationState::Dropping,
        ] {
            assert_eq!(GenerationState::from_name(state.name()), Some(state));
        }
        for purpose in [Purpose::Replace, Purpose::Look, Purpose::Verify, Purpose::Repair] {
            assert_eq!(Purpose::from_name(purpose.name()), Some(purpose));
        }
        assert_eq!(GenerationState::from_name("gone"), None);
    }
}
