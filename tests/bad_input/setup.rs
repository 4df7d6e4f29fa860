//! Every set-up of the catalogue (D.3) that is wrong, or that should be known: what is said about it, and that it costs
//! no event.

use std::process::Child;
use std::time::Duration;

use bson::{Document, doc};
use laterna::readmodel::control::schema::Control;
use laterna::readmodel::control::schema::VERSION;
use laterna::readmodel::mysql::session::Connector;
use mongodb::IndexModel;
use mongodb::options::IndexOptions;

use super::proof::{Proof, assert_complete};
use super::{assert_refused, config, config_at};
use crate::support::cluster::Cluster;
use crate::support::proxy::Proxy;
use crate::support::server::{exec, kill};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Mysqld, Options, World, until};

/// A line of a valid configuration, another one in its place, and what comes of it.
struct Case {
    /// How the line begins.
    line: &'static str,
    instead: fn(&World) -> String,
    outcome: Outcome,
}

enum Outcome {
    /// `check` and `run` refuse it with these words, before any server is asked.
    Refused(&'static str),
    /// `check` fails with these words; `run` waits, and says so.
    Fails(&'static str),
    /// `check` passes, with a note that says this.
    Noted(&'static str),
    /// `check` passes.
    Passes,
}
use Outcome::{Fails, Noted, Passes, Refused};

fn case(line: &'static str, instead: fn(&World) -> String, outcome: Outcome) -> Proof<Case> {
    Proof::Here(Case { line, instead, outcome })
}

/// The file, its keys and its secrets.
fn keys() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("no file", Proof::Elsewhere("a_file_that_is_not_there_is_named")),
        ("an empty file", Proof::Elsewhere("text_that_is_not_toml_is_refused_with_its_line")),
        ("any text", Proof::Elsewhere("any_text_is_a_configuration_or_refused")),
        ("a broken line", case("[mongodb]", |_| "[mongodb".into(), Refused("line"))),
        ("an editor's mark, CR LF", Proof::Elsewhere("an_editors_marks_and_line_ends_are_no_obstacle")),
        ("an unknown key", case("lanes", |_| "lines = 4".into(), Refused("lines"))),
        ("a variable for an unknown key", Proof::Elsewhere("an_unknown_key_is_refused_by_its_name")),
        ("a variable with any text", Proof::Elsewhere("any_variable_is_an_override_or_refused")),
        ("a key twice", case("lanes", |_| "lanes = 4\nlanes = 4".into(), Refused("duplicate key"))),
        (
            "two projections of one name",
            case("batch_max", |_| "[projection.recorder]\nbatch_max = 5".into(), Refused("line")),
        ),
        ("a wrong type", case("lanes", |_| "lanes = \"many\"".into(), Refused("lanes"))),
        ("several things at once", Proof::Elsewhere("what_is_wrong_is_told_all_at_once")),
        (
            "a secret's file: missing, empty, with a line's end",
            Proof::Elsewhere("secrets_come_from_files_and_never_show"),
        ),
        (
            "a secret's file that everybody can read",
            case(
                "url =",
                |world| {
                    use std::os::unix::fs::PermissionsExt;
                    let file = world.folder.path().join("secret");
                    std::fs::write(&file, world.host_url()).expect("it can be written");
                    let everybodys = std::fs::Permissions::from_mode(0o644);
                    std::fs::set_permissions(&file, everybodys).expect("it is mine");
                    format!("url_file = {:?}", file.display().to_string())
                },
                Noted("can be read by every account here (mode 644): chmod 600 it"),
            ),
        ),
        ("a secret in the log", Proof::Elsewhere("secrets_come_from_files_and_never_show")),
    ]
}

/// Numbers and names.
fn bounds() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "no lane",
            case(
                "lanes",
                |_| "lanes = 0".into(),
                Refused("`projection.recorder.lanes` is 0; it must be 1 to 64"),
            ),
        ),
        ("one lane", case("lanes", |_| "lanes = 1".into(), Passes)),
        ("a thousand lanes", case("lanes", |_| "lanes = 1000".into(), Refused("1 to 64"))),
        (
            "batches of nothing",
            case("batch_max", |_| "batch_max = 0".into(), Refused("`projection.recorder.batch_max`")),
        ),
        (
            "batches without an end",
            case(
                "batch_max",
                |_| "batch_max = 1000000000".into(),
                Refused("`projection.recorder.batch_max`"),
            ),
        ),
        ("every other number", Proof::Elsewhere("every_number_is_bounded_from_both_sides")),
        (
            "a lease of no time",
            case("lease_seconds", |_| "lease_seconds = 0".into(), Refused("`host.lease_seconds`")),
        ),
        (
            "a lease that is shorter than its renewal",
            Proof::Not(
                "it is renewed at a third of its time, whatever that is, so nobody can set these two apart",
            ),
        ),
        (
            "a lease that is shorter than a transaction may take",
            Proof::Elsewhere("a_host_that_was_frozen_beyond_its_lease_writes_nothing_when_it_goes_on"),
        ),
        (
            "transactions that may take longer than a lock is waited for",
            Proof::Not(
                "a lock is waited for 5 s at most, and at most half of `mysql.statement_seconds`; the wait is tried again",
            ),
        ),
        (
            "a name that could be SQL",
            case("[projection.", |_| "[projection.\"Rec;order\"]".into(), Refused("a name is")),
        ),
        (
            "the host's own schema as a read model's database",
            case(
                "control_schema",
                |world| format!("control_schema = {:?}", world.name),
                Fails("belongs to the host"),
            ),
        ),
        (
            "the endpoint on the network",
            case("admin", |_| "admin = \"0.0.0.0:7420\"".into(), Refused("`host.tokens`")),
        ),
        (
            "the endpoint's port is taken",
            Proof::Elsewhere("a_port_that_is_taken_ends_the_host_with_its_setting"),
        ),
    ]
}

