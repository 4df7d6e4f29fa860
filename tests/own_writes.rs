//! Reading one's own writes: what the host and the documented SELECT say of an event, and whether the rows bear it out.

mod under_load;

use bson::{Bson, Document, doc, oid::ObjectId};
use serde_json::{Value, json};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Executor, Row};

use crate::support::http::{Answer, Client};
use crate::support::world::{event, laterna, said};
use crate::support::{Mysqld, Options, World, until};

/// The SELECT of the guide, for a projection of a world.
fn documented(world: &World, projection: &str) -> String {
    let guide = include_str!("../docs/reading-your-writes.md");
    let (_, rest) = guide.split_once("```sql\n").expect("the guide has it");
    let (sql, _) = rest.split_once("```").expect("it ends");
    let control = world.control();
    let sql =
        sql.replace("laterna_witness_laterna-accounts", &format!("laterna_witness_{control}-{projection}"));
    let sql = sql.replace("laterna.", &format!("{control}.")).replace("bank.", &format!("{}.", world.name));
    sql.replace("'accounts'", &format!("'{projection}'"))
}

/// What MySQL says of an event, by its id as a text.
async fn selected(connection: &mut MySqlConnection, sql: &str, id: &str) -> String {
    let row = sqlx::query(sql).bind(id).bind(id).fetch_one(connection).await;
    row.unwrap_or_else(|error| panic!("{error}:\n{sql}")).get(0)
}

/// What the host says of an event.
async fn asked(client: &Client, projection: &str, id: &str, query: &str) -> Answer {
    client.get(&format!("/api/v1/projections/{projection}/events/{id}{query}")).await
}

fn state(answer: &Answer) -> (u16, String) {
    (answer.code, answer.json()["state"].as_str().unwrap_or_default().to_owned())
}

