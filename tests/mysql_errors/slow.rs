//! What takes MySQL longer than a transaction may: one event, a whole batch, all events, or a server that answers nobody.

use std::time::Instant;

use bson::{Document, doc};

use crate::support::world::{event, laterna, said};
use crate::support::{Host, Mysqld, Options, World, until};

/// How long a transaction may take here.
const SECONDS: &str = "2";

/// Makes rows that a condition names take so many seconds.
async fn slow_down(world: &World, condition: &str, seconds: f64) {
    world
        .run(&format!(
            "CREATE TRIGGER {0}.slow BEFORE INSERT ON {0}.recorded FOR EACH ROW \
             IF {condition} THEN DO SLEEP({seconds}); END IF",
            world.name
        ))
        .await;
}

async fn started(options: Options) -> (World, Host) {
    let world = World::new("recorder", options).await;
    let host = world.start_with(&[("MYSQL__STATEMENT_SECONDS", SECONDS)]);
    world.insert([born("first")]).await;
    world.until_committed("recorder", 1).await;
    (world, host)
}

fn born(id: &str) -> Document {
    event(id, id, 1, doc! {})
}

/// How many sessions sleep in a statement of the world's trigger.
async fn sleeping(world: &World) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{}' AND state = 'User sleep'",
        world.name
    );
    world.number(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_takes_too_long_alone_is_parked_and_nothing_of_it_runs_on() {
    for (options, lanes) in [(Options::mysql(), 1), (Options::mariadb(), 4)] {
        let (world, host) = started(Options { lanes, ..options }).await;
        slow_down(&world, "NEW.event_id = 'slow'", 300.0).await;
        let documents = (0..100).map(|n| if n == 50 { born("slow") } else { born(&format!("e{n}")) });
        world.insert(documents).await;
        world.until_committed("recorder", 101).await;
        assert_eq!(world.letters().await, (1, 0));
        let (class, reason) = &world.reasons().await["slow"];
        assert!(class == "too-slow" && reason.contains("longer than 2 s"), "{class}: {reason}");
        world.assert_recorded(100, 100).await;
        assert_eq!(sleeping(&world).await, 0, "it was ended on the server");
        assert_eq!(host.status("recorder").await.expect("it answers")["phase"], "streaming");
        assert!(!host.log().contains("not reachable"), "{}", host.log());
        // A replay takes too long again, and holds up nobody for longer than that.
        let replay = ["dlq", "replay", "recorder", "--all"];
        let replayed = tokio::task::block_in_place(|| laterna(&world.config(host.port), &replay));
        assert!(
            said(&replayed).contains("too-slow") || world.letters().await == (1, 0),
            "{}",
            said(&replayed)
        );
        world.insert([born("last")]).await;
        world.until_committed("recorder", 102).await;
        assert_eq!(host.status("recorder").await.expect("it answers")["phase"], "streaming");
        assert_eq!(sleeping(&world).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_takes_too_long_is_written_in_parts_and_parks_nothing() {
    let (world, host) = started(Options { lanes: 1, ..Options::mysql() }).await;
    // All of them take 5 s, each of them a twentieth.
    slow_down(&world, "TRUE", 0.05).await;
    world.insert((0..100).map(|n| born(&format!("e{n}")))).await;
    world.until_committed("recorder", 101).await;
    assert_eq!(world.letters().await, (0, 0));
    assert!(host.log().contains("longer than 2 s"), "the batch did take too long: {}", host.log());
    world.assert_recorded(101, 101).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_slow_for_all_events_pauses_the_projection_and_parks_nothing() {
    let (world, host) = started(Options { lanes: 1, ..Options::mysql() }).await;
    slow_down(&world, "TRUE", 300.0).await;
    world.insert([born("e1"), born("e2")]).await;
    host.until_phase("recorder", "paused").await;
    let (_, text) = host.get("/readyz").await.expect("it answers");
    assert!(text.contains("mysql.statement_seconds") && !text.contains("not reachable"), "{text}");
    assert_eq!(world.letters().await, (0, 0));
    world.run(&format!("DROP TRIGGER {}.slow", world.name)).await;
    world.until_committed("recorder", 3).await;
    world.assert_recorded(3, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_somebody_else_holds_are_waited_for_and_no_event_is_too_slow() {
    let (world, host) = started(Options { lanes: 1, ..Options::mysql() }).await;
    let mut holding = world.mysql().await;
    for sql in ["BEGIN", "SELECT * FROM recorded FOR UPDATE", "SELECT * FROM last_seen FOR UPDATE"] {
        sqlx::Executor::execute(&mut holding, sql).await.expect("the rows are held");
    }
    world.insert([event("again", "first", 2, doc! {})]).await;
    let began = Instant::now();
    until("it has been tried for long", async || {
        let failures = host.get("/metrics").await.map(|(_, text)| text).unwrap_or_default();
        let failures =
            failures.lines().find(|line| line.contains("class=\"transaction-lost\"")).map(str::to_owned);
        let times =
            failures.and_then(|line| line.rsplit(' ').next()?.parse::<u32>().ok()).unwrap_or_default();
        times >= 6
    })
    .await;
    assert!(began.elapsed().as_secs() >= 5, "each waits for a second");
    assert_eq!(world.letters().await, (0, 0));
    sqlx::Executor::execute(&mut holding, "ROLLBACK").await.expect("it ends");
    world.until_committed("recorder", 2).await;
    assert_eq!(world.letters().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_nobody_blames_no_event() {
    let server = Mysqld::mysql().await;
    let (world, host) = started(Options { lanes: 1, ..server.options() }).await;
    server.signal("STOP");
    world.insert((0..10).map(|n| born(&format!("e{n}")))).await;
    // Three times as long as a transaction may take.
    let began = Instant::now();
    until("some time has passed", async || began.elapsed().as_secs() >= 7).await;
    server.signal("CONT");
    world.until_committed("recorder", 11).await;
    assert_eq!(world.letters().await, (0, 0));
    assert!(!host.log().contains("too-slow"), "{}", host.log());
    world.assert_recorded(11, 11).await;
}
