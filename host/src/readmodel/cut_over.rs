//! A generation takes the live one's place: all tables and a marker are renamed at once, so that the database itself shows
//! which of the two stands where, whatever dies when.
//!
//! While one session renames, another one holds the lease's row, so that no other host takes over meanwhile; both are written
//! down before, and a take-over ends them first.

use std::time::Duration;

use sqlx::Row;
use sqlx::mysql::MySqlConnection;

use super::control::control_db::prove_epoch;
use super::control::deployment::{self, Proposal};
use super::control::generation::{Generation, place};
use super::control::ownership;
use super::control::schema::Control;
use super::lane::witness;
use super::mysql::error::{classify, number};
use super::mysql::query::{RunQuery, send};
use super::mysql::session::{Connector, Session};
use crate::failure::{Failure, Fault};

/// The marker: it stands where the tables stand that are not live. No projector's table can have such a name.
const MARKER: &str = "laterna aside";

/// For how many seconds renaming waits for readers. Whoever comes to read meanwhile waits behind it.
const LOCK_SECONDS: u32 = 1;

/// How often it is tried while the live lanes stand still, and how long readers have in between.
const TRIES: u32 = 3;
const TRY_INTERVAL: Duration = Duration::from_millis(300);

/// The change of one generation for another.
pub struct CutOver<'a> {
    pub applier: &'a Connector,
    pub ddl: &'a Connector,
    pub control: &'a Control,
    pub projection: &'a str,
    pub epoch: u64,
    /// The generation that is live, its tables and its component.
    pub live: u32,
    pub live_tables: &'a [String],
    pub live_digest: &'a str,
    pub next: &'a Generation,
}

/// The result of a try to cut over.
#[derive(Debug)]
pub enum CutOverOutcome {
    Done,
    /// Nothing has changed, and why. It can be tried again.
    NotYet(String),
}

