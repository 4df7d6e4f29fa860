//! Every set-up of the catalogue (D.3) that is wrong, or that should be known: what is said about it, and that it costs
//! no event.

mod table;

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use bson::{Document, doc};
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::control::schema::VERSION;
use laterna::readmodel::mysql::session::Connector;
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use sqlx::{Executor, Row};

use table::Case;
use table::Outcome::{Fails, Noted, Passes, Refused};
use table::rows;

use super::proof::{Proof, assert_complete};
use super::{assert_refused, config, config_at};
use crate::support::cluster::Cluster;
use crate::support::proxy::Proxy;
use crate::support::server::{exec, kill};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Mysqld, Options, World, until};

#[test]
fn every_wrong_set_up_has_its_test() {
    assert_complete(&rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_is_refused_or_noted_with_the_setting_and_the_way_out() {
    let world = World::new("recorder", Options::mysql()).await;
    world.insert([event("e1", "a", 1, doc! {})]).await;
    for (input, proof) in rows() {
        let Proof::Here(Case { line, instead, outcome }) = proof else { continue };
        let valid = std::fs::read_to_string(world.config(0)).expect("it was written");
        let whole = valid
            .lines()
            .find(|whole| whole.starts_with(line))
            .unwrap_or_else(|| panic!("{input}: no {line}"));
        let config = config(&world, &[(whole, &instead(&world))]);
        if let Refused(says) = outcome {
            assert_refused(&config, &["laterna-0.toml", says]);
            assert_eq!(laterna(&config, &["run"]).status.code(), Some(2), "{input}");
            continue;
        }
        let check = laterna(&config, &["check"]);
        let told = said(&check);
        assert_eq!(check.status.success(), matches!(outcome, Noted(_) | Passes), "{input}: {told}");
        match outcome {
            Fails(says) | Refused(says) => assert!(told.contains(says), "{input}: {told}"),
            Noted(says) => {
                let is_noted = told.lines().any(|line| line.starts_with("note") && line.contains(says));
                assert!(is_noted, "{input}: {told}");
            }
            Passes => {}
        }
    }
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()";
    assert_eq!(world.number(tables).await, 0, "no table was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_ends_the_host_with_its_setting() {
    let world = World::new("recorder", Options::mysql()).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let run = laterna(&world.config(port), &["run"]);
    let address = format!("`host.admin` 127.0.0.1:{port}");
    assert!(said(&run).contains(&address) && said(&run).contains("choose another port"), "{}", said(&run));
    assert_eq!(run.status.code(), Some(2));
}

/// A mongod that is no member of any replica set.
struct Standalone {
    child: Option<Child>,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Standalone {
    fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
        let data = folder.path().join("data").display().to_string();
        let arguments = ["exec-mongod", &data, &port.to_string(), "--standalone"];
        let child = Some(exec(&folder.path().join("log"), &arguments));
        Self { child, port, _folder: folder }
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        kill(self.child.take());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mongodb_that_is_no_replica_set_is_refused_with_the_way_out() {
    let alone = Standalone::start();
    let world = World::new("recorder", Options::mysql()).await;
    let uri = format!("mongodb://127.0.0.1:{}/", alone.port);
    let client = mongodb::Client::with_uri_str(&uri).await.expect("a URI");
    let created = async || client.database(&world.name).create_collection("outbox").await.is_ok();
    until("the server answers", created).await;
    let config = config(&world, &[(&world.options.mongodb, &uri)]);
    let says = "MongoDB is not a replica set, and only replica sets have change streams; start mongod with --replSet";
    let check = laterna(&config, &["check"]);
    assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
    let host = world.start_with(&[("MONGODB__URI", &uri)]);
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    assert_eq!(status["class"], "misconfigured");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secondary_alone_is_followed_once_begun_and_told_of() {
    let cluster = Cluster::start(2, &[]).await;
    let primary = cluster.primary().await.expect("it has one");
    let world = World::new("recorder", Options { mongodb: cluster.uri(), ..Options::mysql() }).await;
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let direct = |member| format!("mongodb://127.0.0.1:{}/?directConnection=true", cluster.port(member));
    let at = |member| config(&world, &[(&world.options.mongodb, &direct(member))]);
    let check = laterna(&at(primary), &["check"]);
    assert!(check.status.success(), "{}", said(&check));
    let says = "is asked, which is the primary now; of the 1 other member(s) none takes over";
    assert!(said(&check).contains(says) && said(&check).contains("?replicaSet=rs0"), "{}", said(&check));
    let check = laterna(&world.config(0), &["check"]);
    assert!(check.status.success() && !said(&check).contains("directConnection"), "{}", said(&check));
    // Whether history is complete, only a primary knows: a projection does not begin, and says why.
    let secondary = direct(1 - primary);
    let says = "only a primary knows: `mongodb.uri` says directConnection=true, leave that out";
    let check = laterna(&at(1 - primary), &["check"]);
    assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
    assert!(said(&check).contains("which is no primary now"), "{}", said(&check));
    let host = world.start_with(&[("MONGODB__URI", &secondary)]);
    let tells = async || {
        let status = host.status("recorder").await.unwrap_or_default();
        status["trouble"].as_str().is_some_and(|trouble| trouble.contains(says))
    };
    until("the host says why it does not begin", tells).await;
    // It leaves the lease to one that reaches the primary, and says why once.
    let alone = host;
    let host = world.start();
    world.until_committed("recorder", 1).await;
    alone.until_phase("recorder", "standby").await;
    let log = alone.log();
    assert_eq!(log.matches("this host reaches no primary of MongoDB").count(), 1, "{log}");
    assert!(log.contains("the lease is left to a host that reaches it"), "{log}");
    alone.kill();
    // Nor can anybody else tell whether it is complete at its end.
    let in_history =
        format!("SELECT COUNT(*) FROM {}.checkpoint WHERE position LIKE '%scan%'", world.control());
    until("all lanes are through with history", async || world.number(&in_history).await == 0).await;
    host.kill();
    // One that has begun goes on, and lacks nothing.
    let _host = world.start_with(&[("MONGODB__URI", &secondary)]);
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    world.assert_recorded(2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_uri_says_only_what_a_majority_has_is_read() {
    let world = World::new("recorder", Options::mysql()).await;
    let database = world.client.database(&world.name);
    database.run_command(doc! { "profile": 2 }).await.expect("this database is profiled");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let uri = format!("{}&readConcernLevel=local&w=1&appName=uri_says", world.options.mongodb);
    let host = world.start_with(&[("MONGODB__URI", &uri)]);
    world.until_committed("recorder", 1).await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    world.until_committed("recorder", 2).await;
    host.kill();
    database.run_command(doc! { "profile": 0 }).await.expect("it is not any more");
    let profile = database.collection::<Document>("system.profile");
    let read = |also: Document| {
        let mut filter = doc! {
            "appName": "uri_says",
            "$or": [{ "command.find": { "$exists": true } }, { "command.aggregate": { "$exists": true } }],
        };
        filter.extend(also);
        profile.count_documents(filter)
    };
    assert!(read(doc! {}).await.expect("it can be counted") > 2, "history and the stream were read");
    let weaker = doc! { "command.readConcern.level": { "$nin": ["majority", "linearizable"] } };
    assert_eq!(read(weaker).await.expect("it can be counted"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_deletes_by_itself_is_told_of() {
    let world = World::new("recorder", Options::mysql()).await;
    let options = IndexOptions::builder().expire_after(Duration::from_hours(1)).build();
    let index = IndexModel::builder().keys(doc! { "occurredAt": 1 }).options(options).build();
    world.outbox.create_index(index).await.expect("it is created");
    let check = laterna(&world.config(0), &["check"]);
    assert!(check.status.success(), "{}", said(&check));
    let says = "the index `occurredAt_1` deletes documents after 1h, whether or not they were projected";
    assert!(said(&check).contains(says), "{}", said(&check));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_strict_is_refused() {
    let port = std::env::var("LATERNA_MYSQL_PORT").expect("from dev/services env").parse().expect("a port");
    let proxy = Proxy::to(port).await;
    proxy.reword("STRICT_ALL_TABLES,", "NO_ZERO_DATE,ANSI,");
    let options = Options { host_mysql: Some(Mysqld::url_at(proxy.port)), ..Options::mysql() };
    let world = World::new("recorder", options).await;
    let check = laterna(&world.config(0), &["check"]);
    let says = "the session's settings do not hold: sql_mode REAL_AS_FLOAT";
    assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
    assert!(said(&check).contains("connect to the server itself"), "{}", said(&check));
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    assert!(host.log().contains("the session's settings do not hold"), "{}", host.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_a_plugin_that_the_host_does_not_have_is_told_so() {
    let port = std::env::var("LATERNA_MYSQL_PORT").expect("from dev/services env").parse().expect("a port");
    let proxy = Proxy::to(port).await;
    proxy.reword_answers("caching_sha2_password", "client_ed25519_plugin");
    let options = Options { host_mysql: Some(Mysqld::url_at(proxy.port)), ..Options::mysql() };
    let world = World::new("recorder", options).await;
    let check = laterna(&world.config(0), &["check"]);
    let told = said(&check);
    for says in [
        "the account `root` logs in by the plugin `client_ed25519_plugin`",
        "IDENTIFIED VIA mysql_native_password",
    ] {
        assert!(!check.status.success() && told.contains(says), "{told}");
    }
    assert!(!told.contains("MySQL is not reachable"), "{told}");
    // Nor does a server that logs statements take rows.
    let server = Mysqld::mysql().await;
    let world = World::new("recorder", server.options()).await;
    world.run("SET GLOBAL binlog_format = 'STATEMENT'").await;
    let check = laterna(&world.config(0), &["check"]);
    assert!(
        !check.status.success() && said(&check).contains("`binlog_format` is STATEMENT"),
        "{}",
        said(&check)
    );
    let host = world.start();
    let says = "set `binlog_format = ROW` on the server";
    let tells = async || {
        let status = host.status("recorder").await.unwrap_or_default();
        status["reason"].as_str().is_some_and(|reason| reason.contains(says) && reason.contains("1665"))
    };
    until("the setting is named", tells).await;
    drop(host);
}

/// The tables of a schema as the server would create them.
async fn tables(world: &World, schema: &str) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    for (name, _) in Control::tables() {
        let rows = world.rows(&format!("SHOW CREATE TABLE {schema}.{name}")).await;
        told.insert(name.to_owned(), rows[0].get(1));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_that_is_created_at_once_is_that_of_all_steps() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
        let mut session = connector.connect().await.expect("MySQL answers");
        let (schema, by_steps) = (world.control(), format!("{}_by_steps", world.control()));
        Control::new(&schema).migrate(&mut session).await.expect("it is created");
        let changes = "SHOW SESSION STATUS LIKE 'Com_alter_table'";
        let changes = session.connection.fetch_one(changes).await.expect("it answers").get::<String, _>(1);
        assert_eq!(changes, "1", "tables were changed to see that they may be, and for nothing else");
        for version in 1..=VERSION {
            Control::new(&by_steps).migrate_to(version, &mut session).await.expect("it goes on");
        }
        assert_eq!(tables(&world, &schema).await, tables(&world, &by_steps).await);
        // One that an older host was killed in the middle of has no version yet.
        world.run(&format!("DROP DATABASE {by_steps}")).await;
        Control::new(&by_steps).migrate_to(1, &mut session).await.expect("it is created");
        world.run(&format!("DELETE FROM {by_steps}.version")).await;
        world.run(&format!("DROP TABLE {by_steps}.discarded")).await;
        Control::new(&by_steps).migrate(&mut session).await.expect("it goes on");
        assert_eq!(tables(&world, &schema).await, tables(&world, &by_steps).await);
        world.run(&format!("DROP DATABASE {by_steps}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_schema_of_any_version_is_gone_on_with() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let (control, schema) = (Control::new(&world.control()), world.control());
        let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
        let mut session = connector.connect().await.expect("MySQL answers");
        // An older one, and of the next one as much as a host made of it that was killed then.
        control.migrate_to(1, &mut session).await.expect("it is created");
        assert_eq!(control.version(&mut session).await, Ok(Some(1)));
        world.run(&format!("ALTER TABLE {schema}.dead_letter ADD COLUMN erased_at TIMESTAMP(6) NULL")).await;
        let host = world.start();
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 1).await;
        assert_eq!(control.version(&mut session).await, Ok(Some(VERSION)));
        host.kill();
        // A newer one: migrations only add.
        world.run(&format!("INSERT INTO {schema}.version (version) VALUES ({})", VERSION + 1)).await;
        for table in
            ["projection", "lease", "checkpoint", "dedupe", "dead_letter", "command", "projection_table"]
        {
            world.run(&format!("ALTER TABLE {schema}.{table} ADD COLUMN later INT NOT NULL DEFAULT 0")).await;
        }
        let _host = world.start();
        let mut nothing = event("e2", "b", 1, doc! {});
        nothing.remove("payload");
        world.insert([nothing, event("e3", "a", 2, doc! {})]).await;
        world.until_committed("recorder", 3).await;
        world.assert_recorded(2, 1).await;
        assert_eq!(world.letters().await, (1, 0));
        assert_eq!(control.version(&mut session).await, Ok(Some(VERSION + 1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_tie_to_a_read_model_is_refused_before_any_event_is_blamed_for_it() {
    for (options, collation) in
        [(Options::mysql(), "utf8mb4_0900_bin"), (Options::mariadb(), "utf8mb4_nopad_bin")]
    {
        let world = World::new("recorder", options).await;
        let (name, control) = (world.name.clone(), world.control());
        let host = world.start();
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 1).await;
        host.kill();
        let cases = [
            (
                format!(
                    "CREATE TRIGGER {name}.nosy AFTER INSERT ON {name}.recorded FOR EACH ROW SET @seen = 1"
                ),
                format!("DROP TRIGGER {name}.nosy"),
                "the table `recorded` has the trigger `nosy`",
            ),
            (
                format!(
                    "CREATE TABLE {control}.hanger_on (id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE {collation}, \
                         CONSTRAINT hold FOREIGN KEY (id) REFERENCES {name}.last_seen (aggregate_id))"
                ),
                format!("DROP TABLE {control}.hanger_on"),
                "has a foreign key to `last_seen`",
            ),
        ];
        for (tie, untie, says) in cases {
            world.run(&tie).await;
            let check = laterna(&world.config(0), &["check"]);
            assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
            let host = world.start();
            host.until_phase("recorder", "paused").await;
            let status = host.status("recorder").await.expect("it answers");
            assert_eq!(status["class"], "misconfigured");
            let reason = status["reason"].as_str().expect("a pause has a reason");
            assert!(reason.contains(says) && reason.to_lowercase().contains("drop"), "{reason}");
            host.kill();
            world.run(&untie).await;
        }
        world.insert([event("e2", "a", 2, doc! {})]).await;
        let _host = world.start();
        world.until_committed("recorder", 2).await;
        world.assert_recorded(2, 1).await;
        assert_eq!(world.letters().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_of_one_name_have_one_writer() {
    let world = World::new("recorder", Options::mysql()).await;
    let start = || {
        let port = free_port();
        let name = format!("id = \"host-{port}\"");
        Host::start(&config_at(&world, port, &[(&name, "id = \"twin\"")]), port)
    };
    let first = start();
    first.until_phase("recorder", "streaming").await;
    let second = start();
    second.until_phase("recorder", "standby").await;
    world.insert((1..=200).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 200).await;
    let epoch = format!("SELECT epoch FROM {}.lease", world.control());
    assert_eq!(world.number(&epoch).await, 1, "the second one never wrote");
    first.kill();
    world.insert((201..=400).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.until_committed("recorder", 400).await;
    world.assert_recorded(400, 1).await;
    assert_eq!(world.number(&epoch).await, 2);
    second.until_phase("recorder", "streaming").await;
}

/// The operator's guide, which says what to grant.
const GUIDE: &str = include_str!("../../docs/operating.md");

#[tokio::test(flavor = "multi_thread")]
async fn the_grants_of_the_guide_are_enough() {
    for options in [Options::mysql(), Options::mariadb()] {
        let mut world = World::new("recorder", options).await;
        let (name, control) = (world.name.clone(), world.control());
        let (app, ddl) = (format!("{name}_app@localhost"), format!("{name}_ddl@localhost"));
        for account in [&app, &ddl] {
            world.run(&format!("CREATE USER {account}")).await;
        }
        let grants: Vec<&str> = GUIDE.lines().filter(|line| line.starts_with("GRANT ")).collect();
        assert!(grants.len() >= 5, "{grants:?}");
        for grant in grants {
            let grant = grant
                .replace(" ON bank.", &format!(" ON {name}."))
                .replace(" ON laterna.", &format!(" ON {control}."))
                .replace(" ON laterna_scratch.", &format!(" ON {control}_scratch."))
                .replace(" ON `laterna\\_g%`.", &format!(" ON `{control}\\_g%`."))
                .replace("laterna_app", &app)
                .replace("laterna_ddl", &ddl);
            world.run(&grant).await;
        }
        let account =
            |name: &str| Some(world.options.mysql.replacen("root", &name.replace("@localhost", ""), 1));
        let (host_mysql, ddl_mysql) = (account(&app), account(&ddl));
        (world.options.host_mysql, world.options.ddl_mysql) = (host_mysql, ddl_mysql);
        let check = laterna(&world.config(0), &["check"]);
        assert!(check.status.success(), "{}", said(&check));
        assert!(said(&check).contains("cannot write through read_only"), "{}", said(&check));
        assert!(said(&check).contains("tables can be built beside the live ones"), "{}", said(&check));
        let host = world.start();
        let mut nothing = event("e1", "b", 1, doc! {});
        nothing.remove("payload");
        world.insert([nothing, event("e2", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 2).await;
        assert_eq!(world.letters().await, (1, 0));
        let rebuilt = laterna(&world.config(host.port), &["rebuild", "recorder"]);
        assert!(rebuilt.status.success(), "{}", said(&rebuilt));
        let live = format!("SELECT live_generation FROM {control}.projection");
        until("the rebuilt tables are live", async || world.number(&live).await == 2).await;
        let verified = laterna(&world.config(host.port), &["verify", "recorder"]);
        assert!(verified.status.success(), "{}", said(&verified));
        host.kill();
        // Without what generations take, everything else works.
        world.run(&format!("REVOKE SELECT, INSERT, UPDATE, DELETE ON `{control}\\_g%`.* FROM {app}")).await;
        let check = laterna(&world.config(0), &["check"]);
        let note = "tables cannot be built beside the live ones";
        assert!(check.status.success() && said(&check).contains(note), "{}", said(&check));
        // The account for tables sees what is tied to them.
        let trigger =
            format!("CREATE TRIGGER {name}.nosy AFTER INSERT ON {name}.recorded FOR EACH ROW SET @seen = 1");
        world.run(&trigger).await;
        let check = laterna(&world.config(0), &["check"]);
        assert!(!check.status.success() && said(&check).contains("the trigger `nosy`"), "{}", said(&check));
        world.run(&format!("DROP USER {app}, {ddl}")).await;
    }
}
