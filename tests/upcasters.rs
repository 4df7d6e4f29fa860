//! Upcasters: what an event becomes before a projector sees it. All that one event becomes is applied together or not at
//! all, and what is deployed is the pair of projector and upcaster.

use std::path::Path;
use std::process::Output;

use bson::{Document, doc};
use rand::Rng;
use serde_json::Value;
use sqlx::Row;

use crate::guests;
use crate::support::world::{event, free_port, said};
use crate::support::{Host, Options, World, random, some_time, until};

/// The projector takes one event type only.
const COMPONENT: &str = "picky-happened";
const PROJECTION: &str = "picky_happened";

/// A host whose configuration names an upcaster.
fn start_behind(world: &World, upcaster: &Path) -> Host {
    let port = free_port();
    let config = world.config(port);
    let text = std::fs::read_to_string(&config).expect("it was written");
    let text = format!("{text}\n[upcaster]\ncomponent = \"{}\"\n", upcaster.display());
    std::fs::write(&config, text).expect("it can be written");
    Host::start(&config, port)
}

fn laterna(world: &World, host: &Host, arguments: &[&str]) -> Output {
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    crate::support::world::laterna(&config, arguments)
}

#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn deploy(world: &World, host: &Host, projection: &str, component: &str, more: &[&str]) -> Output {
    let file = guests::path(component).display().to_string();
    laterna(world, host, &[&["deploy", "--projection", projection, &file], more].concat())
}

fn deployments(world: &World, host: &Host, projection: &str) -> Value {
    let told = done(&laterna(world, host, &["deployments", projection, "--json"]));
    serde_json::from_str(&told).expect("it is JSON")
}

/// An event of a type that the upcasters of these tests take.
fn of_type(event_type: &str, id: &str, aggregate: &str, sequence: i64, payload: Document) -> Document {
    let mut document = event(id, aggregate, sequence, payload);
    document.insert("type", event_type);
    document
}

/// The ids and notes of the rows.
async fn picked(world: &World) -> Vec<(String, String)> {
    let sql = "SELECT event_id, note FROM picked ORDER BY event_id";
    let text = |row: &sqlx::mysql::MySqlRow, column: usize| {
        String::from_utf8(row.get::<Vec<u8>, _>(column)).expect("it is text")
    };
    world.rows(sql).await.iter().map(|row| (text(row, 0), text(row, 1))).collect()
}

async fn ids(world: &World) -> Vec<String> {
    picked(world).await.into_iter().map(|(id, _)| id).collect()
}

