//! What MySQL saw of the control schema, commit by commit, and what an observer sees of it while the faults strike.
//!
//! Triggers write down every change of a checkpoint and of a lease, in the transaction that makes it: what was rolled
//! back is not there, and what was committed cannot hide. The observer reads one consistent snapshot after another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{Executor, Row};
use tokio_util::sync::CancellationToken;

use super::ground::{Ground, PROJECTIONS, live};
use super::load::Log;
use super::mysqld::admin;
use super::operator::IN_THE_WAY;
use crate::support::{some_time, until};

/// A change of a lane's checkpoint, as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    pub projection: String,
    pub generation: u32,
    pub lane: u32,
    pub epoch: u64,
    pub batch: u64,
    pub events: u64,
    pub position: String,
    /// Whose session did it: the address it came from.
    pub by: String,
}

/// A change of a lease's epoch or owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub projection: String,
    pub epoch: u64,
    pub owner: String,
}

/// A generation that took the live one's place, and how many events each had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub projection: String,
    pub generations: [u32; 2],
    pub events: [u64; 2],
}

/// Puts the triggers in place, once the hosts have made their tables. Leases are taken before that, and so the first
/// grants are copied.
pub async fn audit(ground: &Ground) {
    let (world, control) = (&ground.world, ground.world.control());
    let begun = format!("SELECT COUNT(*) FROM {control}.projection WHERE lanes > 0");
    let all = i64::try_from(PROJECTIONS.len()).expect("a few");
    until("the hosts have begun all projections", async || world.number_if_any(&begun).await == Some(all))
        .await;
    let (schema, columns) =
        (schema(ground), "projection, generation, lane, epoch, batch, events, position, came_from");
    let events = |generation| {
        format!(
            "(SELECT SUM(events) FROM {control}.checkpoint WHERE projection = NEW.projection AND generation = {generation})"
        )
    };
    for sql in [
        format!("CREATE DATABASE {schema} CHARACTER SET utf8mb4"),
        format!(
            "CREATE TABLE {schema}.advance (id BIGINT AUTO_INCREMENT PRIMARY KEY, projection VARCHAR(64), \
             generation INT, lane INT, epoch BIGINT, batch BIGINT, events BIGINT, position TEXT, came_from VARCHAR(255))"
        ),
        format!(
            "CREATE TABLE {schema}.granted (id BIGINT AUTO_INCREMENT PRIMARY KEY, projection VARCHAR(64), \
             epoch BIGINT, owner VARCHAR(255))"
        ),
        format!(
            "CREATE TABLE {schema}.changed (id BIGINT AUTO_INCREMENT PRIMARY KEY, projection VARCHAR(64), \
             gone BIGINT, come BIGINT, gone_events BIGINT, come_events BIGINT)"
        ),
        // For whoever wants a transaction with many rows.
        format!("CREATE TABLE {schema}.weight (id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT)"),
        format!(
            "CREATE TRIGGER {control}.advanced AFTER UPDATE ON {control}.checkpoint FOR EACH ROW \
             INSERT INTO {schema}.advance ({columns}) SELECT NEW.projection, NEW.generation, NEW.lane, NEW.epoch, NEW.batch, \
             NEW.events, NEW.position, SUBSTRING_INDEX(USER(), '@', -1) FROM DUAL \
             WHERE NEW.epoch <> OLD.epoch OR NEW.batch <> OLD.batch OR NEW.events <> OLD.events \
             OR NEW.position <> OLD.position"
        ),
        format!(
            "CREATE TRIGGER {control}.changed AFTER UPDATE ON {control}.projection FOR EACH ROW \
             INSERT INTO {schema}.changed (projection, gone, come, gone_events, come_events) \
             SELECT NEW.projection, OLD.live_generation, NEW.live_generation, {}, {} FROM DUAL \
             WHERE NEW.live_generation <> OLD.live_generation",
            events("OLD.live_generation"),
            events("NEW.live_generation")
        ),
        format!(
            "CREATE TRIGGER {control}.granted AFTER UPDATE ON {control}.lease FOR EACH ROW \
             INSERT INTO {schema}.granted (projection, epoch, owner) SELECT NEW.projection, NEW.epoch, NEW.owner \
             FROM DUAL WHERE NEW.epoch <> OLD.epoch OR NEW.owner <> OLD.owner"
        ),
    ] {
        world.run(&sql).await;
    }
    let copy = format!(
        "INSERT INTO {schema}.granted (projection, epoch, owner) SELECT projection, epoch, owner FROM {control}.lease"
    );
    world.run(&copy).await;
}

