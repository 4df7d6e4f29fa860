//! Another component while the projection runs: taken up between two batches of each lane, refused where it does not fit,
//! taken back where it fails what the one before takes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bson::{Document, doc};
use laterna::event::{Aggregate, Id, lane_of};
use serde_json::Value;
use sqlx::Row;

use crate::guests;
use crate::support::world::{event, free_port};
use crate::support::{Host, Options, World, some_time, until};

const PROJECTION: &str = "first";
const AGGREGATES: i64 = 40;

fn laterna(world: &World, host: &Host, arguments: &[&str]) -> Output {
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    crate::support::world::laterna(&config, arguments)
}

/// Runs `laterna deploy`, and gives what came of it.
fn deploy(world: &World, host: &Host, file: &Path, more: &[&str]) -> Output {
    let file = file.display().to_string();
    let arguments = [&["deploy", "--projection", PROJECTION, &file], more].concat();
    laterna(world, host, &arguments)
}

fn deploy_named(world: &World, host: &Host, component: &str, more: &[&str]) -> Output {
    deploy(world, host, &guests::path(component), more)
}

#[track_caller]
fn done(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    told
}

#[track_caller]
fn refused(output: &Output, says: &str) {
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains(says), "{says:?} is not in {told:?}");
}

/// What `laterna deployments` tells.
fn deployments(world: &World, host: &Host) -> Value {
    let told = done(&laterna(world, host, &["deployments", PROJECTION, "--json", "--limit", "1000"]));
    serde_json::from_str(&told).expect("it is JSON")
}

/// The component's own name, and the state, of the last deployment.
fn last(world: &World, host: &Host) -> (String, String) {
    let told = deployments(world, host);
    let text = |field: &str| told["deployments"][0][field].as_str().expect("it is told").to_owned();
    (text("version"), text("state"))
}

/// Waits until the host's lanes are given this component.
async fn until_given(host: &Host, component: &str) {
    until(&format!("{component} is given to the lanes"), async || {
        host.status(PROJECTION)
            .await
            .is_some_and(|status| status["component"] == format!("stamped {component}"))
    })
    .await;
}

/// Writes events of many aggregates until it is told to stop; gives how many.
fn write(world: &World, done: Arc<AtomicBool>, sent: Arc<AtomicI64>) -> tokio::task::JoinHandle<()> {
    let outbox = world.outbox.clone();
    tokio::spawn(async move {
        while !done.load(Ordering::Relaxed) {
            let from = sent.load(Ordering::Relaxed);
            outbox.insert_many((from..from + AGGREGATES).map(document)).await.expect("documents are taken");
            sent.store(from + AGGREGATES, Ordering::Relaxed);
            some_time(10).await;
        }
    })
}

fn document(n: i64) -> Document {
    event(&format!("e{n}"), &format!("a{}", n % AGGREGATES), n / AGGREGATES + 1, doc! {})
}

/// Every event has one row, in order within its aggregate, and nothing is parked.
async fn assert_whole(world: &World, events: i64) {
    world.until_committed(PROJECTION, events).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped").await, events);
    assert_eq!(world.number("SELECT SUM(events) FROM last_seen").await, events);
    assert_eq!(world.number("SELECT SUM(disorder) FROM last_seen").await, 0);
    assert_eq!(world.letters().await, (0, 0));
}

/// Compares each row with what the lanes' recorded positions say about its component.
async fn assert_stamped_as_recorded(world: &World, host: &Host, places: &BTreeMap<String, String>) {
    let told = deployments(world, host);
    let list = |field: &str| told[field].as_array().expect("a list").clone();
    let text = |value: &Value, field: &str| value[field].as_str().expect("a text").to_owned();
    let versions: BTreeMap<String, String> =
        list("deployments").iter().map(|one| (text(one, "digest"), text(one, "version"))).collect();
    let mut lanes: BTreeMap<u64, Vec<(String, String)>> = BTreeMap::new();
    for change in list("lanes") {
        let position: Value = serde_json::from_str(&text(&change, "position")).expect("a position");
        // A lane begins at the place that its first run began with.
        let token = position.pointer("/stream/token/data").and_then(Value::as_str);
        let token = token.unwrap_or_else(|| panic!("{position} has no token"));
        let version = versions[&text(&change, "digest")].clone();
        lanes
            .entry(change["lane"].as_u64().expect("a number"))
            .or_default()
            .push((token.to_owned(), version));
    }
    let count = u32::try_from(lanes.len()).expect("there are few");
    let rows =
        world.rows("SELECT event_id, aggregate_id, component FROM stamped WHERE event_id <> 'last'").await;
    let mut seen = BTreeMap::<String, u64>::new();
    for row in rows {
        let text = |column: usize| String::from_utf8(row.get(column)).expect("it is text");
        let (id, aggregate) = (text(0), text(1));
        let aggregate = Aggregate { kind: "thing".into(), id: Id::Text(aggregate.into()) };
        let changes = &lanes[&lane_of(&aggregate.key(), count).into()];
        let before = changes.iter().rev().find(|(token, _)| *token < places[&id]);
        let expected = &before.unwrap_or_else(|| panic!("nothing is recorded before {id}")).1;
        let found = text(2);
        assert_eq!(&found, expected, "{id} of {changes:?}");
        *seen.entry(found).or_default() += 1;
    }
    println!("{seen:?}");
    assert!(seen.len() == 2, "both components made rows: {seen:?}");
}

