//! Projections come, change and go by a reload, while another one goes on under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::{Document, doc};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::{refused, reload, write};
use crate::guests;
use crate::support::http::Client;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, PATIENCE, World, some_time, until};

/// How many aggregates the load is about.
const AGGREGATES: i64 = 7;

/// The section of a projection.
fn section(name: &str, component: &str, lines: &str) -> String {
    let component = guests::path(component).display().to_string();
    format!("[projection.{name}]\ncomponent = {component:?}\n{lines}\n")
}

/// An event that all projectors of these tests take; `picky` does what it says.
fn told(id: &str, aggregate: &str, sequence: i64, what: &str) -> Document {
    event(id, aggregate, sequence, doc! { "do": what, "ordinal": 1_i64 })
}

/// Writes events until it is told to end, and gives how many these were.
async fn load(world: Arc<World>, ends: Arc<AtomicBool>) -> i64 {
    let mut written = 0;
    while !ends.load(Ordering::Relaxed) {
        let events = (written..written + AGGREGATES).map(|number| {
            let aggregate = format!("load-{}", number % AGGREGATES);
            told(&format!("load-{number}"), &aggregate, number / AGGREGATES + 1, "ok")
        });
        world.insert(events).await;
        written += AGGREGATES;
        some_time(20).await;
    }
    written
}

/// One who hears what the host tells of its projections.
struct Hearer(BufReader<TcpStream>);

impl Hearer {
    async fn new(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let request = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(request).await.expect("it is open");
        Self(BufReader::new(stream))
    }

    async fn until_told(&mut self, what: &str) {
        let mut told = String::new();
        let reading = async {
            while !told.contains(what) {
                assert!(self.0.read_line(&mut told).await.expect("it is open") > 0, "it ended: {told}");
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("not told: {what}"));
    }
}

/// A host with a configuration that is written anew.
struct Reloaded {
    world: Arc<World>,
    config: std::path::PathBuf,
    host: Host,
    client: Client,
    /// What stands in the configuration before its projections.
    head: String,
}

impl Reloaded {
    async fn start(world: World) -> Self {
        let port = free_port();
        let config = world.config(port);
        let text = std::fs::read_to_string(&config).expect("it is there");
        let head = text.split("[projection.").next().expect("it has a beginning").to_owned();
        let host = Host::start(&config, port);
        for name in ["changing", "steady"] {
            host.until_phase(name, "streaming").await;
        }
        Self { world: Arc::new(world), config, host, client: Client::new(port), head }
    }

    fn configure(&self, projections: &[String]) {
        write(&self.config, &format!("{}{}", self.head, projections.concat()));
    }

    /// Reloads over the API, and gives what was applied.
    async fn applied(&self) -> Value {
        let answer = reload(&self.client).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        assert_eq!(answer.json()["needs_restart"], json!([]), "{answer:?}");
        answer.json()["applied"].clone()
    }

    /// Reloads by a signal.
    async fn hang_up(&self) {
        let reloads = || self.host.log().matches("the configuration was read anew").count();
        let before = reloads();
        self.host.signal("HUP");
        until("it was read anew", async || reloads() > before).await;
    }

    /// The names that `laterna status` prints.
    fn names(&self) -> Vec<String> {
        let output = laterna(&self.config, &["status", "--json"]);
        let all: Vec<Value> =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
        all.iter().map(|one| one["projection"].as_str().expect("a name").to_owned()).collect()
    }

    async fn is_owned(&self, projection: &str) -> bool {
        let sql = format!(
            "SELECT COUNT(*) FROM {}.lease WHERE projection = '{projection}' AND owner <> ''",
            self.world.control()
        );
        self.world.number(&sql).await == 1
    }

