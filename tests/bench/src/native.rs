//! The peer: the loop that a good engineer would write by hand for this one read model.
//!
//! It promises what a careful loop promises: rows and checkpoint in one transaction, order, and a restart from the
//! checkpoint. It reads ahead while MySQL works, never decodes more than it needs, and sends 500 rows a statement.
//! It has one projection, one connection, no sandbox, no dead letters, no dedupe window and no second host.

use anyhow::Context;
use bson::raw::RawBsonRef;
use bson::{RawArray, RawDocument, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatch;
use mongodb::{Client, Collection};
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection};
use sqlx::types::time::{OffsetDateTime, PrimitiveDateTime};
use sqlx::{Arguments, ConnectOptions, Executor, Row as _};
use tokio::sync::mpsc;

use crate::DATABASE;

/// How many rows a transaction takes.
const ROWS: usize = 500;

/// Rows of one statement; few sizes, so that prepared statements stay few.
const ROW_COUNTS: [usize; 5] = [ROWS, 100, 20, 5, 1];

/// How many documents the server may put in one reply.
const BATCH_SIZE: u32 = 2000;

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS balances (
        account_id VARCHAR(64) NOT NULL PRIMARY KEY,
        last_event VARCHAR(64) NOT NULL,
        amount_cents BIGINT NOT NULL,
        balance_cents BIGINT NOT NULL,
        last_sequence BIGINT NOT NULL,
        updated_at DATETIME(3) NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS checkpoint (
        id INT NOT NULL PRIMARY KEY,
        events BIGINT NOT NULL,
        position TEXT NOT NULL
    )",
    "INSERT IGNORE INTO checkpoint (id, events, position) VALUES (0, 0, '')",
];

/// What the server sent.
enum Reply {
    History(RawBatch),
    Changes(RawBatch),
}

#[derive(Default)]
struct Row {
    account_id: String,
    event_type: String,
    amount_cents: i64,
    balance_cents: i64,
    sequence: i64,
    occurred_at: Option<PrimitiveDateTime>,
}

/// Never ends by itself.
pub async fn run(mongodb: &str, mysql: &str) -> anyhow::Result<()> {
    let outbox = Client::with_uri_str(mongodb).await?.database(DATABASE).collection("outbox");
    let options: MySqlConnectOptions = mysql.parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    for sql in TABLES {
        connection.execute(sql).await?;
    }
    // The driver takes text with a binary collation for bytes, unless it is told not to check.
    let position = connection.fetch_one("SELECT position FROM checkpoint").await?.try_get_unchecked(0)?;
    let (replies, inbox) = mpsc::channel(2);
    let reading = tokio::spawn(read(outbox, position, replies));
    write(connection, inbox).await?;
    reading.await?
}

/// Reads history, unless there is a position, then the change stream from before history.
async fn read(
    outbox: Collection<RawDocumentBuf>,
    position: String,
    replies: mpsc::Sender<Reply>,
) -> anyhow::Result<()> {
    let options = if position.is_empty() {
        doc! {}
    } else {
        doc! { "startAfter": { "_data": &position } }
    };
    let pipeline = [doc! { "$changeStream": options }, doc! { "$match": { "operationType": "insert" } }];
    let mut changes = outbox.aggregate(pipeline).batch_size(BATCH_SIZE).batch().await?;
    if position.is_empty() {
        let order = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1 };
        let mut history = outbox.find(doc! {}).sort(order).batch_size(BATCH_SIZE).batch().await?;
        while let Some(reply) = history.next().await {
            replies.send(Reply::History(reply?)).await?;
        }
    }
    while let Some(reply) = changes.next().await {
        replies.send(Reply::Changes(reply?)).await?;
    }
    anyhow::bail!("the server closed the change stream")
}

