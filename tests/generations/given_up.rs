//! An event that was given up stays so, in whichever generation: also in one that had its letter before.

use bson::doc;
use sqlx::Executor;

use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, until};

const RECORDED: &str = "SELECT COUNT(*) FROM recorded";

/// A projection with one event that nothing can take, and three that wait behind it.
async fn world() -> (World, Host) {
    let world = World::new("recorder", Options::mysql()).await;
    let good = (1..=20).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "ordinal": n }));
    world.insert(good).await;
    world.insert([event("bad", "b", 1, doc! { "ordinal": "none" })]).await;
    world.insert((2..=4).map(|n| event(&format!("b{n}"), "b", n, doc! { "ordinal": n }))).await;
    let host = world.start();
    world.until_committed("recorder", 24).await;
    assert_eq!(world.letters().await, (1, 3));
    (world, host)
}

#[track_caller]
fn tell(world: &World, host: &Host, arguments: &[&str]) {
    let output = laterna(&world.folder.path().join(format!("laterna-{}.toml", host.port)), arguments);
    assert!(output.status.success(), "{}", said(&output));
}

fn discard(world: &World, host: &Host) {
    tell(world, host, &["dlq", "discard", "recorder", "--all", "--why", "a test", "--yes"]);
}

async fn until_live(world: &World, generation: i64) {
    let sql = format!("SELECT live_generation FROM {}.projection", world.control());
    until(&format!("generation {generation} is live"), async || {
        world.number_if_any(&sql).await == Some(generation)
    })
    .await;
}

async fn assert_given_up(world: &World, generation: i64) {
    assert_eq!(world.number(RECORDED).await, 23, "what it held back is there");
    let letters = |generation| {
        format!("SELECT COUNT(*) FROM {}.dead_letter WHERE generation = {generation}", world.control())
    };
    assert_eq!(world.number(&letters(generation)).await, 0, "letters");
    let rows = world.rows(&format!("SELECT reason FROM {}.discarded", world.control())).await;
    assert_eq!(rows.iter().map(|row| sqlx::Row::get(row, 0)).collect::<Vec<String>>(), ["a test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_returns_has_no_letter_of_what_was_given_up_meanwhile() {
    let (world, host) = world().await;
    tell(&world, &host, &["rebuild", "recorder"]);
    until_live(&world, 2).await;
    until("the letter is there again", async || {
        host.status("recorder").await.is_some_and(|s| s["parked"] == 1)
    })
    .await;
    discard(&world, &host);
    assert_given_up(&world, 2).await;
    tell(&world, &host, &["generations", "return", "recorder", "1"]);
    until_live(&world, 1).await;
    assert_given_up(&world, 1).await;
    tell(&world, &host, &["verify", "recorder"]);
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_while_a_generation_is_built_holds_nothing_back_in_it() {
    let (world, host) = world().await;
    // A reader in an open transaction keeps the tables where they are.
    let mut reader = world.mysql().await;
    reader.execute("START TRANSACTION").await.expect("it begins");
    reader.fetch_all("SELECT * FROM recorded LIMIT 1").await.expect("it reads");
    tell(&world, &host, &["rebuild", "recorder"]);
    let waits = format!("SELECT COUNT(*) FROM {}.generation WHERE attempts > 0", world.control());
    until("it has tried to become live", async || world.number(&waits).await == 1).await;
    discard(&world, &host);
    reader.execute("COMMIT").await.expect("it ends");
    until_live(&world, 2).await;
    assert_given_up(&world, 2).await;
    host.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_a_letter_holds_up_goes_on_when_its_event_is_given_up_in_the_live_one() {
    let options = Options { lanes: 1, extra: "hold = \"stream\"", ..Options::mysql() };
    let world = World::new("recorder", options).await;
    let good = |n: i64| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "ordinal": n });
    world.insert((1..=5).map(good)).await;
    world.insert([event("bad", "b", 1, doc! { "ordinal": "none" })]).await;
    world.insert((6..=9).map(good)).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    tell(&world, &host, &["rebuild", "recorder"]);
    let held = format!(
        "SELECT COUNT(*) FROM {}.generation WHERE generation = 2 AND reason LIKE '%hold back all that comes behind%'",
        world.control()
    );
    until("it is held up, too", async || world.number(&held).await == 1).await;
    discard(&world, &host);
    until_live(&world, 2).await;
    world.until_committed("recorder", 10).await;
    assert_eq!(world.number(RECORDED).await, 9);
    assert_eq!(world.letters().await.0, 0, "letters");
    host.kill();
}
