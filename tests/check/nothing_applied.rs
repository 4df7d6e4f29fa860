//! What has not applied anything yet has lost nothing: tables are made again, and nothing waits for a word about letters.

use bson::doc;

use crate::support::world::{event, laterna, said};
use crate::support::{Options, World, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_stray_table_that_is_dropped_leaves_nothing_to_bring_back() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let strays =
            ["CREATE TABLE DB.last_seen (id INT PRIMARY KEY)", "INSERT INTO DB.last_seen VALUES (1)"];
        for sql in strays {
            world.run(&sql.replace("DB", &world.name)).await;
        }
        world.insert((1..=20).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
        let host = world.start();
        host.until_phase("recorder", "paused").await;
        world.run(&format!("TRUNCATE TABLE {}.last_seen", world.name)).await;
        let check = laterna(&world.config(0), &["check"]);
        let says = "is there already, though nothing was ever applied to it";
        assert!(!check.status.success() && said(&check).contains(says), "{}", said(&check));
        world.run(&format!("DROP TABLE {}.last_seen", world.name)).await;
        // The host that paused looks again by itself.
        world.until_committed("recorder", 20).await;
        world.assert_recorded(20, 1).await;
        assert!(!host.log().contains("restore the tables"), "{}", host.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_goes_before_anything_was_applied_is_made_again() {
    for options in [Options::mysql(), Options::mariadb()] {
        let world = World::new("recorder", options).await;
        let host = world.start();
        host.until_phase("recorder", "streaming").await;
        host.kill();
        world.run(&format!("DROP TABLE {}.last_seen", world.name)).await;
        world.insert((1..=20).map(|n| event(&format!("e{n}"), "a", n, doc! {}))).await;
        let _host = world.start();
        world.until_committed("recorder", 20).await;
        world.assert_recorded(20, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_waits_for_no_word_about_letters_where_the_live_lanes_took_no_event() {
    let world = World::new("recorder", Options::mysql()).await;
    let host = world.start();
    host.until_phase("recorder", "streaming").await;
    host.kill();
    world.run(&format!("ALTER TABLE {}.last_seen DROP COLUMN disorder", world.name)).await;
    // One of the events is none.
    let mut nothing = event("e1", "b", 1, doc! {});
    nothing.remove("payload");
    world.insert([nothing]).await;
    world.insert((1..=5).map(|n| event(&format!("a{n}"), "a", n, doc! {}))).await;
    let host = world.start();
    host.until_phase("recorder", "paused").await;
    let rebuilt = laterna(&world.config(host.port), &["rebuild", "recorder"]);
    assert!(rebuilt.status.success(), "{}", said(&rebuilt));
    let live = format!("SELECT live_generation FROM {}.projection", world.control());
    until("the rebuilt tables are live", async || world.number(&live).await == 2).await;
    world.until_committed("recorder", 6).await;
    assert!(!host.log().contains("of events that the live one took"), "{}", host.log());
    assert_eq!(world.letters().await.0, 1);
}
