//! A running host reads its configuration anew: what can be is taken over, the rest is named, and what is wrong changes nothing.

mod audited;
mod projections;

use std::path::{Path, PathBuf};

use bson::{Document, doc};
use serde_json::{Value, json};

use crate::support::http::{Answer, Client};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, until};

const TOKENS: [&str; 2] = ["first-token-0123456789abcdef", "second-token-0123456789abcdef"];

/// The files of a host.
struct Files {
    config: PathBuf,
    url: PathBuf,
    tokens: PathBuf,
    /// The configuration as it was at first.
    text: String,
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("it can be written");
}

fn tokens(token: &str) -> String {
    format!("[[token]]\nname = \"on-call\"\nrole = \"operator\"\ntoken = \"{token}\"\n")
}

impl Files {
    /// The configuration of a world whose URL of MySQL and whose tokens stand in files.
    fn new(world: &World, port: u16) -> Self {
        let config = world.config(port);
        let (url, tokens_file) = (config.with_extension("url"), config.with_extension("tokens"));
        let line = format!("url = {:?}", world.host_url());
        let text = std::fs::read_to_string(&config).expect("it is there");
        let text = text.replacen(&line, &format!("url_file = {:?}", url.display().to_string()), 1);
        let tokens_line = format!("[host]\ntokens = {:?}\n", tokens_file.display().to_string());
        let text = text.replacen("[host]\n", &tokens_line, 1);
        write(&config, &text);
        write(&url, &world.host_url());
        write(&tokens_file, &tokens(TOKENS[0]));
        Self { config, url, tokens: tokens_file, text }
    }
}

async fn reload(client: &Client) -> Answer {
    client.post("/api/v1/reload", &Value::Null).await
}

#[track_caller]
fn refused(answer: &Answer, says: &str) {
    assert_eq!(answer.code, 409, "{answer:?}");
    assert!(
        answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(says)),
        "{says}: {answer:?}"
    );
}

/// Ends every session of an account: each new one needs the password that counts now.
async fn end_sessions(world: &World, account: &str) {
    let list =
        format!("SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE user = '{account}'");
    let ids: Vec<i64> = world.rows(&list).await.iter().map(|row| sqlx::Row::get(row, 0)).collect();
    assert!(!ids.is_empty());
    let mut admin = world.mysql().await;
    for id in ids {
        // It may have ended by itself.
        let _ = sqlx::Executor::execute(&mut admin, format!("KILL {id}").as_str()).await;
    }
}

fn failing(id: &str) -> Document {
    event(id, id, 1, doc! { "do": "reject" })
}

/// Tells MongoDB something about the account of these tests, which is the world's own.
async fn account(world: &World, command: &str, password: &str) {
    let roles = vec![doc! { "role": "readWrite", "db": &world.name }];
    let told = if command == "dropUser" {
        doc! { command: "app" }
    } else {
        doc! { command: "app", "pwd": password, "roles": roles }
    };
    world.client.database(&world.name).run_command(told).await.expect("the account is as it is to be");
}

