//! The floor: the loop that a good engineer would write by hand for this one read model.
//!
//! It promises what a careful loop promises: rows and checkpoint in one transaction, order, and a restart from the
//! checkpoint. It reads ahead while MySQL works, never decodes more than it needs, and sends 500 events a transaction.
//! It has one connection, no sandbox, no dead letters, no dedupe window and no second host. With one event a
//! transaction, it is what is written first.

pub mod batch;

use anyhow::Context;
use bson::{RawArray, RawDocument, RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::RawBatch;
use mongodb::{Client, Collection};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor, Row as _};
use tokio::sync::mpsc;

use crate::database;
use crate::workload::{self, Workload};
use batch::Batch;

/// How many events a transaction takes, for a loop with care.
pub const EVENTS: usize = 500;

/// How many documents the server may put in one reply.
const BATCH_SIZE: u32 = 2000;

const CHECKPOINT: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS checkpoint (
        id INT NOT NULL PRIMARY KEY,
        events BIGINT NOT NULL,
        position TEXT NOT NULL,
        commits BIGINT NOT NULL
    )",
    "INSERT IGNORE INTO checkpoint (id, events, position, commits) VALUES (0, 0, '', 0)",
];

/// What the server sent.
enum Reply {
    History(RawBatch),
    Changes(RawBatch),
}

/// Never ends by itself.
pub async fn run(workload: &str, events_max: usize, mongodb: &str, mysql: &str) -> anyhow::Result<()> {
    let workload = workload::named(workload)?;
    let outbox = Client::with_uri_str(mongodb).await?.database(database()).collection("outbox");
    let options: MySqlConnectOptions = mysql.parse()?;
    let mut connection = options.disable_statement_logging().connect().await?;
    for sql in workload.tables().iter().map(String::as_str).chain(CHECKPOINT) {
        connection.execute(sql).await?;
    }
    // The driver takes text with a binary collation for bytes, unless it is told not to check.
    let position = connection.fetch_one("SELECT position FROM checkpoint").await?.try_get_unchecked(0)?;
    let (replies, inbox) = mpsc::channel(2);
    let reading = tokio::spawn(read(outbox, position, replies));
    let batch = Batch::new(workload.statements());
    Writing { workload, connection, batch, events: 0, events_max }.run(inbox).await?;
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

struct Writing {
    workload: Box<dyn Workload>,
    connection: MySqlConnection,
    batch: Batch,
    /// How many are in the batch.
    events: usize,
    events_max: usize,
}

impl Writing {
    /// Takes what has been read, and commits so many events at a time, or fewer when there is nothing more yet.
    async fn run(mut self, mut inbox: mpsc::Receiver<Reply>) -> anyhow::Result<()> {
        while let Some(reply) = inbox.recv().await {
            let (reply, streams) = match &reply {
                Reply::History(reply) => (reply.as_raw_document(), false),
                Reply::Changes(reply) => (reply.as_raw_document(), true),
            };
            for found in documents(reply)? {
                let found = found?.as_document().context("it is no document")?;
                let document = if streams { found.get_document("fullDocument")? } else { found };
                self.workload.decode(document, &mut self.batch)?;
                self.events += 1;
                if self.events == self.events_max {
                    self.commit(if streams { found.get_document("_id")?.get_str("_data")? } else { "" })
                        .await?;
                }
            }
            if inbox.is_empty() {
                let position = if streams {
                    reply.get_document("cursor")?.get_document("postBatchResumeToken")?.get_str("_data")?
                } else {
                    ""
                };
                self.commit(position).await?;
            }
        }
        Ok(())
    }

    async fn commit(&mut self, position: &str) -> anyhow::Result<()> {
        self.connection.execute("BEGIN").await?;
        self.batch.send(&mut self.connection).await?;
        let sql =
            "UPDATE checkpoint SET events = events + ?, position = ?, commits = commits + 1 WHERE id = 0";
        let events = i64::try_from(self.events)?;
        sqlx::query(sql).bind(events).bind(position).execute(&mut self.connection).await?;
        self.connection.execute("COMMIT").await?;
        self.events = 0;
        Ok(())
    }
}

fn documents(reply: &RawDocument) -> anyhow::Result<&RawArray> {
    let cursor = reply.get_document("cursor")?;
    Ok(cursor.get_array("nextBatch").or_else(|_| cursor.get_array("firstBatch"))?)
}
