//! What keeps a projection from taking events while letters can be dealt with: no room, an open breaker, an operator's
//! word, a letter in the stream's order.

use bson::doc;

use super::{assert_counted, commands, dlq};
use crate::support::world::{event, free_port, laterna, said};
use crate::support::{Host, Options, World, some_time, until};

/// Waits until a projection is paused for a reason.
async fn until_paused(host: &Host, projection: &str, says: &str) {
    until(&format!("{projection} is paused, saying {says}; the log:\n{}", host.log()), async || {
        host.status(projection).await.is_some_and(|status| {
            status["phase"] == "paused" && status["reason"].as_str().is_some_and(|text| text.contains(says))
        })
    })
    .await;
}

async fn switch(world: &World, host: &Host, arguments: &[&str]) -> String {
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let running = tokio::task::spawn_blocking(move || {
        said(&laterna(&config, &arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    });
    running.await.expect("it ran")
}

/// Every third one fails, each in an aggregate of its own.
fn documents(range: std::ops::Range<i64>) -> impl Iterator<Item = bson::Document> {
    range.map(|n| {
        let what = if n % 3 == 2 { "panic" } else { "ok" };
        event(&format!("e{n:03}"), &format!("a{n}"), 1, doc! { "do": what })
    })
}

async fn no_room(options: Options) {
    let extra = "dead_letters_max = 3\nbreaker.aggregates = 0";
    let world = World::new("picky", Options { lanes: 1, extra, ..options }).await;
    world.insert(documents(0..11)).await;
    let host = world.start();
    world.until_committed("picky", 11).await;
    assert_eq!(world.letters().await, (3, 0), "so many there may be");
    host.until_phase("picky", "streaming").await;
    world.insert(documents(11..20)).await;
    until_paused(&host, "picky", "`dead_letters_max` is 3").await;
    assert_eq!(world.letters().await, (3, 0), "and no more");
    assert_eq!(host.get("/readyz").await.expect("it answers").0, 503);
    let committed = format!("SELECT SUM(events) FROM {}.checkpoint", world.control());
    assert_eq!(world.number(&committed).await, 11, "the checkpoint stays right before the event");
    assert_counted(&world).await;

    // Room for one: it goes on by itself, up to the next one that has none.
    let letter = format!("SELECT MIN(id) FROM {}.dead_letter", world.control());
    let id = world.number(&letter).await.to_string();
    let discard = said(&dlq(&world, &host, &["discard", "picky", "--id", &id, "--why", "room", "--yes"]));
    assert!(discard.contains("1 discarded"), "{discard}");
    world.until_committed("picky", 14).await;
    until_paused(&host, "picky", "`dead_letters_max` is 3").await;
    assert_eq!(world.number(&committed).await, 14);
    assert_eq!(world.letters().await, (3, 0));

    // A restart finds it as it was.
    host.kill();
    let host = world.start();
    until_paused(&host, "picky", "`dead_letters_max` is 3").await;
    let discard = said(&dlq(&world, &host, &["discard", "picky", "--all", "--why", "room", "--yes"]));
    assert!(discard.contains("3 discarded"), "{discard}");
    world.until_committed("picky", 20).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 14, "nothing is lost");
    assert_eq!(world.letters().await, (2, 0));
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_another_letter_the_projection_pauses_right_before_it_on_mysql() {
    no_room(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_another_letter_the_projection_pauses_right_before_it_on_mariadb() {
    no_room(Options::mariadb()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_lanes_go_beyond_the_limit_by_a_batch_each_at_most() {
    let extra = "dead_letters_max = 20\nbreaker.aggregates = 0";
    let world = World::new("trap", Options { lanes: 4, batch_max: 10, extra, ..Options::mysql() }).await;
    world.insert((0..400).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    let host = world.start();
    until_paused(&host, "trap", "`dead_letters_max` is 20").await;
    let (parked, held) = world.letters().await;
    assert!((20..=20 + 3 * 10).contains(&parked) && held == 0, "{parked}");
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_of_letters_are_bounded_too() {
    let extra = "dead_letter_bytes_max = 17825792";
    let world = World::new("recorder", Options { lanes: 1, extra, ..Options::mysql() }).await;
    // Larger than a payload may be, so each becomes a letter.
    let large = |n: i64| event(&format!("e{n}"), &format!("a{n}"), 1, doc! { "x": "x".repeat(9 << 20) });
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    world.insert([large(1)]).await;
    world.until_committed("recorder", 1).await;
    world.insert([large(2)]).await;
    until_paused(&host, "recorder", "`dead_letter_bytes_max` is 17825792").await;
    assert_eq!(world.letters().await, (1, 0));
    let discard = said(&dlq(&world, &host, &["discard", "recorder", "--all", "--why", "room", "--yes"]));
    assert!(discard.contains("1 discarded"), "{discard}");
    world.until_committed("recorder", 2).await;
    host.until_phase("recorder", "streaming").await;
    assert_eq!(world.letters().await, (1, 0));
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projector_that_fails_everything_opens_the_breaker_before_its_events_are_parked() {
    let world = World::new("trap", Options { lanes: 1, ..Options::mysql() }).await;
    world.insert((0..49).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    let host = world.start();
    world.until_committed("trap", 49).await;
    assert_eq!(world.letters().await, (49, 0), "so many may be the events' fault");
    world.insert((49..60).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    until_paused(&host, "trap", "the projector looks broken").await;
    assert_eq!(world.letters().await, (49, 0), "the batch that shows it is not committed");

    // A crash does not close it.
    host.kill();
    let host = world.start();
    until_paused(&host, "trap", "the projector looks broken").await;
    some_time(1500).await;
    assert_eq!(world.letters().await, (49, 0));

    // An operator's word does, for this component, also over a restart.
    world.insert((60..300).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    let resumed = switch(&world, &host, &["resume", "trap"]).await;
    assert!(resumed.contains("resumed"), "{resumed}");
    world.until_committed("trap", 300).await;
    assert_eq!(world.letters().await, (300, 0));
    host.kill();
    let host = world.start();
    host.until_phase("trap", "streaming").await;
    world.insert((300..500).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    world.until_committed("trap", 500).await;
    assert_eq!(world.letters().await, (500, 0));
    let list = switch(&world, &host, &["dlq", "list", "trap"]).await;
    assert!(list.contains("50 of 500 are shown"), "{list}");
    let all = switch(&world, &host, &["dlq", "list", "trap", "--json"]).await;
    assert_eq!(all.lines().count(), 500, "for machines all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_component_closes_the_breaker_and_may_open_it_again() {
    let world = World::new("trap", Options::mysql()).await;
    world.insert((0..300).map(|n| event(&format!("e{n}"), &format!("a{n}"), 1, doc! {}))).await;
    let host = world.start();
    until_paused(&host, "trap", "the projector looks broken").await;
    let (parked, _) = world.letters().await;
    assert!(parked < 50, "{parked} were parked, over all lanes");
    host.stop().await;
    // This one is as broken: it is given its chance, and found out.
    let host = commands::start_another_build(&world, "trap");
    until_paused(&host, "trap", "the projector looks broken").await;
    assert!(host.log().contains("the breaker is closed"), "{}", host.log());
    assert!(world.letters().await.0 < 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_a_row_that_survives_restarts_and_shows_who_and_why() {
    let (world, host) = super::blocked().await;
    let paused = switch(&world, &host, &["pause", "recorder", "--why", "a migration"]).await;
    assert!(paused.contains("paused"), "{paused}");
    until_paused(&host, "recorder", "a migration").await;
    let status = switch(&world, &host, &["status"]).await;
    assert!(status.contains("paused by") && status.contains("laterna resume recorder"), "{status}");
    world.insert([event("f2", "b", 2, doc! {})]).await;

    // Letters can be dealt with meanwhile.
    super::unblock(&world).await;
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("3 applied"), "{replay}");
    host.kill();
    let config = world.config(free_port());
    let stored = said(&laterna(&config, &["status"]));
    assert!(stored.contains("a migration"), "MySQL knows it, too: {stored}");
    let host = world.start();
    until_paused(&host, "recorder", "a migration").await;
    some_time(1000).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded").await, 5, "nothing is taken");
    let resumed = switch(&world, &host, &["resume", "recorder"]).await;
    assert!(resumed.contains("resumed"), "{resumed}");
    world.until_committed("recorder", 6).await;
    world.assert_recorded(6, 2).await;
    host.until_phase("recorder", "streaming").await;
    let nothing = switch(&world, &host, &["resume", "recorder"]).await;
    assert!(nothing.contains("nothing pauses `recorder`"), "{nothing}");
    let refused = switch(&world, &host, &["pause", "nobody", "--why", "x"]).await;
    assert!(refused.contains("no projection `nobody`"), "{refused}");
}

/// A projector of the stream's order, and an event in the middle that MySQL refuses.
async fn in_stream_order(extra: &'static str) -> (World, Host) {
    let world = World::new("stream-order", Options { extra, ..Options::mysql() }).await;
    let host = world.start();
    let lanes = format!("SELECT COUNT(*) FROM {}.checkpoint", world.control());
    until("its lane is there", async || world.number_if_any(&lanes).await == Some(1)).await;
    let table = format!("{}.stream_order", world.name);
    world.run(&format!("ALTER TABLE {table} ADD CONSTRAINT no_such CHECK (note NOT LIKE '%refused%')")).await;
    let note = |n: i64| if n == 10 { "refused".to_owned() } else { n.to_string() };
    world
        .insert((0..20).map(|n| event(&format!("e{n:02}"), &format!("a{n}"), 1, doc! { "n": note(n) })))
        .await;
    (world, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_in_the_streams_order_holds_everything_until_it_is_dealt_with() {
    let (world, host) = in_stream_order("start = \"now\"").await;
    until_paused(&host, "stream_order", "hold back the stream").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stream_order").await, 10);
    assert_eq!(world.letters().await, (1, 0));
    let replay = said(&dlq(&world, &host, &["replay", "stream_order", "--all"]));
    assert!(replay.contains("0 applied, 1 still parked"), "{replay}");
    host.kill();
    let host = world.start();
    until_paused(&host, "stream_order", "hold back the stream").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stream_order").await, 10);
    world.run(&format!("ALTER TABLE {}.stream_order DROP CONSTRAINT no_such", world.name)).await;
    let replay = said(&dlq(&world, &host, &["replay", "stream_order", "--all"]));
    assert!(replay.contains("1 applied"), "{replay}");
    world.until_committed("stream_order", 20).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stream_order").await, 20);
    host.until_phase("stream_order", "streaming").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_may_hold_an_aggregate_only_although_its_projector_wants_the_streams_order() {
    let (world, host) = in_stream_order("start = \"now\"\nhold = \"aggregate\"").await;
    world.until_committed("stream_order", 20).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM stream_order").await, 19);
    assert_eq!(world.letters().await, (1, 0));
    host.until_phase("stream_order", "streaming").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_may_hold_the_stream_although_its_projector_does_not_ask_for_it() {
    let extra = "hold = \"stream\"";
    let world = World::new("picky", Options { lanes: 1, extra, ..Options::mysql() }).await;
    world.insert(documents(0..5)).await;
    let host = world.start();
    until_paused(&host, "picky", "hold back the stream").await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 2);
    let discard = said(&dlq(&world, &host, &["discard", "picky", "--all", "--why", "x", "--yes"]));
    assert!(discard.contains("1 discarded"), "{discard}");
    world.until_committed("picky", 5).await;
    assert_eq!(world.number("SELECT COUNT(*) FROM picked").await, 4);
}
