//! One lane's writing at the library, without a host: a lane over one table, and the connector under it.

use std::sync::Arc;
use std::time::Duration;

use bson::doc;
use laterna::event::{Aggregate, Delivery, Event, Id};
use laterna::position::{Position, Token};
use laterna::readmodel::control::deployment::Origin;
use laterna::readmodel::control::generation::{HistoryFilter, Purpose, Wanted};
use laterna::readmodel::control::lease::Acquired;
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::lane::Lane;
use laterna::readmodel::lane::apply::LaneModel;
use laterna::readmodel::lane::batch::{Batch, Entry, Verdict};
use laterna::readmodel::mysql::session::{Connector, Session};
use laterna::sql;
use laterna::statement::{
    Deployed, FittedOperation, Manifest, Operation, Ordering, Schema, Sent, StatementDeclaration,
    TableDeclaration,
};

use super::{Options, World};

pub struct Bench {
    pub world: World,
    pub control: Control,
    /// Connects as the host would.
    pub connector: Connector,
    pub schema: Arc<Schema>,
    /// The component whose operations are written.
    pub version: Arc<Deployed>,
}

impl Bench {
    pub async fn new(options: Options) -> Self {
        Self::with(options, &[]).await
    }

    /// A bench whose schema has further tables, and statements on them behind `put` and `add`.
    pub async fn with(options: Options, further: &[(&str, &[&str])]) -> Self {
        let world = World::new("recorder", options).await;
        let control = Control::new(&world.control());
        let connector = Connector::new("mysql.url", &world.host_url().into()).expect("a URL");
        let version = deployed(manifest(further));
        let schema = version.schema.clone();
        let bench = Self { world, control, connector, schema, version };
        let mut session = bench.direct().await;
        bench.control.migrate(&mut session).await.expect("the control schema is created");
        let order = session.text_order();
        let made = bench.control.of(&mut session, "p").create_missing_tables(&bench.schema, order).await;
        made.expect("the tables are created");
        let epoch = bench.take_lease().await;
        bench.place(&mut session, epoch, 1).await;
        bench
    }

    /// Gives the projection new lanes.
    pub async fn place(&self, session: &mut Session, epoch: u64, lanes: u32) {
        let placed = self.control.of(session, "p").under(epoch).replace_lanes(1, lanes, &start()).await;
        placed.expect("the lanes are placed");
    }

    /// A session of the administrator, past any proxy.
    pub async fn direct(&self) -> Session {
        let connector = Connector::new("mysql.url", &self.world.url().into()).expect("a URL");
        connector.connect().await.expect("MySQL answers")
    }

    /// Takes the lease, whoever had it.
    pub async fn take_lease(&self) -> u64 {
        self.world.run(&format!("UPDATE IGNORE {}.lease SET connection_id = 0", self.world.control())).await;
        let mut session = self.direct().await;
        let ttl = Duration::from_mins(1);
        let mut db = self.control.of(&mut session, "p");
        match db.acquire_lease(&self.connector, "a test", ttl).await.expect("MySQL answers") {
            Acquired::Mine { epoch } => epoch,
            Acquired::Taken { owner } => panic!("taken by {owner}"),
        }
    }

    pub async fn lane(&self, epoch: u64) -> LaneModel {
        self.numbered(epoch, 0).await
    }

    pub async fn numbered(&self, epoch: u64, lane: u32) -> LaneModel {
        let lane = Lane { projection: "p".into(), generation: 1, lane };
        let (connector, control) = (self.connector.clone(), self.control.clone());
        let mut model = LaneModel::new(connector, control, lane, epoch, 1000);
        model.load().await.expect("the lane loads");
        model
    }

    /// A batch of one event with these operations.
    pub fn batch(&self, number: i64, operations: Vec<FittedOperation>) -> Arc<Batch> {
        self.batch_of(number, vec![entry(number, 1, operations)])
    }

