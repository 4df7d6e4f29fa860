//! Dead letters: listed, shown, replayed and discarded by their heads, in order, by commands that are rows.

mod boundary;
mod commands;
mod keys;
mod limits;
mod survival;
mod told;

use std::process::Output;

use bson::doc;

use crate::support::world::{event, laterna, said};
use crate::support::{Host, Options, World, until};

/// A world in which the aggregate `a` has a parked head and two held letters, because a row stands in the way.
async fn blocked() -> (World, Host) {
    blocked_with(Options::mysql()).await
}

async fn blocked_with(options: Options) -> (World, Host) {
    let world = World::new("recorder", options).await;
    let host = world.start();
    world.insert([event("e1", "a", 1, doc! {})]).await;
    world.until_committed("recorder", 1).await;
    world.run(&format!("INSERT INTO {}.recorded VALUES ('thing', 'a', 2, 'x', 'x', NULL)", world.name)).await;
    world.insert((2..=4).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
    world.insert([event("f1", "b", 1, doc! {})]).await;
    world.until_committed("recorder", 5).await;
    assert_eq!(world.letters().await, (1, 2), "the first is parked, the others wait behind it");
    (world, host)
}

fn dlq(world: &World, host: &Host, arguments: &[&str]) -> Output {
    let config = world.folder.path().join(format!("laterna-{}.toml", host.port));
    laterna(&config, &[&["dlq"], arguments].concat())
}

/// What the lanes counted is what there is: letters and bytes.
async fn assert_counted(world: &World) {
    let control = world.control();
    let letters = format!("SELECT SUM(letters) FROM {control}.checkpoint");
    let bytes = format!("SELECT SUM(letter_bytes) FROM {control}.checkpoint");
    let there = format!("SELECT COUNT(*) FROM {control}.dead_letter");
    let there_bytes = format!("SELECT SUM(document_bytes) FROM {control}.dead_letter");
    assert_eq!(world.number(&letters).await, world.number(&there).await, "letters as the lanes counted them");
    assert_eq!(
        world.number(&bytes).await,
        world.number(&there_bytes).await,
        "bytes as the lanes counted them"
    );
}

async fn unblock(world: &World) {
    world.run(&format!("DELETE FROM {}.recorded WHERE event_id = 'x'", world.name)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_head_is_followed_by_what_it_held_back_in_order() {
    let (world, host) = blocked().await;
    let list = said(&dlq(&world, &host, &["list", "recorder"]));
    assert!(list.contains("parked") && list.contains("held") && list.contains("thing/a"), "{list}");

    // The cause is still there: the head stays parked, and nothing behind it moves.
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--all"]));
    assert!(replay.contains("0 applied, 1 still parked"), "{replay}");
    assert_eq!(world.letters().await, (1, 2));

    unblock(&world).await;
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--aggregate", "thing/a"]));
    assert!(replay.contains("3 applied, 0 still parked"), "{replay}");
    assert_eq!(world.letters().await, (0, 0));
    world.insert([event("e5", "a", 5, doc! {})]).await;
    world.until_committed("recorder", 6).await;
    world.assert_recorded(6, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_events_join_the_tail_until_the_sequence_is_empty_also_over_a_restart() {
    let (world, host) = blocked().await;
    host.kill();
    let host = world.start();
    world.insert([event("e5", "a", 5, doc! {})]).await;
    world.until_committed("recorder", 6).await;
    assert_eq!(world.letters().await, (1, 3), "the restarted host knows that the aggregate is blocked");
    unblock(&world).await;
    let replay = said(&dlq(&world, &host, &["replay", "recorder", "--reason", "key-conflict"]));
    assert!(replay.contains("4 applied"), "{replay}");
    world.assert_recorded(6, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_head_is_recorded_and_what_it_held_back_follows() {
    let (world, host) = blocked().await;
    let head = format!("SELECT MIN(id) FROM {}.dead_letter", world.control());
    let id = world.number(&head).await.to_string();
    let show = said(&dlq(&world, &host, &["show", "recorder", &id]));
    assert!(show.contains("key-conflict") && show.contains("\"aggregateId\""), "{show}");
    assert!(
        show.contains("\nreason:\n  ") && show.contains("\ndocument:\n{\n") && !show.contains("$number"),
        "{show}"
    );

    let refused = dlq(&world, &host, &["discard", "recorder", "--id", &id, "--why", "wrong"]);
    assert!(!refused.status.success() && said(&refused).contains("--yes"), "nobody confirmed it");
    let discard =
        said(&dlq(&world, &host, &["discard", "recorder", "--id", &id, "--why", "entered twice", "--yes"]));
    assert!(discard.contains("1 discarded, 2 applied"), "{discard}");
    assert_eq!(world.letters().await, (0, 0));
    assert_eq!(world.number("SELECT COUNT(*) FROM recorded WHERE aggregate_id = 'a'").await, 4);
    let recorded = format!(
        "SELECT COUNT(*) FROM {}.discarded WHERE event_id = 'e2' AND reason = 'entered twice' AND discarded_by <> ''",
        world.control()
    );
    assert_eq!(world.number(&recorded).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discard_of_all_gives_up_the_heads_there_were_and_no_head_that_comes_after_them() {
    let (world, host) = blocked().await;
    world.run(&format!("INSERT INTO {}.recorded VALUES ('thing', 'a', 4, 'y', 'y', NULL)", world.name)).await;
    let discard = ["discard", "recorder", "--all", "--why", "entered twice", "--yes"];
    let discard = said(&dlq(&world, &host, &discard));
    assert!(discard.contains("1 discarded, 1 applied, 1 still parked"), "{discard}");
    assert_eq!(world.letters().await, (1, 0));
    assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {}.discarded", world.control())).await, 1);
    assert_counted(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_heads_can_be_replayed_or_discarded() {
    let (world, host) = blocked().await;
    let last = format!("SELECT MAX(id) FROM {}.dead_letter", world.control());
    let id = world.number(&last).await.to_string();
    for arguments in [
        &["replay", "recorder", "--id", &id][..],
        &["discard", "recorder", "--id", &id, "--why", "x", "--yes"],
    ] {
        let refused = dlq(&world, &host, arguments);
        assert!(!refused.status.success() && said(&refused).contains("held behind"), "{}", said(&refused));
    }
    assert_eq!(world.letters().await, (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_a_row_and_is_done_when_a_host_comes_up() {
    let (world, host) = blocked().await;
    host.stop().await;
    unblock(&world).await;
    let command = format!(
        "INSERT INTO {}.command (projection, request, requested_by) VALUES ('recorder', \
         '{{\"do\":\"replay\",\"letters\":{{\"heads_only\":true}}}}', 'a test')",
        world.control()
    );
    world.run(&command).await;
    let _host = world.start();
    let done = format!("SELECT COUNT(*) FROM {}.command WHERE state = 'done'", world.control());
    until("the command is done", async || world.number(&done).await == 1).await;
    world.assert_recorded(5, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_make_no_sense_are_refused_with_the_way_out() {
    let (world, host) = blocked().await;
    for (arguments, says) in [
        (&["list", "nobody"][..], "no projection `nobody`"),
        (&["show", "recorder", "999999"], "no dead letter 999999"),
        (&["replay", "recorder", "--id", "999999"], "no dead letter 999999"),
        (&["replay", "recorder", "--aggregate", "thing/zzz"], "no dead letter of `recorder` fits"),
        (&["replay", "recorder"], "--all"),
        (&["replay", "recorder", "--all", "--id", "1"], "cannot be used with"),
        (&["replay", "recorder", "--id", "one"], "invalid value 'one'"),
        (&["replay", "recorder", "--reason", "tripped"], "letters have one of the classes"),
        (&["list", "recorder", "--aggregate", "a"], "account/42"),
        (&["list", "recorder", "--limit", "0"], "1.."),
        (&["discard", "recorder", "--all"], "--why"),
        (&["discard", "recorder", "--all", "--why", " ", "--yes"], "`--why` is empty"),
        (&["erase", "recorder", "--why", "x"], "--event"),
        (&["erase", "recorder", "--event", "nobody", "--why", "x"], "no dead letter of `recorder` fits"),
        (
            &["export", "recorder", "--output", "/nowhere/letters"],
            "`--output` /nowhere/letters cannot be written",
        ),
    ] {
        let refused = dlq(&world, &host, arguments);
        assert!(
            !refused.status.success() && said(&refused).contains(says),
            "{arguments:?}: {}",
            said(&refused)
        );
    }
}