impl CutOver<'_> {
    /// Cuts over, or goes on with it where it was interrupted. No lane of the projection may run. After a failure it is not
    /// known whether it happened: [`CutOver::run`] again, under the next epoch, finds out.
    pub async fn run(&self) -> Result<CutOverOutcome, Failure> {
        let (mut ddl, mut guard) = tokio::try_join!(self.ddl.connect(), self.applier.connect())?;
        self.control.of(&mut ddl, self.projection).mark_renaming().await?;
        if !self.record_intent(&mut guard, ddl.id).await? {
            return Ok(CutOverOutcome::NotYet("it is not to take the live one's place any more".to_owned()));
        }
        let aside = place(self.control, self.projection, self.live);
        if !self.has_happened(&mut ddl).await?
            && let Some(why) = self.obstacle(&mut ddl, &aside).await?
        {
            return self.give_up(&mut guard, why).await;
        }
        let short = format!("SET SESSION lock_wait_timeout = {LOCK_SECONDS}");
        send(&mut ddl.connection, &short).await.map_err(|error| classify("preparing to rename", &error))?;
        for left in (0..TRIES).rev() {
            self.hold_lease(&mut guard.connection).await?;
            if self.has_happened(&mut ddl).await? {
                break;
            }
            let sql = self.renaming(&mut ddl, &aside).await?;
            match send(&mut ddl.connection, &sql).await.map_err(|error| refusal(&error)) {
                Ok(_) => break,
                Err(CutOverRefusal::Unknown(failure)) => return Err(failure),
                Err(CutOverRefusal::Waited(_)) if left > 0 => self.pause(&mut guard.connection).await?,
                // Somebody else's renaming may have been the faster one.
                Err(_) if self.has_happened(&mut ddl).await? => break,
                Err(CutOverRefusal::Waited(why) | CutOverRefusal::Final(why)) => {
                    return self.give_up(&mut guard, why).await;
                }
            }
        }
        self.record(&mut guard.connection).await?;
        Ok(CutOverOutcome::Done)
    }

    /// Returns true where the tables were renamed: the marker stands with the tables that were live, and no more with
    /// the others. One that a host left behind that is long gone proves nothing.
    pub async fn has_happened(&self, session: &mut Session) -> Result<bool, Failure> {
        let failed = |error: sqlx::Error| classify("looking for the marker of a cut-over", &error);
        let aside = place(self.control, self.projection, self.live);
        let sql = "SELECT CONVERT(table_schema USING utf8mb4) FROM information_schema.tables \
                   WHERE table_schema IN (?, ?) AND table_name = ?";
        let found = sqlx::query(sql).bind(&aside).bind(&self.next.place).bind(MARKER);
        let found = found.rows(&mut session.connection).await.map_err(failed)?;
        let schemas = found.iter().map(|row| row.try_get(0).map_err(failed));
        let schemas: Vec<String> = schemas.collect::<Result<_, _>>()?;
        Ok(schemas == [aside])
    }

    /// Makes the place for the live tables, and returns what else keeps the tables from changing places.
    async fn obstacle(&self, ddl: &mut Session, aside: &str) -> Result<Option<String>, Failure> {
        let asked = async {
            make_place(ddl, self.applier.database(), aside).await?;
            unmark_place(ddl, aside).await?;
            self.control.of(ddl, self.projection).drop_witness(aside).await?;
            self.wrong_names(ddl, aside).await
        };
        match asked.await {
            Err(failure) if failure.fault() == Fault::Setup => Ok(Some(failure.to_string())),
            asked => asked,
        }
    }

    /// Writes down what is about to happen, and in which sessions. False when an operator was faster.
    async fn record_intent(&self, guard: &mut Session, ddl: u64) -> Result<bool, Failure> {
        let failed = |error: sqlx::Error| classify("recording a cut-over", &error);
        let id = guard.id;
        let connection = &mut guard.connection;
        send(connection, "BEGIN").await.map_err(failed)?;
        let sessions = self.control.sql(
            "UPDATE laterna.lease SET ddl_connection_id = ?, guard_connection_id = ? WHERE projection = ? AND epoch = ?",
        );
        prove_epoch(connection, self.control, self.projection, self.epoch).await?;
        let sessions = sqlx::query(&sessions).bind(ddl).bind(id).bind(self.projection).bind(self.epoch);
        sessions.run(connection).await.map_err(failed)?;
        let state = self.control.sql(
            "UPDATE laterna.generation SET state = 'cutting-over', reason = NULL \
             WHERE projection = ? AND generation = ? AND state IN ('meeting', 'cutting-over')",
        );
        let state = sqlx::query(&state).bind(self.projection).bind(self.next.generation);
        // The connection counts rows that were found, also where they stay as they are.
        let is_wanted = state.run(connection).await.map_err(failed)?.rows_affected() == 1;
        send(connection, if is_wanted { "COMMIT" } else { "ROLLBACK" }).await.map_err(failed)?;
        Ok(is_wanted)
    }

    /// Keeps other hosts from taking over until the transaction ends.
    async fn hold_lease(&self, connection: &mut MySqlConnection) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| classify("holding the lease", &error);
        send(connection, "BEGIN").await.map_err(failed)?;
        let sql = self.control.sql("SELECT epoch FROM laterna.lease WHERE projection = ? FOR UPDATE");
        let row = sqlx::query(&sql).bind(self.projection).row(connection).await.map_err(failed)?;
        let found: u64 = row.try_get(0).map_err(failed)?;
        if found == self.epoch { Ok(()) } else { Err(Failure::Fenced { mine: self.epoch, found }) }
    }

    /// Lets go of the lease for a moment, for whoever renews it, and of the queue of readers.
    async fn pause(&self, connection: &mut MySqlConnection) -> Result<(), Failure> {
        send(connection, "ROLLBACK").await.map_err(|error| classify("letting the lease go", &error))?;
        tokio::time::sleep(TRY_INTERVAL).await;
        Ok(())
    }

    /// A table that is to come and has the name of one that stays, or that is not there.
    async fn wrong_names(&self, ddl: &mut Session, aside: &str) -> Result<Option<String>, Failure> {
        let (live, place) = (self.applier.database(), &self.next.place);
        let (there, come) = (tables_in(ddl, live).await?, tables_in(ddl, place).await?);
        let stays = |name: &&String| there.contains(name) && !self.live_tables.contains(name);
        let taken = self.next.tables.iter().find(stays).map(|name| {
            format!("there is a table `{live}`.`{name}` already, which is none of the projection's: rename or drop it")
        });
        let missing = self.next.tables.iter().find(|name| !come.contains(name));
        let missing =
            missing.map(|name| format!("its table `{place}`.`{name}` is gone: drop the generation"));
        let before = tables_in(ddl, aside).await?;
        let left = self.live_tables.iter().find(|name| before.contains(name)).map(|name| {
            format!(
                "there is a table `{aside}`.`{name}` already, from before the control schema was restored: drop that schema \
                 (DROP DATABASE `{aside}`)"
            )
        });
        Ok(taken.or(missing).or(left))
    }

    async fn renaming(&self, ddl: &mut Session, aside: &str) -> Result<String, Failure> {
        let (live, there) = (self.applier.database(), &self.next.place);
        let (from, to_come) = (tables_in(ddl, live).await?, tables_in(ddl, there).await?);
        // Where an older host made the tables, they have none yet.
        let witness = witness::table(self.control, self.projection);
        // A table that somebody dropped cannot go aside; the one that takes its place comes all the same.
        let goes = self.live_tables.iter().chain([&witness]).filter(|name| from.contains(name));
        let goes = goes.map(|name| format!("`{live}`.`{name}` TO `{aside}`.`{name}`"));
        let comes = self.next.tables.iter().chain(Some(&witness).filter(|name| to_come.contains(name)));
        let comes = comes.map(|name| format!("`{there}`.`{name}` TO `{live}`.`{name}`"));
        let marker = format!("`{there}`.`{MARKER}` TO `{aside}`.`{MARKER}`");
        let all: Vec<String> = goes.chain(comes).chain([marker]).collect();
        Ok(format!("RENAME TABLE {}", all.join(", ")))
    }

    /// The new state, in the transaction that has held the lease since before the renaming.
    async fn record(&self, connection: &mut MySqlConnection) -> Result<(), Failure> {
        let failed = |error: sqlx::Error| classify("recording a cut-over", &error);
        let (projection, next) = (self.projection, self.next.generation);
        let live = self.control.sql(
            "UPDATE laterna.projection SET live_generation = ?, lanes = (SELECT COUNT(*) FROM laterna.checkpoint \
             WHERE projection = ? AND generation = ?) WHERE projection = ? AND live_generation = ?",
        );
        let live = sqlx::query(&live).bind(next).bind(projection).bind(next).bind(projection).bind(self.live);
        if live.run(connection).await.map_err(failed)?.rows_affected() != 1 {
            let what = format!("generation {} of `{projection}` is not live any more", self.live);
            return Err(Failure::LostRace { what });
        }
        let gone = self.control.sql("DELETE FROM laterna.generation WHERE projection = ? AND generation = ?");
        sqlx::query(&gone).bind(projection).bind(next).run(connection).await.map_err(failed)?;
        let kept = self.control.sql(
            "INSERT INTO laterna.generation (projection, generation, place, purpose, state, digest, table_names, \
             expected, origin, requested_by) VALUES (?, ?, ?, 'replace', 'kept', ?, ?, 0, 'rollback', ?)",
        );
        let kept = sqlx::query(&kept)
            .bind(projection)
            .bind(self.live)
            .bind(place(self.control, projection, self.live))
            .bind(self.live_digest)
            .bind(serde_json::to_string(self.live_tables).expect("names are text"))
            .bind(&self.next.by);
        kept.run(connection).await.map_err(failed)?;
        let proposal = Proposal {
            projection,
            digest: &self.next.digest,
            origin: self.next.origin,
            by: &self.next.by,
            canary: Duration::ZERO,
            command: None,
        };
        deployment::deploy(connection, self.control, proposal).await?;
        let (database, tables) = (self.applier.database(), &self.next.tables);
        ownership::enter(connection, self.control, projection, database, tables).await?;
        self.forget_sessions(connection).await?;
        send(connection, "COMMIT").await.map_err(failed)?;
        Ok(())
    }

    /// Nothing was renamed: the generation goes on beside the live one.
    async fn give_up(&self, guard: &mut Session, why: String) -> Result<CutOverOutcome, Failure> {
        let failed = |error: sqlx::Error| classify("giving a cut-over up", &error);
        let connection = &mut guard.connection;
        send(connection, "ROLLBACK").await.map_err(failed)?;
        send(connection, "BEGIN").await.map_err(failed)?;
        prove_epoch(connection, self.control, self.projection, self.epoch).await?;
        self.forget_sessions(connection).await?;
        let sql = self.control.sql(
            "UPDATE laterna.generation SET state = 'building', attempts = attempts + 1, reason = ? \
             WHERE projection = ? AND generation = ? AND state = 'cutting-over'",
        );
        let back = sqlx::query(&sql).bind(&why).bind(self.projection).bind(self.next.generation);
        back.run(connection).await.map_err(failed)?;
        send(connection, "COMMIT").await.map_err(failed)?;
        Ok(CutOverOutcome::NotYet(why))
    }

    async fn forget_sessions(&self, connection: &mut MySqlConnection) -> Result<(), Failure> {
        let sql = self.control.sql(
            "UPDATE laterna.lease SET ddl_connection_id = 0, guard_connection_id = 0 WHERE projection = ?",
        );
        let forgotten = sqlx::query(&sql).bind(self.projection).run(connection).await;
        forgotten.map_err(|error| classify("recording a cut-over", &error))?;
        Ok(())
    }
}

