//! A world for one test: an outbox, a read model and a control schema of its own on the shared servers, and a
//! configuration that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bank::{Model, Row, Writer};
use bson::{DateTime, Document, doc};
use mongodb::{Client, Collection};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::host::{BINARY, Host};
use super::{PATIENCE, some_time, until};
use crate::guests;

/// Which read-model server a world uses, and how its projections are set.
#[derive(Clone)]
pub struct Options {
    pub mongodb: String,
    /// An administrator's URL.
    pub mysql: String,
    /// What the host uses instead, where that is another: e.g. a way through a proxy, or an account with less rights.
    pub host_mysql: Option<String>,
    /// The host's account for tables, where that is another.
    pub ddl_mysql: Option<String>,
    pub lanes: u32,
    pub batch_max: usize,
    /// Further lines of a projection's section.
    pub extra: &'static str,
    /// Further lines of the section `[mongodb]`.
    pub outbox: &'static str,
}

impl Options {
    /// The shared MongoDB and MySQL.
    pub fn mysql() -> Self {
        Self::of("LATERNA_MYSQL_ADMIN_URL")
    }

    /// The shared MongoDB and MariaDB.
    pub fn mariadb() -> Self {
        Self::of("LATERNA_MARIADB_ADMIN_URL")
    }

    fn of(url: &str) -> Self {
        let need = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: use `make test`, or eval \"$(dev/services env)\"")
            })
        };
        Self {
            mongodb: need("LATERNA_MONGODB_URI"),
            mysql: need(url),
            host_mysql: None,
            ddl_mysql: None,
            lanes: 4,
            batch_max: 500,
            extra: "",
            outbox: "",
        }
    }
}

pub struct World {
    pub name: String,
    pub options: Options,
    pub client: Client,
    pub writer: Writer,
    pub outbox: Collection<Document>,
    pub folder: tempfile::TempDir,
    /// Where hosts of this world serve; each host has a port of its own.
    pub projections: BTreeMap<String, PathBuf>,
}

impl World {
    /// A world with one projection, named like its component.
    pub async fn new(component: &str, options: Options) -> Self {
        Self::with(&[(&component.replace('-', "_"), component)], options).await
    }