fn assert_is_surely_pending(answer: &Answer) {
    let told = answer.json();
    assert_eq!((answer.code, &told["may_be_forgotten"]), (202, &json!(false)), "{answer:?}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains("not taken yet: ")), "{answer:?}");
}

fn assert_may_be_forgotten(answer: &Answer, what_to_do: &str) {
    let told = answer.json();
    assert_eq!((answer.code, &told["may_be_forgotten"]), (202, &json!(true)), "{answer:?}");
    assert!(told["detail"].as_str().is_some_and(|detail| detail.contains(what_to_do)), "{answer:?}");
}

/// Writes a document, and gives the cluster time of the write.
async fn write(world: &World, document: Document) -> String {
    let insert = doc! { "insert": "outbox", "documents": [document] };
    let done = world.client.database(&world.name).run_command(insert).await.expect("it is written");
    let time = done.get_timestamp("operationTime").expect("a replica set says when");
    format!("{},{}", time.time, time.increment)
}

/// Waits until a command is over.
async fn done(client: &Client, projection: &str, path: &str, body: Value) -> Value {
    let accepted = client.post(&format!("/api/v1/projections/{projection}/{path}"), &body).await;
    assert_eq!(accepted.code, 202, "{path}: {accepted:?}");
    let mut operation = Value::Null;
    until(&format!("{path} is over"), async || {
        operation = client.get(accepted.header("location")).await.json();
        operation["state"] == "done" || operation["state"] == "failed"
    })
    .await;
    assert_eq!(operation["state"], "done", "{operation}");
    operation
}

async fn every_outcome_is_told(options: Options) {
    let world = World::with(&[("picky", "picky-happened")], Options { lanes: 2, ..options }).await;
    let host = world.start();
    let client = Client::new(host.port);
    host.until_phase("picky", "streaming").await;
    let other = |id: &str, what: Document| {
        let mut document = event(id, id, 1, what);
        document.insert("type", "Other");
        document
    };
    world
        .insert([
            event("fine", "a", 1, doc! { "do": "ok" }),
            event("empty", "b", 1, doc! { "do": "nothing" }),
            other("unhandled", doc! { "do": "ok" }),
            event("bad", "c", 1, doc! { "do": "reject" }),
            event("behind", "c", 2, doc! { "do": "ok" }),
            event("worse", "d", 1, doc! { "do": "reject" }),
        ])
        .await;
    let fine = asked(&client, "picky", "fine", "?wait=15s").await;
    assert_eq!(state(&fine), (200, "applied".into()));
    world.until_committed("picky", 6).await;
    let sql = documented(&world, "picky");
    let mut connection = world.mysql().await;
    let mut both = async |id: &str, code: u16, expected: &str| {
        let told = asked(&client, "picky", id, "").await;
        assert_eq!(state(&told), (code, expected.to_owned()), "{id}: {told:?}");
        assert_eq!(selected(&mut connection, &sql, id).await, expected, "{id}, by the SELECT");
        told
    };
    both("fine", 200, "applied").await;
    both("empty", 200, "ignored").await;
    both("unhandled", 200, "ignored").await;
    let letter = both("bad", 409, "parked").await.json()["letter"].clone();
    assert_eq!((&letter["event_id"], &letter["class"]), (&"bad".into(), &"rejected".into()), "{letter}");
    both("behind", 409, "held").await;
    let pending = both("never", 202, "pending").await;
    assert_eq!(pending.header("retry-after"), "1");
    assert_is_surely_pending(&pending);
    // A letter that is given up, and what it held back.
    let ids = |letter: &Value| json!({ "ids": [letter["id"]], "why": "a test" });
    done(&client, "picky", "letters/discard", ids(&letter)).await;
    both("bad", 200, "discarded").await;
    both("behind", 200, "applied").await;
    // A letter that a host takes away which leaves no note of it.
    both("worse", 409, "parked").await;
    world.run(&format!("DELETE FROM {}.dead_letter WHERE event_id = 'worse'", world.control())).await;
    let told = asked(&client, "picky", "worse", "").await;
    assert_eq!(state(&told), (200, "passed".into()), "{told:?}");
    assert_eq!(selected(&mut world.mysql().await, &sql, "worse").await, "unknown");
    let wrong = asked(&client, "picky", "fine", "?wait=16s").await;
    assert_eq!((wrong.code, &wrong.json()["class"]), (400, &"wrong-request".into()));
    assert_eq!(asked(&client, "picky", "fine", "?cluster_time=5").await.code, 400);
    assert_eq!(asked(&client, "nobody", "fine", "").await.code, 404);
    // Ids of every kind, and those that read alike.
    let object = ObjectId::new();
    let uuid = bson::Uuid::new();
    let kinds: [(Bson, &str, String); 4] = [
        (5.into(), "5", "5".to_owned()),
        ("7".into(), "%227%22", "7".to_owned()),
        (object.into(), "", object.to_hex()),
        (uuid.into(), "", uuid.to_string()),
    ];
    for (id, path, text) in kinds {
        let path = if path.is_empty() { text.clone() } else { path.to_owned() };
        let mut document = event("", &text, 1, doc! { "do": "ok" });
        document.insert("_id", id);
        world.insert([document]).await;
        assert_eq!(
            state(&asked(&client, "picky", &path, "?wait=15s").await),
            (200, "applied".into()),
            "{path}"
        );
    }
    assert_eq!(state(&asked(&client, "picky", "7", "").await).0, 202, "the integer 7 is another id");
    // A text that holds what reads like another id is no proof of that one.
    world.insert([event("x\u{0}\u{5}sfoul", "e", 1, doc! { "do": "ok" })]).await;
    world.until_committed("picky", 11).await;
    let foul = asked(&client, "picky", "foul", "").await;
    assert_eq!(state(&foul), (202, "pending".into()));
    // Letters, notes about them, and what came to nothing: all of it is counted.
    assert_is_surely_pending(&foul);
    let foul = selected(&mut world.mysql().await, &sql, "foul").await;
    assert!(foul != "applied", "{foul}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_an_event_is_told_on_mysql() {
    every_outcome_is_told(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_outcome_of_an_event_is_told_on_mariadb() {
    every_outcome_is_told(Options::mariadb()).await;
}

async fn beyond_what_is_remembered(options: Options) {
    let options = Options { lanes: 1, batch_max: 50, extra: "dedupe_window = 1000", ..options };
    let world = World::new("recorder", options).await;
    let old = write(&world, event("from-history", "h", 1, doc! {})).await;
    let host = world.start();
    let client = Client::new(host.port);
    host.until_phase("recorder", "streaming").await;
    let time = write(&world, event("first", "a", 1, doc! {})).await;
    let applied = asked(&client, "recorder", "first", "?wait=15s").await;
    assert_eq!(state(&applied), (200, "applied".into()));
    // While every event is remembered, what is not there was not taken.
    world.insert((0..997).map(|n| event(&format!("e{n}"), "b", n, doc! {}))).await;
    world.until_committed("recorder", 999).await;
    assert_is_surely_pending(&asked(&client, "recorder", "never", "").await);
    assert_is_surely_pending(&asked(&client, "recorder", "never", "?cluster_time=4000000000,1").await);
    world.insert((997..8000).map(|n| event(&format!("e{n}"), "b", n, doc! {}))).await;
    world.until_committed("recorder", 8002).await;
    // Then nobody knows, unless it is said when it was written: neither who saw all of them, nor who comes later.
    let other = world.start();
    other.until_phase("recorder", "standby").await;
    for client in [&client, &Client::new(other.port)] {
        for id in ["first", "never"] {
            let forgotten = asked(client, "recorder", id, "").await;
            assert_eq!(state(&forgotten), (202, "pending".into()), "nobody says when it was written");
            assert_may_be_forgotten(&forgotten, "send the `operationTime` of the write as `cluster_time`");
        }
        until("the lane is past it", async || {
            let passed = asked(client, "recorder", "first", &format!("?cluster_time={time}")).await;
            state(&passed) == (200, "passed".into())
        })
        .await;
        let later = asked(client, "recorder", "first", "?cluster_time=4000000000,1").await;
        assert_eq!(state(&later), (202, "pending".into()), "no lane is there yet");
        assert_may_be_forgotten(&later, "ask again");
        let history = asked(client, "recorder", "from-history", &format!("?cluster_time={old}")).await;
        assert!(history.code == 404 && history.text.contains("made from history"), "{history:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_what_is_remembered_a_position_proves_that_an_event_was_passed_and_no_more_on_mysql() {
    beyond_what_is_remembered(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_what_is_remembered_a_position_proves_that_an_event_was_passed_and_no_more_on_mariadb() {
    beyond_what_is_remembered(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_tables_that_were_made_anew_lack_is_not_applied_any_more() {
    let world = World::new("recorder", Options { lanes: 2, ..Options::mysql() }).await;
    let host = world.start();
    let client = Client::new(host.port);
    host.until_phase("recorder", "streaming").await;
    let time = write(&world, event("purged", "a", 1, doc! {})).await;
    world.insert([event("kept", "b", 1, doc! {})]).await;
    for id in ["purged", "kept"] {
        assert_eq!(state(&asked(&client, "recorder", id, "?wait=15s").await), (200, "applied".into()));
    }
    world.outbox.delete_one(doc! { "_id": "purged" }).await.expect("it is deleted");
    let rebuild = client.post("/api/v1/projections/recorder/generations", &json!({})).await;
    assert_eq!(rebuild.code, 202, "{rebuild:?}");
    let mut next = Value::Null;
    until("the generation waits for a word", async || {
        next = client.get("/api/v1/projections/recorder/generations").await.json()["aside"][0].clone();
        next["lacks"].is_string()
    })
    .await;
    assert_eq!(
        state(&asked(&client, "recorder", "purged", "").await),
        (200, "applied".into()),
        "as it stands"
    );
    let accept = format!("generations/{}/accept", next["generation"]);
    done(&client, "recorder", &accept, json!({ "shown": next["lacks"] })).await;
    until("it is live", async || {
        let all = client.get("/api/v1/projections/recorder/generations").await.json();
        all["live"]["generation"] == next["generation"]
    })
    .await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE event_id = 'purged'").await, 0);
    assert_eq!(state(&asked(&client, "recorder", "kept", "").await), (200, "applied".into()));
    assert_eq!(state(&asked(&client, "recorder", "purged", "").await), (202, "pending".into()));
    let known = asked(&client, "recorder", "purged", &format!("?cluster_time={time}")).await;
    assert!(known.code == 404, "the live tables were made from history without it: {known:?}");
    let sql = documented(&world, "recorder");
    assert_eq!(selected(&mut world.mysql().await, &sql, "purged").await, "pending");
}

async fn a_window_of_many_small_batches_is_read(options: Options) {
    let world = World::new("recorder", Options { lanes: 1, ..options }).await;
    let host = world.start();
    let client = Client::new(host.port);
    host.until_phase("recorder", "streaming").await;
    // As lanes leave them that commit one event at a time.
    let commit = async |from: u32| {
        let sql = format!(
            "INSERT INTO {}.dedupe (projection, generation, lane, events, event_ids, ignored_from, discarded_from, plain) \
             WITH RECURSIVE n AS (SELECT 0 AS n UNION ALL SELECT n + 1 FROM n WHERE n < 99) \
             SELECT 'recorder', 1, 0, 1, UNHEX(CONCAT('000969', LPAD(HEX({from} + a.n * 100 + b.n), 16, '0'))), 11, 11, 1 \
             FROM n a CROSS JOIN n b ORDER BY a.n, b.n",
            world.control()
        );
        world.run(&sql).await;
    };
    let told = async |id: u32| state(&asked(&client, "recorder", &id.to_string(), "?wait=1ms").await);
    commit(0).await;
    for id in [0, 3999, 4000, 9999] {
        assert_eq!(told(id).await, (200, "applied".into()), "{id}");
    }
    assert_eq!(told(10_000).await, (202, "pending".into()));
    commit(10_000).await;
    for id in [0, 10_000, 15_000, 19_999] {
        assert_eq!(told(id).await, (200, "applied".into()), "{id}, with what came since");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_many_small_batches_is_read_whole_on_mysql() {
    a_window_of_many_small_batches_is_read(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_many_small_batches_is_read_whole_on_mariadb() {
    a_window_of_many_small_batches_is_read(Options::mariadb()).await;
}

async fn a_restored_backup_is_believed(options: Options) {
    let world = World::new("recorder", Options { lanes: 2, ..options }).await;
    let host = world.start();
    let client = Client::new(host.port);
    host.until_phase("recorder", "streaming").await;
    let sql = documented(&world, "recorder");
    let pause = async || {
        done(&client, "recorder", "pause", json!({ "why": "a test" })).await;
        host.until_phase("recorder", "paused").await;
    };
    let (name, control) = (&world.name, world.control());
    let witness = format!("laterna_witness_{control}-recorder");
    let tables = [(name, "recorded"), (name, &witness), (&control, "checkpoint"), (&control, "dedupe")];
    world.insert([event("kept", "a", 1, doc! {})]).await;
    assert_eq!(state(&asked(&client, "recorder", "kept", "?wait=15s").await), (200, "applied".into()));
    pause().await;
    for (database, table) in tables {
        world
            .run(&format!("CREATE TABLE {control}.`of_{table}` AS SELECT * FROM {database}.`{table}`"))
            .await;
    }
    done(&client, "recorder", "resume", json!({})).await;
    host.until_phase("recorder", "streaming").await;
    world.insert([event("lost", "a", 2, doc! {})]).await;
    assert_eq!(state(&asked(&client, "recorder", "lost", "?wait=15s").await), (200, "applied".into()));
    pause().await;
    for (database, table) in tables {
        world.run(&format!("DELETE FROM {database}.`{table}`")).await;
        world.run(&format!("INSERT INTO {database}.`{table}` SELECT * FROM {control}.`of_{table}`")).await;
    }
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE event_id = 'lost'").await, 0);
    assert_eq!(state(&asked(&client, "recorder", "lost", "").await), (202, "pending".into()));
    assert_eq!(selected(&mut world.mysql().await, &sql, "lost").await, "pending");
    assert_eq!(state(&asked(&client, "recorder", "kept", "").await), (200, "applied".into()));
    // That a table of the control schema is gone says nothing of events.
    world.run(&format!("RENAME TABLE {control}.checkpoint TO {control}.away")).await;
    let failed = asked(&client, "recorder", "lost", "").await;
    assert!(failed.code >= 500, "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_believed_and_not_what_was_there_before_on_mysql() {
    a_restored_backup_is_believed(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_believed_and_not_what_was_there_before_on_mariadb() {
    a_restored_backup_is_believed(Options::mariadb()).await;
}

/// The statements of a file of the examples, with the names of a world in the place of the file's.
fn statements(world: &World, file: &str) -> Vec<String> {
    let control = world.control();
    let text =
        file.replace("`laterna`", &format!("`{control}`")).replace("`laterna\\_", &format!("`{control}\\_"));
    let text = text.replace("`bank`", &format!("`{}`", world.name));
    let lines = text.lines().filter(|line| !line.starts_with("--") && !line.is_empty());
    lines.map(|line| line.trim_end_matches(';').to_owned()).collect()
}

async fn least_privilege(server: Mysqld) {
    let options = server.options();
    let account =
        |name: &str, password: &str| options.mysql.replacen("root", &format!("{name}:{password}"), 1);
    let (app, ddl) = (account("laterna_app", "change-this-1"), account("laterna_ddl", "change-this-2"));
    let mut world = World::new("picky", Options { lanes: 1, ..options.clone() }).await;
    for sql in statements(&world, include_str!("../examples/deploy/mysql/accounts.sql")) {
        world.run(&sql).await;
    }
    (world.options.host_mysql, world.options.ddl_mysql) = (Some(app), Some(ddl));
    let host = world.start();
    world
        .insert([
            event("fine", "a", 1, doc! { "do": "ok" }),
            event("bad", "b", 1, doc! { "do": "reject", "secret": "canary" }),
        ])
        .await;
    world.until_committed("picky", 2).await;
    host.until_phase("picky", "streaming").await;
    for sql in statements(&world, include_str!("../examples/deploy/mysql/reader.sql")) {
        world.run(&sql).await;
    }
    let url = account("bank_reader", "change-this-3").replacen("/mysql", &format!("/{}", world.name), 1);
    let options: MySqlConnectOptions = url.parse().expect("a URL");
    let mut reader = options.connect().await.expect("it connects");
    let sql = documented(&world, "picky");
    assert_eq!(selected(&mut reader, &sql, "fine").await, "applied");
    assert_eq!(selected(&mut reader, &sql, "bad").await, "parked");
    assert_eq!(selected(&mut reader, &sql, "never").await, "pending");
    let control = world.control();
    for refused in [
        format!("SELECT document FROM {control}.dead_letter"),
        format!("SELECT seed FROM {control}.installation"),
        format!("SELECT request FROM {control}.command"),
        format!("DELETE FROM {control}.dedupe"),
        "DELETE FROM picked".to_owned(),
    ] {
        let error = reader.execute(refused.as_str()).await.expect_err(&refused);
        assert!(error.to_string().contains("denied"), "{refused}: {error}");
    }
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_the_examples_are_enough_and_the_readers_sees_no_document_on_mysql() {
    least_privilege(Mysqld::mysql().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_the_examples_are_enough_and_the_readers_sees_no_document_on_mariadb() {
    least_privilege(Mysqld::mariadb().await).await;
}

#[test]
fn the_file_of_accounts_is_what_the_command_prints() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("laterna.toml");
    let url = |name: &str, password: &str| format!("mysql://{name}:{password}@localhost/bank");
    let text = format!(
        "[mongodb]\nuri = \"mongodb://localhost/\"\ndatabase = \"bank\"\n[mysql]\nurl = {:?}\nddl_url = {:?}\n\
         [projection.accounts]\ncomponent = \"accounts.wasm\"\n",
        url("laterna_app", "change-this-1"),
        url("laterna_ddl", "change-this-2"),
    );
    std::fs::write(&config, text).expect("it is written");
    let printed = laterna(&config, &["grants"]);
    let file = include_str!("../examples/deploy/mysql/accounts.sql");
    assert_eq!(String::from_utf8_lossy(&printed.stdout).trim_end(), file.trim_end(), "{}", said(&printed));
}