    pub fn batch_of(&self, number: i64, entries: Vec<Entry>) -> Arc<Batch> {
        Arc::new(Batch { entries, position: place(number), version: self.version.clone() })
    }

    pub async fn amounts(&self) -> Vec<i64> {
        let rows = self.world.rows("SELECT amount FROM totals ORDER BY id").await;
        rows.iter().map(|row| sqlx::Row::get(row, 0)).collect()
    }

    /// How many batches all lanes have committed.
    pub async fn batch_number(&self) -> i64 {
        self.world.number(&format!("SELECT SUM(batch) FROM {}.checkpoint", self.world.control())).await
    }
}

/// A generation of this component that is to take the live one's place.
pub fn wanted<'a>(projection: &'a str, digest: &'a str) -> Wanted<'a> {
    Wanted {
        projection,
        purpose: Purpose::Replace,
        digest,
        tables: &[],
        part: HistoryFilter::default(),
        expected: 0,
        accepted: false,
        origin: Origin::Command,
        command: None,
        opened_by: None,
        by: "a test",
        overtakes: None,
    }
}

/// Where the lanes are placed.
pub fn start() -> Position {
    Position::Stream { token: Token { data: "82".into(), type_bits: None } }
}

fn manifest(further: &[(&str, &[&str])]) -> Manifest {
    let statement = |name: &str, sql: &str| StatementDeclaration { name: name.into(), sql: sql.into() };
    let mut manifest = Manifest {
        name: "totals".into(),
        version: "1".into(),
        event_types: vec![],
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: vec![TableDeclaration {
            name: "totals".into(),
            ddl: "CREATE TABLE totals (id BIGINT PRIMARY KEY, amount BIGINT NOT NULL)".into(),
        }],
        statements: vec![
            statement("put", "INSERT INTO totals (id, amount) VALUES (?, ?)"),
            statement("add", "UPDATE totals SET amount = amount + 1 WHERE id = ?"),
        ],
    };
    for (ddl, statements) in further {
        let name = ddl.split_whitespace().nth(2).expect("CREATE TABLE name").to_owned();
        manifest.tables.push(TableDeclaration { name, ddl: (*ddl).to_owned() });
        for sql in *statements {
            let name = format!("s{}", manifest.statements.len());
            manifest.statements.push(statement(&name, sql));
        }
    }
    manifest
}

/// A component that declares this, as lanes know it.
pub fn deployed(manifest: Manifest) -> Arc<Deployed> {
    let schema =
        sql::check(&manifest).unwrap_or_else(|failure| panic!("the SQL is not allowed: {failure:?}"));
    let (manifest, schema) = (Arc::new(manifest), Arc::new(schema));
    Arc::new(Deployed { digest: "d".to_owned(), manifest, upcaster: None, schema })
}

pub fn put(id: i64) -> FittedOperation {
    Operation { statement: 0, parameters: vec![Sent::Integer(Some(id)), Sent::Integer(Some(0))] }
}

pub fn add(id: i64) -> FittedOperation {
    Operation { statement: 1, parameters: vec![Sent::Integer(Some(id))] }
}

/// What an event of an aggregate does.
pub fn entry(number: i64, aggregate: i64, operations: Vec<FittedOperation>) -> Entry {
    let event = Event {
        id: Id::Integer(number),
        event_type: "T".into(),
        version: 1,
        aggregate: Aggregate { kind: "a".into(), id: Id::Integer(aggregate) },
        sequence: Some(number),
        occurred_at: None,
        payload: "{}".into(),
        metadata: "{}".into(),
    };
    let document = bson::serialize_to_vec(&doc! { "_id": number }).expect("a document");
    let delivery = Delivery {
        position: place(number),
        time: None,
        wall_ms: None,
        document: document.into(),
        event: Ok(Arc::new(event)),
    };
    Entry { delivery, verdict: Verdict::Apply(operations), mark: Some(number.unsigned_abs().into()) }
}

fn place(number: i64) -> Position {
    Position::Stream { token: Token { data: format!("82{number:06}").into(), type_bits: None } }
}
