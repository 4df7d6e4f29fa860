//! The connection to the outbox: opened, checked, identified.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bson::{Document, RawDocumentBuf, doc};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, ConnectionString, HostInfo, ReadConcern, ServerAddress, Tls};
use mongodb::{Client, Collection, Database, IndexModel};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::error::{classify, classify_at};
use super::refusal::RefusedPrimary;
use super::reply::{cluster_time, malformed, post_batch_token};
use crate::failure::Failure;
use crate::position::{ClusterTime, Token};
use crate::text::is_this_machine;

/// Interval in which the driver checks each server, unless the URI sets another one. By itself it would take 10 s.
const HEARTBEAT: Duration = Duration::from_secs(1);

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
    options: OutboxOptions,
    /// The URI in force, which all copies share.
    uri: Arc<RwLock<String>>,
    opened: Arc<Mutex<Option<Opened>>>,
}

#[derive(Debug, Clone)]
struct Opened {
    database: Database,
    collection: Collection<RawDocumentBuf>,
    /// Only the server that is named is asked, whatever becomes of it.
    is_direct: bool,
    /// Notices where the client takes no primary, though there is one.
    refusal: RefusedPrimary,
}

impl Outbox {
    /// Does not talk to any server yet, not even to a name server.
    pub fn new(options: OutboxOptions) -> Result<Self, Failure> {
        ConnectionString::parse(&options.uri).map_err(|error| unusable(&error))?;
        let uri = Arc::new(RwLock::new(options.uri.clone()));
        Ok(Self { options, uri, opened: Arc::default() })
    }

    /// Returns true where the other URI names the same servers: credentials may differ, and TLS.
    pub fn is_same_place(&self, other: &Self) -> bool {
        let place = |outbox: &Self| {
            let named = ConnectionString::parse(outbox.uri()).ok()?;
            Some((named.host_info, named.replica_set, named.direct_connection, named.default_database))
        };
        self.options.database == other.options.database
            && self.options.collection == other.options.collection
            && place(self) == place(other)
    }

    /// Opens connections from now on as the other one does, also in its copies. A cursor that is open stays so.
    pub async fn takes_over(&self, other: &Self) {
        *self.uri.write().unwrap_or_else(PoisonError::into_inner) = other.uri();
        self.opened.lock().await.take();
    }

    /// Advice where the connection may pass other machines in plain text.
    pub fn exposed(&self) -> Option<String> {
        let named = ConnectionString::parse(self.uri()).ok()?;
        let hosts: Vec<&str> = match (&named.host_info, &named.tls) {
            (HostInfo::HostIdentifiers(servers), None | Some(Tls::Disabled)) => {
                servers.iter().filter_map(elsewhere).collect()
            }
            // Of such a name TLS is the default.
            (HostInfo::DnsRecord(name), Some(Tls::Disabled)) => vec![name],
            _ => return None,
        };
        (!hosts.is_empty()).then(|| {
            format!(
                "the connection of `mongodb.uri` to {} is not encrypted, and whoever is between reads the events: let the URI \
                 say tls=true, as in mongodb://HOST:27017/?replicaSet=NAME&tls=true",
                hosts.join(", ")
            )
        })
    }