/// The events that the live generation lacks because operators gave them up, to select from. A generation that was made
/// meanwhile may have a letter of such an event still, or may have applied it where nothing was in its way.
pub fn given_up(control: &str, read_model: &str, projection: &str) -> String {
    let applied = if projection == "recorder" {
        format!(
            "AND NOT ((SELECT last_generation FROM {control}.projection WHERE projection = 'recorder') > 1 \
             AND EXISTS (SELECT 1 FROM {read_model}.recorded r WHERE r.event_id = d.event_id))"
        )
    } else {
        String::new()
    };
    format!(
        "(SELECT d.* FROM {control}.discarded d WHERE d.projection = '{projection}' AND NOT EXISTS \
         (SELECT 1 FROM {} WHERE dead_letter.projection = d.projection AND dead_letter.document_key = d.document_key) \
         {applied}) AS given_up",
        live(control, "dead_letter")
    )
}

pub fn schema(ground: &Ground) -> String {
    format!("{}_audit", ground.world.name)
}

/// All changes of checkpoints, in the order in which each lane's were committed.
pub async fn advances(ground: &Ground) -> Vec<Advance> {
    let sql = format!(
        "SELECT projection, CAST(generation AS SIGNED), CAST(lane AS SIGNED), epoch, batch, events, position, came_from \
         FROM {}.advance ORDER BY id",
        schema(ground)
    );
    let rows = ground.world.rows(&sql).await;
    let advance = |row: &MySqlRow| Advance {
        projection: row.get(0),
        generation: number(row, 1),
        lane: number(row, 2),
        epoch: number(row, 3),
        batch: number(row, 4),
        events: number(row, 5),
        position: row.get(6),
        by: row.get(7),
    };
    rows.iter().map(advance).collect()
}

/// All changes of leases, in order.
pub async fn grants(ground: &Ground) -> Vec<Grant> {
    let sql = format!("SELECT projection, epoch, owner FROM {}.granted ORDER BY id", schema(ground));
    let rows = ground.world.rows(&sql).await;
    rows.iter()
        .map(|row| Grant { projection: row.get(0), epoch: number(row, 1), owner: row.get(2) })
        .collect()
}

/// All changes of live generations, in order.
pub async fn changes(ground: &Ground) -> Vec<Change> {
    let columns = "projection, gone, come, COALESCE(gone_events, 0), COALESCE(come_events, 0)";
    let sql = format!("SELECT {columns} FROM {}.changed ORDER BY id", schema(ground));
    let change = |row: &MySqlRow| Change {
        projection: row.get(0),
        generations: [number(row, 1), number(row, 2)],
        events: [number(row, 3), number(row, 4)],
    };
    ground.world.rows(&sql).await.iter().map(change).collect()
}

fn number<N: TryFrom<i64>>(row: &MySqlRow, column: usize) -> N
where
    N::Error: std::fmt::Debug,
{
    N::try_from(row.get::<i64, _>(column)).expect("it is in range")
}

/// What the observer found.
#[derive(Debug, Default)]
pub struct Seen {
    pub snapshots: u64,
    /// The longest that an acknowledged event waited to be applied.
    pub longest_wait: Duration,
    pub violations: BTreeMap<String, u64>,
}

pub struct Observer {
    task: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    seen: Arc<Mutex<Seen>>,
}

impl Observer {
    pub fn start(ground: &Ground, log: Arc<Mutex<Log>>) -> Self {
        let (stop, seen) = (CancellationToken::new(), Arc::<Mutex<Seen>>::default());
        let watch = Watch {
            url: ground.admin_url.clone(),
            read_model: ground.world.name.clone(),
            control: ground.world.control(),
            log,
            seen: seen.clone(),
            latest: None,
        };
        let task = tokio::spawn(watch.run(stop.clone()));
        Self { task, stop, seen }
    }

