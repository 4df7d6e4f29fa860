//! One transaction for a change and what happened.

use std::time::Duration;

use bson::{Bson, DateTime, Document, Uuid, doc};
use futures_util::future::BoxFuture;
use mongodb::options::{ClientOptions, IndexOptions, ReturnDocument};
use mongodb::{Client, ClientSession, Collection, Database, IndexModel};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{conflicting, exists};
use crate::event::Stamp;
use crate::watch::{in_transaction, watch};
use crate::{Bound, Error, Event, Result};

const VALIDATOR: &str = include_str!("schema.json");

/// What the host takes unless it is configured, as `mongodb.payload_bytes_max`.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

const TAKEN: &str = "these events are written already, or their sequence is taken";

const COMMANDS_KEPT: Duration = Duration::from_hours(30 * 24);

#[derive(Debug, Clone)]
pub struct Outbox {
    client: Client,
    database: Database,
    pub payload_bytes_max: usize,
}

/// What a write is caused by.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// A command acts once: the second time, what the first one gave is given again.
    pub command: Option<String>,
    pub traceparent: Option<String>,
}

/// What the function gave, the ids to wait for, and whether an earlier call had done it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written<T> {
    pub result: T,
    pub events: Vec<Uuid>,
    #[serde(default)]
    pub repeated: bool,
}

impl Outbox {
    /// An outbox with a client of its own, which notices writes without the session: it takes the place of a
    /// `command_event_handler`.
    pub fn new(mut options: ClientOptions, database: &str) -> Result<Self> {
        options.command_event_handler = Some(watch());
        let client = Client::with_options(options)?;
        let database = client.database(database);
        Ok(Self { client, database, payload_bytes_max: PAYLOAD_BYTES_MAX })
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    pub fn events(&self) -> Collection<Document> {
        self.database.collection("outbox")
    }

    pub fn snapshots(&self) -> Collection<Document> {
        self.database.collection("outbox_snapshots")
    }

    fn commands(&self) -> Collection<Document> {
        self.database.collection("outbox_commands")
    }

    /// Creates the collections with validator and indexes, or brings those that are there to it.
    pub async fn ensure(&self) -> Result<()> {
        for collection in [self.events(), self.commands(), self.snapshots()] {
            match self.database.create_collection(collection.name()).await {
                Err(error) if exists(&error) => {}
                result => result?,
            }
        }
        let validator: Document = serde_json::from_str(VALIDATOR).map_err(mongodb::error::Error::custom)?;
        self.database.run_command(doc! { "collMod": "outbox", "validator": validator }).await?;
        let order = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1 };
        let unique = IndexOptions::builder().unique(true).build();
        self.events().create_index(IndexModel::builder().keys(order).options(unique).build()).await?;
        let expires = IndexOptions::builder().expire_after(COMMANDS_KEPT).build();
        let by_age = IndexModel::builder().keys(doc! { "at": 1 }).options(expires).build();
        self.commands().create_index(by_age).await?;
        Ok(())
    }

    /// One transaction: the function changes something and gives its result and events, which are written with it.
    /// The driver repeats it where MongoDB says so, so it changes nothing but the database. What it borrows comes
    /// to it by the context.
    pub async fn with_outbox<T, C, F>(&self, cause: &Cause, context: C, work: F) -> Result<Written<T>>
    where
        T: Serialize + DeserializeOwned + Send,
        C: Send,
        F: for<'t> FnMut(Transaction<'t>, &'t mut C) -> BoxFuture<'t, Result<(T, Vec<Event>)>> + Send,
    {
        let mut session = self.client.start_session().await?;
        // Time and ids are made before, so that whatever is repeated writes the same.
        let attempt = Attempt { outbox: self, cause, context, work, at: DateTime::now(), ids: vec![] };
        let written = session.start_transaction().and_run(attempt, |session, attempt| {
            Box::pin(async move { in_transaction(attempt.run(session)).await.map_err(Error::for_driver) })
        });
        Ok(written.await?)
    }
}

struct Attempt<'o, C, F> {
    outbox: &'o Outbox,
    cause: &'o Cause,
    context: C,
    work: F,
    at: DateTime,
    ids: Vec<Uuid>,
}

