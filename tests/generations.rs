//! Tables made anew beside the live ones: readers see whole tables all the time, and a crash anywhere leaves no guess.

mod deaths;
mod given_up;
mod purged;
mod switching;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bson::{Document, doc};
use serde_json::Value;
use sqlx::Row;

use crate::guests;
use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, some_time, until};

pub const PROJECTION: &str = "first";
const AGGREGATES: i64 = 40;

/// A projection on whose tables work goes on all the time: events are written, and rows are read.
pub struct Scene {
    pub world: World,
    host: Option<Host>,
    done: Arc<AtomicBool>,
    pub sent: Arc<AtomicI64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

pub fn document(n: i64) -> Document {
    event(&format!("e{n}"), &format!("a{}", n % AGGREGATES), n / AGGREGATES + 1, doc! {})
}

impl Scene {
    /// A projection that has applied so many events.
    pub async fn new(options: Options, events: i64) -> Self {
        let world = World::with(&[(PROJECTION, "first")], options).await;
        world.insert((0..events).map(document)).await;
        Self::of(world, events).await
    }

    /// The same of a world whose outbox holds so many events.
    pub async fn of(world: World, events: i64) -> Self {
        let host = world.start();
        world.until_committed(PROJECTION, events).await;
        let (done, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(events)));
        Self { world, host: Some(host), done, sent, tasks: vec![] }
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().expect("it runs")
    }

    pub fn kill(&mut self) {
        self.host.take().expect("it runs").kill();
    }

    pub fn start(&mut self) {
        self.host = Some(self.world.start());
    }

    #[track_caller]
    pub fn tell(&self, arguments: &[&str]) -> String {
        let port = self.host.as_ref().map_or(1, |host| host.port);
        let output = laterna(&self.world.config(port), arguments);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    pub fn refused(&self, arguments: &[&str], says: &str) {
        let output = laterna(&self.world.config(self.host().port), arguments);
        assert!(
            !output.status.success() && said(&output).contains(says),
            "{says:?} is not in {:?}",
            said(&output)
        );
    }

    pub fn deploy(&self, component: &str) -> String {
        let file = guests::path(component).display().to_string();
        self.tell(&["deploy", "--projection", PROJECTION, &file])
    }

    pub fn generations(&self) -> Value {
        let told = self.tell(&["generations", "list", PROJECTION, "--json"]);
        serde_json::from_str(&told).expect("it is JSON")
    }

    pub async fn live(&self) -> i64 {
        let sql = format!("SELECT live_generation FROM {}.projection", self.world.control());
        self.world.number_if_any(&sql).await.unwrap_or_default()
    }

    pub async fn until_live(&self, generation: i64) {
        until(&format!("generation {generation} is live: {:?}", self.generations()), async || {
            self.live().await == generation
        })
        .await;
    }

    /// Writes events until the scene ends.
    pub fn write(&mut self) {
        let (outbox, done, sent) = (self.world.outbox.clone(), self.done.clone(), self.sent.clone());
        self.tasks.push(tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let from = sent.load(Ordering::Relaxed);
                outbox
                    .insert_many((from..from + AGGREGATES).map(document))
                    .await
                    .expect("documents are taken");
                sent.store(from + AGGREGATES, Ordering::Relaxed);
                some_time(100).await;
            }
        }));
    }

    /// Reads all the time, and demands that rows only ever become more.
    pub async fn read(&mut self) {
        let (mut connection, done) = (self.world.mysql().await, self.done.clone());
        self.tasks.push(tokio::spawn(async move {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                let counted = "SELECT CAST(COUNT(*) AS SIGNED) FROM stamped";
                let row = sqlx::Executor::fetch_one(&mut connection, counted).await;
                let rows: i64 = row.expect("the table is there").get(0);
                assert!(rows >= most, "{most} rows, and then {rows}");
                most = rows;
                some_time(1).await;
            }
        }));
    }

    /// Ends writing and reading, and demands that every event has its row.
    pub async fn end(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            task.await.expect("it saw nothing wrong");
        }
        self.assert_whole().await;
    }

    pub async fn assert_whole(&self) {
        let events = self.sent.load(Ordering::Relaxed);
        let world = &self.world;
        until(&format!("{events} events have rows"), async || {
            world.number_if_any("SELECT COUNT(*) FROM stamped").await == Some(events)
                && world.number_if_any("SELECT SUM(events) FROM last_seen").await == Some(events)
        })
        .await;
        assert_eq!(world.number("SELECT SUM(disorder) FROM last_seen").await, 0);
        assert_eq!(world.letters().await, (0, 0));
    }
}

