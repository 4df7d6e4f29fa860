//! A command that cannot be carried out holds up none behind it: the cure overtakes, and what waits says why.

use std::process::Output;
use std::time::Instant;

use crate::generations::{PROJECTION, Scene, document};
use crate::guests;
use crate::support::proxy::{Mode, Proxy};
use crate::support::world::{event, free_port, laterna, mongodb_at, said};
use crate::support::{Options, World, until};

type Asking = tokio::task::JoinHandle<Output>;

/// A scene whose host reaches MongoDB by a proxy.
async fn behind_a_proxy(events: i64) -> (Scene, Proxy) {
    let port = std::env::var("LATERNA_MONGODB_PORT").expect("the tests have servers");
    let proxy = Proxy::to(port.parse().expect("a port")).await;
    let mut world = World::with(&[(PROJECTION, "first")], Options::mysql()).await;
    world.insert((0..events).map(document)).await;
    world.options.mongodb = mongodb_at(proxy.port);
    (Scene::of(world, events).await, proxy)
}

fn cut(proxy: &Proxy) {
    proxy.set(Mode::Refuse);
    proxy.cut();
}

/// Asks for something beside what the test does meanwhile.
fn ask(scene: &Scene, arguments: &[&str]) -> Asking {
    let config = scene.world.config(free_port());
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        laterna(&config, &arguments)
    })
}

async fn answer(asking: Asking) -> (bool, String) {
    let output = asking.await.expect("it does not panic");
    (output.status.success(), said(&output))
}

/// How many commands are as this condition says.
async fn commands(scene: &Scene, condition: &str) -> i64 {
    scene
        .world
        .number(&format!("SELECT COUNT(*) FROM {}.command WHERE {condition}", scene.world.control()))
        .await
}

async fn until_one_waits(scene: &Scene) {
    until("a command says what it waits for", async || {
        commands(scene, "state = 'pending' AND waits LIKE '%MongoDB is not reachable%'").await == 1
    })
    .await;
}

