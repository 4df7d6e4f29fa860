//! The command line as a client of a host's API: the same commands with the same answers and exit codes as through the
//! databases, and what is said where a host is not there, does not know a token, or is none.

use std::path::Path;
use std::process::{Command, Output};

use bson::doc;
use serde_json::Value;

use crate::api::{Guarded, OPERATOR, VIEWER};
use crate::guests;
use crate::support::host::BINARY;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Options, World, until};

/// A command line that asks a host, and one that acts on the databases.
struct BothWays<'a> {
    world: &'a World,
    guarded: Guarded,
}

/// Runs the program without a configuration.
fn without_configuration(url: &str, token: Option<&Path>, arguments: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.env_remove("LATERNA_LOG").args(["--config", "/nowhere/laterna.toml", "--host", url]);
    if let Some(token) = token {
        command.arg("--token-file").arg(token);
    }
    command.args(arguments).output().expect("the binary runs")
}

/// What two ways may tell differently is left out: the numbers of commands, and when and how fast tables were compared.
fn comparable(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("Compared at "));
    let plain = lines.map(|line| match line.split_once("\"command\":") {
        Some((before, number)) => {
            format!("{before}{}", number.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    });
    plain.collect::<Vec<_>>().join("\n")
}

impl<'a> BothWays<'a> {
    async fn start(world: &'a World) -> Self {
        let guarded = Guarded::start(world);
        std::fs::write(world.folder.path().join("operator"), OPERATOR).expect("it can be written");
        std::fs::write(world.folder.path().join("viewer"), format!("{VIEWER}\n")).expect("it can be written");
        guarded.host.until_phase_by(&guarded.operator, "picky", "streaming").await;
        Self { world, guarded }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.guarded.host.port)
    }

    fn asked_as(&self, who: &str, arguments: &[&str]) -> Output {
        without_configuration(&self.url(), Some(&self.world.folder.path().join(who)), arguments)
    }

    fn asked(&self, arguments: &[&str]) -> Output {
        self.asked_as("operator", arguments)
    }

    fn direct(&self, arguments: &[&str]) -> Output {
        let port = self.guarded.host.port;
        laterna(&self.world.folder.path().join(format!("laterna-{port}.toml")), arguments)
    }

    /// The same command, word for word the same answer, and the same exit code; that answer.
    #[track_caller]
    fn same(&self, arguments: &[&str]) -> String {
        let (direct, asked) = (self.direct(arguments), self.asked(arguments));
        let [one, other] = [&direct, &asked].map(said);
        assert_eq!(one, other, "{arguments:?}");
        assert_eq!(direct.status.code(), asked.status.code(), "{arguments:?}");
        one
    }

    /// The same of two commands that change something: what is asked for first and then changes nothing for the other.
    #[track_caller]
    fn alike(&self, direct: &[&str], asked: &[&str]) -> String {
        let (direct, asked) = (self.direct(direct), self.asked(asked));
        let [one, other] = [&direct, &asked].map(said);
        assert_eq!(comparable(&one), comparable(&other));
        assert_eq!(direct.status.code(), asked.status.code(), "{one}\n{other}");
        one
    }

    fn id_of(&self, event: &str) -> String {
        let listed = said(&self.asked(&["dlq", "list", "picky", "--json"]));
        let all = listed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let found = all.into_iter().find(|letter| letter["event_id"] == event);
        found.unwrap_or_else(|| panic!("there is a letter of {event}: {listed}"))["id"].to_string()
    }
}

async fn with_letters(options: Options) -> World {
    let world = World::new("picky", Options { extra: "breaker.aggregates = 0", ..options }).await;
    let failing = |n: i64| event(&format!("bad{n}"), &format!("w{n}"), 1, doc! { "do": "reject" });
    world.insert((1..=8).map(failing)).await;
    world.insert([event("behind", "w1", 2, doc! { "do": "ok" })]).await;
    world.insert([event("panics", "w9", 1, doc! { "do": "panic" })]).await;
    world.insert((1..=5).map(|n| event(&format!("ok{n}"), "fine", n, doc! { "do": "ok" }))).await;
    // Two aggregates that read the same.
    for (id, aggregate) in [("five", bson::Bson::Int64(5)), ("text", "5".into())] {
        world
            .insert([
                doc! { "_id": id, "type": "Happened", "aggregateType": "account", "aggregateId": aggregate,
                "sequence": 1_i64, "payload": { "do": "reject" } },
            ])
            .await;
    }
    world
}

