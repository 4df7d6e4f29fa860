//! The witness: a small table beside a generation's tables with the batch of each lane that they are at, so that tables
//! and a control schema that were restored to different moments are noticed.
//!
//! It is advanced by the statement that closes a batch, and only where it agrees with the checkpoint. Where it does not,
//! nothing is written any more.

mod judge;

use std::hash::{BuildHasher, RandomState};

use sqlx::Row;
use sqlx::mysql::{MySqlConnection, MySqlRow};

use crate::failure::Failure;
use crate::readmodel::control::control_db::{LeaderDb, ProjectionDb};
use crate::readmodel::control::generation::place;
use crate::readmodel::control::schema::Control;
use crate::readmodel::mysql::error::{classify, number};
use crate::readmodel::mysql::query::{RunQuery, send};
use crate::readmodel::mysql::session::Connector;
use judge::{Disagreement, Judgement, There, WitnessedLane, judge};

/// Code of MySQL for a table that is not there.
const NO_SUCH_TABLE: u16 = 1146;

/// Code of MySQL for a database that is not there.
const NO_SUCH_DATABASE: u16 = 1049;

/// The witness's name, the same wherever the generation's tables are: no projector's table can have such a name.
pub fn table(control: &Control, projection: &str) -> String {
    const NAME_MAX: usize = 64;
    // A control schema has no `-` in its name.
    let whose = format!("{}-{projection}", control.schema());
    let table = format!("laterna_witness_{whose}");
    if table.len() <= NAME_MAX {
        return table;
    }
    format!("laterna_witness_{:016x}", xxhash_rust::xxh3::xxh3_64(whose.as_bytes()))
}

/// A number that no other run has: it distinguishes histories in which as many batches were committed.
pub fn stamp() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

impl ProjectionDb<'_> {
    /// Makes an empty witness in the session's database, where there is none.
    pub async fn create_witness(&mut self) -> Result<(), Failure> {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS `{}` (lane INT UNSIGNED NOT NULL PRIMARY KEY, generation INT UNSIGNED NOT NULL, \
             batch BIGINT UNSIGNED NOT NULL, stamp BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
            table(self.control, self.projection)
        );
        let created = send(self.connection(), &create).await;
        created.map_err(|error| classify("creating the witness of the read model's tables", &error))?;
        Ok(())
    }

    /// Returns true where a witness is in the session's database.
    pub async fn has_witness(&mut self) -> Result<bool, Failure> {
        let sql = format!("SELECT lane FROM `{}` LIMIT 1", table(self.control, self.projection));
        match sqlx::query(&sql).rows(self.connection()).await {
            Ok(_) => Ok(true),
            Err(error) if number(&error) == Some(NO_SUCH_TABLE) => Ok(false),
            Err(error) => Err(classify("looking for the witness of the read model's tables", &error)),
        }
    }

    /// Takes away whatever witness of the projection is in a database.
    pub async fn drop_witness(&mut self, database: &str) -> Result<(), Failure> {
        let drop = format!("DROP TABLE IF EXISTS `{database}`.`{}`", table(self.control, self.projection));
        let dropped = send(self.connection(), &drop).await;
        dropped.map_err(|error| classify("dropping the witness of the read model's tables", &error))?;
        Ok(())
    }
}

/// Writes the lanes' rows into the witness in the session's database, in a transaction that has proven the epoch.
pub async fn write(
    connection: &mut MySqlConnection,
    control: &Control,
    projection: &str,
    generation: u32,
) -> Result<(), Failure> {
    let failed = |error: sqlx::Error| classify("writing the witness of the read model's tables", &error);
    let (table, stamp) = (table(control, projection), stamp());
    let known = control.sql(
        "UPDATE laterna.checkpoint SET witness_batch = batch, witness_stamp = ? WHERE projection = ? AND generation = ?",
    );
    let known = sqlx::query(&known).bind(stamp).bind(projection).bind(generation);
    known.run(connection).await.map_err(failed)?;
    // What an older host left here of another generation is lost with this.
    let lost = control.sql(&format!(
        "UPDATE laterna.checkpoint SET witness_batch = NULL, witness_stamp = NULL \
         WHERE projection = ? AND generation <> ? AND generation IN (SELECT generation FROM `{table}`)"
    ));
    let lost = sqlx::query(&lost).bind(projection).bind(generation);
    lost.run(connection).await.map_err(failed)?;
    send(connection, &format!("DELETE FROM `{table}`")).await.map_err(failed)?;
    let insert = control.sql(&format!(
        "INSERT INTO `{table}` (lane, generation, batch, stamp) \
         SELECT lane, generation, batch, witness_stamp FROM laterna.checkpoint WHERE projection = ? AND generation = ?"
    ));
    sqlx::query(&insert).bind(projection).bind(generation).run(connection).await.map_err(failed)?;
    Ok(())
}

impl LeaderDb<'_> {
    /// Demands that the witness agrees with the lanes' rows, before the lanes run. Where an older host made the generation,
    /// went on with it or brought its tables here, the witness is made, or brought up to date. The session and `ddl` are in the
    /// generation's database.
    pub async fn demand_witness(&mut self, ddl: &Connector, generation: u32) -> Result<(), Failure> {
        let judgement = judge(generation, &self.witnessed_lanes(generation, None).await?);
        if judgement == Judgement::Right {
            return Ok(());
        }
        if let Some(failure) = self.witness_contradiction(ddl.database(), generation).await? {
            return Err(failure);
        }
        let (control, projection) = (self.control, self.projection);
        let mut ddl_session = ddl.connect().await?;
        let mut db = control.of(&mut ddl_session, projection);
        db.create_witness().await?;
        let mut transaction = self.begin("writing the witness of the read model's tables").await?;
        write(&mut transaction, control, projection, generation).await?;
        transaction.commit().await?;
        if matches!(judgement, Judgement::Wrong(_)) {
            let left_at = place(control, projection, generation);
            db.drop_witness(&left_at).await?;
        }
        Ok(())
    }
}

