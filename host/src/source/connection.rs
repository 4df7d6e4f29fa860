//! The connection to the outbox: opened, checked, identified.

use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::options::{ClientOptions, ReadConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};

use super::Fields;
use super::error::classify;
use super::reply::{malformed, post_batch_token};
use crate::failure::Failure;
use crate::position::{ClusterTime, Token};

/// Where the outbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxOptions {
    pub uri: String,
    pub database: String,
    pub collection: String,
}

/// Which outbox it is: a checkpoint is only good for the one it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceIdentity {
    pub replica_set: String,
    pub namespace: String,
    /// The collection's UUID, which a dropped and recreated collection does not keep.
    pub collection: String,
}

/// The outbox collection of one replica set. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
    collection: Collection<RawDocumentBuf>,
}

impl Outbox {
    /// Does not talk to the server yet.
    pub async fn connect(options: &OutboxOptions) -> Result<Self, Failure> {
        let mut client = ClientOptions::parse(&options.uri).await.map_err(|error| {
            Failure::Misconfigured { reason: format!("`mongodb.uri` is not usable: {error}") }
        })?;
        client.app_name.get_or_insert_with(|| "laterna".to_owned());
        client.server_selection_timeout.get_or_insert(Duration::from_secs(5));
        client.connect_timeout.get_or_insert(Duration::from_secs(5));
        client.read_concern = Some(ReadConcern::majority());
        let client = Client::with_options(client).map_err(|error| Failure::Misconfigured {
            reason: format!("`mongodb.uri` is not usable: {error}"),
        })?;
        let database = client.database(&options.database);
        let collection = database.collection(&options.collection);
        Ok(Self { database, collection })
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn collection(&self) -> &Collection<RawDocumentBuf> {
        &self.collection
    }

    /// Checks that there is an outbox here that can be followed, and says which one it is.
    pub async fn identify(&self) -> Result<SourceIdentity, Failure> {
        let hello = self.command("asking MongoDB who it is", doc! { "hello": 1 }).await?;
        let replica_set = hello.get_str("setName").map_err(|_| Failure::Misconfigured {
            reason:
                "MongoDB is not a replica set, and only replica sets have change streams: start mongod with \
                     --replSet and run rs.initiate() once"
                    .to_owned(),
        })?;
        let name = self.collection.name();
        let namespace = format!("{}.{name}", self.database.name());
        let listed = self.database.list_collections().filter(doc! { "name": name }).await;
        let listed = listed.map_err(|error| classify("looking for the outbox", &error))?;
        let listed: Vec<_> =
            listed.try_collect().await.map_err(|error| classify("looking for the outbox", &error))?;
        let Some(found) = listed.first() else {
            return Err(Failure::Misconfigured {
                reason: format!(
                    "there is no collection {namespace}: create it (db.createCollection(\"{name}\")), \
                                 or correct `mongodb.database` and `mongodb.outbox`"
                ),
            });
        };
        let uuid = found.info.uuid.as_ref().map(|uuid| hex::encode(&uuid.bytes)).ok_or_else(|| {
            Failure::Misconfigured {
                reason: format!("{namespace} is a view; the outbox must be a collection"),
            }
        })?;
        Ok(SourceIdentity { replica_set: replica_set.to_owned(), namespace, collection: uuid })
    }

    /// The token of "now": the stream behind it shows exactly what is committed later.
    pub async fn current_token(&self) -> Result<Token, Failure> {
        let doing = "opening the change stream";
        let stream = self.collection.aggregate([doc! { "$changeStream": {} }]).batch_size(0);
        let mut cursor = stream.batch().await.map_err(|error| classify(doing, &error))?;
        let reply = cursor.next().await.ok_or_else(|| malformed("a new stream has no first batch"))?;
        let reply = reply.map_err(|error| classify(doing, &error))?;
        post_batch_token(reply.as_raw_document()).ok_or_else(|| malformed("a new stream has no token"))
    }

    /// Whether nothing had been committed to the outbox when this token was made.
    pub async fn is_empty_at(&self, token: &Token) -> Result<bool, Failure> {
        let since = token.time().ok_or_else(|| malformed("the start token has no time"))?.before();
        let after = bson::Timestamp { time: since.seconds, increment: since.increment };
        let find = doc! {
            "find": self.collection.name(),
            "limit": 1,
            "singleBatch": true,
            "projection": { "_id": 1 },
            "readConcern": { "level": "majority", "afterClusterTime": after },
        };
        let found = self.command("looking for the outbox's history", find).await?;
        let cursor = found.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        Ok(cursor.map_err(|_| malformed("it has no batch"))?.is_empty())
    }

    /// The time of the newest write that a majority has.
    pub async fn now(&self) -> Result<ClusterTime, Failure> {
        let pong = self.command("asking MongoDB for its time", doc! { "ping": 1 }).await?;
        let time =
            pong.get_timestamp("operationTime").map_err(|_| malformed("a ping has no operationTime"))?;
        Ok(ClusterTime { seconds: time.time, increment: time.increment })
    }

    /// About how many documents the outbox has, from the collection's metadata.
    pub async fn estimate(&self) -> Result<u64, Failure> {
        let count = self.collection.estimated_document_count().await;
        count.map_err(|error| classify("counting the outbox", &error))
    }

    /// The fields of the index in whose order history is read. It has to give every document a place of its own:
    /// either by `_id`, or by being unique.
    pub async fn history_index(&self, fields: &Fields) -> Result<Vec<String>, Failure> {
        let doing = "reading the outbox's indexes";
        let order = [&fields.aggregate_type, &fields.aggregate_id, &fields.sequence].map(Clone::clone);
        let with_id = [&order[..], &["_id".to_owned()]].concat();
        let indexes = self.collection.list_indexes().await.map_err(|error| classify(doing, &error))?;
        let indexes: Vec<IndexModel> =
            indexes.try_collect().await.map_err(|error| classify(doing, &error))?;
        if indexes.iter().any(|index| is_plain(index) && has_keys(index, &with_id)) {
            return Ok(with_id);
        }
        if indexes.iter().any(|index| is_plain(index) && is_unique(index) && has_keys(index, &order)) {
            return Ok(order.to_vec());
        }
        let (keys, name) = (order.map(|name| format!("\"{name}\": 1")).join(", "), self.collection.name());
        Err(Failure::Misconfigured {
            reason: format!(
                "the order of events in history is unknown without an index on it; create it with: \
                 db.getCollection(\"{name}\").createIndex({{ {keys} }}, {{ unique: true }}), or, where events may share \
                 a sequence, with \"_id\": 1 as its last key instead of unique"
            ),
        })
    }

    async fn command(&self, doing: &str, command: Document) -> Result<Document, Failure> {
        self.database.run_command(command).await.map_err(|error| classify(doing, &error))
    }
}

/// Whether an index has every document, in plain order.
fn is_plain(index: &IndexModel) -> bool {
    index.options.as_ref().is_none_or(|options| {
        options.sparse != Some(true)
            && options.partial_filter_expression.is_none()
            && options.collation.is_none()
            && options.hidden != Some(true)
    })
}

fn is_unique(index: &IndexModel) -> bool {
    index.options.as_ref().is_some_and(|options| options.unique == Some(true))
}

fn has_keys(index: &IndexModel, names: &[String]) -> bool {
    index.keys.keys().eq(names) && index.keys.values().all(is_ascending)
}

fn is_ascending(direction: &bson::Bson) -> bool {
    direction.as_i32() == Some(1) || direction.as_i64() == Some(1) || direction.as_f64() == Some(1.0)
}