    pub async fn stop(self) -> Seen {
        self.stop.cancel();
        self.task.await.expect("the observer does not panic");
        std::mem::take(&mut self.seen.lock().expect("nobody panics with it"))
    }
}

struct Watch {
    url: String,
    read_model: String,
    control: String,
    log: Arc<Mutex<Log>>,
    seen: Arc<Mutex<Seen>>,
    /// How much was applied at the last look, so that waiting counts also while MySQL does not answer.
    latest: Option<u64>,
}

impl Watch {
    async fn run(mut self, stop: CancellationToken) {
        let mut kept = None;
        while !stop.is_cancelled() {
            let session = match kept.take() {
                Some(session) => Some(session),
                None => admin(&self.url).await,
            };
            if let Some(mut session) = session {
                let looking = tokio::time::timeout(Duration::from_secs(10), self.look(&mut session)).await;
                if matches!(looking, Ok(Ok(()))) {
                    kept = Some(session);
                }
            }
            if let Some(applied) = self.latest {
                let waited = self.log.lock().expect("nobody panics with it").oldest_wait(applied);
                let mut seen = self.seen.lock().expect("nobody panics with it");
                seen.longest_wait = seen.longest_wait.max(waited);
            }
            some_time(250).await;
        }
    }

    /// Reads one snapshot: what the checkpoints count is what the tables have. While it reads the tables, no generation
    /// takes their place, so that only one that was about to, and perhaps has, leaves in doubt whose they are.
    async fn look(&mut self, session: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
        session.execute("START TRANSACTION").await?;
        let Self { control, read_model, .. } = self;
        // The first to be read: that opens the snapshot, too.
        let recorded = format!("SELECT COUNT(*) FROM {read_model}.recorded WHERE event_id <> '{IN_THE_WAY}'");
        let recorded: i64 = session.fetch_one(recorded.as_str()).await?.get(0);
        let changing = format!(
            "SELECT COUNT(*) FROM {control}.generation WHERE projection = 'recorder' AND state = 'cutting-over'"
        );
        let changing: i64 = session.fetch_one(changing.as_str()).await?.get(0);
        let sums = format!(
            "SELECT projection, CAST(SUM(events) AS SIGNED) FROM {} GROUP BY projection",
            live(control, "checkpoint")
        );
        let mut applied = BTreeMap::new();
        for row in session.fetch_all(sums.as_str()).await? {
            applied.insert(row.get::<String, _>(0), row.get::<i64, _>(1));
        }
        let letters = format!(
            "SELECT (SELECT COUNT(*) FROM {} WHERE projection = 'recorder') + (SELECT COUNT(*) FROM {})",
            live(control, "dead_letter"),
            given_up(control, read_model, "recorder")
        );
        let letters: i64 = session.fetch_one(letters.as_str()).await?.get(0);
        session.execute("COMMIT").await?;
        let counted = applied.get("recorder").copied().unwrap_or_default();
        let mut seen = self.seen.lock().expect("nobody panics with it");
        seen.snapshots += u64::from(changing == 0);
        if changing == 0 && counted != recorded + letters {
            let what =
                "in one snapshot, the recorder's checkpoints count other events than its rows, letters and discards"
                    .to_owned();
            let times = seen.violations.entry(what).or_default();
            if *times == 0 {
                println!("snapshot: {counted} counted, {recorded} recorded, {letters} letters");
            }
            *times += 1;
        }
        let least = applied.values().min().copied().unwrap_or_default();
        self.latest = Some(u64::try_from(least).unwrap_or_default());
        Ok(())
    }
}

/// What a projection has not committed of the outbox.
pub async fn missing(ground: &Ground, projection: &str, documents: u64) -> Option<String> {
    let checkpoints = ground.live("checkpoint");
    let sql = format!("SELECT SUM(events) FROM {checkpoints} WHERE projection = '{projection}'");
    let committed = ground.world.number_if_any(&sql).await.unwrap_or(-1);
    (u64::try_from(committed).ok() < Some(documents))
        .then(|| format!("{projection} has committed {committed} of {documents} events"))
}