async fn until_component(host: &Host, projection: &str, says: impl Fn(&str) -> bool) {
    until("the component is given to the lanes", async || {
        let status = host.status(projection).await;
        status.is_some_and(|status| status["component"].as_str().is_some_and(&says))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_versions_make_rows_splits_are_numbered_and_types_are_filtered_afterwards() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new(COMPONENT, options).await;
        let host = start_behind(&world, &guests::path("upcaster"));
        let of = vec![doc! { "do": "ok" }, doc! { "do": "nothing" }, doc! { "do": "ok" }];
        world
            .insert([
                event("new", "a", 1, doc! { "do": "ok" }),
                of_type("Old", "old", "a", 2, doc! { "was": "ok" }),
                of_type("Bundle", "bundle", "a", 3, doc! { "of": of }),
                of_type("Dropped", "dropped", "a", 4, doc! {}),
                of_type("Else", "else", "a", 5, doc! {}),
            ])
            .await;
        world.until_committed(PROJECTION, 5).await;
        assert_eq!(ids(&world).await, ["bundle#1", "bundle#3", "new", "old"]);
        assert_eq!(world.letters().await, (0, 0));
        // What the upcaster made nothing of is told apart from what nobody takes.
        let sql = format!("SELECT SUM(ignored) FROM {}.checkpoint", world.control());
        assert_eq!(world.number(&sql).await, 1);
        until("it is shown", async || {
            host.status(PROJECTION).await.is_some_and(|status| status["ignored"] == 1)
        })
        .await;
        let (_, metrics) = host.get("/metrics").await.expect("it answers");
        for expect in ["verdict=\"ignored\"} 1", "verdict=\"unhandled\"} 1", "laterna_upcaster_fuel"] {
            assert!(metrics.contains(expect), "{expect}: {metrics}");
        }
        let told = done(&laterna(&world, &host, &["status"]));
        assert!(told.contains("the upcaster made nothing of 1 event"), "{told}");
        assert!(told.contains("behind upcasts upcaster"), "{told}");
        assert!(host.stop().await.success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_event_becomes_is_applied_all_together_or_not_at_all() {
    let world = World::new(COMPONENT, Options::mysql()).await;
    let host = start_behind(&world, &guests::path("upcaster"));
    let many = doc! { "do": "many-operations", "size": 6000 };
    let of = |last: &str| vec![doc! { "do": "ok" }, doc! { "do": "ok" }, doc! { "do": last }];
    world
        .insert([
            event("before", "a", 1, doc! { "do": "ok" }),
            of_type("Bundle", "server", "a", 2, doc! { "of": of("deep") }),
            event("behind", "a", 3, doc! { "do": "ok" }),
            of_type("Bundle", "projector", "b", 1, doc! { "of": of("invalid") }),
            event("other", "c", 1, doc! { "do": "ok" }),
            // Each of them is within the budget of an event, and both together are not.
            of_type("Bundle", "large", "d", 1, doc! { "of": vec![many; 2] }),
        ])
        .await;
    world.until_committed(PROJECTION, 6).await;
    assert_eq!(ids(&world).await, ["before", "other"]);
    assert_eq!(world.letters().await, (3, 1));
    let reasons = world.reasons().await;
    assert_eq!(reasons["server"].0, "refused-value");
    assert_eq!(reasons["projector"].0, "rejected");
    assert_eq!(reasons["large"].0, "output-too-large", "{reasons:?}");
    // The letter is the document as it was written.
    let sql =
        format!("SELECT event_type, document FROM {}.dead_letter WHERE event_id = 'server'", world.control());
    let row = &world.rows(&sql).await[0];
    assert_eq!(row.get::<String, _>(0), "Bundle");
    let document = Document::from_reader(&mut row.get::<Vec<u8>, _>(1).as_slice()).expect("it is BSON");
    assert_eq!(document.get_str("type").expect("it has one"), "Bundle");
    // And a replay does the same again.
    done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all"]));
    assert_eq!(ids(&world).await, ["before", "other"]);
    assert_eq!(world.letters().await, (3, 1));
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_an_old_version_replays_with_an_upcaster_that_is_deployed_later() {
    let world = World::new(COMPONENT, Options::mysql()).await;
    let host = world.start();
    world.insert([of_type("Happened", "old", "a", 1, doc! { "was": "ok" })]).await;
    world.insert([event("behind", "a", 2, doc! { "do": "ok" })]).await;
    world.until_committed(PROJECTION, 2).await;
    assert_eq!(world.letters().await, (1, 1));
    // Without a cure a replay changes nothing; this one maps the first version of the same type.
    done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all"]));
    assert_eq!(world.letters().await, (1, 1));
    let shadow = deploy(&world, &host, PROJECTION, "upcaster-happened", &["--shadow", "2"]);
    assert!(!shadow.status.success(), "{}", said(&shadow));
    assert!(
        said(&shadow).contains("1 of the last 2 events would be projected otherwise"),
        "{}",
        said(&shadow)
    );
    done(&deploy(&world, &host, PROJECTION, "upcaster-happened", &[]));
    until_component(&host, PROJECTION, |told| told.ends_with("behind upcasts upcaster_happened")).await;
    let told = done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all", "--dry-run"]));
    assert!(told.contains('2'), "{told}");
    done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all"]));
    assert_eq!(world.letters().await, (0, 0));
    assert_eq!(ids(&world).await, ["behind", "old"]);
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_upcaster_must_not_do_parks_the_event_under_its_name() {
    let extra = "budget.fuel = 20000000";
    let world = World::new(COMPONENT, Options { extra, ..Options::mysql() }).await;
    let host = start_behind(&world, &guests::path("upcaster"));
    let told = [
        ("Moved", "it changes the aggregate from thing/Moved to thing/elsewhere"),
        ("Broken", "told to panic"),
        ("Endless", "it used up its budget of 20000000 fuel"),
        ("Wrong", "it rejected the event as invalid: told to reject"),
        ("Many", "it makes 101 events of one, at most 100 are taken"),
    ];
    let bad = told.map(|(name, _)| of_type(name, name, name, 1, doc! { "many": 101 }));
    world.insert(bad).await;
    world.insert([of_type("Many", "most", "most", 1, doc! { "many": 100 })]).await;
    world.until_committed(PROJECTION, 6).await;
    assert_eq!(ids(&world).await.len(), 100);
    let reasons = world.reasons().await;
    assert_eq!(reasons.len(), told.len());
    for (name, expect) in told {
        let (class, reason) = &reasons[name];
        assert_eq!(class, "upcaster", "{reason}");
        assert!(reason.starts_with("the upcaster `upcasts` upcaster fails on the event: "), "{reason}");
        assert!(reason.contains(expect) && !reason.contains("the projector"), "{reason}");
    }
    let listed = done(&laterna(&world, &host, &["dlq", "list", PROJECTION, "--reason", "upcaster"]));
    assert!(listed.contains("Moved") && listed.contains("Endless"), "{listed}");
    assert!(!host.log().contains("told to panic\n"), "what the guest said of an event is in the letter only");
    assert!(host.stop().await.success());
}

/// An upcaster that fails what the one before takes is taken back, and nothing is parked.
async fn taken_back(upcaster: &str) {
    let world = World::new(COMPONENT, Options::mysql()).await;
    let host = start_behind(&world, &guests::path("upcaster"));
    let old = |n: i64| {
        of_type("Old", &format!("e{n:03}"), &format!("a{}", n % 20), n / 20 + 1, doc! { "was": "ok" })
    };
    world.insert((0..100).map(old)).await;
    world.until_committed(PROJECTION, 100).await;
    done(&deploy(&world, &host, PROJECTION, upcaster, &["--canary", "300"]));
    let name = upcaster.replace('-', "_");
    until_component(&host, PROJECTION, |told| told.ends_with(&name)).await;
    world.insert((100..300).map(old)).await;
    world.until_committed(PROJECTION, 300).await;
    assert_eq!(world.letters().await, (0, 0));
    assert_eq!(ids(&world).await.len(), 300);
    until_component(&host, PROJECTION, |told| told.ends_with("behind upcasts upcaster")).await;
    until("it is recorded", async || {
        deployments(&world, &host, PROJECTION)["deployments"][0]["state"] == "taken-back"
    })
    .await;
    let told = deployments(&world, &host, PROJECTION);
    let one = &told["deployments"][0];
    assert_eq!(one["upcaster"]["version"], *name);
    assert!(one["reason"].as_str().is_some_and(|reason| reason.contains("takes")), "{one}");
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upcaster_that_traps_on_what_the_one_before_takes_is_taken_back() {
    taken_back("upcaster-worse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upcaster_whose_events_lead_to_values_that_the_server_refuses_is_taken_back() {
    taken_back("upcaster-other").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pair_is_what_is_deployed_recorded_rolled_back_and_used_after_a_restart() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    let triple = |n: i64| of_type("Triple", &format!("e{n}"), "a", n, doc! {});
    world.insert([event("e0", "b", 1, doc! {})]).await;
    world.until_committed("first", 1).await;
    done(&deploy(&world, &host, "first", "upcaster", &[]));
    until_component(&host, "first", |told| told == "stamped first behind upcasts upcaster").await;
    world.insert([triple(1)]).await;
    world.until_committed("first", 2).await;
    // Another projector stays behind the same upcaster.
    done(&deploy(&world, &host, "first", "second", &[]));
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster").await;
    world.insert([triple(2)]).await;
    world.until_committed("first", 3).await;
    let told = deployments(&world, &host, "first");
    let [now, before, alone] = [0, 1, 2].map(|at| told["deployments"][at].clone());
    assert_eq!(now["upcaster"], before["upcaster"]);
    assert_ne!(now["projector"], before["projector"]);
    assert_ne!(now["digest"], now["projector"]);
    assert_eq!((&alone["upcaster"], &alone["digest"]), (&Value::Null, &alone["projector"]));
    assert_eq!(before["projector"], alone["projector"]);
    let lanes = told["lanes"].as_array().expect("a list");
    assert!(lanes.iter().any(|lane| lane["digest"] == now["digest"]), "{lanes:?}");
    let stored = format!("SELECT COUNT(*) FROM {}.component", world.control());
    assert_eq!(world.number(&stored).await, 3, "each component once");
    assert!(host.stop().await.success());
    // Nothing but the control schema knows of the upcaster.
    let host = world.start();
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster").await;
    done(&laterna(&world, &host, &["rollback", "first"]));
    until_component(&host, "first", |told| told == "stamped first behind upcasts upcaster").await;
    world.insert([triple(3)]).await;
    world.until_committed("first", 4).await;
    let made = async |component: &str| {
        world.number(&format!("SELECT COUNT(*) FROM stamped WHERE component = '{component}'")).await
    };
    assert_eq!((made("first").await, made("second").await), (7, 3));
    assert_eq!(world.number("SELECT SUM(disorder) FROM last_seen").await, 0);
    let shown = done(&laterna(&world, &host, &["deployments", "first"]));
    assert!(shown.contains("upcasts upcaster ("), "{shown}");
    // And without one.
    done(&deploy(&world, &host, "first", "first", &["--without-upcaster"]));
    until_component(&host, "first", |told| told == "stamped first").await;
    let refused = deploy(&world, &host, "first", "upcaster", &["--without-upcaster"]);
    assert!(!refused.status.success() && said(&refused).contains("takes a projector's file"));
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_upcaster_in_the_configuration_is_deployed_and_undoes_no_other_deployment() {
    let world = World::new("first", Options::mysql()).await;
    let host = start_behind(&world, &guests::path("upcaster"));
    host.until_phase("first", "streaming").await;
    done(&deploy(&world, &host, "first", "second", &[]));
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster").await;
    assert!(host.stop().await.success());
    // The same is no news.
    let host = start_behind(&world, &guests::path("upcaster"));
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster").await;
    assert!(host.stop().await.success());
    let host = start_behind(&world, &guests::path("upcaster-other"));
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster_other").await;
    assert!(host.stop().await.success());
    // A configuration without one takes nothing away, and says so.
    let host = world.start();
    until_component(&host, "first", |told| told == "stamped second behind upcasts upcaster_other").await;
    assert!(host.log().contains("--without-upcaster"), "{}", host.log());
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_made_anew_are_made_by_the_pair() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    let triple = |n: i64| of_type("Triple", &format!("e{n}"), &format!("a{}", n % 5), n / 5 + 1, doc! {});
    world.insert((0..50).map(triple)).await;
    world.until_committed("first", 50).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped").await, 50, "nobody splits them yet");
    done(&deploy(&world, &host, "first", "upcaster", &["--canary", "0"]));
    until_component(&host, "first", |told| told == "stamped first behind upcasts upcaster").await;
    let live = format!("SELECT live_generation FROM {}.projection", world.control());
    done(&laterna(&world, &host, &["rebuild", "first"]));
    until("the rebuilt tables are live", async || world.number(&live).await == 2).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped WHERE event_id LIKE '%#_'").await, 150);
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped").await, 150);
    done(&deploy(&world, &host, "first", "other-tables", &[]));
    until("the other tables are live", async || world.number(&live).await == 3).await;
    until_component(&host, "first", |told| told == "stamped other_tables behind upcasts upcaster").await;
    world.insert((50..60).map(triple)).await;
    until("new events are split, too", async || {
        world.number("SELECT COUNT(*) FROM stamped WHERE component = 'other_tables'").await == 180
    })
    .await;
    assert_eq!(world.number("SELECT SUM(disorder) FROM last_seen").await, 0);
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_sent_again_is_not_split_again() {
    let world = World::new(COMPONENT, Options::mysql()).await;
    let host = start_behind(&world, &guests::path("upcaster"));
    let of = vec![doc! { "do": "ok" }; 3];
    let bundle = of_type("Bundle", "bundle", "a", 1, doc! { "of": of });
    world.insert([bundle.clone()]).await;
    world.until_committed(PROJECTION, 1).await;
    world.outbox.delete_one(doc! { "_id": "bundle" }).await.expect("it is deleted");
    world.insert([bundle]).await;
    world.until_committed(PROJECTION, 2).await;
    assert_eq!(ids(&world).await, ["bundle#1", "bundle#2", "bundle#3"]);
    assert_eq!(world.letters().await, (0, 0));
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    assert!(metrics.contains("verdict=\"duplicate\"} 1"), "{metrics}");
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_random_loses_and_doubles_nothing_of_what_events_become() {
    const EVENTS: i64 = 12_000;
    const AGGREGATES: i64 = 2_000;
    let mut rng = random("host with an upcaster killed");
    let world = World::new("recorder", Options::mysql()).await;
    let document = |n: i64| {
        let (aggregate, sequence) = (n % AGGREGATES, n / AGGREGATES + 1);
        of_type("Triple", &format!("e{n}"), &format!("a{aggregate}"), sequence, doc! {})
    };
    world.insert((0..EVENTS / 3).map(document)).await;
    let outbox = world.outbox.clone();
    let writing = tokio::spawn(async move {
        let rest: Vec<_> = (EVENTS / 3..EVENTS).map(document).collect();
        for chunk in rest.chunks(1000) {
            outbox.insert_many(chunk).await.expect("documents are taken");
            some_time(500).await;
        }
    });
    for _ in 0..8 {
        let host = start_behind(&world, &guests::path("upcaster"));
        some_time(rng.random_range(300..1200)).await;
        host.kill();
    }
    let _host = start_behind(&world, &guests::path("upcaster"));
    writing.await.expect("the writer is done");
    world.until_committed("recorder", EVENTS).await;
    assert_eq!(world.letters().await, (0, 0));
    world.assert_recorded(3 * EVENTS, AGGREGATES).await;
    let numbered = "SELECT COUNT(DISTINCT event_id) FROM recorded WHERE event_id LIKE 'e%#_'";
    assert_eq!(world.number(numbered).await, 3 * EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upcaster_is_inspected_tried_checked_and_refused_where_it_does_not_belong() {
    let world = World::new(COMPONENT, Options::mysql()).await;
    let upcaster = guests::path("upcaster").display().to_string();
    let projector = guests::path(COMPONENT).display().to_string();
    let port = free_port();
    let config = world.config(port);
    let run = |arguments: &[&str]| crate::support::world::laterna(&config, arguments);
    let told = done(&run(&["inspect", &upcaster]));
    assert!(told.contains("upcaster    upcasts upcaster") && told.contains("Old, Bundle"), "{told}");
    assert!(told.contains("laterna:projection/upcasting@0.1.0"), "{told}");
    let told: Value = serde_json::from_str(&done(&run(&["inspect", &upcaster, "--json"]))).expect("JSON");
    assert_eq!(told["upcaster"]["name"], "upcasts");

    let events = world.folder.path().join("events.jsonl");
    let of = vec![doc! { "do": "ok" }, doc! { "do": "invalid" }];
    let documents = [
        of_type("Old", "e1", "a", 1, doc! { "was": "ok" }),
        of_type("Bundle", "e2", "a", 2, doc! { "of": of }),
        of_type("Dropped", "e3", "a", 3, doc! {}),
        of_type("Moved", "e4", "a", 4, doc! {}),
        event("e5", "a", 5, doc! { "do": "ok" }),
    ];
    let lines: Vec<String> =
        documents.iter().map(|one| serde_json::to_string(one).expect("it is JSON")).collect();
    std::fs::write(&events, lines.join("\n")).expect("they are written");
    let file = events.display().to_string();
    let tried = run(&["test", &projector, "--upcaster", &upcaster, "--events", &file]);
    assert_eq!(tried.status.code(), Some(1), "{}", said(&tried));
    let told = said(&tried);
    for expect in [
        "-- becomes Happened, version 2, event e1: {\"do\":\"ok\"}\nINSERT INTO `picked`",
        "-- becomes Happened, version 2, event e2#1: {\"do\":\"ok\"}\n-- not applied: it stands or falls",
        "event e2#2: {\"do\":\"invalid\"}\n-- FAILED, rejected",
        "-- ignored: the upcaster makes nothing of it",
        "-- FAILED, upcaster: the upcaster `upcasts` upcaster fails on the event: event 1 of 1: it changes",
        "5 events, 2 statements, 0 passed by, 2 failed, 4 upcast to 3, 1 ignored",
    ] {
        assert!(told.contains(expect), "{expect}: {told}");
    }
    let alone = said(&run(&["test", &upcaster, "--events", &file]));
    assert!(alone.contains("event e2#2: {\"do\":\"invalid\"}\n") && !alone.contains("INSERT"), "{alone}");

    let with = |component: &str| {
        let text = std::fs::read_to_string(&config).expect("it was written");
        let path = world.folder.path().join("with.toml");
        let text = format!("{text}\n[upcaster]\ncomponent = \"{component}\"\n");
        std::fs::write(&path, text).expect("it can be written");
        crate::support::world::laterna(&path, &["check"])
    };
    let told = said(&with(&upcaster));
    assert!(told.contains("ok    upcaster: upcasts upcaster ("), "{told}");
    // A projector is no upcaster, and the other way round.
    let refused = with(&projector);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("it is a projector, whose place is"), "{}", said(&refused));
    let text = std::fs::read_to_string(&config).expect("it was written").replace(&projector, &upcaster);
    let path = world.folder.path().join("wrong.toml");
    std::fs::write(&path, text).expect("it can be written");
    let refused = crate::support::world::laterna(&path, &["check"]);
    assert!(said(&refused).contains("it is an upcaster, whose place is"), "{}", said(&refused));
}