/// Takes what has been read, and commits 500 rows at a time, or fewer when there is nothing more yet.
async fn write(mut connection: MySqlConnection, mut inbox: mpsc::Receiver<Reply>) -> anyhow::Result<()> {
    let mut rows = Vec::with_capacity(ROWS);
    let mut events = 0;
    while let Some(reply) = inbox.recv().await {
        let (reply, streams) = match &reply {
            Reply::History(reply) => (reply.as_raw_document(), false),
            Reply::Changes(reply) => (reply.as_raw_document(), true),
        };
        for found in documents(reply)? {
            let found = found?.as_document().context("it is no document")?;
            let document = if streams { found.get_document("fullDocument")? } else { found };
            events += 1;
            rows.extend(decode(document)?);
            if rows.len() == ROWS {
                let position = if streams { found.get_document("_id")?.get_str("_data")? } else { "" };
                commit(&mut connection, &rows, events, position).await?;
                rows.clear();
                events = 0;
            }
        }
        if inbox.is_empty() {
            let position = if streams {
                reply.get_document("cursor")?.get_document("postBatchResumeToken")?.get_str("_data")?
            } else {
                ""
            };
            commit(&mut connection, &rows, events, position).await?;
            rows.clear();
            events = 0;
        }
    }
    Ok(())
}

async fn commit(
    connection: &mut MySqlConnection,
    rows: &[Row],
    events: i64,
    position: &str,
) -> anyhow::Result<()> {
    connection.execute("BEGIN").await?;
    let mut rest = rows;
    while !rest.is_empty() {
        let count = ROW_COUNTS.into_iter().find(|count| *count <= rest.len()).unwrap_or(1);
        let (now, later) = rest.split_at(count);
        upsert(connection, now).await?;
        rest = later;
    }
    let sql = "UPDATE checkpoint SET events = events + ?, position = ? WHERE id = 0";
    sqlx::query(sql).bind(events).bind(position).execute(&mut *connection).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

async fn upsert(connection: &mut MySqlConnection, rows: &[Row]) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO balances (account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at) \
         VALUES {} \
         ON DUPLICATE KEY UPDATE last_event = VALUES(last_event), amount_cents = VALUES(amount_cents), \
         balance_cents = VALUES(balance_cents), last_sequence = VALUES(last_sequence), \
         updated_at = VALUES(updated_at)",
        vec!["(?,?,?,?,?,?)"; rows.len()].join(",")
    );
    let mut arguments = MySqlArguments::default();
    arguments.reserve(rows.len() * 6, rows.len() * 80);
    let failed = |error| anyhow::anyhow!("a value cannot be sent: {error}");
    for row in rows {
        arguments.add(&row.account_id).map_err(failed)?;
        arguments.add(&row.event_type).map_err(failed)?;
        arguments.add(row.amount_cents).map_err(failed)?;
        arguments.add(row.balance_cents).map_err(failed)?;
        arguments.add(row.sequence).map_err(failed)?;
        arguments.add(row.occurred_at).map_err(failed)?;
    }
    sqlx::query_with(&sql, arguments).execute(connection).await?;
    Ok(())
}

/// One pass over the fields, straight from the bytes. Nothing for the types that change no balance.
fn decode(document: &RawDocument) -> anyhow::Result<Option<Row>> {
    let mut row = Row::default();
    for element in document {
        let (name, value) = element?;
        match (name.as_str(), value) {
            ("type", RawBsonRef::String("AccountRenamed" | "AccountClosed")) => return Ok(None),
            ("type", RawBsonRef::String(event_type)) => event_type.clone_into(&mut row.event_type),
            ("aggregateId", RawBsonRef::String(id)) => id.clone_into(&mut row.account_id),
            ("sequence", RawBsonRef::Int64(sequence)) => row.sequence = sequence,
            ("occurredAt", RawBsonRef::DateTime(time)) => row.occurred_at = Some(moment(time)?),
            ("payload", RawBsonRef::Document(payload)) => {
                for element in payload {
                    match element? {
                        (name, RawBsonRef::Int64(cents)) if name.as_str() == "amountCents" => {
                            row.amount_cents = cents;
                        }
                        (name, RawBsonRef::Int64(cents)) if name.as_str() == "balanceCents" => {
                            row.balance_cents = cents;
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(Some(row))
}

fn moment(time: bson::DateTime) -> anyhow::Result<PrimitiveDateTime> {
    let nanoseconds = i128::from(time.timestamp_millis()) * 1_000_000;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)?;
    Ok(PrimitiveDateTime::new(moment.date(), moment.time()))
}

fn documents(reply: &RawDocument) -> anyhow::Result<&RawArray> {
    let cursor = reply.get_document("cursor")?;
    Ok(cursor.get_array("nextBatch").or_else(|_| cursor.get_array("firstBatch"))?)
}