/// The source.
fn sources() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        (
            "a MongoDB URI that is none",
            case("uri", |_| "uri = \"nonsense\"".into(), Fails("`mongodb.uri` is not usable")),
        ),
        (
            "nobody there",
            case(
                "uri",
                |_| {
                    "uri = \"mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300&directConnection=true\""
                        .into()
                },
                Fails("MongoDB is not reachable"),
            ),
        ),
        ("no replica set", Proof::Elsewhere("a_mongodb_that_is_no_replica_set_is_refused_with_the_way_out")),
        (
            "a URI that does not name the replica set",
            case("uri", |_| format!("uri = \"mongodb://127.0.0.1:{}\"", mongodb_port()), Passes),
        ),
        (
            "a URI that names another replica set",
            case(
                "uri",
                |_| {
                    let options = "replicaSet=another&serverSelectionTimeoutMS=300";
                    format!("uri = \"mongodb://127.0.0.1:{}/?{options}\"", mongodb_port())
                },
                Fails("MongoDB is not reachable"),
            ),
        ),
        ("a secondary alone", Proof::Elsewhere("a_secondary_alone_is_followed_once_begun_and_told_of")),
        (
            "readConcern=local, w=1",
            Proof::Elsewhere("whatever_the_uri_says_only_what_a_majority_has_is_read"),
        ),
        (
            "no collection",
            case("database", |_| "database = \"empty_database\"".into(), Fails("there is no collection")),
        ),
        (
            "a collection that deletes by itself",
            Proof::Elsewhere("an_outbox_that_deletes_by_itself_is_told_of"),
        ),
        (
            "no index for history",
            Proof::Elsewhere("history_without_an_order_is_refused_with_the_command_that_helps"),
        ),
        ("a checkpoint of another outbox", Proof::Elsewhere("another_outbox_under_the_same_name_is_refused")),
        (
            "a checkpoint of a restored source",
            Proof::Elsewhere(
                "a_checkpoint_that_the_source_has_not_come_to_pauses_even_where_a_rebuild_is_wanted",
            ),
        ),
    ]
}

/// The read side.
fn read_sides() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("a MySQL URL that is none", case("url =", |_| "url = \"nonsense\"".into(), Fails("is not a URL"))),
        (
            "one without a database",
            case("url =", |_| "url = \"mysql://root@localhost\"".into(), Fails("names no database")),
        ),
        (
            "nobody there",
            case("url =", |_| "url = \"mysql://root@127.0.0.1:1/x\"".into(), Fails("MySQL is not reachable")),
        ),
        (
            "a database that is not there",
            case(
                "url =",
                |world| {
                    format!(
                        "url = {:?}",
                        world.host_url().replace(&format!("/{}", world.name), "/no_such_database")
                    )
                },
                Fails("no_such_database"),
            ),
        ),
        (
            "another machine without TLS",
            case(
                "url =",
                |world| {
                    let port = std::env::var("LATERNA_MYSQL_PORT").expect("from dev/services env");
                    // An address that is not the loopback's by its name, and leads there.
                    format!("url = \"mysql://root@0.0.0.0:{port}/{}?ssl-mode=DISABLED\"", world.name)
                },
                Noted("to 0.0.0.0 is not encrypted: end it with ?ssl-mode=VERIFY_IDENTITY"),
            ),
        ),
        (
            "which connections are exposed",
            Proof::Elsewhere("a_connection_to_another_machine_is_encrypted_or_that_is_told"),
        ),
        (
            "too wide privileges",
            case("url =", |world| format!("url = {:?}", world.host_url()), Noted("writes through read_only")),
        ),
        (
            "no wider ones than the operator's guide has",
            Proof::Elsewhere("the_grants_of_the_guide_are_enough"),
        ),
        ("too narrow privileges", Proof::Elsewhere("a_refusal_says_what_to_grant")),
        (
            "settings that a session does not take",
            Proof::Elsewhere("a_session_that_is_not_strict_is_refused"),
        ),
        (
            "an account of a plugin that the host does not have, a binary log of statements",
            Proof::Elsewhere("an_account_of_a_plugin_that_the_host_does_not_have_is_told_so"),
        ),
        ("too few connections", Proof::Elsewhere("a_limit_of_connections_is_named_with_what_the_host_needs")),
        (
            "one name of a constraint in two projections",
            Proof::Elsewhere(
                "two_projections_with_one_name_of_a_constraint_are_told_before_any_event_on_mysql",
            ),
        ),
        ("no control schema", Proof::Elsewhere("a_healthy_setup_passes_the_check_and_leaves_nothing_behind")),
        (
            "a control schema of an older version, of a newer one, or half of one",
            Proof::Elsewhere("a_control_schema_of_any_version_is_gone_on_with"),
        ),
        ("tables that have rows", Proof::Elsewhere("tables_that_have_rows_are_never_filled_from_history")),
        (
            "a table that is missing",
            Proof::Elsewhere("a_missing_table_pauses_the_projection_and_blames_no_event"),
        ),
        ("a key column that takes two ids for one", Proof::Elsewhere("options_are_made_explicit")),
        (
            "a table without a primary key",
            Proof::Elsewhere("sql_that_is_not_allowed_is_refused_with_its_statement"),
        ),
        (
            "a table of another engine, or with partitions",
            Proof::Elsewhere("a_table_cannot_be_more_than_a_table"),
        ),
        (
            "triggers on the tables, foreign keys from outside",
            Proof::Elsewhere("what_others_tie_to_a_read_model_is_refused_before_any_event_is_blamed_for_it"),
        ),
        (
            "the letters' table is full",
            Proof::Elsewhere(
                "without_room_for_another_letter_the_projection_pauses_right_before_it_on_mysql",
            ),
        ),
        (
            "the letters' table is locked",
            Proof::Not(
                "it is one of the batch's tables: 1205, which is tried again, as fault 38 of the catalogue shows",
            ),
        ),
    ]
}