    pub async fn with(projections: &[(&str, &str)], options: Options) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let client = Client::with_uri_str(&options.mongodb).await.expect("a MongoDB URI");
        client.database(&name).drop().await.expect("MongoDB answers");
        let writer = Writer::new(&client, &name);
        writer.prepare().await.expect("the outbox can be created");
        order_history(&client.database(&name).collection("outbox")).await;
        let world = Self {
            outbox: client.database(&name).collection("outbox"),
            folder: tempfile::tempdir().expect("a folder"),
            projections: projections
                .iter()
                .map(|(projection, component)| ((*projection).to_owned(), guests::path(component)))
                .collect(),
            name,
            client,
            writer,
            options,
        };
        for database in [world.name.clone(), world.control()] {
            world.run(&format!("DROP DATABASE IF EXISTS {database}")).await;
        }
        world.run(&format!("CREATE DATABASE {} CHARACTER SET utf8mb4", world.name)).await;
        world
    }

    /// The name of the control schema.
    pub fn control(&self) -> String {
        format!("{}_control", self.name)
    }

    /// The URL of the read model's database.
    pub fn url(&self) -> String {
        self.of_world(&self.options.mysql)
    }

    /// The same as the host has it.
    pub fn host_url(&self) -> String {
        self.of_world(self.options.host_mysql.as_ref().unwrap_or(&self.options.mysql))
    }

    fn of_world(&self, url: &str) -> String {
        url.replacen("/mysql", &format!("/{}", self.name), 1)
    }

    /// Writes a configuration whose admin endpoint is at a port, and gives its path.
    pub fn config(&self, port: u16) -> PathBuf {
        let mut text = format!(
            "[host]\nid = \"host-{port}\"\nadmin = \"127.0.0.1:{port}\"\nhealth = \"127.0.0.1:0\"\n\
             state = \"{}\"\nlease_seconds = 4\n\
             stop_seconds = 10\n[mongodb]\nuri = {:?}\ndatabase = {:?}\n{}\n[mysql]\nurl = {:?}\ncontrol_schema = {:?}\n",
            state_folder().display(),
            self.options.mongodb,
            self.name,
            self.options.outbox,
            self.host_url(),
            self.control(),
        );
        if let Some(url) = &self.options.ddl_mysql {
            text += &["ddl_url = ", &format!("{:?}", self.of_world(url)), "\n"].concat();
        }
        for (name, component) in &self.projections {
            let Options { lanes, batch_max, extra, .. } = &self.options;
            let component = component.display();
            let lines = [
                format!("[projection.{name}]\ncomponent = \"{component}\""),
                format!("lanes = {lanes}\nbatch_max = {batch_max}\n{extra}\n"),
            ];
            text += &lines.join("\n");
        }
        let path = self.folder.path().join(format!("laterna-{port}.toml"));
        std::fs::write(&path, text).expect("the configuration can be written");
        path
    }

    /// Starts a host.
    pub fn start(&self) -> Host {
        let port = free_port();
        Host::start(&self.config(port), port)
    }

    /// Starts a host with settings that differ, by the names of their environment variables without `LATERNA_`.
    pub fn start_with(&self, settings: &[(&str, &str)]) -> Host {
        let port = free_port();
        let mut command = Command::new(BINARY);
        command.envs(settings.iter().map(|(name, value)| (format!("LATERNA_{name}"), value)));
        Host::start_as(command, &self.config(port), port)
    }

    /// The URL of the read model's database over TCP, e.g. through a proxy. An account without a password needs no TLS.
    pub fn url_at(&self, port: u16) -> String {
        format!("mysql://root@127.0.0.1:{port}/{}?ssl-mode=DISABLED", self.name)
    }

    /// A connection to the read model's database.
    pub async fn mysql(&self) -> MySqlConnection {
        connect(&self.url()).await
    }

    /// Runs a statement as an administrator.
    pub async fn run(&self, sql: &str) {
        let mut connection = connect(&self.options.mysql).await;
        sqlx::Executor::execute(&mut connection, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// The rows of a query on the read model's database. MySQL cannot list sessions while one of them, e.g. another
    /// test's, runs a statement whose values are not text (error 3854): it is asked again.
    pub async fn rows(&self, sql: &str) -> Vec<MySqlRow> {
        let mut connection = self.mysql().await;
        let since = Instant::now();
        loop {
            match sqlx::Executor::fetch_all(&mut connection, sql).await {
                Err(sqlx::Error::Database(error))
                    if sql.contains("processlist")
                        && error.message().contains("Cannot convert string")
                        && since.elapsed() < PATIENCE =>
                {
                    some_time(20).await;
                }
                rows => return rows.unwrap_or_else(|error| panic!("{sql}: {error}")),
            }
        }
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = format!("SELECT CAST(({sql}) AS SIGNED)");
        self.rows(&sql).await[0].try_get::<Option<i64>, _>(0).expect("a number").unwrap_or_default()
    }

    /// The number, or nothing while the server or the table is not there.
    pub async fn number_if_any(&self, sql: &str) -> Option<i64> {
        let options: MySqlConnectOptions = self.url().parse().ok()?;
        let mut connection = options.connect().await.ok()?;
        let sql = format!("SELECT CAST(({sql}) AS SIGNED)");
        let row = sqlx::Executor::fetch_one(&mut connection, sql.as_str()).await.ok()?;
        row.try_get::<Option<i64>, _>(0).ok().flatten()
    }

    /// Writes documents as they are to the outbox.
    pub async fn insert(&self, documents: impl IntoIterator<Item = Document>) {
        let documents: Vec<Document> = documents.into_iter().collect();
        for chunk in documents.chunks(5000) {
            self.outbox.insert_many(chunk).await.expect("the outbox takes documents");
        }
    }

    /// Waits until a projection has committed at least so many events.
    pub async fn until_committed(&self, projection: &str, events: i64) {
        let sql = format!(
            "SELECT SUM(events) FROM {}.checkpoint WHERE projection = '{projection}'",
            self.control()
        );
        until(&format!("{projection} has committed {events} events"), async || {
            self.number_if_any(&sql).await.unwrap_or_default() >= events
        })
        .await;
    }

    /// The read model of the projector `accounts`, row for row.
    pub async fn accounts(&self) -> BTreeMap<String, Row> {
        let sql = "SELECT account_id COLLATE utf8mb4_general_ci AS account_id, \
                   owner COLLATE utf8mb4_general_ci AS owner, balance_cents, last_sequence, opened_at, updated_at FROM accounts";
        let rows = self.rows(sql).await;
        let time = |row: &MySqlRow, column: &str| {
            let time: sqlx::types::time::PrimitiveDateTime = row.try_get(column).expect("a time");
            DateTime::from_millis(
                i64::try_from(time.assume_utc().unix_timestamp_nanos() / 1_000_000).expect("in range"),
            )
        };
        let row = |row: &MySqlRow| {
            let account = Row {
                owner: row.try_get("owner").expect("an owner"),
                balance_cents: row.try_get("balance_cents").expect("a balance"),
                last_sequence: row.try_get("last_sequence").expect("a sequence"),
                opened_at: time(row, "opened_at"),
                updated_at: time(row, "updated_at"),
            };
            (row.try_get("account_id").expect("an id"), account)
        };
        rows.iter().map(row).collect()
    }

    /// The read model equals the model, row for row.
    pub async fn assert_accounts(&self, model: &Model) {
        let rows = self.accounts().await;
        let different = model.rows.iter().filter(|(id, row)| rows.get(*id) != Some(row)).count();
        let extra = rows.keys().filter(|id| !model.rows.contains_key(*id)).count();
        assert_eq!((different, extra), (0, 0), "rows that are missing or different, and rows too many");
    }

    /// Every sequence that the projector `recorder` saw: each event once, without gaps, in order.
    pub async fn assert_recorded(&self, events: i64, aggregates: i64) {
        assert_eq!(self.number("SELECT COUNT(*) FROM recorded").await, events, "events recorded");
        assert_eq!(self.number("SELECT COUNT(*) FROM last_seen").await, aggregates, "aggregates seen");
        let wrong = "SELECT COUNT(*) FROM last_seen WHERE disorder <> 0 OR events <> sequence";
        assert_eq!(self.number(wrong).await, 0, "aggregates out of order");
    }

    /// How many dead letters there are: parked, held.
    pub async fn letters(&self) -> (i64, i64) {
        let count =
            |state| format!("SELECT COUNT(*) FROM {}.dead_letter WHERE state = '{state}'", self.control());
        (self.number(&count("parked")).await, self.number(&count("held")).await)
    }

    /// The class and the reason of each parked letter, by the event's id.
    pub async fn reasons(&self) -> BTreeMap<String, (String, String)> {
        let sql = format!(
            "SELECT COALESCE(event_id, ''), class, reason FROM {}.dead_letter WHERE state = 'parked'",
            self.control()
        );
        let text = |row: &MySqlRow, column: usize| row.try_get::<String, _>(column).expect("text");
        let rows = self.rows(&sql).await;
        rows.iter().map(|row| (text(row, 0), (text(row, 1), text(row, 2)))).collect()
    }
}

impl Drop for World {
    /// The databases of a test that passed are dropped; those of one that failed stay to be looked at.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the databases {} stay, in MongoDB and in MySQL", self.name);
            return;
        }
        let (client, name, control, mysql) =
            (self.client.clone(), self.name.clone(), self.control(), self.options.mysql.clone());
        let dropping = async move {
            let _ = client.database(&name).drop().await;
            if let Ok(mut connection) = mysql.parse::<MySqlConnectOptions>().expect("a URL").connect().await {
                let places = format!(
                    "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{}\\_g%'",
                    control.replace('_', "\\_")
                );
                let places = sqlx::query_scalar(&places).fetch_all(&mut connection).await.unwrap_or_default();
                let all: Vec<String> = [name, control].into_iter().chain(places).collect();
                for database in all {
                    let sql = format!("DROP DATABASE IF EXISTS {database}");
                    let _ = sqlx::Executor::execute(&mut connection, sql.as_str()).await;
                }
                let _ = connection.close().await;
            }
        };
        // The runtime of a test that failed may be ending just now: nothing would come to an end there.
        let dropped = std::thread::spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let _ = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), dropping).await });
        });
        tokio::task::block_in_place(|| dropped.join().expect("it only gives up"));
    }
}

