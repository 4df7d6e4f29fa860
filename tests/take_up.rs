//! What `deploy`, `rollback` and `pause` say has happened: to all lanes, not only to a row.

use std::process::Output;
use std::time::{Duration, Instant};

use bson::doc;
use serde_json::Value;
use sqlx::mysql::MySqlConnection;

use crate::generations::{PROJECTION, Scene, document};
use crate::guests;
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, some_time, until};

/// A wait that would make a test fail which says something at once.
const AT_ONCE: Duration = Duration::from_secs(30);

/// Runs the command line, and gives its exit code with what it said.
fn run(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let output = laterna(&world.config(free_port()), arguments);
    (output.status.code(), said(&output))
}

fn file(component: &str) -> String {
    guests::path(component).display().to_string()
}

fn deploy(world: &World, component: &str, more: &[&str]) -> (Option<i32>, String) {
    let file = file(component);
    run(world, &[&["deploy", "--projection", PROJECTION, &file, "--canary", "0"], more].concat())
}

/// Runs it beside what the test does meanwhile.
fn begin(world: &World, arguments: &[&str]) -> tokio::task::JoinHandle<Output> {
    let config = world.config(free_port());
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        laterna(&config, &arguments)
    })
}

#[track_caller]
fn assert_done((code, text): (Option<i32>, String), says: &str) -> String {
    assert!(code == Some(0) && text.contains(says), "{says:?} is not in {code:?} {text}");
    text
}