/// Hosts and operators.
fn operations() -> Vec<(&'static str, Proof<Case>)> {
    vec![
        ("two hosts with one `host.id`", Proof::Elsewhere("two_hosts_of_one_name_have_one_writer")),
        (
            "clocks that disagree",
            Proof::Not("only MySQL's clock counts for the lease: faults 8 and 58 of the catalogue show it"),
        ),
        (
            "a replay of an unknown id",
            Proof::Elsewhere("wishes_that_make_no_sense_are_refused_with_the_way_out"),
        ),
        ("skipping what is not at the head", Proof::Elsewhere("only_heads_can_be_replayed_or_discarded")),
        (
            "a command while another host writes",
            Proof::Elsewhere("a_command_is_a_row_and_is_done_when_a_host_comes_up"),
        ),
    ]
}

fn rows() -> Vec<(&'static str, Proof<Case>)> {
    [keys(), bounds(), sources(), read_sides(), operations()].into_iter().flatten().collect()
}

fn mongodb_port() -> String {
    std::env::var("LATERNA_MONGODB_PORT").expect("from dev/services env")
}

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
        let valid = std::fs::read_to_string(world.config(1)).expect("it was written");
        let whole = valid
            .lines()
            .find(|whole| whole.starts_with(line))
            .unwrap_or_else(|| panic!("{input}: no {line}"));
        let config = config(&world, &[(whole, &instead(&world))]);
        if let Refused(says) = outcome {
            assert_refused(&config, &["laterna-1.toml", says]);
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
    let says = "MongoDB is not a replica set, and only replica sets have change streams: start mongod with --replSet";
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
    let check = laterna(&world.config(1), &["check"]);
    assert!(check.status.success() && !said(&check).contains("directConnection"), "{}", said(&check));
    // Whether history is complete, only a primary can tell: a projection does not begin, and says why.
    let secondary = direct(1 - primary);
    let says = "only a primary can tell: `mongodb.uri` says directConnection=true, leave that out";
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
    let check = laterna(&world.config(1), &["check"]);
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
    let check = laterna(&world.config(1), &["check"]);
    let says = "the session's settings do not hold: sql_mode \"REAL_AS_FLOAT";
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
    let check = laterna(&world.config(1), &["check"]);
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
    let check = laterna(&world.config(1), &["check"]);
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
            let check = laterna(&world.config(1), &["check"]);
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
        let check = laterna(&world.config(1), &["check"]);
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
        let check = laterna(&world.config(1), &["check"]);
        let note = "tables cannot be built beside the live ones";
        assert!(check.status.success() && said(&check).contains(note), "{}", said(&check));
        // The account for tables sees what is tied to them.
        let trigger =
            format!("CREATE TRIGGER {name}.nosy AFTER INSERT ON {name}.recorded FOR EACH ROW SET @seen = 1");
        world.run(&trigger).await;
        let check = laterna(&world.config(1), &["check"]);
        assert!(!check.status.success() && said(&check).contains("the trigger `nosy`"), "{}", said(&check));
        world.run(&format!("DROP USER {app}, {ddl}")).await;
    }
}