impl ProjectionDb<'_> {
    /// Whether the witness says otherwise than the lanes' rows, in which case they do not run. `database` is the generation's.
    pub async fn witness_contradiction(
        &mut self,
        database: &str,
        generation: u32,
    ) -> Result<Option<Failure>, Failure> {
        let judgement = judge(generation, &self.witnessed_lanes(generation, None).await?);
        let Judgement::Wrong(found) = judgement else { return Ok(None) };
        // A host that knows no witness left it where the generation's tables were before they were live.
        let left_at = place(self.control, self.projection, generation);
        let left = self.witnessed_lanes(generation, Some(&left_at)).await?;
        if database == left_at || matches!(judge(generation, &left), Judgement::Wrong(_)) {
            return self.restored_tables(generation, &found).await.map(Some);
        }
        Ok(None)
    }

    /// What is wrong where a batch could not be closed because of the witness. The transaction has to be over.
    pub async fn blame_witness(&mut self, generation: u32) -> Result<Failure, Failure> {
        match judge(generation, &self.witnessed_lanes(generation, None).await?) {
            Judgement::Wrong(found) => self.restored_tables(generation, &found).await,
            Judgement::Right | Judgement::Unwritten => Ok(Failure::LostRace {
                what: "the witness of the read model's tables changed while a batch was closed".to_owned(),
            }),
        }
    }

    /// Describes what the tables of the session's database hold that the lanes' rows do not: they are newer, or of another
    /// history. Which events they were made from is not known then.
    pub async fn untold(&mut self, generation: u32) -> Result<Option<String>, Failure> {
        let judgement = judge(generation, &self.witnessed_lanes(generation, None).await?);
        let Judgement::Wrong(found) = judgement else { return Ok(None) };
        Ok(found.is_untold().then(|| {
            format!(
                "{}, so it is not known which events the live tables were made from",
                found.told(generation)
            )
        }))
    }

    async fn restored_tables(&mut self, generation: u32, found: &Disagreement) -> Result<Failure, Failure> {
        let failed = |error: sqlx::Error| classify("asking which database it is", &error);
        let row = sqlx::query("SELECT CONVERT(DATABASE() USING utf8mb4)").row(self.connection());
        let database: String = row.await.map_err(failed)?.try_get(0).map_err(failed)?;
        Ok(Failure::ReadModelRestored {
            projection: self.projection.to_owned(),
            found: format!(
                "{} (`{database}`.`{}`)",
                found.told(generation),
                table(self.control, self.projection)
            ),
        })
    }

    /// The lanes' rows beside the witness's, as they are at one moment; that in the session's database unless one is named.
    async fn witnessed_lanes(
        &mut self,
        generation: u32,
        database: Option<&str>,
    ) -> Result<Vec<WitnessedLane>, Failure> {
        let control = self.control;
        let failed = |error: sqlx::Error| classify("reading the witness of the read model's tables", &error);
        let sql = |from_witness: &str, joined: &str| {
            control.sql(&format!(
                "SELECT c.lane, c.batch, c.witness_batch, c.witness_stamp, {from_witness} FROM laterna.checkpoint c {joined} \
                 WHERE c.projection = ? AND c.generation = ? ORDER BY c.lane"
            ))
        };
        let database = database.map_or_else(String::new, |database| format!("`{database}`."));
        let joined =
            format!("LEFT JOIN {database}`{}` w ON w.lane = c.lane", table(control, self.projection));
        let both = sql("CAST(w.generation AS UNSIGNED), w.batch, w.stamp", &joined);
        let asked = sqlx::query(&both).bind(self.projection).bind(generation).rows(self.connection()).await;
        let rows = match asked.map_err(failed) {
            Err(Failure::SchemaMismatch { code: NO_SUCH_TABLE | NO_SUCH_DATABASE, .. }) => {
                let none = "CAST(NULL AS UNSIGNED)";
                let alone = sql(&format!("{none}, {none}, {none}"), "");
                let asked = sqlx::query(&alone).bind(self.projection).bind(generation);
                asked.rows(self.connection()).await.map_err(failed)?
            }
            rows => rows?,
        };
        rows.iter().map(|row| seen(row).map_err(failed)).collect()
    }
}

fn seen(row: &MySqlRow) -> Result<WitnessedLane, sqlx::Error> {
    let number = |column: usize| row.try_get::<Option<u64>, _>(column);
    let there = number(4)?.zip(number(5)?).zip(number(6)?);
    Ok(WitnessedLane {
        lane: row.try_get(0)?,
        committed: row.try_get(1)?,
        known: number(2)?.zip(number(3)?),
        there: there.map(|((generation, batch), stamp)| There { generation, batch, stamp }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_has_a_name_that_mysql_takes_and_no_other_installation_has() {
        assert_eq!(table(&Control::new("laterna"), "accounts"), "laterna_witness_laterna-accounts");
        assert_ne!(table(&Control::new("a"), "b_c"), table(&Control::new("a_b"), "c"));
        let long = "a".repeat(64);
        assert!(table(&Control::new("laterna"), &long).len() <= 64);
        assert_ne!(table(&Control::new("laterna"), &long), table(&Control::new("other"), &long));
    }

    #[test]
    fn each_stamp_is_another_one() {
        assert_ne!(stamp(), stamp());
    }
}
