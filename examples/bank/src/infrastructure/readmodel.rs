//! The read model: the tables that three projectors keep in MySQL. It reads MySQL and nothing else, so it answers while
//! MongoDB and the hosts are down.

use std::time::{Duration, Instant};

use bson::Uuid;
use serde::Serialize;
use serde_json::Value;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions, MySqlRow};
use sqlx::{Executor, Row};

/// How long a question waits for the events it has to come after.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it waits before it looks again.
const LOOK: Duration = Duration::from_millis(10);

const CONNECTIONS_MAX: u32 = 8;

/// How long a server that is away is looked for.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// Whether the live tables have an event, by its id, a UUID: docs/reading-your-writes.md explains it.
const STATE: &str = "
SELECT CAST(CASE WHEN live.agrees = 0 THEN 'unknown' ELSE COALESCE(
  (SELECT CAST(l.state AS CHAR) FROM {control}.dead_letter l
   WHERE l.projection = '{projection}' AND l.generation = live.generation AND l.event_key = SUBSTRING(asked.id, 3)
   ORDER BY l.id LIMIT 1),
  (SELECT CASE WHEN COALESCE(d.plain, 0) = 0 THEN 'unknown'
               WHEN LOCATE(asked.id, d.event_ids) > d.discarded_from THEN 'discarded'
               WHEN LOCATE(asked.id, d.event_ids) > d.ignored_from THEN 'ignored'
               ELSE 'applied' END
   FROM {control}.dedupe d
   WHERE d.projection = '{projection}' AND d.generation = live.generation AND LOCATE(asked.id, d.event_ids) > 0
     AND (d.events > 0 OR d.ignored_from IS NOT NULL)
   ORDER BY d.id DESC LIMIT 1),
  'pending') END AS CHAR) AS state,
  (SELECT CAST(d.lane AS SIGNED) FROM {control}.dedupe d
   WHERE d.projection = '{projection}' AND d.generation = live.generation AND LOCATE(asked.id, d.event_ids) > 0
   ORDER BY d.id DESC LIMIT 1) AS lane
FROM (SELECT UNHEX(CONCAT('001175', REPLACE(?, '-', ''))) AS id) asked
CROSS JOIN
  (SELECT MAX(w.generation) AS generation, MIN(w.batch = c.witness_batch AND w.stamp = c.witness_stamp) AS agrees
   FROM `laterna_witness_{control}-{projection}` w
   JOIN {control}.checkpoint c
     ON c.projection = '{projection}' AND c.generation = w.generation AND c.lane = w.lane) live";

/// Texts whose collation is binary come as bytes, so that types are not compared.
type Read<T> = fn(&MySqlRow) -> sqlx::Result<T>;

/// Connections of an account that only reads.
#[derive(Debug, Clone)]
pub struct ReadModel {
    pool: MySqlPool,
    /// The host's own tables.
    control: String,
}

/// A query and its values, and the projection whose tables it reads.
pub struct Question<'a> {
    pub projection: &'static str,
    pub sql: &'static str,
    pub values: &'a [&'a str],
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("the read model does not have the event {0} yet: ask again, or without `after`")]
    Pending(Uuid),
    #[error("the event {id} is {state}: it could not be applied, or waits behind one that could not")]
    DeadLetter { id: Uuid, state: String },
    #[error("MySQL does not answer, so there are no queries; commands go on ({0})")]
    Away(#[from] sqlx::Error),
}