async fn tables_are_made_anew(options: Options) {
    let mut scene = Scene::new(options, 3000).await;
    let world = &scene.world;
    // What somebody did by hand.
    world.run(&format!("DELETE FROM {}.stamped WHERE event_id = 'e7'", world.name)).await;
    world
        .run(&format!("UPDATE {}.last_seen SET events = events + 5 WHERE aggregate_id = 'a3'", world.name))
        .await;
    world.run(&format!("CREATE VIEW {0}.seen AS SELECT * FROM {0}.stamped", world.name)).await;
    scene.write();
    let told = scene.tell(&["rebuild", PROJECTION]);
    assert!(told.contains("generation 2 is built"), "{told}");
    scene.until_live(2).await;
    // From here on nothing is missing any more.
    scene.read().await;
    some_time(500).await;
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(3).await;
    scene.end().await;
    let world = &scene.world;
    assert!(world.number("SELECT COUNT(*) FROM seen").await >= 3000, "views follow the name");
    let aside = scene.generations();
    let places: Vec<&str> =
        aside["aside"].as_array().expect("a list").iter().filter_map(|one| one["place"].as_str()).collect();
    assert_eq!(places, [1, 2].map(|number| format!("{}_g{number}_first", world.control())));
    let count = format!("SELECT COUNT(*) FROM {}.stamped", places[0]);
    assert!(world.number(&count).await >= 2999, "the first generation is kept as it was");
    scene.tell(&["generations", "drop", PROJECTION, "1"]);
    until("the schema is gone", async || {
        let sql =
            format!("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = '{}'", places[0]);
        world.number(&sql).await == 0
    })
    .await;
    until("nothing is left of it", async || {
        let tables = ["checkpoint", "dedupe", "deployment_lane", "generation"];
        let mut left = 0;
        for table in tables {
            let sql = format!("SELECT COUNT(*) FROM {}.{table} WHERE generation = 1", world.control());
            left += world.number(&sql).await;
        }
        left == 0
    })
    .await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_began_with_the_events_of_now_are_not_made_from_history_and_that_is_said_at_once() {
    let scene = Scene::new(Options { extra: "start = \"now\"", ..Options::mysql() }, 0).await;
    scene.host().until_phase(PROJECTION, "streaming").await;
    // Whatever else would have to be done first.
    scene.world.outbox.drop_indexes().await.expect("they are dropped");
    let says = "`first` has `start = \"now\"`, so its tables are not made from history";
    scene.refused(&["rebuild", PROJECTION], says);
    scene.refused(&["verify", PROJECTION], says);
    scene.refused(
        &["deploy", "--projection", PROJECTION, &guests::path("other-tables").display().to_string()],
        says,
    );
    assert_eq!(scene.generations()["aside"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_anew_beside_the_live_ones_and_take_their_place() {
    tables_are_made_anew(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_anew_on_mariadb() {
    tables_are_made_anew(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_other_tables_gets_them_and_the_way_back_is_short() {
    let mut scene = Scene::new(Options::mysql(), 1000).await;
    scene.read().await;
    scene.write();
    let told = scene.deploy("other-tables");
    assert!(told.contains("generation 2 is built"), "{told}");
    scene.until_live(2).await;
    until("the new component works", async || {
        scene.world.number_if_any("SELECT COUNT(*) FROM stamped WHERE more IS NULL").await.is_some()
            && scene.world.number("SELECT COUNT(*) FROM stamped WHERE component <> 'other_tables'").await == 0
    })
    .await;
    scene.tell(&["rollback", PROJECTION]);
    scene.until_live(1).await;
    let columns = "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND \
                   table_name = 'stamped' AND column_name = 'more'";
    assert_eq!(scene.world.number(columns).await, 0);
    scene.end().await;
    let kept = scene.generations();
    assert_eq!((&kept["live"]["generation"], &kept["aside"][0]["generation"]), (&1.into(), &2.into()));
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_generation_is_built_at_a_time() {
    let scene = Scene::new(Options::mysql(), 100).await;
    // A reader in an open transaction keeps the tables where they are.
    let mut reader = scene.world.mysql().await;
    sqlx::Executor::execute(&mut reader, "START TRANSACTION").await.expect("it begins");
    sqlx::Executor::fetch_all(&mut reader, "SELECT * FROM stamped LIMIT 1").await.expect("it reads");
    scene.tell(&["rebuild", PROJECTION]);
    until("it says what it waits for", async || {
        let waits = scene.generations()["aside"][0]["reason"].as_str().unwrap_or_default().to_owned();
        waits.contains("somebody has been reading a table")
    })
    .await;
    scene.refused(&["rebuild", PROJECTION], "one is built at a time");
    scene.refused(&["rollback", PROJECTION], "had one component only");
    // The live tables went on meanwhile, and do so now.
    scene.world.insert((100..200).map(document)).await;
    scene.sent.store(200, Ordering::Relaxed);
    scene.assert_whole().await;
    sqlx::Executor::execute(&mut reader, "COMMIT").await.expect("it ends");
    scene.until_live(2).await;
    scene.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_with_more_dead_letters_waits_for_an_operators_word() {
    let mut scene = Scene::new(Options::mysql(), 300).await;
    // Its tables differ, and it refuses some events.
    scene.deploy("picky-tables");
    until("it waits", async || {
        let waits = scene.generations()["aside"][0]["reason"].as_str().unwrap_or_default().to_owned();
        waits.contains("dead letters")
            && waits.contains(": rejected)")
            && waits.contains("laterna generations accept first 2")
    })
    .await;
    assert_eq!(scene.live().await, 1);
    assert_eq!(scene.world.number("SELECT COUNT(*) FROM stamped").await, 300);
    scene.tell(&["generations", "drop", PROJECTION]);
    until("it is gone", async || scene.generations()["aside"].as_array().is_some_and(Vec::is_empty)).await;
    scene.deploy("picky-tables");
    until("it waits again", async || scene.generations()["aside"][0]["reason"].is_string()).await;
    scene.tell(&["generations", "accept", PROJECTION]);
    scene.until_live(3).await;
    let parked = scene.world.letters().await.0;
    assert!(parked > 0, "its dead letters are the projection's now");
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_history_can_be_looked_at_and_never_becomes_live() {
    let world = World::with(&[(PROJECTION, "first")], Options::mysql()).await;
    let dated = |n: i64| {
        let mut document = document(n);
        let at = bson::DateTime::from_millis(1_767_225_600_000 + n * 1000);
        document.insert("occurredAt", at);
        document
    };
    world.insert((0..400).map(dated)).await;
    let mut scene = Scene::of(world, 400).await;
    scene.refused(&["rebuild", PROJECTION, "--until", "yesterday"], "2026-01-31T12:00:00Z");
    scene.refused(&["rebuild", PROJECTION, "--only-aggregate", "a7"], "account/42");
    scene.tell(&["rebuild", PROJECTION, "--until", "2026-01-01T01:01:39+01:00"]);
    let kept = |count: usize| {
        let scene = &scene;
        async move {
            until("it is kept", async || {
                let told = scene.generations();
                let aside = told["aside"].as_array().expect("a list");
                aside.len() == count && aside.iter().all(|one| one["state"] == "kept")
            })
            .await;
        }
    };
    kept(1).await;
    let rows = |number| format!("SELECT COUNT(*) FROM {}_g{number}_first.stamped", scene.world.control());
    assert_eq!(scene.world.number(&rows(2)).await, 100, "up to second 99");
    scene.tell(&["rebuild", PROJECTION, "--only-aggregate", "thing/a7"]);
    kept(2).await;
    assert_eq!(scene.world.number(&rows(3)).await, 10);
    scene.refused(&["generations", "return", PROJECTION, "3"], "a part of history only");
    assert_eq!(scene.live().await, 1);
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_names_is_built_beside_where_its_tables_differ() {
    let mut scene = Scene::new(Options::mysql(), 500).await;
    scene.kill();
    let (first, other) = (guests::path("first"), guests::path("other-tables"));
    let port = crate::support::world::free_port();
    let path = scene.world.config(port);
    let text = std::fs::read_to_string(&path).expect("a configuration");
    let text = text.replace(&first.display().to_string(), &other.display().to_string());
    std::fs::write(&path, text).expect("it is written");
    let host = Host::start(&path, port);
    until("generation 2 is live", async || scene.live().await == 2).await;
    until("it goes on", async || {
        host.status(PROJECTION).await.is_some_and(|status| status["component"] == "stamped other_tables")
    })
    .await;
    host.kill();
    // What is in force stays; the configuration has brought nothing new.
    let host = Host::start(&path, port);
    some_time(1500).await;
    assert_eq!(scene.live().await, 2);
    host.kill();
    scene.start();
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_generation_becomes_live_when_it_is_as_far_as_the_live_one() {
    // It rests for nineteen times as long as each batch took, and is behind by as much.
    let options = Options { extra: "rebuild_percent = 5", ..Options::mysql() };
    let mut scene = Scene::new(options, 100).await;
    scene.read().await;
    scene.write();
    for generation in 2..=3 {
        scene.tell(&["rebuild", PROJECTION]);
        scene.until_live(generation).await;
    }
    scene.end().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_is_paused_is_rebuilt_and_stays_paused() {
    let mut scene = Scene::new(Options::mysql(), 300).await;
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    scene.host().until_phase(PROJECTION, "paused").await;
    scene.write();
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    // What was written until it was ready is in it.
    assert!(scene.world.number("SELECT COUNT(*) FROM stamped").await > 300);
    scene.host().until_phase(PROJECTION, "paused").await;
    scene.tell(&["resume", PROJECTION]);
    scene.end().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn live_tables_that_are_broken_are_cured_by_a_rebuild() {
    let mut scene = Scene::new(Options::mysql(), 500).await;
    let world = &scene.world;
    scene.host().signal("STOP");
    world.run(&format!("DROP TABLE {}.last_seen", world.name)).await;
    scene.host().signal("CONT");
    world.insert((500..600).map(document)).await;
    scene.sent.store(600, Ordering::Relaxed);
    scene.host().until_phase(PROJECTION, "paused").await;
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_whose_place_in_the_stream_is_lost_is_cured_by_a_rebuild() {
    let mut scene = Scene::new(Options::mysql(), 300).await;
    scene.kill();
    // A token that is damaged. (One from before the oplog's beginning is no loss where nothing was ever overwritten.)
    let token = r#"{"stream":{"token":{"data":"823B9ACA000000000129296E04"}}}"#;
    let control = scene.world.control();
    scene.world.run(&format!("UPDATE {control}.checkpoint SET position = '{token}'")).await;
    scene.world.insert((300..400).map(document)).await;
    scene.sent.store(400, Ordering::Relaxed);
    scene.start();
    scene.host().until_phase(PROJECTION, "paused").await;
    scene.tell(&["rebuild", PROJECTION]);
    scene.until_live(2).await;
    scene.assert_whole().await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_with_foreign_keys_change_places() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("family", options).await;
        let born = |n: i64| event(&format!("b{n}"), &format!("p{n}"), 1, doc! { "is": true });
        let knows = |n: i64| {
            // History comes by aggregate: whoever is known stands before whoever knows.
            let payload = doc! { "knows": "p0" };
            event(&format!("k{n}"), &format!("p{}", n % 10), 2 + n / 10, payload)
        };
        world.insert((0..10).map(born)).await;
        world.insert((0..190).map(knows)).await;
        let host = world.start();
        world.until_committed("family", 200).await;
        let config = world.config(host.port);
        for generation in 2..=3 {
            let output = laterna(&config, &["rebuild", "family"]);
            assert!(output.status.success(), "{}", said(&output));
            let sql = format!("SELECT live_generation FROM {}.projection", world.control());
            until(&format!("generation {generation} is live"), async || {
                world.number(&sql).await == generation
            })
            .await;
        }
        // The keys point at the tables beside them, in both places.
        let outside = "SELECT COUNT(*) FROM information_schema.key_column_usage \
                       WHERE referenced_table_schema IS NOT NULL AND referenced_table_schema <> table_schema";
        assert_eq!(world.number(outside).await, 0);
        let keys = "SELECT COUNT(*) FROM information_schema.key_column_usage \
                    WHERE table_schema = DATABASE() AND referenced_table_name IS NOT NULL";
        assert!(world.number(keys).await > 0);
        world.insert((190..290).map(knows)).await;
        let told = format!("SELECT SUM(events) FROM {}.checkpoint WHERE generation = 3", world.control());
        until("it goes on", async || world.number(&told).await == 300).await;
        assert_eq!(world.letters().await, (0, 0));
        host.kill();
    }
}