async fn rotated(options: Options) {
    let mut world = World::new("picky", options).await;
    account(&world, "createUser", "one").await;
    let signed = world.options.mongodb.replacen("mongodb://", "mongodb://app:one@", 1);
    world.options.mongodb = format!("{signed}&authSource={}", world.name);
    let name = format!("{}_app", world.name);
    let with = |password: &str| world.options.mysql.replacen("root", &format!("{name}:{password}"), 1);
    let (first, second) = (with("one"), with("two"));
    world.run(&format!("DROP USER IF EXISTS {name}")).await;
    world.run(&format!("CREATE USER {name} IDENTIFIED BY 'one'")).await;
    world.run(&format!("GRANT ALL ON `{}%`.* TO {name}", world.name.replace('_', "\\_"))).await;
    world.options.host_mysql = Some(first);
    let port = free_port();
    let files = Files::new(&world, port);
    let host = Host::start(&files.config, port);
    let [old, new] = TOKENS.map(|token| Client::new(port).with_token(token));
    host.until_phase_by(&old, "picky", "streaming").await;
    let same = reload(&old).await;
    assert_eq!((same.code, same.json()), (200, json!({ "applied": [], "needs_restart": [] })));

    // Everything is rotated at once, and something differs that cannot be.
    world.run(&format!("ALTER USER {name} IDENTIFIED BY 'two'")).await;
    world.options.host_mysql = Some(second);
    account(&world, "updateUser", "two").await;
    write(&files.url, &world.host_url());
    write(&files.tokens, &tokens(TOKENS[1]));
    let text = files.text.replacen("[host]\n", "[host]\nlog = \"json\"\nlog_filter = \"error\"\n", 1);
    let text = text.replacen("app:one@", "app:two@", 1).replacen(
        "replicaSet=rs0",
        "replicaSet=rs0&appName=rotated",
        1,
    );
    assert!(text.contains("rotated") && text.contains("app:two@"), "{text}");
    write(&files.config, &text);
    let all = reload(&old).await;
    let applied = ["host.tokens", "host.log_filter", "mysql.url", "mysql.ddl_url", "mongodb.uri"];
    assert_eq!((all.code, all.json()), (200, json!({ "applied": applied, "needs_restart": ["host.log"] })));
    assert_eq!(reload(&old).await.code, 401, "nobody has it any more");
    end_sessions(&world, &name).await;
    world.insert([failing("quiet")]).await;
    until("it is parked, by sessions with the new password", async || world.letters().await == (1, 0)).await;
    assert!(!host.log().contains("parked:"), "that is no error:\n{}", host.log());
    let clients = doc! { "$currentOp": { "allUsers": true, "idleConnections": true } };
    let named = doc! { "$match": { "appName": "rotated" } };
    until("MongoDB is asked as the new URI says", async || {
        let asked = world.client.database("admin").aggregate([clients.clone(), named.clone()]).await;
        asked.expect("it answers").advance().await.expect("it answers")
    })
    .await;

    // What is wrong changes nothing, and is named.
    write(&files.config, &text.replacen("[host]\n", "[host]\nlease_secondz = 3\n", 1));
    refused(&reload(&new).await, "lease_secondz");
    host.signal("HUP");
    until("the log names it, too", async || host.log().contains("stays as it was")).await;
    assert!(host.log().contains("lease_secondz"), "{}", host.log());
    write(&files.config, &text);
    write(&files.tokens, "[[token]]\nname = 7\n");
    refused(&reload(&new).await, "`host.tokens`");
    write(&files.tokens, &tokens(TOKENS[1]));
    write(&files.url, &world.host_url().replacen(":two", ":three", 1));
    refused(&reload(&new).await, "`mysql.url` is not taken");
    write(&files.url, &world.host_url());
    write(&files.config, &text.replacen("app:two@", "app:three@", 1));
    refused(&reload(&new).await, "`mongodb.uri` is not taken");
    write(&files.config, &text);
    let metrics = new.get("/metrics").await.text;
    for line in ["laterna_reloads_total{outcome=\"done\"} 2", "laterna_reloads_total{outcome=\"refused\"} 5"]
    {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }

    // The command line asks the same.
    write(&files.config, &text.replacen("log_filter = \"error\"", "log_filter = \"info\"", 1));
    let told = |arguments: &[&str]| {
        let output = laterna(&files.config, arguments);
        (output.status.code(), said(&output))
    };
    let (code, dry) = told(&["reload", "--dry-run"]);
    assert!(code == Some(1) && dry.contains("host.log_filter: would be taken over"), "{dry}");
    assert!(dry.contains("host.log: differs, and needs a restart"), "{dry}");
    let (_, done) = told(&["reload"]);
    assert!(done.contains("host.log_filter: taken over"), "{done}");
    world.insert([failing("loud")]).await;
    until("it is parked, and logged", async || host.log().contains("parked:")).await;
    host.stop().await;
    world.run(&format!("DROP USER {name}")).await;
    account(&world, "dropUser", "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_passwords_and_the_logs_filter_are_taken_over_without_a_restart_and_what_is_wrong_changes_nothing()
 {
    rotated(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_rotated_without_a_restart_on_mariadb() {
    rotated(Options::mariadb()).await;
}