/// Why MySQL did not rename.
enum CutOverRefusal {
    /// Somebody reads; nothing has happened.
    Waited(String),
    /// Nothing has happened.
    Final(String),
    /// It may have happened.
    Unknown(Failure),
}

fn refusal(error: &sqlx::Error) -> CutOverRefusal {
    let failure = classify("renaming the tables", error);
    match number(error) {
        // 1205: a lock was waited for in vain.
        Some(1205) => CutOverRefusal::Waited(format!(
            "somebody has been reading a table for longer than {LOCK_SECONDS} s (an open transaction counts), so the tables \
             could not change places; it is tried again"
        )),
        Some(_) if matches!(failure.fault(), Fault::Setup | Fault::Event) => {
            CutOverRefusal::Final(failure.to_string())
        }
        _ => CutOverRefusal::Unknown(failure),
    }
}

/// Makes a schema for tables that are not live, like the one of those that are.
pub async fn make_place(ddl: &mut Session, live: &str, place: &str) -> Result<(), Failure> {
    let doing = format!("creating the schema `{place}`");
    let failed = |error: sqlx::Error| classify(&doing, &error);
    let charset = sqlx::query(
        "SELECT CONVERT(default_character_set_name USING utf8mb4), CONVERT(default_collation_name USING utf8mb4) \
         FROM information_schema.schemata WHERE schema_name = ?",
    );
    let row = charset.bind(live).row(&mut ddl.connection).await.map_err(failed)?;
    let (charset, collation): (String, String) =
        (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    let create =
        format!("CREATE DATABASE IF NOT EXISTS `{place}` CHARACTER SET {charset} COLLATE {collation}");
    send(&mut ddl.connection, &create).await.map_err(failed)?;
    Ok(())
}

/// Marks a schema as the place of tables that are not live.
pub async fn mark_place(ddl: &mut Session, place: &str) -> Result<(), Failure> {
    let create =
        format!("CREATE TABLE IF NOT EXISTS `{place}`.`{MARKER}` (id INT PRIMARY KEY) ENGINE=InnoDB");
    let created = send(&mut ddl.connection, &create).await;
    created.map_err(|error| classify("creating the marker of a generation", &error))?;
    Ok(())
}

/// Takes a marker away that a host left behind.
async fn unmark_place(ddl: &mut Session, place: &str) -> Result<(), Failure> {
    let drop = format!("DROP TABLE IF EXISTS `{place}`.`{MARKER}`");
    let dropped = send(&mut ddl.connection, &drop).await;
    dropped.map_err(|error| classify("removing a marker that was left behind", &error))?;
    Ok(())
}

/// Drops a schema with all that is in it: it is the host's alone.
pub async fn drop_place(ddl: &mut Session, place: &str) -> Result<(), Failure> {
    let drop = format!("DROP DATABASE IF EXISTS `{place}`");
    let dropped = send(&mut ddl.connection, &drop).await;
    dropped.map_err(|error| classify(&format!("dropping the schema `{place}`"), &error))?;
    Ok(())
}

/// Checks that both accounts may do what generations take: makes a place, and drops it again.
pub async fn rehearse_place(
    ddl: &mut Session,
    applier: &mut Session,
    live: &str,
    control: &Control,
) -> Result<(), Failure> {
    let place = place(control, "check", 0);
    make_place(ddl, live, &place).await?;
    let tried = async {
        mark_place(ddl, &place).await?;
        let write =
            format!("INSERT INTO `{place}`.`{MARKER}` (id) VALUES (1) ON DUPLICATE KEY UPDATE id = id");
        let written = send(&mut applier.connection, &write).await;
        written.map_err(|error| classify(&format!("writing to the schema `{place}`"), &error))?;
        Ok(())
    };
    let tried = tried.await;
    drop_place(ddl, &place).await?;
    tried
}

async fn tables_in(session: &mut Session, schema: &str) -> Result<Vec<String>, Failure> {
    let failed = |error: sqlx::Error| classify("looking for tables", &error);
    let sql = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables \
               WHERE table_schema = ? ORDER BY table_name";
    let rows = sqlx::query(sql).bind(schema).rows(&mut session.connection).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}
