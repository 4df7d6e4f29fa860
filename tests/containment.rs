//! Contained: what a projector does wrong hurts the event it does it with, and nothing else.

use bson::{Bson, doc};

use crate::support::world::event;
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_always_traps_does_not_disturb_the_other_one() {
    const EVENTS: i64 = 3000;
    let world = World::with(
        &[("good", "recorder"), ("bad", "trap")],
        Options { extra: "breaker.aggregates = 0", ..Options::mysql() },
    )
    .await;
    let document = |n: i64| event(&format!("e{n}"), &format!("a{}", n % 100), n / 100 + 1, doc! {});
    world.insert((0..EVENTS).map(document)).await;
    let host = world.start();
    world.until_committed("good", EVENTS).await;
    world.assert_recorded(EVENTS, 100).await;
    world.until_committed("bad", EVENTS).await;
    // The first event of each aggregate is parked, the others are held behind it.
    assert_eq!(world.letters().await, (100, EVENTS - 100));
    let good = format!("SELECT COUNT(*) FROM {}.dead_letter WHERE projection = 'good'", world.control());
    assert_eq!(world.number(&good).await, 0);
    host.until_phase("good", "streaming").await;
    host.until_phase("bad", "streaming").await;
}

/// What the projector is told to do, the class of the dead letter, and what its reason has to say.
const WRONGS: [(&str, &str, &str); 26] = [
    ("loop", "out-of-fuel", "budget"),
    ("stack", "trapped", ""),
    ("memory", "out-of-memory", "bytes of memory"),
    ("huge", "output-too-large", ""),
    ("many-operations", "output-too-large", "operations"),
    ("panic", "trapped", "\n  in <picky::Picky as "),
    ("exit", "trapped", "return a rejection instead"),
    ("sleep", "trapped", "never waits"),
    ("connect", "trapped", "has to be in the event"),
    ("thread", "trapped", "no threads"),
    ("variable", "rejected", "write constants"),
    ("reject", "rejected", "told to reject"),
    ("unsupported", "rejected", "unsupported"),
    ("failed", "rejected", "told to fail"),
    ("clock", "trapped", "occurred-at"),
    ("random", "trapped", "derive"),
    ("files", "rejected", "build what it reads into the component"),
    ("bad-index", "unknown-statement", "statement 99"),
    ("bad-count", "parameter-count", "takes 6"),
    ("nan", "bad-value", "NaN"),
    ("bad-json", "bad-value", "JSON"),
    ("bad-decimal", "bad-value", "decimal"),
    ("too-long", "bad-value", "longer"),
    ("null", "bad-value", "NOT NULL"),
    ("deep", "refused-value", "error"),
    ("duplicate", "key-conflict", "1062"),
];