/// Replaces the bank's unique index by one that takes documents of any kind.
async fn order_history(outbox: &Collection<Document>) {
    outbox.drop_indexes().await.expect("the index is dropped");
    let keys = doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1, "_id": 1 };
    outbox
        .create_index(mongodb::IndexModel::builder().keys(keys).build())
        .await
        .expect("the index is created");
}

/// The URI of MongoDB at another port, e.g. a proxy's.
pub fn mongodb_at(port: u16) -> String {
    format!("mongodb://127.0.0.1:{port}/?replicaSet=rs0&directConnection=true")
}

/// Runs the binary to its end.
pub fn laterna(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laterna"));
    command.arg("--config").arg(config).args(arguments).env_remove("LATERNA_LOG");
    command.output().expect("the binary runs")
}

/// Both streams of a finished command, for messages.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// An event document for the aggregate `thing/AGGREGATE`.
pub fn event(id: &str, aggregate: &str, sequence: i64, payload: Document) -> Document {
    doc! {
        "_id": id, "type": "Happened", "aggregateType": "thing", "aggregateId": aggregate, "sequence": sequence,
        "payload": payload,
    }
}

/// Compiled components are shared by all tests: they are keyed by what was compiled.
fn state_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state")
}

async fn connect(url: &str) -> MySqlConnection {
    let options: MySqlConnectOptions = url.parse().expect("a URL");
    options.connect().await.unwrap_or_else(|error| panic!("MySQL does not answer: {error}"))
}
