//! Events that make a server refuse a statement, sent through a running host: each becomes one dead letter, and the good
//! events around it are applied.

use bson::{Document, doc};

use crate::support::world::{event, laterna, said};
use crate::support::{Mysqld, Options, World, until};

/// What comes of an event on a server.
enum Comes {
    Applied,
    /// A letter of this class, whose reason has this text.
    Parked(&'static str, &'static str),
}
use Comes::{Applied, Parked};

const VALUE: &str = "refused-value";

/// What the event does, with which text, and what comes of it on MySQL and on MariaDB.
type Input = (&'static str, Option<&'static str>, Comes, Comes);

const INPUTS: [Input; 28] = [
    ("number", Some(r#"{"qty": null}"#), Parked(VALUE, "3156"), Parked(VALUE, "1366")),
    ("number", Some(r#"{"qty": "ten"}"#), Parked(VALUE, "3156"), Parked(VALUE, "1366")),
    ("number", Some(r#"{"qty": {"a": 1}}"#), Parked(VALUE, "3156"), Parked(VALUE, "1366")),
    ("number", Some(r#"{"qty": 1e30}"#), Parked(VALUE, "3155"), Parked(VALUE, "1264")),
    ("object", None, Parked(VALUE, "3158"), Applied),
    ("merge", Some("x"), Parked("bad-value", "JSON"), Parked("bad-value", "JSON")),
    ("merge", Some("{"), Parked("bad-value", "JSON"), Parked("bad-value", "JSON")),
    ("path", Some("$.*"), Parked(VALUE, "3149"), Parked(VALUE, "4044")),
    ("path", Some("$."), Parked(VALUE, "3143"), Parked(VALUE, "4041")),
    ("path", Some("a"), Parked(VALUE, "3143"), Parked(VALUE, "4042")),
    (
        "path",
        Some("$.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"),
        Applied,
        Parked(VALUE, "4043"),
    ),
    ("cut", Some("$"), Parked(VALUE, "3153"), Parked(VALUE, "4051")),
    ("cell", Some("[7]"), Applied, Applied),
    ("cell", Some("{}"), Applied, Applied),
    ("day", Some("2026-02-31"), Parked(VALUE, "1411"), Parked(VALUE, "1292")),
    ("day", Some("x"), Parked(VALUE, "1411"), Parked(VALUE, "1411")),
    ("day", Some("2026-02-21"), Applied, Applied),
    ("log", Some("0"), Parked(VALUE, "3020"), Parked(VALUE, "1365")),
    ("power", Some("400"), Parked(VALUE, "1690"), Parked(VALUE, "1690")),
    ("half", Some(r#"{"half": 4}"#), Applied, Applied),
    ("half", Some(r#"{"half": 99999999999}"#), Parked(VALUE, "1264"), Parked(VALUE, "1264")),
    (
        "count",
        Some("-5"),
        Parked("bad-value", "It adds to `counted.n`"),
        Parked("bad-value", "It adds to `counted.n`"),
    ),
    ("count", Some("5"), Applied, Applied),
    ("has", Some("some"), Parked(VALUE, "3154"), Parked(VALUE, "4046")),
    ("code", Some("é"), Parked(VALUE, "3988"), Parked(VALUE, "1267")),
    ("codes", Some("é"), Parked(VALUE, "3988"), Parked(VALUE, "1270")),
    ("base", Some("***"), Applied, Parked(VALUE, "1958")),
    ("fell", None, Parked(VALUE, "3008"), Parked("unknown", "1296")),
];

const GOOD: i64 = 100;

fn good(n: i64) -> Document {
    event(&format!("good{n}"), &format!("g{n}"), 1, doc! { "do": "keep", "text": "good" })
}

async fn each_input_is_one_letter(options: Options, on: fn(&Input) -> &Comes) {
    let world = World::new("unfit", options).await;
    world.insert([event("tree", "tree", 1, doc! { "do": "grow", "size": 20 })]).await;
    let host = world.start();
    world.until_committed("unfit", 1).await;
    let mut documents: Vec<Document> = (0..GOOD).map(good).collect();
    for (n, (what, text, ..)) in INPUTS.iter().enumerate() {
        let payload = doc! { "do": *what, "text": *text };
        // Good ones before, between and behind them.
        documents.insert(n * 3, event(&format!("input{n}"), &format!("i{n}"), 1, payload));
    }
    let all = i64::try_from(documents.len()).expect("few") + 1;
    world.insert(documents).await;
    world.until_committed("unfit", all).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM kept WHERE text = 'good'").await, GOOD);
    let mut reasons = world.reasons().await;
    for (n, input) in INPUTS.iter().enumerate() {
        let found = reasons.remove(&format!("input{n}"));
        match (on(input), found) {
            (Applied, None) => {}
            (Parked(class, says), Some((found, reason))) => {
                assert!(found == *class && reason.contains(says), "{n} {}: {found}: {reason}", input.0);
            }
            (_, found) => panic!("{n} {} {:?}: {found:?}", input.0, input.1),
        }
    }
    assert!(reasons.is_empty(), "{reasons:?}");
    assert_eq!(host.status("unfit").await.expect("it answers")["phase"], "streaming");
    // To try them all again changes nothing for the live projection.
    let letters = world.letters().await;
    let replayed = tokio::task::block_in_place(|| {
        laterna(&world.config(host.port), &["dlq", "replay", "unfit", "--all"])
    });
    assert!(said(&replayed).contains(&letters.0.to_string()), "{}", said(&replayed));
    world.insert([good(GOOD)]).await;
    world.until_committed("unfit", all + 1).await;
    assert_eq!(world.letters().await, letters);
    assert_eq!(host.status("unfit").await.expect("it answers")["phase"], "streaming");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_input_that_mysql_refuses_is_one_letter_and_the_others_go_on() {
    each_input_is_one_letter(Options::mysql(), |(_, _, mysql, _)| mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_input_that_mariadb_refuses_is_one_letter_and_the_others_go_on() {
    each_input_is_one_letter(Options::mariadb(), |(_, _, _, mariadb)| mariadb).await;
}

/// Raises an unknown code for rows that a condition names.
async fn raise(world: &World, condition: &str) {
    world
        .run(&format!(
            "CREATE TRIGGER {0}.raise BEFORE INSERT ON {0}.recorded FOR EACH ROW IF {condition} THEN \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 60000, MESSAGE_TEXT = 'a new kind of trouble'; END IF",
            world.name
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_alone_meets_an_unknown_error_is_parked_and_the_others_go_on() {
    for (options, lanes) in [(Options::mysql(), 4), (Options::mariadb(), 1)] {
        let world = World::new("recorder", Options { lanes, ..options }).await;
        let host = world.start();
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 1).await;
        raise(&world, "NEW.event_id LIKE 'bad%'").await;
        // The first comes alone, so that there is nothing beside it to compare it with but what was applied before.
        world.insert([event("bad1", "x", 1, doc! {})]).await;
        world.until_committed("recorder", 2).await;
        world.insert([event("bad2", "y", 1, doc! {})]).await;
        world.until_committed("recorder", 3).await;
        let among = (0..GOOD).map(|n| event(&format!("f{n}"), &format!("f{n}"), 1, doc! {}));
        world.insert([event("bad3", "z", 1, doc! {})].into_iter().chain(among)).await;
        world.until_committed("recorder", GOOD + 4).await;
        assert_eq!(world.letters().await, (3, 0));
        for (id, (class, reason)) in world.reasons().await {
            assert!(class == "unknown" && reason.contains("60000"), "{id}: {class}: {reason}");
            assert!(
                reason.contains("a new kind of trouble"),
                "the server's words stand in the letter: {reason}"
            );
        }
        world.assert_recorded(GOOD + 1, GOOD + 1).await;
        assert!(!host.log().contains("a new kind of trouble"), "the log has no values: {}", host.log());
        assert_eq!(host.status("recorder").await.expect("it answers")["phase"], "streaming");
        // A replay meets it again, and goes on to the others.
        world.run(&format!("DROP TRIGGER {}.raise", world.name)).await;
        raise(&world, "NEW.event_id = 'bad2'").await;
        let replay = ["dlq", "replay", "recorder", "--all"];
        let replayed = tokio::task::block_in_place(|| laterna(&world.config(host.port), &replay));
        assert_eq!(world.reasons().await.into_keys().collect::<Vec<_>>(), ["bad2"], "{}", said(&replayed));
        world.insert([event("e2", "a", 2, doc! {})]).await;
        world.until_committed("recorder", GOOD + 5).await;
        assert_eq!(host.status("recorder").await.expect("it answers")["phase"], "streaming");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_error_of_all_events_pauses_the_projection_and_parks_nothing() {
    for lanes in [1, 4] {
        let world = World::new("recorder", Options { lanes, ..Options::mysql() }).await;
        let host = world.start();
        world.insert([event("e1", "a", 1, doc! {})]).await;
        world.until_committed("recorder", 1).await;
        raise(&world, "TRUE").await;
        // Alone: what was applied before is refused now, too.
        world.insert([event("e2", "b", 1, doc! {})]).await;
        host.until_phase("recorder", "paused").await;
        let (code, text) = host.get("/readyz").await.expect("it answers");
        assert!(code == 503 && text.contains("60000") && text.contains("a new kind of trouble"), "{text}");
        world.insert([event("e3", "a", 2, doc! {}), event("e4", "c", 1, doc! {})]).await;
        assert_eq!(world.letters().await, (0, 0));
        world.run(&format!("DROP TRIGGER {}.raise", world.name)).await;
        world.until_committed("recorder", 4).await;
        world.assert_recorded(4, 3).await;
        assert_eq!(world.letters().await, (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_transaction_cannot_hold_is_written_in_smaller_ones() {
    let mut mysql = Mysqld::mysql().await;
    let mut mariadb = Mysqld::mariadb().await;
    for server in [&mut mysql, &mut mariadb] {
        server.stop().await;
        server.arguments.push("--log-bin=bin".to_owned());
        server.arguments.push("--server-id=1".to_owned());
        server.arguments.push("--binlog-format=ROW".to_owned());
        server.arguments.push("--binlog-cache-size=4096".to_owned());
        server.arguments.push("--max-binlog-cache-size=262144".to_owned());
        server.start();
        server.until_ready().await;
        let world = World::new("unfit", Options { lanes: 1, batch_max: 1000, ..server.options() }).await;
        let many = |n: i64, size: i32| {
            event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "do": "many", "size": size })
        };
        world.insert((0..1000).map(|n| many(n, if n == 150 { 600 } else { 1 }))).await;
        let _host = world.start();
        until("all are committed", async || {
            world.number_if_any("SELECT COUNT(*) FROM kept").await == Some(999)
        })
        .await;
        world.until_committed("unfit", 1000).await;
        assert_eq!(world.letters().await, (1, 0));
        let (class, reason) = &world.reasons().await["e150"];
        assert!(class == "too-large" && reason.contains("max_binlog_cache_size"), "{class}: {reason}");
    }
}