async fn each_wrong_parks_exactly_that_event(options: Options) {
    let extra = "budget.fuel = 100000000\nbudget.memory_bytes = 67108864\nbudget.output_bytes = 1048576";
    let world = World::new("picky", Options { extra, ..options }).await;
    // All of them in one batch, and good events before, between and behind them.
    let mut documents = vec![];
    for (n, (wrong, ..)) in WRONGS.iter().enumerate() {
        documents.push(event(&format!("good{n}"), &format!("g{n}"), 1, doc! { "do": "ok" }));
        documents.push(event(wrong, &format!("w{n}"), 1, doc! { "do": *wrong }));
        documents.push(event(&format!("behind{n}"), &format!("w{n}"), 2, doc! { "do": "ok" }));
    }
    documents.push(event("last", "g", 1, doc! { "do": "hash-map" }));
    documents.push(event("chatty", "g", 2, doc! { "do": "chatty" }));
    let all = i64::try_from(documents.len()).expect("few");
    world.insert(documents).await;
    let _host = world.start();
    world.until_committed("picky", all).await;
    let reasons = world.reasons().await;
    for (wrong, class, says) in WRONGS {
        let (found, reason) = reasons.get(wrong).unwrap_or_else(|| panic!("{wrong} is not parked"));
        assert_eq!(found, class, "{wrong}: {reason}");
        assert!(reason.contains(says), "{wrong}: {reason}");
        assert!(wrong != "panic" || reason.contains("told to panic"), "{wrong}: {reason}");
    }
    let wrongs = i64::try_from(WRONGS.len()).expect("few");
    assert_eq!(world.letters().await, (wrongs, wrongs), "one parked, one held behind it");
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, wrongs + 2, "everything else went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_projector_does_wrong_parks_exactly_that_event_on_mysql() {
    each_wrong_parks_exactly_that_event(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_projector_does_wrong_parks_exactly_that_event_on_mariadb() {
    each_wrong_parks_exactly_that_event(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_writes_stands_in_the_log_with_its_event_and_a_flood_is_counted() {
    let world = World::new("picky", Options { lanes: 1, ..Options::mysql() }).await;
    let what = |n: i64| {
        if n % 25 == 7 {
            doc! { "do": "chatty", "size": 1 }
        } else {
            doc! { "do": "ok" }
        }
    };
    world.insert((0..100).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, what(n)))).await;
    let host = world.start();
    world.until_committed("picky", 100).await;
    let digest =
        host.status("picky").await.expect("it answers")["digest"].as_str().map(|all| all[..12].to_owned());
    let digest = digest.expect("a text");
    let log = host.log();
    let written: Vec<&str> = log
        .lines()
        .filter(|line| ["out 0 ", "err 0 ", "log 0 "].iter().any(|said| line.contains(said)))
        .collect();
    for n in [7, 32, 57, 82] {
        let heading = format!("projection=\"picky\" digest=\"{digest}\" event=e{n}");
        assert_eq!(written.iter().filter(|line| line.contains(&heading)).count(), 3, "e{n}:\n{log}");
    }
    assert_eq!(written.len(), 12, "{log}");
    // A hundred events that write three hundred lines each.
    let flood = |n: i64| event(&format!("f{n}"), &format!("f{n}"), 1, doc! { "do": "chatty", "size": 100 });
    world.insert((0..100).map(flood)).await;
    world.until_committed("picky", 200).await;
    let log = host.log();
    assert!(log.contains("1000 lines within 10 s are taken, the others are counted"), "{log}");
    assert!(log.lines().filter(|line| line.contains("event=f")).count() <= 1000);
    let (_, metrics) = host.get("/metrics").await.expect("it answers");
    let name = "laterna_lines_dropped_total{projection=\"picky\"} ";
    let dropped = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
    assert!(dropped.parse::<u64>().expect("a number") > 10_000, "{dropped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_which_one_event_traps_gives_the_others_their_rows_on_one_lane() {
    let world = World::new("picky", Options { lanes: 1, ..Options::mysql() }).await;
    let what = |n: i64| if n % 50 == 49 { "panic" } else { "ok" };
    world
        .insert((0..500).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "do": what(n) })))
        .await;
    let _host = world.start();
    world.until_committed("picky", 500).await;
    assert_eq!(world.letters().await, (10, 0));
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 490);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_no_event_is_parked_with_its_bytes_and_the_stream_goes_on() {
    let world = World::new("recorder", Options::mysql()).await;
    let with = |id: &str, name: &str, value: Bson| {
        let mut document = event(id, "a", 1, doc! {});
        document.insert(name, value);
        document
    };
    let without = |id: &str, name: &str| {
        let mut document = event(id, "b", 1, doc! {});
        document.remove(name);
        document
    };
    let odd_id = |id: Bson| with("", "_id", id);
    let wrong = [
        without("no-type", "type"),
        without("no-aggregate", "aggregateId"),
        without("no-payload", "payload"),
        with("bad-sequence", "sequence", "three".into()),
        with("aggregate-is-a-list", "aggregateId", Bson::Array(vec![1.into()])),
        with("aggregate-is-a-document", "aggregateId", doc! { "a": 1 }.into()),
        odd_id(Bson::Null),
        odd_id(f64::NAN.into()),
        odd_id(doc! { "a": 1 }.into()),
    ];
    let live = wrong.clone().map(|mut document| {
        if let Ok(id) = document.get_str("_id") {
            document.insert("_id", format!("live-{id}"));
        } else {
            document.insert("_id", doc! { "live": document.get("_id").cloned() });
        }
        document
    });
    let count = i64::try_from(wrong.len()).expect("few");
    // Once from history, once live.
    world.insert(wrong).await;
    world.insert([event("good", "c", 1, doc! {})]).await;
    let _host = world.start();
    world.until_committed("recorder", count + 1).await;
    world.insert(live).await;
    world.insert([event("good2", "c", 2, doc! {})]).await;
    world.until_committed("recorder", 2 * count + 2).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE aggregate_id = 'c'").await, 2);
    let (parked, held) = world.letters().await;
    assert_eq!(parked + held, 2 * count);
    let raw = format!(
        "SELECT COUNT(*) FROM {}.dead_letter WHERE class = 'undecodable' AND LENGTH(document) > 20",
        world.control()
    );
    assert_eq!(world.number(&raw).await, parked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_table_pauses_the_projection_and_blames_no_event() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    world.run(&format!("RENAME TABLE {0}.last_seen TO {0}.elsewhere", world.name)).await;
    world.insert([event("e2", "a", 2, doc! {})]).await;
    host.until_phase("recorder", "paused").await;
    let status = host.status("recorder").await.expect("it answers");
    assert!(status["reason"].as_str().is_some_and(|reason| reason.contains("last_seen")), "{status}");
    assert_eq!(host.get("/readyz").await.expect("it answers").0, 503);
    assert_eq!(world.letters().await, (0, 0));
    world.run(&format!("RENAME TABLE {0}.elsewhere TO {0}.last_seen", world.name)).await;
    until("the projection has gone on by itself", async || {
        world.number("SELECT COUNT(*) FROM recorded").await == 2
    })
    .await;
    world.assert_recorded(2, 1).await;
}
