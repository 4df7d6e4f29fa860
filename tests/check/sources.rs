//! The outbox: not there, not what it should be, without the order of history.

use super::row::{OutboxChange, Outcome, PASSWORD, Row, Server};
use Outcome::{Notes, Runs, Stops};

const ORDER: &str = r#"{"aggregateType": 1, "aggregateId": 1, "sequence": 1}"#;
const WITH_ID: &str = r#"{"aggregateType": 1, "aggregateId": 1, "sequence": 1, "_id": 1}"#;
const COMMAND: &str = "create it with: db.getCollection(\"outbox\").createIndex({ \"aggregateType\": 1, \"aggregateId\": 1, \
                       \"sequence\": 1, \"_id\": 1 }";

pub fn rows() -> Vec<Row> {
    [collections(), indexes(), addresses()].concat()
}

fn row(name: &str, outcome: Outcome) -> Row {
    Row::new(name, Server::MySql, outcome)
}

fn collections() -> Vec<Row> {
    let missing = Stops("there is no collection", "create it (db.createCollection(\"outbox\"))");
    vec![
        row("no outbox", missing).without_events().outbox(OutboxChange::Drop),
        row(
            "no outbox, later",
            Stops("which is not there any more", "choose: restore the collection together with its oplog"),
        )
        .begun()
        .outbox(OutboxChange::Drop),
        row("another database", missing).line("database =", "database = \"empty_database\""),
        row(
            "another collection",
            Stops("there is no collection", "or correct `mongodb.database` and `mongodb.outbox`"),
        )
        .line("database =", "LINE\noutbox = \"events\""),
        row("a view", Stops("is a view; the outbox must be a collection", "let `mongodb.outbox` name one"))
            .without_events()
            .outbox(OutboxChange::View),
        row("a capped outbox", Notes("is capped: MongoDB deletes its oldest documents"))
            .outbox(OutboxChange::Capped)
            .outbox(OutboxChange::Index(WITH_ID, r#"{"name": "again"}"#)),
        row("documents without a sequence", Stops("has no `sequence`", "begin with `start = \"now\"`"))
            .without_events()
            .outbox(OutboxChange::DropIndex)
            .outbox(OutboxChange::Event(
                r#"{"_id": "e1", "type": "x", "aggregateType": "a", "aggregateId": "b"}"#,
            )),
        row("an event without a sequence", Stops("of a/b has no `sequence`", "begin with `start = \"now\"`"))
            .outbox(OutboxChange::Event(
                r#"{"_id": "e2", "type": "x", "aggregateType": "a", "aggregateId": "b", "payload": {}}"#,
            )),
        row("a document that is no event, and has no sequence", Runs)
            .outbox(OutboxChange::Event(r#"{"_id": "e2", "type": "x"}"#)),
        row("other names of fields", Stops("has no `seq`", "begin with `start = \"now\"`"))
            .line("database =", "LINE\n[mongodb.fields]\nsequence = \"seq\""),
    ]
}

fn indexes() -> Vec<Row> {
    let index = |name: &str, keys, options, says| {
        row(name, Stops(says, COMMAND)).outbox(OutboxChange::Index(keys, options))
    };
    vec![
        row("no index", Stops("is unknown without an index on it", COMMAND)).outbox(OutboxChange::DropIndex),
        row("no index, from now on", Runs)
            .outbox(OutboxChange::DropIndex)
            .line("batch_max", "LINE\nstart = \"now\""),
        row("no index, without events", Notes("is unknown without an index on it"))
            .without_events()
            .outbox(OutboxChange::DropIndex),
        row("no index, later", Notes("is unknown without an index on it"))
            .begun()
            .outbox(OutboxChange::DropIndex),
        row("a unique index", Runs).outbox(OutboxChange::Index(ORDER, r#"{"name": "u", "unique": true}"#)),
        index(
            "an index that is not unique",
            ORDER,
            r#"{"name": "mine"}"#,
            "the index \"mine\" cannot serve: it is not unique",
        ),
        index("a sparse index", ORDER, r#"{"name": "mine", "unique": true, "sparse": true}"#, "it is sparse"),
        index(
            "a partial index",
            ORDER,
            r#"{"name": "mine", "partialFilterExpression": {"sequence": {"$exists": true}}}"#,
            "it is partial",
        ),
        index(
            "an index with a collation",
            WITH_ID,
            r#"{"name": "mine", "collation": {"locale": "de"}}"#,
            "it has a collation",
        ),
        row("a hidden index", Stops("it is hidden", "dropIndex(\"mine\"), then "))
            .outbox(OutboxChange::Index(WITH_ID, r#"{"name": "mine", "hidden": true}"#)),
        row(
            "an index of the name with other fields",
            Stops("_id_1\" cannot serve: its fields are sequence", "{ name: \"laterna_history\" })"),
        )
        .outbox(OutboxChange::Index(
            r#"{"sequence": 1}"#,
            r#"{"name": "aggregateType_1_aggregateId_1_sequence_1__id_1"}"#,
        )),
        index(
            "an index in another direction",
            r#"{"aggregateType": -1, "aggregateId": -1, "sequence": -1}"#,
            r#"{"name": "down", "unique": true}"#,
            "is unknown without an index on it",
        ),
    ]
}

fn addresses() -> Vec<Row> {
    let [port, mysql] = ["LATERNA_MONGODB_PORT", "LATERNA_MYSQL_PORT"]
        .map(|name| std::env::var(name).expect("from dev/services env"));
    let away = "make sure that MongoDB has a primary and is reachable from this host";
    let short = "serverSelectionTimeoutMS=2000";
    let alone = "directConnection=true";
    // Each is named with its own reason, and the credentials are not.
    let unreachable = |name: &str, says: &str, hosts: &str, option: &str| {
        let says = format!("MongoDB is not reachable: asking MongoDB who it is: {says}");
        row(name, Stops(says.leak(), away))
            .line("uri =", format!("uri = \"mongodb://{PASSWORD}:{PASSWORD}@{hosts}/?{short}&{option}\""))
    };
    let members = "127.0.0.1:1,nobody.invalid:27018";
    let another = format!("no server of 127.0.0.1:{port} belongs to the replica set `another`");
    vec![
        unreachable(
            "nobody at MongoDB's address",
            "no server answers: 127.0.0.1:1 (connection refused)",
            "127.0.0.1:1",
            alone,
        ),
        unreachable(
            "nobody at the addresses of MongoDB's members",
            "no server answers: 127.0.0.1:1 (connection refused), nobody.invalid:27018 (name not found)",
            members,
            "replicaSet=rs0",
        ),
        unreachable("another replica set", &another, &format!("127.0.0.1:{port}"), "replicaSet=another"),
        unreachable(
            "MySQL behind MongoDB's address",
            &format!("no server answers: 127.0.0.1:{mysql} (what answers is no MongoDB)"),
            &format!("127.0.0.1:{mysql}"),
            alone,
        ),
        row(
            "an account that MongoDB does not know",
            Stops(
                format!("asking MongoDB who it is: 127.0.0.1:{port}: SCRAM failure: Authentication failed.")
                    .leak(),
                "correct",
            ),
        )
        .line("uri =", format!("uri = \"mongodb://nobody:{PASSWORD}@127.0.0.1:{port}/?{short}&{alone}\"")),
        row("nobody at MySQL's address", Stops("MySQL is not reachable", "make sure that MySQL runs"))
            .line("url =", "url = \"mysql://root@127.0.0.1:1/DB\""),
        row("MongoDB behind MySQL's address", Stops("MySQL is not reachable", "make sure that MySQL runs"))
            .line("url =", format!("url = \"mysql://root@127.0.0.1:{port}/DB\"")),
        row("no such socket", Stops("MySQL is not reachable", "make sure that MySQL runs"))
            .line("url =", "url = \"mysql://root@localhost/DB?socket=/nowhere/mysqld.sock\""),
        row("a database that is not there", Stops("Unknown database", "create it, or correct the URL")).line(
            "url =",
            "url = \"mysql://root@localhost/DB_none?socket=SOCKET\"".replace("SOCKET", &socket()),
        ),
    ]
}

fn socket() -> String {
    std::env::var("LATERNA_MYSQL_SOCKET").expect("from dev/services env")
}