async fn until_generations_are_gone(scene: &Scene) {
    until("nothing is built any more", async || {
        scene.generations()["aside"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_that_waits_for_mongodb_holds_up_no_deployment_and_no_way_back() {
    let (mut scene, proxy) = behind_a_proxy(100).await;
    scene.deploy("second");
    cut(&proxy);
    let verifying = ask(&scene, &["verify", PROJECTION, "--json"]);
    until_one_waits(&scene).await;
    let status = scene.tell(&["status"]);
    assert!(status.contains("command 3 (verify) waits: MongoDB is not reachable"), "{status}");

    let began = Instant::now();
    scene.tell(&["rollback", PROJECTION]);
    scene.deploy("second");
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    scene.tell(&["resume", PROJECTION]);
    // No lane begins without MongoDB.
    scene.refused(&["rollback", PROJECTION, "--wait", "20"], "is stored and in force");
    println!("five commands beside one that waits: {:?}", began.elapsed());
    assert_eq!(commands(&scene, "state = 'pending'").await, 1, "the verification still waits");
    let log = scene.host().log();
    let told = log.lines().filter(|line| line.contains("a command waits")).count();
    assert_eq!(told, 1, "it is told once:\n{log}");

    proxy.set(Mode::Pass);
    let (success, text) = answer(verifying).await;
    assert!(success, "it goes on when MongoDB is back: {text}");
    scene.assert_whole().await;

    // Nobody waits for ever. As long as what was compared is being dropped, nothing else is begun.
    until_generations_are_gone(&scene).await;
    cut(&proxy);
    let verifying = ask(&scene, &["verify", PROJECTION]);
    until_one_waits(&scene).await;
    let long_ago = format!(
        "UPDATE {}.command SET waits_since = CURRENT_TIMESTAMP - INTERVAL 3601 SECOND WHERE state = 'pending'",
        scene.world.control()
    );
    scene.world.run(&long_ago).await;
    let (success, text) = answer(verifying).await;
    assert!(!success && text.contains("given up after an hour") && text.contains("MongoDB is not"), "{text}");
    assert!(scene.host().log().contains("a command is given up after an hour"));
    proxy.set(Mode::Pass);
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_whose_generation_waits_is_given_up_in_the_end() {
    let mut scene = Scene::new(Options::mysql(), 100).await;
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    let verifying = ask(&scene, &["verify", PROJECTION]);
    until("it says what it waits for", async || {
        commands(&scene, "waits LIKE '%is not streaming%'").await == 1
    })
    .await;
    let long_ago = format!(
        "UPDATE {}.command SET waits_since = CURRENT_TIMESTAMP - INTERVAL 3601 SECOND WHERE state = 'pending'",
        scene.world.control()
    );
    scene.world.run(&long_ago).await;
    let (success, text) = answer(verifying).await;
    assert!(
        !success && text.contains("given up after an hour") && text.contains("is not streaming"),
        "{text}"
    );
    until_generations_are_gone(&scene).await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_and_a_way_back_end_a_verification_that_builds() {
    let mut scene = Scene::new(Options::mysql(), 200).await;
    scene.deploy("second");
    // While the projection is paused, a verification is built and waits.
    scene.tell(&["pause", PROJECTION, "--why", "a test"]);
    for cure in ["rollback", "deploy"] {
        let verifying = ask(&scene, &["verify", PROJECTION]);
        until("it is built", async || commands(&scene, "waits LIKE '%is not streaming%'").await == 1).await;
        let file = guests::path("second").display().to_string();
        let arguments = match cure {
            "deploy" => vec![cure, "--projection", PROJECTION, &file],
            _ => vec![cure, PROJECTION],
        };
        // It is done, though lanes that are paused do not work with it yet.
        scene.refused(&arguments, "is stored and in force");
        let (success, text) = answer(verifying).await;
        assert!(!success && text.contains("superseded by command") && text.contains(cure), "{text}");
        until_generations_are_gone(&scene).await;
    }
    scene.tell(&["resume", PROJECTION]);
    scene.assert_whole().await;
    assert_eq!(scene.live().await, 1);
    scene.kill();
}

/// A reader in an open transaction keeps the tables where they are.
async fn reader(scene: &Scene) -> sqlx::MySqlConnection {
    let mut reader = scene.world.mysql().await;
    sqlx::Executor::execute(&mut reader, "START TRANSACTION").await.expect("it begins");
    sqlx::Executor::fetch_all(&mut reader, "SELECT * FROM stamped LIMIT 1").await.expect("it reads");
    reader
}

async fn until_it_tries_to_take_over(scene: &Scene) {
    until("it says what it waits for", async || {
        let waits = scene.generations()["aside"][0]["reason"].as_str().unwrap_or_default().to_owned();
        waits.contains("somebody has been reading a table")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_ends_a_rebuild_and_a_way_back_ends_a_deployment_that_is_being_built() {
    let mut scene = Scene::new(Options::mysql(), 100).await;
    let reader = reader(&scene).await;
    scene.tell(&["rebuild", PROJECTION]);
    until_it_tries_to_take_over(&scene).await;
    scene.deploy("second");
    until_generations_are_gone(&scene).await;
    scene.deploy("other-tables");
    until_it_tries_to_take_over(&scene).await;
    let told = scene.tell(&["rollback", PROJECTION]);
    assert!(told.contains("generation 3 is given up before it came into force"), "{told}");
    until_generations_are_gone(&scene).await;
    drop(reader);
    scene.world.insert((100..200).map(document)).await;
    scene.sent.store(200, std::sync::atomic::Ordering::Relaxed);
    scene.assert_whole().await;
    let told = scene.tell(&["deployments", PROJECTION]);
    let second = told.lines().find(|line| line.contains("in force")).unwrap_or_default();
    assert!(
        second.contains("stamped second"),
        "the rollback has taken back what was to come, and no more: {told}"
    );
    assert_eq!(scene.live().await, 1);
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_generation_that_is_on_its_way_back_is_kept_again_where_something_else_is_asked_for() {
    let mut scene = Scene::new(Options::mysql(), 100).await;
    scene.deploy("other-tables");
    scene.until_live(2).await;
    let is_kept = async || {
        let aside = scene.generations()["aside"].clone();
        aside.as_array().is_some_and(|all| all.len() == 1) && aside[0]["state"] == "kept"
    };
    until("the first one is kept", is_kept).await;
    let reader = reader(&scene).await;
    let first = ask(&scene, &["rollback", PROJECTION, "--wait", "60"]);
    until_it_tries_to_take_over(&scene).await;
    let told = scene.tell(&["rollback", PROJECTION]);
    assert!(told.contains("generation 1 is given up before it came into force"), "{told}");
    until("it is kept again", is_kept).await;
    let second = ask(&scene, &["rollback", PROJECTION, "--wait", "60"]);
    until_it_tries_to_take_over(&scene).await;
    let third =
        ask(&scene, &["deploy", "--projection", PROJECTION, &guests::path("second").display().to_string()]);
    for given_up in [first, second] {
        assert!(!answer(given_up).await.0);
    }
    drop(reader);
    until("the second one is live", async || scene.live().await > 2).await;
    assert!(answer(third).await.0);
    let kept: Vec<_> = scene.generations()["aside"].as_array().expect("a list").clone();
    assert!(kept.iter().any(|one| one["generation"] == 1 && one["state"] == "kept"), "{kept:?}");
    assert_eq!(
        commands(&scene, "state <> 'pending' AND waits IS NOT NULL").await,
        0,
        "what is over waits for nothing"
    );
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_deployments_the_later_one_counts_also_when_the_earlier_one_waits() {
    let (mut scene, proxy) = behind_a_proxy(100).await;
    cut(&proxy);
    // Its tables are others: they are made from history, for which MongoDB is needed.
    let file = guests::path("other-tables").display().to_string();
    let earlier = ask(&scene, &["deploy", "--projection", PROJECTION, &file]);
    until_one_waits(&scene).await;
    // It is in force at once; lanes take it up at once as well, or when they run again.
    let second = guests::path("second").display().to_string();
    let later = ask(&scene, &["deploy", "--wait", "20", "--projection", PROJECTION, &second]);
    let (success, text) = answer(later).await;
    let is_stored = text.contains("is stored and in force, but not every lane works with it");
    assert!(success == text.contains("every lane works with it (") && success != is_stored, "{text}");
    let (success, text) = answer(earlier).await;
    assert!(!success && text.contains("superseded by command 4 (deploy "), "{text}");
    let earlier = ask(&scene, &["deploy", "--projection", PROJECTION, &file]);
    until_one_waits(&scene).await;
    let told = scene.tell(&["rollback", PROJECTION]);
    assert!(told.contains("command 5 is given up before it came into force"), "{told}");
    let (success, text) = answer(earlier).await;
    assert!(!success && text.contains("superseded by command 6 (rollback)"), "{text}");
    proxy.set(Mode::Pass);
    scene.assert_whole().await;
    until("the lanes have taken the second one up", async || {
        let told = scene.tell(&["deployments", PROJECTION]);
        told.lines().any(|line| line.contains("in force") && line.contains("stamped second"))
    })
    .await;
    scene.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_about_letters_says_why_no_lane_takes_it_and_is_done_when_one_does() {
    let world = World::new("picky", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, bson::doc! { "do": "panic" })]).await;
    world.until_committed("picky", 1).await;
    world.run(&format!("RENAME TABLE {0}.picked TO {0}.elsewhere", world.name)).await;
    world.insert([event("e2", "b", 1, bson::doc! { "do": "ok" })]).await;
    host.until_phase("picky", "paused").await;
    let config = world.config(free_port());
    let discarding = tokio::task::spawn_blocking(move || {
        laterna(&config, &["dlq", "discard", "picky", "--all", "--why", "a test", "--yes"])
    });
    until("it says what it waits for", async || {
        let status = host.status("picky").await.unwrap_or_default();
        let reason = status["commands"][0]["reason"].as_str().unwrap_or_default().to_owned();
        reason.contains("do not fit the projector")
            && status["commands"][0]["request"] == "discard 1 letter(s)"
    })
    .await;
    let waits = format!("SELECT COUNT(*) FROM {}.command WHERE waits LIKE '%do not fit%'", world.control());
    assert_eq!(world.number(&waits).await, 1);
    world.run(&format!("RENAME TABLE {0}.elsewhere TO {0}.picked", world.name)).await;
    let told = said(&discarding.await.expect("it does not panic"));
    assert!(told.contains("1 discarded"), "{told}");
    until("nothing waits any more", async || {
        host.status("picky")
            .await
            .is_some_and(|status| status["commands"].as_array().is_some_and(Vec::is_empty))
    })
    .await;
}