impl<C, F> Attempt<'_, C, F> {
    async fn run<T>(&mut self, session: &mut ClientSession) -> Result<Written<T>>
    where
        T: Serialize + DeserializeOwned,
        F: for<'t> FnMut(Transaction<'t>, &'t mut C) -> BoxFuture<'t, Result<(T, Vec<Event>)>>,
    {
        let Self { outbox, cause, .. } = *self;
        if let Some(command) = &cause.command {
            let known = outbox.commands().find_one(doc! { "_id": command }).session(&mut *session).await?;
            if let Some(known) = known {
                let written: Written<T> = bson::deserialize_from_document(known)?;
                return Ok(Written { repeated: true, ..written });
            }
        }
        let transaction = Transaction { database: &outbox.database, session: &mut *session };
        let (result, happened) = (self.work)(transaction, &mut self.context).await?;
        self.ids.resize_with(self.ids.len().max(happened.len()), Uuid::new);
        let events = self.ids[..happened.len()].to_vec();
        let documents = self.documents(happened)?;
        if !documents.is_empty() {
            let insert = outbox.events().insert_many(documents).session(&mut *session).await;
            insert.map_err(|error| conflicting(error, || TAKEN.to_owned()))?;
        }
        let written = Written { result, events, repeated: false };
        if let Some(command) = &cause.command {
            let mut document = doc! { "_id": command, "at": self.at };
            document.extend(bson::serialize_to_document(&written)?);
            outbox.commands().insert_one(document).session(&mut *session).await?;
        }
        Ok(written)
    }

    fn documents(&self, happened: Vec<Event>) -> Result<Vec<Document>> {
        let stamped = happened.into_iter().zip(&self.ids).map(|(event, id)| {
            event.document(&Stamp {
                id: *id,
                at: self.at,
                traceparent: self.cause.traceparent.as_deref(),
                payload_bytes_max: self.outbox.payload_bytes_max,
            })
        });
        stamped.collect()
    }
}

/// What the function works with: everything through it is in the transaction.
#[derive(Debug)]
pub struct Transaction<'t> {
    database: &'t Database,
    session: &'t mut ClientSession,
}

impl Transaction<'_> {
    /// A collection whose every call is given the session.
    pub fn collection<D: Send + Sync>(&mut self, name: &str) -> Bound<'_, D> {
        Bound { collection: self.database.collection(name), session: &mut *self.session }
    }

    /// A new aggregate, whose sequence is 1.
    pub async fn create(&mut self, name: &str, mut document: Document) -> Result<Document> {
        document.insert("sequence", 1_i64);
        let id = document.get("_id").cloned();
        let inserted = self.collection(name).insert_one(&document).await;
        inserted.map_err(|error| {
            conflicting(error, || format!("there is a `{}` in `{name}` already", id.unwrap_or(Bson::Null)))
        })?;
        Ok(document)
    }

    /// Changes an aggregate that is at the sequence (none: at any), and gives it as it is then: at the next one.
    pub async fn change(
        &mut self,
        name: &str,
        id: impl Into<Bson>,
        sequence: Option<i64>,
        mut update: Document,
    ) -> Result<Document> {
        let mut before = doc! { "_id": id.into() };
        before.extend(sequence.map(|sequence| ("sequence".to_owned(), sequence.into())));
        let mut steps = update.get_document("$inc").cloned().unwrap_or_default();
        steps.insert("sequence", 1_i64);
        update.insert("$inc", steps);
        let mut collection = self.collection(name);
        let changed = collection.find_one_and_update(before.clone(), update);
        let changed = changed.return_document(ReturnDocument::After).await?;
        changed.ok_or_else(|| Error::Conflict(format!("nothing in `{name}` is {before} any more")))
    }

    /// Removes an aggregate that is at the sequence, and gives the next one, for the event that says so.
    pub async fn remove(&mut self, name: &str, id: impl Into<Bson>, sequence: i64) -> Result<i64> {
        let before = doc! { "_id": id.into(), "sequence": sequence };
        let removed = self.collection::<Document>(name).delete_one(before.clone()).await?;
        if removed.deleted_count == 0 {
            return Err(Error::Conflict(format!("nothing in `{name}` is {before} any more")));
        }
        Ok(sequence + 1)
    }
}