    fn uri(&self) -> String {
        self.uri.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The driver's client, made when it is needed first: a `mongodb+srv` name has to be looked up for it. It is made anew
    /// where the old one will never take the primary that is there.
    async fn opened(&self) -> Result<Opened, Failure> {
        let mut opened = self.opened.lock().await;
        if let Some(usable) = opened.as_ref().filter(|opened| !opened.refusal.lasts()) {
            return Ok(usable.clone());
        }
        if opened.is_some() {
            tracing::warn!(
                "MongoDB's primary was elected earlier than one that was seen before, as after its files were put back to an \
                 older copy: connecting anew"
            );
        }
        Ok(opened.insert(self.connect().await?).clone())
    }

    async fn connect(&self) -> Result<Opened, Failure> {
        let OutboxOptions { database, collection, .. } = &self.options;
        let mut client = ClientOptions::parse(self.uri()).await.map_err(|error| match *error.kind {
            ErrorKind::InvalidArgument { .. } => unusable(&error),
            _ => classify("looking up the servers of `mongodb.uri`", &error),
        })?;
        client.app_name.get_or_insert_with(|| "laterna".to_owned());
        client.server_selection_timeout.get_or_insert(Duration::from_secs(5));
        client.connect_timeout.get_or_insert(Duration::from_secs(5));
        // A server that is gone, or was and is back, is noticed by this.
        client.heartbeat_freq.get_or_insert(HEARTBEAT);
        client.read_concern = Some(ReadConcern::majority());
        let refusal = RefusedPrimary::default();
        client.sdam_event_handler = Some(refusal.watch());
        let is_direct = client.direct_connection == Some(true);
        let client = Client::with_options(client).map_err(|error| unusable(&error))?;
        let database = client.database(database);
        let collection = database.collection(collection);
        Ok(Opened { database, collection, is_direct, refusal })
    }

    pub(super) async fn database(&self) -> Result<Database, Failure> {
        Ok(self.opened().await?.database)
    }

    pub(super) async fn collection(&self) -> Result<Collection<RawDocumentBuf>, Failure> {
        Ok(self.opened().await?.collection)
    }

    pub(super) async fn is_direct(&self) -> Result<bool, Failure> {
        Ok(self.opened().await?.is_direct)
    }

    pub(super) fn name(&self) -> &str {
        &self.options.collection
    }

    /// Checks that there is an outbox here that can be followed, and returns which one it is; none when there is no
    /// collection of its name.
    pub async fn identify(&self) -> Result<Option<SourceIdentity>, Failure> {
        let hello = self.command("asking MongoDB who it is", doc! { "hello": 1 }).await?;
        let replica_set = replica_set(&hello)?;
        let (name, database) = (self.name(), self.database().await?);
        let namespace = format!("{}.{name}", database.name());
        let listed = database.list_collections().filter(doc! { "name": name }).await;
        let listed = listed.map_err(|error| classify("looking for the outbox", &error))?;
        let listed: Vec<_> =
            listed.try_collect().await.map_err(|error| classify("looking for the outbox", &error))?;
        let Some(found) = listed.first() else {
            return Ok(None);
        };
        let uuid = found.info.uuid.as_ref().map(|uuid| hex::encode(&uuid.bytes)).ok_or_else(|| {
            Failure::misconfigured(
                format!("{namespace} is a view; the outbox must be a collection"),
                "let `mongodb.outbox` name one",
            )
        })?;
        Ok(Some(SourceIdentity { replica_set: replica_set.to_owned(), namespace, collection: uuid }))
    }

    /// The documents that were written last, oldest first.
    pub async fn last(&self, documents: u32) -> Result<Vec<RawDocumentBuf>, Failure> {
        let doing = "reading the outbox's last documents";
        let collection = self.collection().await?;
        let found = collection.find(doc! {}).sort(doc! { "$natural": -1 });
        let found = found.limit(documents.into()).await.map_err(|error| classify(doing, &error))?;
        let mut found: Vec<_> = found.try_collect().await.map_err(|error| classify(doing, &error))?;
        found.reverse();
        Ok(found)
    }

    /// The failure where there has never been an outbox.
    pub fn missing(&self) -> Failure {
        let OutboxOptions { database, collection, .. } = &self.options;
        Failure::misconfigured(
            format!("there is no collection {database}.{collection}"),
            format!(
                "create it (db.createCollection(\"{collection}\")), or correct `mongodb.database` and `mongodb.outbox`"
            ),
        )
    }

    /// Advice about how the outbox is reached and kept that is no obstacle.
    pub async fn advice(&self) -> Result<Vec<String>, Failure> {
        let hello = self.command("asking MongoDB who it is", doc! { "hello": 1 }).await?;
        let mut advice = Vec::new();
        let others = hello.get_array("hosts").map_or(0, |hosts| hosts.len().saturating_sub(1));
        if self.is_direct().await? && others > 0 {
            let role = match hello.get_bool("isWritablePrimary") {
                Ok(true) => "the primary now",
                _ => "no primary now, and so may be behind",
            };
            let (member, set) =
                (hello.get_str("me").unwrap_or("it"), hello.get_str("setName").unwrap_or_default());
            advice.push(format!(
                "`mongodb.uri` says directConnection=true, so only {member} is asked, which is {role}; of the {others} \
                 other member(s) none takes over when it is away: leave that out, and end it with ?replicaSet={set}"
            ));
        }
        if self.is_capped().await? {
            advice.push(format!(
                "the collection `{0}` is capped: MongoDB deletes its oldest documents when it is full, whether or not they \
                 were projected, and no read model can be built from them any more; copy it into one that is not capped, \
                 and let `mongodb.acknowledge` be \"retain\"",
                self.name()
            ));
        }
        for index in self.indexes().await? {
            let options = index.options.unwrap_or_default();
            if let Some(age) = options.expire_after {
                let (name, age) = (options.name.unwrap_or_default(), humantime::format_duration(age));
                advice.push(format!(
                    "the index `{name}` deletes documents after {age}, whether or not they were projected, and no read \
                     model can be built from them any more: drop it, and let `mongodb.acknowledge` be \"retain\""
                ));
            }
        }
        Ok(advice)
    }

    async fn is_capped(&self) -> Result<bool, Failure> {
        let database = self.database().await?;
        let asked = database.list_collections().filter(doc! { "name": self.name() });
        let failed = |error: Error| classify("asking how the outbox is kept", &error);
        let listed: Vec<_> = asked.await.map_err(failed)?.try_collect().await.map_err(failed)?;
        Ok(listed.first().is_some_and(|found| found.options.capped == Some(true)))
    }

    pub(super) async fn indexes(&self) -> Result<Vec<IndexModel>, Failure> {
        let failed = |error: Error| classify("reading the outbox's indexes", &error);
        let indexes = self.collection().await?.list_indexes().await.map_err(failed)?;
        indexes.try_collect().await.map_err(failed)
    }

    /// The token of "now": the stream behind it shows exactly what is committed later.
    pub async fn current_token(&self) -> Result<Token, Failure> {
        let doing = "opening the change stream";
        let collection = self.collection().await?;
        let stream = collection.aggregate([doc! { "$changeStream": {} }]).batch_size(0);
        let mut cursor = stream.batch().await.map_err(|error| classify(doing, &error))?;
        let reply = cursor.next().await.ok_or_else(|| malformed("a new stream has no first batch"))?;
        let reply = reply.map_err(|error| classify(doing, &error))?;
        post_batch_token(reply.as_raw_document()).ok_or_else(|| malformed("a new stream has no token"))
    }

    /// Returns true where nothing had been committed to the outbox when this token was made.
    pub async fn is_empty_at(&self, token: &Token) -> Result<bool, Failure> {
        let since = token.time().ok_or_else(|| malformed("the start token has no time"))?.before();
        let after = bson::Timestamp { time: since.seconds, increment: since.increment };
        let find = doc! {
            "find": self.name(),
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
        let count = self.collection().await?.estimated_document_count().await;
        count.map_err(|error| classify("counting the outbox", &error))
    }

    /// The time of the oplog's oldest entry; none when the account may not know. Reading it takes `read` on
    /// `local`, or `clusterMonitor`.
    pub async fn oplog_begin(&self) -> Result<Option<ClusterTime>, Failure> {
        let doing = "asking how far the oplog reaches back";
        let database = self.database().await?;
        let client = database.client();
        let oplog = client.database("local").collection::<Document>("oplog.rs");
        let first = oplog.find_one(doc! {}).sort(doc! { "$natural": 1 }).projection(doc! { "ts": 1 });
        let time = match first
            .read_concern(ReadConcern::local())
            .await
            .map_err(|error| classify(doing, &error))
        {
            Ok(first) => first.and_then(|entry| entry.get_timestamp("ts").ok()),
            Err(Failure::AccessDenied { .. }) => {
                let ask = doc! { "serverStatus": 1, "oplog": 1 };
                match client.database("admin").run_command(ask).await.map_err(|error| classify(doing, &error))
                {
                    Ok(status) => status
                        .get_document("oplog")
                        .and_then(|oplog| oplog.get_timestamp("earliestOptime"))
                        .ok(),
                    Err(Failure::AccessDenied { .. }) => None,
                    Err(failure) => return Err(failure),
                }
            }
            Err(failure) => return Err(failure),
        };
        Ok(time.map(cluster_time))
    }

    pub(super) async fn command(&self, doing: &str, command: Document) -> Result<Document, Failure> {
        let answer = self.database().await?.run_command(command).await;
        answer.map_err(|error| classify_at(&self.named(), doing, &error))
    }

    /// The servers that the URI names, without its credentials.
    fn named(&self) -> String {
        match ConnectionString::parse(self.uri()).map(|named| named.host_info) {
            Ok(HostInfo::HostIdentifiers(servers)) => {
                let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
                servers.join(", ")
            }
            Ok(HostInfo::DnsRecord(name)) => name,
            _ => String::new(),
        }
    }
}

/// The replica set that answers a `hello`; only those have change streams that a host follows.
fn replica_set(hello: &Document) -> Result<&str, Failure> {
    match (hello.get_str("setName"), hello.get_str("msg")) {
        (Ok(name), _) => Ok(name),
        (_, Ok("isdbgrid")) => Err(Failure::misconfigured(
            "MongoDB answers as a mongos, and sharded clusters are not supported",
            "keep the outbox in a replica set of its own (or unsharded on one shard), and let `mongodb.uri` name that \
             replica set's members",
        )),
        _ => Err(Failure::misconfigured(
            "MongoDB is not a replica set, and only replica sets have change streams",
            "start mongod with --replSet and run rs.initiate() once",
        )),
    }
}

/// The name of a server that is reached over a network.
fn elsewhere(server: &ServerAddress) -> Option<&str> {
    let ServerAddress::Tcp { host, .. } = server else { return None };
    (!is_this_machine(host)).then_some(host.as_str())
}

fn unusable(error: &Error) -> Failure {
    Failure::misconfigured(
        format!("`mongodb.uri` is not usable: {error}"),
        "correct it: it is like mongodb://HOST:27017/?replicaSet=NAME",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mongodb_on_another_machine_is_reached_encrypted_or_that_is_told() {
        let exposed = |uri: &str| {
            let (database, collection) = ("bank".to_owned(), "outbox".to_owned());
            Outbox::new(OutboxOptions { uri: uri.to_owned(), database, collection }).expect("a URI").exposed()
        };
        for uri in [
            "mongodb://localhost/?replicaSet=rs0",
            "mongodb://127.0.0.1:27017,127.4.5.6,[::1]:27018/?replicaSet=rs0",
            "mongodb://%2Ftmp%2Fmongodb.sock/?replicaSet=rs0",
            "mongodb://db.example/?replicaSet=rs0&tls=true",
            "mongodb://db.example/?ssl=true",
            "mongodb+srv://cluster.db.example/",
        ] {
            assert_eq!(exposed(uri), None, "{uri}");
        }
        for (uri, says) in [
            ("mongodb://db.example/?replicaSet=rs0", "`mongodb.uri` to db.example is not encrypted"),
            ("mongodb://a.example,localhost,10.1.2.3/?tls=false", "to a.example, 10.1.2.3 is not encrypted"),
            ("mongodb+srv://cluster.db.example/?tls=false", "let the URI say tls=true"),
        ] {
            let told = exposed(uri).unwrap_or_else(|| panic!("{uri} is not told"));
            assert!(told.contains(says), "{told}");
        }
    }

    #[test]
    fn whoever_answers_is_told_apart() {
        assert_eq!(replica_set(&doc! { "setName": "rs0" }), Ok("rs0"));
        for (hello, says) in [
            (doc! { "msg": "isdbgrid" }, "sharded clusters are not supported"),
            (doc! { "isWritablePrimary": true }, "start mongod with --replSet"),
        ] {
            let refused = replica_set(&hello).expect_err("it is none").to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
