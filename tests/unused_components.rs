//! Components that nothing refers to any more are removed from the control schema, and no other.

mod meanwhile;
mod uploaded;

use laterna::readmodel::control::schema::Control;
use laterna::readmodel::mysql::session::{Connector, Session};

use crate::support::{Options, World, until};

/// The components that nothing refers to, of those that are written down.
const UNUSED: [char; 3] = ['a', 'm', 'n'];

/// A session as the host has it.
async fn session(world: &World) -> Session {
    let connector = Connector::new("mysql.url", &world.url().into()).expect("a URL");
    connector.connect().await.expect("MySQL answers")
}

/// Writes a component down that was stored so many days ago: its digest is one letter, repeated.
async fn stored(world: &World, letter: char, days: u32) {
    let control = world.control();
    for sql in [
        format!(
            "INSERT INTO {control}.component (digest, name, version, bytes, stored_at) \
             VALUES (REPEAT('{letter}', 64), 'made-up', '1', 2, CURRENT_TIMESTAMP(6) - INTERVAL {days} DAY)"
        ),
        format!(
            "INSERT INTO {control}.component_part VALUES (REPEAT('{letter}', 64), 0, 'x'), (REPEAT('{letter}', 64), 1, 'x')"
        ),
    ] {
        world.run(&sql).await;
    }
}

/// Writes a deployment of a projection down that no host runs here.
async fn deployed(world: &World, projection: &str, letter: char, state: &str, days: u32) {
    let control = world.control();
    let sql = format!(
        "INSERT INTO {control}.deployment (projection, digest, origin, state, deployed_by, deployed_at) VALUES \
         ('{projection}', REPEAT('{letter}', 64), 'command', '{state}', 'a test', CURRENT_TIMESTAMP(6) - INTERVAL {days} DAY)"
    );
    world.run(&sql).await;
}

/// Refers to all but those that nothing refers to.
async fn refer(world: &World) {
    let control = world.control();
    // Longer ago than the last ten.
    deployed(world, "another", 'm', "deployed", 60).await;
    for _ in 0..10 {
        deployed(world, "another", 'c', "deployed", 50).await;
    }
    let replaced = "previous = REPEAT('f', 64) WHERE digest = REPEAT('c', 64)";
    world.run(&format!("UPDATE {control}.deployment SET {replaced}")).await;
    deployed(world, "a-third", 'd', "deployed", 50).await;
    deployed(world, "a-third", 'e', "refused", 5).await;
    for sql in [
        "checkpoint (projection, generation, lane, epoch, batch, position, digest) \
         VALUES ('another', 1, 0, 1, 1, '{}', REPEAT('g', 64))",
        "generation (projection, generation, place, purpose, state, digest, table_names, expected, origin, requested_by) \
         VALUES ('another', 2, 'x', 'look', 'kept', REPEAT('0', 64), '', 0, 'command', 'a test')",
        "pair (digest, projector, upcaster) VALUES (REPEAT('0', 64), REPEAT('h', 64), REPEAT('i', 64)), \
         (REPEAT('1', 64), REPEAT('n', 64), REPEAT('h', 64))",
        "dead_letter (projection, generation, state, document_key, document, position, digest, attempts) \
         VALUES ('another', 1, 'parked', REPEAT('x', 16), '', '{}', REPEAT('j', 64), 1)",
        "dedupe (projection, generation, lane, events, event_ids, digest) \
         VALUES ('another', 1, 0, 1, 'x', REPEAT('k', 64))",
        "command (projection, request, requested_by) VALUES \
         ('another', CONCAT('{\"do\":\"deploy\",\"digest\":\"', REPEAT('l', 64), '\",\"canary_seconds\":0}'), 'a test')",
    ] {
        world.run(&format!("INSERT INTO {control}.{sql}")).await;
    }
}

async fn unused_are_removed(options: Options) {
    let world = World::new("picky", options).await;
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    host.stop().await;
    let control = world.control();
    for letter in 'a'..='n' {
        stored(&world, letter, if letter == 'b' { 20 } else { 40 }).await;
    }
    refer(&world).await;

    // The one in force was stored long ago, too.
    let past = format!("UPDATE {control}.component SET stored_at = '2020-01-01' WHERE name <> 'made-up'");
    world.run(&past).await;
    let all = format!("SELECT COUNT(*) FROM {control}.component");
    let host = world.start();
    host.until_phase("picky", "streaming").await;
    until("what nothing refers to is gone", async || world.number(&all).await <= 12).await;
    until("that is logged", async || {
        host.log().matches("removed a component that nothing has referred to for 30 days").count()
            == UNUSED.len()
    })
    .await;
    for letter in 'a'..='n' {
        let of = format!("WHERE digest = REPEAT('{letter}', 64)");
        let whole = world.number(&format!("SELECT COUNT(*) FROM {control}.component {of}")).await;
        let parts = world.number(&format!("SELECT COUNT(*) FROM {control}.component_part {of}")).await;
        let expected = if UNUSED.contains(&letter) { (0, 0) } else { (1, 2) };
        assert_eq!((whole, parts), expected, "{letter}");
    }
    assert_eq!(world.number(&format!("{all} WHERE name <> 'made-up'")).await, 1, "the one in force stays");
    // One that is stored again counts as stored now.
    let mut session = session(&world).await;
    let (schema, digest) = (Control::new(&control), "b".repeat(64));
    let mut db = schema.on(&mut session);
    db.store_component(&digest, b"xx", "made-up", "1", None).await.expect("MySQL answers");
    let fresh = format!("{all} WHERE stored_at > CURRENT_TIMESTAMP(6) - INTERVAL 1 DAY");
    assert_eq!(world.number(&fresh).await, 1);
    assert!(host.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_nothing_refers_to_is_removed_and_no_other_on_mysql() {
    unused_are_removed(Options::mysql()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_nothing_refers_to_is_removed_and_no_other_on_mariadb() {
    unused_are_removed(Options::mariadb()).await;
}