fn looks_the_same(both: &BothWays<'_>) {
    let id = both.id_of("bad1");
    for arguments in [
        &["dlq", "list", "picky"][..],
        &["dlq", "list", "picky", "--json"],
        &["dlq", "list", "picky", "--limit", "3"],
        &["dlq", "list", "picky", "--after", &id, "--heads", "--reason", "rejected"],
        &["dlq", "list", "picky", "--reason", "trapped"],
        &["dlq", "list", "picky", "--aggregate", "account/5"],
        &["dlq", "list", "picky", "--aggregate", r#""account"/"5""#, "--json"],
        &["dlq", "list", "picky", "--id", &id, "--json"],
        &["dlq", "show", "picky", &id],
        &["dlq", "show", "picky", &id, "--json"],
        &["dlq", "export", "picky"],
        &["dlq", "export", "picky", "--id", &id],
        &["dlq", "export", "picky", "--aggregate", r#""account"/5"#],
        &["generations", "list", "picky"],
        &["generations", "list", "picky", "--json"],
        &["deployments", "picky"],
        &["deployments", "picky", "--json"],
        &["why", "picky", "thing/w1"],
        &["why", "picky", "thing/fine", "--limit", "2", "--json"],
    ] {
        let told = both.same(arguments);
        assert!(!told.trim().is_empty() && !told.contains("error:"), "{arguments:?}: {told}");
    }
    // What is refused, is so in the same words.
    for (arguments, says) in [
        (&["dlq", "list", "nobody"][..], "no projection `nobody`"),
        (&["audit", "nobody"], "no projection `nobody`"),
        (&["dlq", "show", "picky", "4000000"], "no dead letter 4000000"),
        (&["dlq", "export", "picky", "--aggregate", "account/5"], "may be any of these"),
        (&["dlq", "replay", "picky", "--aggregate", "account/5"], "may be any of these"),
        (&["dlq", "discard", "picky", "--id", &both.id_of("behind"), "--why", "x", "--yes"], "held behind"),
        (&["dlq", "erase", "picky", "--event", "none", "--why", "x"], "fits"),
        (&["dlq", "discard", "picky", "--all", "--why", "x"], "give --yes"),
        (&["generations", "drop", "picky"], "no generation beside"),
        (&["generations", "accept", "picky", "9"], "no generation 9"),
        (&["rollback", "picky"], "one component only"),
        (&["resume", "picky"], "nothing pauses"),
        (&["why", "picky", "account/5"], "name the one you mean"),
        (&["why", "picky", "thing/nothing"], "no event of it"),
        (&["operations", "cancel", "4000000"], "no operation 4000000"),
        (&["deploy", "Cargo.toml", "--projection", "picky"], "Cargo.toml"),
        (&["deploy", "/nowhere.wasm", "--projection", "picky"], "cannot be read"),
    ] {
        let told = both.same(arguments);
        assert!(told.contains("error:") && told.contains(says), "{arguments:?}: {told}");
    }
}

/// Letters are tried, erased and discarded; both ways are about others, which are alike.
fn letters_change_alike(both: &BothWays<'_>) {
    let told = both.same(&["dlq", "replay", "picky", "--all", "--dry-run"]);
    assert!(told.contains("would fail: rejected"), "{told}");
    let which = |verb: &'static str, aggregate: &'static str| {
        ["dlq", verb, "picky", "--aggregate", aggregate, "--why", "a test"]
    };
    both.alike(&which("erase", "thing/w2"), &which("erase", "thing/w3"));
    let discard = |aggregate| [&which("discard", aggregate)[..], &["--yes"]].concat();
    both.alike(&discard("thing/w2"), &discard("thing/w3"));
    both.alike(
        &["dlq", "replay", "picky", "--aggregate", "thing/w4", "--json"],
        &["dlq", "replay", "picky", "--aggregate", "thing/w5", "--json"],
    );
    let (one, other) = (both.id_of("bad6"), both.id_of("bad7"));
    let of_one = |id| ["dlq", "discard", "picky", "--id", id, "--why", "a test", "--yes", "--json"];
    let told = both.alike(&of_one(&one), &of_one(&other));
    assert!(told.contains(r#""state":"done""#), "{told}");
    for arguments in [
        &["audit", "picky"][..],
        &["audit", "picky", "--json", "--limit", "1"],
        &["audit", "--by", "on-call", "--before", "1000000"],
        &["operations", "list", "--state", "done"],
    ] {
        assert!(both.same(arguments).contains("discard"), "{arguments:?}");
    }
}

/// What a deployment would be is told alike, and nothing is deployed by that.
fn a_deployment_is_looked_at_alike(both: &BothWays<'_>) {
    let before = both.same(&["deployments", "picky", "--json"]);
    let path = |name: &str| guests::path(name).to_str().expect("text").to_owned();
    let (worse, tables, upcaster) = (path("picky-worse"), path("picky-tables"), path("upcaster"));
    let look = |file| ["deploy", file, "--projection", "picky", "--dry-run"];
    let told = both.same(&[&look(&tables)[..], &["--shadow", "100"]].concat());
    for says in [
        "its tables are others",
        "declarations differ",
        "\n+ CREATE TABLE",
        "would be projected otherwise",
        "unless `--anyway` is given",
    ] {
        assert!(told.contains(says), "{says:?} is not in {told}");
    }
    let told = both.same(&look(&worse));
    for says in ["the live ones", "imports     laterna:projection", "Nothing is deployed. The same"] {
        assert!(told.contains(says), "{says:?} is not in {told}");
    }
    assert!(both.same(&look(&upcaster)).contains("\nupcaster "));
    let json = [&look(&tables)[..], &["--shadow", "100", "--anyway", "--json"]].concat();
    let told: Value = serde_json::from_str(&both.same(&json)).expect("one object");
    assert_eq!(told["deployment"]["on_live_tables"], false, "{told}");
    assert_eq!(told["deployment"]["parameters"]["digest"], told["component"]["digest"], "{told}");
    assert!(told["shadow"]["differences"].as_u64() > Some(0), "{told}");
    assert_eq!(before, both.same(&["deployments", "picky", "--json"]));
    for told in [said(&both.direct(&["hosts"])), said(&both.asked(&["hosts"]))] {
        assert!(told.contains("picky") && told.contains("until 2"), "{told}");
    }
    let told: Value = serde_json::from_str(&said(&both.asked(&["hosts", "--json"]))).expect("one object");
    assert_eq!((&told["leases"][0]["held"], &told["phases"]["picky"]), (&true.into(), &"streaming".into()));
}

async fn everything_else_changes_alike(both: &BothWays<'_>) {
    let pause = ["pause", "picky", "--why", "a test"];
    both.direct(&pause);
    let direct = both.direct(&["resume", "picky"]);
    let asked = both.asked(&pause);
    assert!(asked.status.success() && said(&asked).contains("paused"), "{}", said(&asked));
    assert_eq!(both.guarded.operator.get("/api/v1/projections/picky").await.json()["phase"], "paused");
    let told = said(&both.asked(&["resume", "picky"]));
    assert_eq!(told, said(&direct));
    let (worse, tables) = (guests::path("picky-worse"), guests::path("picky-tables"));
    let (worse, tables) = (worse.to_str().expect("text"), tables.to_str().expect("text"));
    let deploy = ["deploy", worse, "--projection", "picky", "--canary", "0"];
    let shadow = [&deploy[..], &["--shadow", "100", "--anyway"]].concat();
    let deployed = both.direct(&shadow);
    let back = both.direct(&["rollback", "picky"]);
    let again = both.asked(&shadow);
    assert_eq!((said(&deployed), deployed.status.code()), (said(&again), again.status.code()));
    let back_again = both.asked(&["rollback", "picky"]);
    assert_eq!((said(&back), back.status.code()), (said(&back_again), back_again.status.code()));
    assert!(said(&back).contains("every lane works with it"), "{}", said(&back));
    let alone = [&deploy[..], &["--without-upcaster", "--json"]].concat();
    assert!(both.alike(&alone, &alone).contains(r#""taken_up":true"#));
    let gone = async || {
        until("what was compared is gone", async || {
            let standing = both.guarded.operator.get("/api/v1/projections/picky/generations").await;
            standing.json()["aside"] == serde_json::json!([])
        })
        .await;
    };
    let one = both.direct(&["verify", "picky"]);
    gone().await;
    let other = both.asked(&["verify", "picky"]);
    gone().await;
    assert_eq!(comparable(&said(&one)), comparable(&said(&other)));
    assert_eq!((one.status.code(), other.status.code()), (Some(0), Some(0)), "{}", said(&one));
    let look = ["rebuild", "picky", "--only-aggregate", "thing/fine"];
    let (built, number) = (both.asked(&look), ["generations", "list", "picky", "--json"]);
    assert!(built.status.success(), "{}", said(&built));
    until("the part is built", async || {
        let listed: Value = serde_json::from_str(&said(&both.asked(&number))).expect("JSON");
        listed["aside"][0]["state"] == "kept"
    })
    .await;
    assert!(both.same(&["generations", "accept", "picky"]).contains("error:"));
    let dropped = both.asked(&["generations", "drop", "picky"]);
    assert!(dropped.status.success(), "{}", said(&dropped));
    let refused = both.asked(&["deploy", tables, "--projection", "picky", "--shadow", "0"]);
    assert!(refused.status.code() == Some(2) && said(&refused).contains("1 to 10000"), "{}", said(&refused));
    let done = said(&both.asked(&["audit", "picky", "--kind", "pause", "--by", "on-call", "--json"]));
    let done: Value = serde_json::from_str(&done).expect("one line");
    let too_late = ["operations", "cancel", &done["id"].to_string()];
    assert!(both.same(&too_late).contains("is not cancelled"));
    let reloaded = both.asked(&["reload"]);
    assert!(reloaded.status.success() && said(&reloaded).contains("Nothing differs"), "{}", said(&reloaded));
    let status = said(&both.asked(&["status", "picky", "--json"]));
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!((&status[0]["projection"], &status[0]["phase"]), (&"picky".into(), &"streaming".into()));
    assert!(both.asked(&["health", "--ready"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_says_the_same_through_the_databases_and_through_a_host() {
    for options in [Options::mysql(), Options::mariadb()] {
        let is_mysql = options.mysql == Options::mysql().mysql;
        let world = with_letters(options).await;
        let both = BothWays::start(&world).await;
        until("all are there", async || world.letters().await == (11, 1)).await;
        looks_the_same(&both);
        letters_change_alike(&both);
        a_deployment_is_looked_at_alike(&both);
        if is_mysql {
            everything_else_changes_alike(&both).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_a_host_in_vain_is_told_why_and_what_to_do() {
    let world = with_letters(Options::mysql()).await;
    let both = BothWays::start(&world).await;
    until("all are there", async || world.letters().await == (11, 1)).await;
    let wrong = world.folder.path().join("wrong");
    std::fs::write(&wrong, "nobody-0123456789abcdef0123456789abcdef").expect("it can be written");
    let (url, list) = (both.url(), ["dlq", "list", "picky"]);
    let health = format!("http://127.0.0.1:{}", both.guarded.health.port);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    for (url, token, arguments, says) in [
        (&url, None, &list[..], "asks for a token"),
        (&url, Some(&wrong), &list, "does not know the token"),
        (&health, None, &list, "is no host's API"),
        (&nobody, None, &list, "does not answer"),
        (&url, None, &["check"], "leave `--host` and LATERNA_HOST out"),
        (&url, None, &["run"], "leave `--host` and LATERNA_HOST out"),
        (&url, None, &["forget", "picky", "--yes"], "leave `--host` and LATERNA_HOST out"),
    ] {
        let told = without_configuration(url, token.map(std::path::PathBuf::as_path), arguments);
        assert!(
            told.status.code() == Some(2) && said(&told).contains(says),
            "{arguments:?}: {}",
            said(&told)
        );
        assert!(!said(&told).contains("0123456789"), "{}", said(&told));
    }
    // A viewer sees no values, and changes nothing.
    let masked = said(&both.asked_as("viewer", &["dlq", "list", "picky"]));
    assert!(masked.contains("(masked)") && !masked.contains("told to reject"), "{masked}");
    let shown = said(&both.asked_as("viewer", &["dlq", "show", "picky", &both.id_of("bad1")]));
    assert!(shown.contains("or the token is a viewer's"), "{shown}");
    for change in [&["pause", "picky", "--why", "x"][..], &["dlq", "export", "picky"], &["reload"]] {
        let refused = both.asked_as("viewer", change);
        let told = said(&refused);
        assert!(refused.status.code() == Some(2) && told.contains("role `viewer`"), "{change:?}: {told}");
        assert!(told.contains("what to do (forbidden)"), "{told}");
    }
    // The variables of the environment say the same as the options.
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("LATERNA_HOST", &url)
        .env("LATERNA_TOKEN_FILE", world.folder.path().join("viewer"));
    let status = command.arg("status").output().expect("the binary runs");
    assert!(status.status.success() && said(&status).contains("picky"), "{}", said(&status));
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {}.command", world.control())).await, 0);
}