/// It is stored, and has not come into effect; what was said holds all of this.
#[track_caller]
fn assert_not_yet((code, text): (Option<i32>, String), says: &[&str]) {
    assert_eq!(code, Some(1), "{text}");
    for says in says {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    assert!(!text.starts_with("deployed") && !text.starts_with("paused"), "{text}");
}

/// The digest of what is in force, and that of each lane, as the host shows them.
async fn digests(host: &Host) -> (String, Vec<String>) {
    let status = host.status(PROJECTION).await.expect("it answers");
    let text = |value: &Value| value["digest"].as_str().expect("a digest").to_owned();
    let lanes = status["lanes"].as_array().expect("lanes").iter().map(text).collect();
    (text(&status["deployment"]), lanes)
}

async fn have_all_lanes_it(host: &Host) -> bool {
    let (deployed, lanes) = digests(host).await;
    lanes.iter().all(|lane| *lane == deployed) && lanes.len() == 4
}

async fn assert_all_lanes_have_it(host: &Host) {
    let (deployed, lanes) = digests(host).await;
    assert!(lanes.iter().all(|lane| *lane == deployed) && lanes.len() == 4, "{deployed}: {lanes:?}");
}

/// How many deployments in force are recorded as taken up.
async fn taken_up(world: &World) -> i64 {
    let last = format!(
        "SELECT taken_up_at IS NOT NULL FROM {}.deployment ORDER BY id DESC LIMIT 1",
        world.control()
    );
    world.number(&last).await
}

async fn rows_of(world: &World, component: &str) -> i64 {
    world.number(&format!("SELECT COUNT(*) FROM stamped WHERE component = '{component}'")).await
}

/// Keeps the lane of an aggregate from committing, until the connection is closed.
async fn hold_back(world: &World, aggregate: &str) -> MySqlConnection {
    let mut connection = world.mysql().await;
    for sql in
        ["BEGIN".to_owned(), format!("SELECT * FROM last_seen WHERE aggregate_id = '{aggregate}' FOR UPDATE")]
    {
        sqlx::Executor::execute(&mut connection, sql.as_str()).await.expect("a row");
    }
    connection
}

/// A lane that has a batch of the component before, which it cannot commit.
async fn with_a_busy_lane(scene: &Scene) -> MySqlConnection {
    let lock = hold_back(&scene.world, "a7").await;
    scene
        .world
        .insert([event(
            "late",
            "a7",
            scene.sent.load(std::sync::atomic::Ordering::Relaxed) / 40 + 1,
            doc! {},
        )])
        .await;
    until("a lane waits for MySQL", async || {
        let status = scene.host().status(PROJECTION).await.unwrap_or_default();
        let lanes = status["lanes"].as_array().cloned().unwrap_or_default();
        lanes.iter().any(|lane| lane["doing"].as_str().is_some_and(|doing| doing.contains("to commit")))
    })
    .await;
    lock
}

/// No event flows, and every lane has the new component when that is said.
async fn an_idle_projection_takes_it_up(options: Options) {
    let scene = Scene::new(options, 400).await;
    let world = &scene.world;
    let told = assert_done(deploy(world, "second", &[]), "every lane works with it (4)");
    assert!(told.starts_with("deployed "), "{told}");
    assert_all_lanes_have_it(scene.host()).await;
    let told = assert_done(deploy(world, "first", &["--json"]), "\"taken_up\":true");
    let told: Value = serde_json::from_str(&told).expect("it is JSON");
    let (deployed, _) = digests(scene.host()).await;
    assert_eq!((told["state"].as_str(), told["digest"].as_str()), (Some("done"), Some(&*deployed)));
    assert_done(run(world, &["rollback", PROJECTION]), "every lane works with it (4)");
    assert_all_lanes_have_it(scene.host()).await;
    let slow = format!(
        "SELECT COUNT(*) FROM {}.deployment WHERE origin <> 'configuration' AND \
         (taken_up_at IS NULL OR TIMESTAMPDIFF(MICROSECOND, deployed_at, taken_up_at) > 2000000)",
        world.control()
    );
    assert_eq!(world.number(&slow).await, 0, "an idle lane takes it up at once");
    assert_eq!(rows_of(world, "second").await, 0, "and needs no event for it");
    // What is in force already is what they work with.
    assert_done(deploy(world, "second", &[]), "every lane works with it (4)");
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_without_events_take_up_what_is_deployed_at_once_on_mysql() {
    an_idle_projection_takes_it_up(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_without_events_take_up_what_is_deployed_at_once_on_mariadb() {
    an_idle_projection_takes_it_up(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_it_is_said_to_be_deployed_no_lane_commits_what_the_component_before_made() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    scene.write();
    for (component, before) in [("second", "first"), ("first", "second"), ("second", "first")] {
        assert_done(deploy(&scene.world, component, &[]), "every lane works with it");
        let rows = rows_of(&scene.world, before).await;
        let made = rows_of(&scene.world, component).await;
        until("the new one has made rows", async || rows_of(&scene.world, component).await > made + 200)
            .await;
        assert_eq!(rows_of(&scene.world, before).await, rows, "rows of {before} came later");
    }
    assert_done(run(&scene.world, &["rollback", PROJECTION]), "every lane works with it");
    let rows = rows_of(&scene.world, "second").await;
    scene.end().await;
    assert_eq!(rows_of(&scene.world, "second").await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_is_not_through_is_named_and_what_each_runs_is_shown() {
    let scene = Scene::new(Options::mysql(), 400).await;
    let lock = with_a_busy_lane(&scene).await;
    let world = &scene.world;
    assert_not_yet(
        deploy(world, "second", &["--wait", "10"]),
        &["not every lane works with it", "still works with the component before: ", "It goes on"],
    );
    assert_eq!(taken_up(world).await, 0);
    let (deployed, lanes) = digests(scene.host()).await;
    let others: Vec<usize> = (0..4).filter(|lane| lanes[*lane] != deployed).collect();
    assert_eq!(others.len(), 1, "the idle ones have it: {lanes:?}");
    let status = scene.tell(&["status", "--lanes"]);
    let named = format!("others still work: lane {} with {}", others[0], &lanes[others[0]][..12]);
    assert!(
        status.contains("is deployed, and not taken up by all lanes: lane ") && status.contains(&named),
        "{status}"
    );
    let listed = scene.tell(&["deployments", PROJECTION]);
    assert!(listed.contains("not taken up") && listed.contains("still works with"), "{listed}");
    assert_not_yet(run(world, &["rollback", PROJECTION, "--no-wait"]), &["is written down"]);
    until("the rollback is recorded", async || {
        let sql = format!("SELECT COUNT(*) FROM {}.deployment WHERE origin = 'rollback'", world.control());
        world.number(&sql).await == 1
    })
    .await;
    assert_not_yet(
        deploy(world, "second", &["--wait", "10", "--json"]),
        &["\"taken_up\":false", "\"waits\""],
    );
    drop(lock);
    until("all lanes have it", async || taken_up(world).await == 1).await;
    assert_all_lanes_have_it(scene.host()).await;
    let status = scene.tell(&["status"]);
    assert!(!status.contains("is deployed, and not"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deployed_to_a_paused_projection_is_said_to_be_stored_at_once() {
    let scene = Scene::new(Options::mysql(), 400).await;
    let world = &scene.world;
    assert_done(run(world, &["pause", PROJECTION, "--why", "a test"]), "paused");
    let began = Instant::now();
    let says = ["is stored and in force, but not", "paused by ", "a test", "laterna resume first"];
    assert_not_yet(deploy(world, "second", &[]), &says);
    assert_not_yet(run(world, &["rollback", PROJECTION]), &says);
    assert_not_yet(deploy(world, "second", &[]), &says);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(taken_up(world).await, 0);
    assert_done(run(world, &["resume", PROJECTION]), "resumed");
    until("the lanes have it", async || taken_up(world).await == 1).await;
    world.insert((400..440).map(document)).await;
    world.until_committed(PROJECTION, 440).await;
    assert_eq!(rows_of(world, "second").await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_host_nothing_is_said_to_be_deployed_and_the_next_one_takes_it_up() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    scene.kill();
    until("its lease has run out", async || {
        let sql = format!("SELECT COUNT(*) FROM {}.lease WHERE expires_at < NOW()", scene.world.control());
        scene.world.number(&sql).await == 1
    })
    .await;
    let world = &scene.world;
    assert_not_yet(deploy(world, "second", &["--wait", "1"]), &["written down", "none leads the projection"]);
    assert_not_yet(run(world, &["pause", PROJECTION, "--why", "a test", "--wait", "1"]), &["none leads"]);
    let (code, text) = run(world, &["verify", PROJECTION, "--no-wait"]);
    assert!(code == Some(2) && text.contains("is written down"), "nobody knows yet: {text}");
    scene.start();
    until("it is paused, and has what is deployed in force", async || {
        let sql = format!("SELECT COUNT(*) FROM {}.pause WHERE still_at IS NOT NULL", scene.world.control());
        scene.world.number(&sql).await == 1
    })
    .await;
    assert_done(run(&scene.world, &["resume", PROJECTION]), "resumed");
    until("the lanes have it", async || taken_up(&scene.world).await == 1).await;
    assert_all_lanes_have_it(scene.host()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_in_between_leaves_it_to_the_next_one_to_say_it() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    let lock = with_a_busy_lane(&scene).await;
    let deploying =
        begin(&scene.world, &["deploy", "--projection", PROJECTION, &file("second"), "--wait", "100"]);
    until("it is in force", async || {
        let sql =
            format!("SELECT COUNT(*) FROM {}.deployment WHERE origin = 'command'", scene.world.control());
        scene.world.number(&sql).await == 1
    })
    .await;
    scene.kill();
    assert_eq!(taken_up(&scene.world).await, 0);
    drop(lock);
    scene.start();
    let output = deploying.await.expect("it does not panic");
    assert_done((output.status.code(), said(&output)), "every lane works with it (4)");
    assert_all_lanes_have_it(scene.host()).await;
    assert_eq!(rows_of(&scene.world, "second").await, 1, "the batch that was open is made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_hosts_the_one_that_leads_says_it_and_is_named_while_it_does_not() {
    let world = World::with(&[(PROJECTION, "first")], Options::mysql()).await;
    let long = [("HOST__LEASE_SECONDS", "300")];
    let leader = world.start_with(&long);
    world.insert((0..400).map(document)).await;
    world.until_committed(PROJECTION, 400).await;
    let standby = world.start_with(&long);
    standby.until_phase(PROJECTION, "standby").await;
    leader.signal("STOP");
    // The other one carries it out. Whether the lanes have it, or have stopped, it does not know.
    let named = format!("the host `host-{}`", leader.port);
    assert_not_yet(
        deploy(&world, "second", &["--wait", "10"]),
        &[&named, "has not reported that its lanes have it"],
    );
    let pausing = ["pause", PROJECTION, "--why", "a test", "--wait", "10"];
    assert_not_yet(run(&world, &pausing), &[&named, "may still be committed"]);
    assert_eq!(taken_up(&world).await, 0);
    leader.signal("CONT");
    assert_done(run(&world, &["pause", PROJECTION, "--why", "a test"]), "paused");
    world.insert((400..440).map(document)).await;
    some_time(1000).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stamped").await, 400);
    assert_done(run(&world, &["resume", PROJECTION]), "resumed");
    assert_done(deploy(&world, "second", &[]), "every lane works with it (4)");
    // On a busy machine the other one may lead by now.
    assert!(have_all_lanes_it(&leader).await || have_all_lanes_it(&standby).await);
    world.until_committed(PROJECTION, 440).await;
    // Once nobody is there who could commit, nothing has to be said by anybody.
    leader.signal("STOP");
    let pausing = begin(&world, &["pause", PROJECTION, "--why", "a test"]);
    until("it is written down", async || {
        let sql = format!("SELECT COUNT(*) FROM {}.pause WHERE resumed_at IS NULL", world.control());
        world.number(&sql).await == 1
    })
    .await;
    standby.kill();
    leader.kill();
    let output = pausing.await.expect("it does not panic");
    assert_done((output.status.code(), said(&output)), "paused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_the_host_cannot_have_is_said_to_be_so() {
    let scene = Scene::new(Options::mysql(), 400).await;
    let (world, gone) = (&scene.world, "0".repeat(64));
    // As another host would that has it.
    let sql = format!(
        "INSERT INTO {}.deployment (projection, digest, origin, state, deployed_by) \
         VALUES ('{PROJECTION}', '{gone}', 'command', 'deployed', 'me')",
        world.control()
    );
    world.run(&sql).await;
    until("it says so", async || scene.tell(&["status"]).contains("is not in the control schema")).await;
    let status = scene.tell(&["status"]);
    assert!(status.contains("000000000000 is deployed, and not taken up by all lanes: "), "{status}");
    assert_eq!(taken_up(world).await, 0);
    world.insert((400..440).map(document)).await;
    world.until_committed(PROJECTION, 440).await;
    // Whether it ran behind an upcaster, nobody knows any more.
    let (code, told) = deploy(world, "second", &[]);
    assert!(code == Some(2) && told.contains("deploy the projector with --without-upcaster"), "{told}");
    assert_done(deploy(world, "second", &["--without-upcaster"]), "every lane works with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_in_force_that_cannot_be_loaded_is_left_by_a_rollback() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    scene.kill();
    let (control, gone) = (scene.world.control(), "0".repeat(64));
    let sql = format!(
        "INSERT INTO {control}.deployment (projection, digest, previous, origin, state, deployed_by) \
         SELECT projection, '{gone}', digest, 'command', 'deployed', 'me' FROM {control}.deployment"
    );
    scene.world.run(&sql).await;
    scene.start();
    scene.host().until_phase(PROJECTION, "paused").await;
    let told = scene.tell(&["status"]);
    assert!(told.contains("`laterna rollback") && told.contains("goes back"), "{told}");
    assert_done(run(&scene.world, &["rollback", PROJECTION]), "every lane works with it");
    scene.world.insert((400..440).map(document)).await;
    scene.world.until_committed(PROJECTION, 440).await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_with_other_tables_is_taken_up_when_its_generation_is_live() {
    let mut scene = Scene::new(Options::mysql(), 400).await;
    let told = scene.deploy("other-tables");
    assert!(told.contains("generation 2 is built") && !told.contains("deployed"), "{told}");
    scene.until_live(2).await;
    until("the lanes have it", async || taken_up(&scene.world).await == 1).await;
    assert_all_lanes_have_it(scene.host()).await;
    scene.kill();
}

/// From the word on, not one row more comes, though events do.
async fn a_pause_under_load(options: Options) {
    let mut scene = Scene::new(options, 400).await;
    scene.write();
    for _ in 0..3 {
        let sent = scene.sent.load(std::sync::atomic::Ordering::Relaxed);
        assert_done(run(&scene.world, &["pause", PROJECTION, "--why", "a test"]), "paused");
        let count = "SELECT COUNT(*) FROM stamped";
        let rows = scene.world.number(count).await;
        some_time(1500).await;
        assert_eq!(scene.world.number(count).await, rows, "rows came after it was said to be paused");
        assert!(scene.sent.load(std::sync::atomic::Ordering::Relaxed) > sent, "there was load");
        assert_done(run(&scene.world, &["resume", PROJECTION]), "resumed");
        until("it goes on", async || scene.world.number(count).await > rows).await;
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_word_paused_not_one_row_comes_on_mysql() {
    a_pause_under_load(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_word_paused_not_one_row_comes_on_mariadb() {
    a_pause_under_load(Options::mariadb()).await;
}