/// Goes over from one component to the other so many times under load.
pub async fn swaps(options: Options, times: usize) {
    let world = World::new("first", options).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let watched = world.outbox.clone();
    let mut stream = watched.watch().await.expect("it can be watched");
    let collected = tokio::spawn(async move {
        let mut places = BTreeMap::new();
        while let Some(change) = futures_util::StreamExt::next(&mut stream).await {
            let change = change.expect("a change");
            let token = serde_json::to_value(&change.id).expect("a token is text");
            let key = change.document_key.expect("an insert has a key");
            let id = key.get_str("_id").expect("a text").to_owned();
            if id == "last" {
                break;
            }
            places.insert(id, token["_data"].as_str().expect("a token has data").to_owned());
        }
        places
    });
    let writing = write(&world, stop.clone(), sent.clone());
    world.until_committed(PROJECTION, 200).await;
    for component in ["second", "first"].into_iter().cycle().take(times) {
        done(&deploy_named(&world, &host, component, &["--canary", "0"]));
        until_given(&host, component).await;
        let from = sent.load(Ordering::Relaxed);
        until("every lane has done some", async || sent.load(Ordering::Relaxed) > from + 2 * AGGREGATES)
            .await;
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.expect("the writer is done");
    let events = sent.load(Ordering::Relaxed);
    assert_whole(&world, events).await;
    world.insert([event("last", "a0", events, doc! {})]).await;
    let places = collected.await.expect("all were seen");
    assert_stamped_as_recorded(&world, &host, &places).await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_swapped_under_load_and_each_row_has_the_one_that_its_lane_had_on_mysql() {
    swaps(Options::mysql(), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_swapped_under_load_and_each_row_has_the_one_that_its_lane_had_on_mariadb() {
    swaps(Options::mariadb(), 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_and_the_component_in_force_goes_on() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    let none = world.folder.path().join("none.wasm");
    let half = world.folder.path().join("half.wasm");
    let bytes = guests::bytes("second");
    std::fs::write(&half, &bytes[..bytes.len() / 2]).expect("it can be written");
    refused(&deploy(&world, &host, &none, &[]), "cannot be read");
    refused(&deploy(&world, &host, &half, &[]), "half.wasm");
    refused(&deploy_named(&world, &host, "bad-foreign-table", &[]), "bad-foreign-table");
    refused(&deploy_named(&world, &host, "http-import", &[]), "wasi:http");
    // What the manifest says of the tables is not what the tables are: the database is asked before anything changes.
    world.run(&format!("ALTER TABLE {}.last_seen DROP COLUMN disorder", world.name)).await;
    refused(&deploy_named(&world, &host, "second", &["--dry-run"]), "disorder");
    assert_eq!(last(&world, &host).0, "first", "a dry run is no deployment");
    refused(&deploy_named(&world, &host, "second", &[]), "disorder");
    let mend = "ALTER TABLE {}.last_seen ADD COLUMN disorder BIGINT NOT NULL DEFAULT 0";
    world.run(&mend.replace("{}", &world.name)).await;
    let (version, state) = last(&world, &host);
    assert_eq!((version.as_str(), state.as_str()), ("second", "refused"));
    world.insert((40..80).map(document)).await;
    assert_whole(&world, 80).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped WHERE component <> 'first'").await, 0);
    assert!(host.stop().await.success());
}

/// A component that fails what the one before takes is taken back; nothing is parked, and the lanes never stop for long.
async fn taken_back(component: &str, options: Options) {
    let world = World::new("first", options).await;
    let host = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    done(&deploy_named(&world, &host, component, &["--canary", "300"]));
    until_given(&host, &component.replace('-', "_")).await;
    world.insert((40..400).map(document)).await;
    assert_whole(&world, 400).await;
    until_given(&host, "first").await;
    until("it is recorded", async || last(&world, &host).1 == "taken-back").await;
    let told = deployments(&world, &host);
    let reason = told["deployments"][0]["reason"].as_str().expect("it says why");
    assert!(reason.contains("which the component before takes"), "{reason}");
    // What the projector or the server said may be a value of the event, and no letter is there to be erased.
    for text in [reason, &host.log()] {
        assert!(!text.contains("rejected the event as invalid: "), "{text}");
        assert!(!text.contains("Data too long"), "{text}");
    }
    // So it is for whoever comes next.
    assert!(host.stop().await.success());
    let host = world.start();
    world.insert((400..440).map(document)).await;
    assert_whole(&world, 440).await;
    until_given(&host, "first").await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_traps_on_what_the_one_before_takes_is_taken_back() {
    taken_back("traps", Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_rejects_what_the_one_before_takes_is_taken_back() {
    taken_back("rejects", Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_loops_on_what_the_one_before_takes_is_taken_back() {
    taken_back("loops", Options { extra: "budget.fuel = 20000000", ..Options::mysql() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_whose_values_the_server_refuses_is_taken_back_on_mysql() {
    taken_back("too-long", Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_whose_values_the_server_refuses_is_taken_back_on_mariadb() {
    taken_back("too-long", Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_canary_window_and_for_what_both_fail_events_are_parked() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    done(&deploy_named(&world, &host, "rejects", &["--canary", "0"]));
    until_given(&host, "rejects").await;
    world.insert((0..120).map(document)).await;
    world.until_committed(PROJECTION, 120).await;
    assert_eq!(world.letters().await, (AGGREGATES, 0), "the third event of each aggregate");
    // The cure takes what is parked, and what both fail is parked again.
    done(&deploy_named(&world, &host, "traps", &["--canary", "300"]));
    until_given(&host, "traps").await;
    world.insert((120..240).map(document)).await;
    world.until_committed(PROJECTION, 240).await;
    assert_eq!(world.letters().await, (AGGREGATES, 3 * AGGREGATES));
    assert_eq!(last(&world, &host), ("traps".to_owned(), "deployed".to_owned()));
    done(&deploy_named(&world, &host, "second", &[]));
    until_given(&host, "second").await;
    done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all"]));
    assert_whole(&world, 240).await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_gives_the_component_before_also_after_a_restart_without_its_file() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    refused(&laterna(&world, &host, &["rollback", PROJECTION]), "none to go back to");
    let file = world.folder.path().join("brought.wasm");
    std::fs::write(&file, guests::bytes("second")).expect("it can be written");
    done(&deploy(&world, &host, &file, &[]));
    std::fs::remove_file(&file).expect("it can be removed");
    until_given(&host, "second").await;
    assert!(host.stop().await.success());
    // The configuration still names the first one, which is no news: what was deployed later stays.
    let host = world.start();
    until_given(&host, "second").await;
    world.insert((40..80).map(document)).await;
    world.until_committed(PROJECTION, 80).await;
    done(&laterna(&world, &host, &["rollback", PROJECTION]));
    until_given(&host, "first").await;
    world.insert((80..120).map(document)).await;
    assert_whole(&world, 120).await;
    let made = async |component: &str| {
        world.number(&format!("SELECT COUNT(*) FROM stamped WHERE component = '{component}'")).await
    };
    assert_eq!((made("first").await, made("second").await), (80, 40));
    assert!(host.stop().await.success());
}

/// A host whose configuration names another component.
fn start_with(world: &World, component: &str) -> Host {
    let port = free_port();
    let config = world.config(port);
    let text = std::fs::read_to_string(&config).expect("it was written");
    let (old, new) = (guests::path("first"), guests::path(component));
    let text = text.replace(&old.display().to_string(), &new.display().to_string());
    std::fs::write(&config, text).expect("it can be written");
    Host::start(&config, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_in_the_configuration_is_deployed_once_and_an_old_host_does_not_bring_its_own_back()
{
    let world = World::new("first", Options::mysql()).await;
    let old = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    let new = start_with(&world, "second");
    new.until_phase(PROJECTION, "standby").await;
    assert!(old.stop().await.success());
    until_given(&new, "second").await;
    let old = world.start();
    old.until_phase(PROJECTION, "standby").await;
    assert!(new.stop().await.success());
    old.until_phase(PROJECTION, "streaming").await;
    until_given(&old, "second").await;
    assert!(old.stop().await.success());
    // What is being built holds up none, and is given up.
    let busy = format!(
        "INSERT INTO {}.generation (projection, generation, place, purpose, state, digest, table_names, expected, origin, \
         requested_by) VALUES ('{PROJECTION}', 9, 'nowhere', 'verify', 'building', REPEAT('0', 64), '[]', 0, 'command', 'me')",
        world.control()
    );
    world.run(&busy).await;
    let late = start_with(&world, "rejects");
    until_given(&late, "rejects").await;
    assert_eq!(last(&world, &late), ("rejects".to_owned(), "deployed".to_owned()));
    let beside = format!("SELECT COUNT(*) FROM {}.generation", world.control());
    until("what was being built is gone", async || world.number(&beside).await == 0).await;
    assert!(late.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_names_what_is_in_force_keeps_the_way_back() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    done(&deploy_named(&world, &host, "second", &[]));
    until_given(&host, "second").await;
    assert!(host.stop().await.success());
    let host = start_with(&world, "second");
    until_given(&host, "second").await;
    done(&laterna(&world, &host, &["rollback", PROJECTION]));
    until_given(&host, "first").await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_projector_is_paused_by_its_breaker_and_the_cure_lets_the_events_go_on() {
    let extra = "breaker = { aggregates = 5, seconds = 60, percent = 10 }";
    let world = World::new("first", Options { extra, ..Options::mysql() }).await;
    let host = world.start();
    host.until_phase(PROJECTION, "streaming").await;
    done(&deploy_named(&world, &host, "rejects", &["--canary", "0"]));
    until_given(&host, "rejects").await;
    world.insert((0..400).map(document)).await;
    host.until_phase(PROJECTION, "paused").await;
    done(&deploy_named(&world, &host, "second", &[]));
    until_given(&host, "second").await;
    host.until_phase(PROJECTION, "streaming").await;
    let (parked, _) = world.letters().await;
    assert!(parked < 5, "{parked} were parked before it opened");
    if parked > 0 {
        done(&laterna(&world, &host, &["dlq", "replay", PROJECTION, "--all"]));
    }
    assert_whole(&world, 400).await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_takes_more_fuel_is_seen_beside_the_one_before() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    world.insert((0..400).map(document)).await;
    world.until_committed(PROJECTION, 400).await;
    done(&deploy_named(&world, &host, "slower", &[]));
    until_given(&host, "slower").await;
    world.insert((400..800).map(document)).await;
    world.until_committed(PROJECTION, 800).await;
    let told = done(&laterna(&world, &host, &["status", "--json"]));
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    let components = told[0]["components"].as_array().expect("a list");
    let names: Vec<&str> = components.iter().filter_map(|one| one["component"].as_str()).collect();
    assert_eq!(names, ["stamped slower", "stamped first"]);
    let numbers = |component: &Value| {
        let cost = &component["fuel"][0];
        assert_eq!(cost["type"], "Happened");
        ["runs", "mean", "p99", "max"].map(|field| cost[field].as_u64().expect("a number"))
    };
    let ([runs, mean, p99, max], before) = (numbers(&components[0]), numbers(&components[1]));
    assert!(runs > 0 && mean <= max && p99 <= max, "{components:?}");
    assert!(before[0] > 0 && mean > 2 * before[1], "{components:?}");
    let told = done(&laterna(&world, &host, &["status", "--fuel"]));
    assert!(told.contains("first takes more fuel than with the component before: Happened"), "{told}");
    assert!(told.lines().any(|line| line.contains("Happened") && line.starts_with("first")), "{told}");
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    for component in components {
        let digest = component["digest"].as_str().expect("a text");
        let count =
            format!(r#"laterna_event_fuel_count{{projection="first",digest="{digest}",type="Happened"}}"#);
        assert!(metrics.contains(&count), "{metrics}");
    }
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_run_shows_what_would_be_otherwise_and_deploys_nothing_then() {
    let world = World::new("first", Options::mysql()).await;
    let host = world.start();
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    let output = deploy_named(&world, &host, "second", &["--shadow", "30"]);
    refused(&output, "30 of the last 30 events would be projected otherwise");
    refused(&output, "Nothing is deployed");
    assert_eq!(last(&world, &host).0, "first");
    done(&deploy_named(&world, &host, "second", &["--shadow", "30", "--anyway"]));
    until_given(&host, "second").await;
    assert_whole(&world, 40).await;
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_file_is_deployed_when_it_is_whole_and_what_is_no_component_changes_nothing() {
    let world = World::new("first", Options::mysql()).await;
    let file = world.folder.path().join("watched.wasm");
    std::fs::write(&file, guests::bytes("first")).expect("it can be written");
    let (component, watch) = (file.display().to_string(), "true");
    let host = world.start_with(&[("PROJECTION__FIRST__COMPONENT", &component), ("HOST__WATCH", watch)]);
    world.insert((0..40).map(document)).await;
    world.until_committed(PROJECTION, 40).await;
    let second = guests::bytes("second");
    std::fs::write(&file, &second[..second.len() / 2]).expect("it can be written");
    until("it is told", async || host.log().contains("is not deployed")).await;
    std::fs::write(&file, &second).expect("it can be written");
    until_given(&host, "second").await;
    world.insert((40..80).map(document)).await;
    assert_whole(&world, 80).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped WHERE component = 'second'").await, 40);
    assert!(host.stop().await.success());
}