/// What the tables of a projection have of an event, and which lane brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub state: String,
    pub lane: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountRow {
    pub id: String,
    pub owner: String,
    pub balance_cents: i64,
    pub last_sequence: i64,
    pub updated_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    pub sequence: i64,
    pub amount_cents: i64,
    pub balance_cents: i64,
    pub transfer_id: Option<String>,
    pub booked_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Month {
    pub month: String,
    pub deposited_cents: i64,
    pub withdrawn_cents: i64,
    pub entries: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    pub event_id: String,
    pub event_type: String,
    pub aggregate_type: String,
    pub aggregate_id: String,
    pub sequence: i64,
    pub happened_at: String,
    pub payload: Value,
}

impl ReadModel {
    /// The database that the URL names, and the control schema beside it. It connects when it is asked.
    pub fn new(url: &str, control: &str) -> sqlx::Result<Self> {
        let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(CONNECT_WITHIN);
        Ok(Self { pool: pool.connect_lazy(url)?, control: control.to_owned() })
    }

    /// Asks in one transaction, in which the tables have the events that the answer has to come after.
    pub async fn ask<T>(
        &self,
        question: &Question<'_>,
        after: &[Uuid],
        read: Read<T>,
    ) -> Result<Vec<T>, Unread> {
        let began = Instant::now();
        loop {
            let mut transaction = self.pool.begin().await?;
            let missing = self.missing(&mut transaction, question.projection, after).await?;
            let Some(missing) = missing else {
                let mut query = sqlx::query(question.sql);
                for value in question.values {
                    query = query.bind(*value);
                }
                let rows = query.fetch_all(&mut *transaction).await?;
                return Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?);
            };
            transaction.rollback().await?;
            if began.elapsed() > PATIENCE {
                return Err(Unread::Pending(missing));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What the tables of a projection have of an event.
    pub async fn standing(&self, projection: &str, id: Uuid) -> sqlx::Result<Standing> {
        self.standing_on(&mut *self.pool.acquire().await?, projection, id).await
    }

    async fn standing_on(
        &self,
        connection: &mut MySqlConnection,
        projection: &str,
        id: Uuid,
    ) -> sqlx::Result<Standing> {
        let sql = STATE.replace("{control}", &self.control).replace("{projection}", projection);
        let row = connection.fetch_one(sqlx::query(&sql).bind(id.to_string())).await?;
        Ok(Standing { state: row.try_get_unchecked(0)?, lane: row.try_get_unchecked(1)? })
    }

    /// The first of the events that the tables do not have.
    async fn missing(
        &self,
        connection: &mut MySqlConnection,
        projection: &str,
        events: &[Uuid],
    ) -> Result<Option<Uuid>, Unread> {
        for id in events {
            let state = self.standing_on(&mut *connection, projection, *id).await?.state;
            match state.as_str() {
                "applied" | "ignored" | "discarded" => {}
                "parked" | "held" => return Err(Unread::DeadLetter { id: *id, state }),
                _ => return Ok(Some(*id)),
            }
        }
        Ok(None)
    }
}

impl AccountRow {
    pub const ALL: &str = "SELECT account_id, owner, balance_cents, last_sequence, \
        DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM accounts ORDER BY account_id LIMIT 100";
    pub const ONE: &str = "SELECT account_id, owner, balance_cents, last_sequence, \
        DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM accounts WHERE account_id = ?";

    pub fn read(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get_unchecked(0)?,
            owner: row.try_get_unchecked(1)?,
            balance_cents: row.try_get_unchecked(2)?,
            last_sequence: row.try_get_unchecked(3)?,
            updated_at: row.try_get_unchecked(4)?,
        })
    }
}

impl Entry {
    pub const OF_ACCOUNT: &str = "SELECT sequence, amount_cents, balance_cents, transfer_id, \
        DATE_FORMAT(booked_at, '%Y-%m-%dT%H:%i:%s.%fZ') FROM statement WHERE account_id = ? \
        ORDER BY sequence DESC LIMIT 100";

    pub fn read(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            sequence: row.try_get_unchecked(0)?,
            amount_cents: row.try_get_unchecked(1)?,
            balance_cents: row.try_get_unchecked(2)?,
            transfer_id: row.try_get_unchecked(3)?,
            booked_at: row.try_get_unchecked(4)?,
        })
    }
}

impl Month {
    pub const OF_ACCOUNT: &str = "SELECT month, deposited_cents, withdrawn_cents, entries FROM months \
        WHERE account_id = ? ORDER BY month DESC LIMIT 100";

    pub fn read(row: &MySqlRow) -> sqlx::Result<Self> {
        Ok(Self {
            month: row.try_get_unchecked(0)?,
            deposited_cents: row.try_get_unchecked(1)?,
            withdrawn_cents: row.try_get_unchecked(2)?,
            entries: row.try_get_unchecked(3)?,
        })
    }
}

impl Told {
    pub const LATEST: &str = "SELECT event_id, event_type, aggregate_type, aggregate_id, sequence, \
        DATE_FORMAT(happened_at, '%Y-%m-%dT%H:%i:%s.%fZ'), CAST(payload AS CHAR) FROM audit \
        ORDER BY happened_at DESC, aggregate_type, aggregate_id, sequence DESC LIMIT 100";
    pub const OF_AGGREGATE: &str = "SELECT event_id, event_type, aggregate_type, aggregate_id, sequence, \
        DATE_FORMAT(happened_at, '%Y-%m-%dT%H:%i:%s.%fZ'), CAST(payload AS CHAR) FROM audit \
        WHERE aggregate_type = ? AND aggregate_id = ? ORDER BY sequence DESC LIMIT 100";

    pub fn read(row: &MySqlRow) -> sqlx::Result<Self> {
        let payload: String = row.try_get_unchecked(6)?;
        Ok(Self {
            event_id: row.try_get_unchecked(0)?,
            event_type: row.try_get_unchecked(1)?,
            aggregate_type: row.try_get_unchecked(2)?,
            aggregate_id: row.try_get_unchecked(3)?,
            sequence: row.try_get_unchecked(4)?,
            happened_at: row.try_get_unchecked(5)?,
            payload: serde_json::from_str(&payload).unwrap_or(Value::Null),
        })
    }
}