    async fn epoch(&self, projection: &str) -> u64 {
        self.host.status(projection).await.expect("it answers")["epoch"].as_u64().expect("a number")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn projections_come_change_and_go_by_a_reload_while_another_one_goes_on_under_load() {
    let options = Options { lanes: 4, batch_max: 500, ..Options::mysql() };
    let world = World::with(&[("steady", "recorder"), ("changing", "picky")], options).await;
    let reloaded = Reloaded::start(world).await;
    let (host, world) = (&reloaded.host, reloaded.world.clone());
    let (steady, epoch) =
        (section("steady", "recorder", "lanes = 4\nbatch_max = 500"), reloaded.epoch("steady").await);
    let changing = section("changing", "picky", "lanes = 4\nbatch_max = 500");
    let ends = Arc::new(AtomicBool::new(false));
    let loading = tokio::spawn(load(world.clone(), ends.clone()));

    // One comes, and has all of history.
    let added = section("added", "counter", "lanes = 1");
    reloaded.configure(&[steady.clone(), changing.clone(), added.clone()]);
    assert_eq!(reloaded.applied().await, json!(["projection.added (begun)"]));
    host.until_phase("added", "streaming").await;
    assert_eq!(reloaded.names(), ["added", "changing", "steady"]);

    // One changes: asked for twice at once, and by a signal, it is done once.
    let begun_anew = reloaded.epoch("changing").await;
    let budget =
        "lanes = 2\nbatch_max = 1\n[projection.changing.budget]\nfuel = 1000000\nmemory_bytes = 16777216";
    let smaller = section("changing", "picky", budget);
    reloaded.configure(&[steady.clone(), smaller.clone(), added.clone()]);
    let (first, second, ()) = tokio::join!(reloaded.applied(), reloaded.applied(), reloaded.hang_up());
    let paths = ["batch_max", "budget.fuel", "budget.memory_bytes", "lanes"];
    let paths = json!(paths.map(|path| format!("projection.changing.{path}")));
    assert!([&first, &second].iter().all(|told| **told == paths || **told == json!([])), "{first} {second}");
    host.until_phase("changing", "streaming").await;
    until("the lanes came to one position, and are fewer", async || {
        let status = host.status("changing").await.unwrap_or_default();
        status["phase"] == "streaming" && status["lanes"].as_array().is_some_and(|lanes| lanes.len() == 2)
    })
    .await;
    world.insert([told("burns", "burns", 1, "loop"), told("grows", "grows", 1, "memory")]).await;
    until("both are parked", async || world.letters().await == (2, 0)).await;
    let reasons = world.reasons().await;
    assert!(reasons["burns"].1.contains("1000000 "), "{reasons:?}");
    assert_eq!(reasons["grows"].0, "out-of-memory", "{reasons:?}");
    let at = reloaded.epoch("changing").await;
    assert!(
        (begun_anew + 1..=begun_anew + 2).contains(&at),
        "begun anew once, and once more by its lanes: {at}"
    );

    // What is wrong changes nothing: a setting, a file, a table of another one.
    for (wrong, says) in [
        (section("changing", "picky", "lanes = 65"), "projection.changing.lanes"),
        (section("changing", "picky", "").replace("picky.wasm", "nothing.wasm"), "nothing.wasm"),
        (section("changing", "recorder", ""), "`last_seen` is declared by"),
    ] {
        reloaded.configure(&[steady.clone(), wrong]);
        refused(&reload(&reloaded.client).await, says);
    }
    assert_eq!(reloaded.names(), ["added", "changing", "steady"]);
    assert_eq!(reloaded.epoch("changing").await, at);

    // One goes: it is told of, its lease is free at once, and nothing speaks of it any more.
    let mut hearer = Hearer::new(host.port).await;
    hearer.until_told("\"projection\":\"changing\"").await;
    reloaded.configure(&[steady.clone(), added.clone()]);
    let dry = reloaded.client.post("/api/v1/reload?dry_run=true", &Value::Null).await;
    assert_eq!(dry.json()["applied"], json!(["projection.changing (ended)"]));
    assert!(reloaded.is_owned("changing").await, "that was no more than a question");
    reloaded.hang_up().await;
    assert!(!reloaded.is_owned("changing").await);
    assert_eq!(reloaded.names(), ["added", "steady"]);
    assert_eq!(reloaded.client.get("/api/v1/projections/changing").await.code, 404);
    assert_eq!(reloaded.client.get("/readyz").await.code, 200);
    let metrics = reloaded.client.get("/metrics").await.text;
    assert!(!metrics.contains("projection=\"changing\"") && metrics.contains("projection=\"steady\""));
    hearer.until_told("event: gone").await;

    // It comes back, and goes on where it was, with more room than before.
    reloaded.configure(&[steady, changing, added]);
    assert_eq!(reloaded.applied().await, json!(["projection.changing (begun)"]));
    ends.store(true, Ordering::Relaxed);
    let written = loading.await.expect("all is written") + 2;
    for name in ["steady", "added", "changing"] {
        world.until_committed(name, written).await;
    }
    world.assert_recorded(written, AGGREGATES + 2).await;
    assert_eq!(world.number("SELECT SUM(events) FROM counted").await, written);
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, written - 2);
    assert_eq!(reloaded.epoch("steady").await, epoch, "nobody disturbed it");
    let steady_took = |line: &&str| line.contains("took the lease") && line.contains("\"steady\"");
    assert_eq!(host.log().lines().filter(steady_took).count(), 1, "{}", host.log());
    assert!(reloaded.host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_counts_at_a_start_is_named_and_a_stop_does_not_wait_for_a_reload() {
    let world = World::with(&[("steady", "recorder"), ("changing", "picky")], Options::mysql()).await;
    let mut reloaded = Reloaded::start(world).await;
    let sections = [
        section("steady", "recorder", "lanes = 4\nbatch_max = 500"),
        section("changing", "picky", "lanes = 3"),
    ];
    let at_start = "[host]\nadmin_names = \"other.example\"\n";
    reloaded.head =
        reloaded.head.replacen("[host]\n", at_start, 1).replacen("stop_seconds = 10", "stop_seconds = 9", 1);
    reloaded.configure(&sections);
    let expected = json!({
        "applied": ["host.stop_seconds", "projection.changing.batch_max", "projection.changing.lanes"],
        "needs_restart": ["host.admin_names"],
    });
    let told = reload(&reloaded.client).await;
    assert_eq!((told.code, told.json()), (200, expected));
    for name in ["steady", "changing"] {
        reloaded.host.until_phase(name, "streaming").await;
    }
    let again = reload(&reloaded.client).await.json();
    assert_eq!(again, json!({ "applied": [], "needs_restart": ["host.admin_names"] }));

    // A component that was built anew in its file is deployed as at a start.
    let file = reloaded.world.folder.path().join("built.wasm");
    std::fs::copy(guests::path("picky-happened"), &file).expect("it is copied");
    let built = |file: &std::path::Path| {
        format!("[projection.changing]\ncomponent = {:?}\n", file.display().to_string())
    };
    reloaded.configure(&[sections[0].clone(), built(&file)]);
    assert_eq!(reload(&reloaded.client).await.code, 200);
    std::fs::copy(guests::path("picky"), &file).expect("it is copied");
    let told = reload(&reloaded.client).await.json();
    assert_eq!(told["applied"], json!(["projection.changing.component (another one in its file)"]));

    // Nothing but `steady` may run when the host ends, whatever was asked for in the same moment.
    reloaded.configure(&sections[..1]);
    reloaded.host.signal("HUP");
    assert!(reloaded.host.stop().await.success());
    let sql = format!("SELECT COUNT(*) FROM {}.lease WHERE owner <> ''", reloaded.world.control());
    assert_eq!(reloaded.world.number(&sql).await, 0);
}
