//! The first hour: from nothing to a configuration, accounts and a check that has nothing to say, as a newcomer goes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use bson::doc;
use mongodb::options::CreateCollectionOptions;

use crate::guests;
use crate::support::host::BINARY;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World};

fn run(world: &World, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(arguments).env_remove("LATERNA_LOG");
    command.env("LATERNA_MYSQL__CONTROL_SCHEMA", world.control()).output().expect("the binary runs")
}

async fn from_init_to_rows(options: Options, port: &str) {
    let port = std::env::var(port).expect("dev/services env says it");
    let world = World::new("recorder", options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::copy(guests::path("recorder"), folder.join("recorder.wasm")).expect("the component is there");
    let mysql = format!("127.0.0.1:{port}/{}", world.name);
    let arguments =
        ["init", "--mongodb", &world.options.mongodb, "--database", &world.name, "--mysql", &mysql];
    let further = ["--projection", "recorder", "--component", "recorder.wasm"];

    // Before the accounts are made, the check says what is missing.
    let init = run(&world, folder, &[&arguments[..], &further].concat());
    let text = said(&init);
    assert_eq!(init.status.code(), Some(1), "{text}");
    for says in ["laterna.toml is written", "laterna grants | mysql", "FAIL", &format!("127.0.0.1:{port}")] {
        assert!(text.contains(says), "{says} is missing in\n{text}");
    }
    let toml = std::fs::read_to_string(folder.join("laterna.toml")).expect("it was written");
    let again = run(&world, folder, &[&arguments[..], &further].concat());
    assert!(said(&again).contains("is there already"), "{}", said(&again));
    assert_eq!(std::fs::read_to_string(folder.join("laterna.toml")).expect("it stays"), toml);

    // An administrator runs what `grants` prints, more than once.
    let grants = run(&world, folder, &["grants"]);
    assert!(grants.status.success(), "{}", said(&grants));
    let sql = String::from_utf8(grants.stdout).expect("text");
    for _ in 0..2 {
        for statement in sql.lines().filter(|line| !line.starts_with("--") && !line.is_empty()) {
            world.run(statement.trim_end_matches(';')).await;
        }
    }
    let check = run(&world, folder, &["check"]);
    let text = said(&check);
    assert!(check.status.success() && text.contains("Everything is ready"), "{text}");
    assert!(text.contains("tables can be built beside the live ones"), "{text}");

    world.insert((1..=20).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    let port = free_port();
    let mut command = Command::new(BINARY);
    // It is started elsewhere: the component's path starts at the configuration.
    command.env("LATERNA_MYSQL__CONTROL_SCHEMA", world.control());
    command.env("LATERNA_HOST__ADMIN", format!("127.0.0.1:{port}"));
    command.env("LATERNA_HOST__HEALTH", "127.0.0.1:0");
    command.env("LATERNA_HOST__STATE", folder.join("state"));
    let host = Host::start_as(command, &folder.join("laterna.toml"), port);
    world.until_committed("recorder", 20).await;
    host.stop().await;
    for account in ["laterna_app", "laterna_ddl"] {
        world.run(&format!("DROP USER {account}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_from_init_to_rows_on_mysql() {
    from_init_to_rows(Options::mysql(), "LATERNA_MYSQL_PORT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_from_init_to_rows_on_mariadb() {
    from_init_to_rows(Options::mariadb(), "LATERNA_MARIADB_PORT").await;
}

#[test]
fn init_says_which_answer_is_missing_and_writes_nothing_that_cannot_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("laterna.toml");
    let init = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.current_dir(folder.path()).arg("init").args(arguments);
        said(&command.stdin(Stdio::null()).output().expect("the binary runs"))
    };
    let asked = init(&["--mongodb", "mongodb://127.0.0.1/"]);
    assert!(asked.contains("give --database"), "{asked}");
    let all = [
        "--mongodb",
        "mongodb://127.0.0.1/",
        "--database",
        "bank",
        "--projection",
        "a",
        "--component",
        "a.wasm",
    ];
    let wrong = init(&[&all[..], &["--mysql", "nowhere"]].concat());
    assert!(wrong.contains("is not an address like"), "{wrong}");
    let wrong = init(&[
        "--mongodb",
        "mongodb://127.0.0.1/",
        "--database",
        "bank",
        "--mysql",
        "db/a",
        "--projection",
        "A",
        "--component",
        "a",
    ]);
    assert!(wrong.contains("`projection.A`"), "{wrong}");
    assert!(!path.exists(), "nothing was written");
    let written = init(&[&all[..], &["--mysql", "db.example/readmodels", "--no-check"]].concat());
    assert!(written.contains("--host=db.example --port=3306"), "{written}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("it is there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "there are passwords in it");
}

#[test]
fn init_asks_at_a_terminal_and_prints_what_is_still_to_be_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut script = Command::new("script");
    script.args(["-qec", &format!("{BINARY} init --no-check"), "/dev/null"]).current_dir(folder.path());
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).env_remove("LATERNA_LOG");
    let mut asked = script.spawn().expect("script runs");
    // Nothing takes what is proposed.
    let answers = b"\nbank\n\naccounts\n\n";
    asked.stdin.as_mut().expect("a pipe").write_all(answers).expect("it listens");
    let output = asked.wait_with_output().expect("it ends");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    for says in [
        "The replica set's address [mongodb://127.0.0.1/?replicaSet=rs0]: ",
        "The MongoDB database that has the outbox: ",
        "MySQL's address and the database for read models [127.0.0.1:3306/readmodels]: ",
        "The projection's name [customers]: ",
        "The projector's file [dist/accounts.wasm]: ",
        "laterna.toml is written",
        // Nobody knows yet whether there is an outbox.
        "use bank",
        "db.getCollection(\"outbox\").createIndex({ \"aggregateType\": 1, \"aggregateId\": 1, \"sequence\": 1, \
         \"_id\": 1 })",
        "laterna grants | mysql",
    ] {
        assert!(shown.contains(says), "{says} is missing in\n{shown}");
    }
    let toml = std::fs::read_to_string(folder.path().join("laterna.toml")).expect("it is written");
    let lines =
        ["uri = \"mongodb://127.0.0.1/?replicaSet=rs0\"", "[projection.accounts]", "dist/accounts.wasm"];
    for line in lines {
        assert!(toml.contains(line), "{line} is missing in\n{toml}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_of_a_name_that_nobody_has_tells_which_there_are() {
    let world = World::new("recorder", Options::mysql()).await;
    let told = |port: u16| {
        let status = laterna(&world.config(port), &["status", "recorderr"]);
        assert!(!status.status.success(), "{}", said(&status));
        said(&status)
    };
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    let says = "there is no projection `recorderr`; there are: recorder";
    assert!(told(host.port).contains(says), "{}", told(host.port));
    let port = host.port;
    host.stop().await;
    assert!(told(port).contains(says), "{}", told(port));
}

#[test]
fn a_sequence_that_is_no_integer_is_told_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let event = |sequence: &str| {
        format!(
            r#"{{"_id": "e1", "type": "Happened", "aggregateType": "thing", "aggregateId": "a", "sequence": {sequence}, "payload": {{}}}}"#
        )
    };
    for (sequence, is) in [("1.5", "1.5"), ("\"1\"", "of type String")] {
        std::fs::write(folder.path().join("events.jsonl"), event(sequence)).expect("it is written");
        let mut command = Command::new(BINARY);
        command.current_dir(folder.path()).arg("test").arg(guests::path("recorder"));
        let told = said(&command.args(["--events", "events.jsonl"]).output().expect("the binary runs"));
        let says = format!("the field `sequence` is {is}, not an integer");
        assert!(told.contains(&says), "{says} is missing in\n{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_host_names_the_field_that_makes_no_event_and_a_type_that_may_be_misspelled() {
    let world = World::new("counter", Options::mysql()).await;
    let hapened = |id: &str| {
        let mut event = event(id, "a", 1, doc! {});
        event.insert("type", "Hapened");
        event
    };
    let mut half = event("e1", "b", 1, doc! {});
    half.insert("sequence", 1.5);
    world.insert([half, hapened("e2"), hapened("e3")]).await;
    let host = world.start();
    world.until_committed("counter", 3).await;
    let field = "the document is not an event: its field `sequence` is missing or wrong";
    let misspelled = "it names `Happened`: is one of the two misspelled?";
    let log = host.log();
    assert!(log.contains(field), "{log}");
    assert_eq!(log.matches(misspelled).count(), 1, "{log}");
    let status = laterna(&world.config(host.port), &["status", "counter"]);
    let says = format!("  2 Hapened; {misspelled}");
    assert!(said(&status).contains(&says), "{}", said(&status));
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_projection_that_cannot_begin_are_answered_with_what_keeps_it() {
    let world = World::new("recorder", Options::mysql()).await;
    world.outbox.drop_indexes().await.expect("it is dropped");
    world.insert([event("e1", "a", 1, doc! {})]).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let config = world.config(host.port);
    let letters = laterna(&config, &["dlq", "list", "recorder"]);
    assert!(!letters.status.success(), "{}", said(&letters));
    for says in ["or it has not begun", "`laterna check` says what keeps a configured one from it"] {
        assert!(said(&letters).contains(says), "{says} is missing in {}", said(&letters));
    }
    // The index is told once, and what creates it.
    let check = said(&laterna(&config, &["check"]));
    assert_eq!(check.matches("is unknown without an index on it").count(), 1, "{check}");
    assert!(check.contains("`--fix=run` runs them"), "{check}");
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_notes_an_outbox_whose_documents_vanish() {
    let world = World::new("recorder", Options::mysql()).await;
    let noted = || said(&laterna(&world.config(free_port()), &["check"]));
    assert!(!noted().contains("capped"), "{}", noted());
    world.outbox.drop().await.expect("it is dropped");
    let capped = CreateCollectionOptions::builder().capped(true).size(1 << 20).build();
    let database = world.client.database(&world.name);
    database.create_collection("outbox").with_options(capped).await.expect("it is created");
    world.writer.prepare().await.expect("its index is created");
    let text = noted();
    assert!(text.contains("note  MongoDB: the collection `outbox` is capped"), "{text}");
    assert!(text.contains("Everything is ready"), "{text}");
}
