//! The place in the change stream is lost, or would be.

use std::time::Duration;

use mongodb::bson::doc;
use rand::Rng;

use crate::followed::{Followed, numbered};
use crate::support::cluster::{Cluster, TINY_OPLOG};
use crate::support::{Mysqld, random, some_time, until};

const REBUILD: &str = "resume_lost = \"rebuild\"";

/// Writes elsewhere until the oplog's oldest entry is younger than what there is now.
async fn overwrite_oplog(followed: &Followed) {
    let client = &followed.world.client;
    let noise = client.database("noise").collection("noise");
    let oplog = client.database("local").collection::<mongodb::bson::Document>("oplog.rs");
    let end = async |direction: i32| {
        let entry =
            oplog.find_one(doc! {}).sort(doc! { "$natural": direction }).await.expect("the oplog is read");
        entry.expect("it has entries").get_timestamp("ts").expect("they have times")
    };
    let newest = end(-1).await;
    until("the oplog is overwritten", async || {
        let large =
            mongodb::bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![7; 1 << 20] };
        noise.insert_one(doc! { "noise": large }).await.expect("noise is taken");
        end(1).await > newest
    })
    .await;
}

fn generation(followed: &Followed) -> String {
    format!("SELECT live_generation FROM {}.projection", followed.world.control())
}

pub async fn the_oplog_is_overwritten() {
    let mut followed = Followed::start(1, &TINY_OPLOG).await;
    followed.stop().await;
    followed.write(20).await;
    overwrite_oplog(&followed).await;
    followed.write(20).await;
    followed.start_host("");
    let reason = followed.until_paused().await;
    assert!(reason.contains("Nothing is skipped") && reason.contains("resume_lost"), "{reason}");
    assert_eq!(followed.world.number("SELECT COUNT(*) FROM recorded").await, 20, "queries see what they saw");
    // The operator's word for it.
    followed.restart(REBUILD).await;
    followed.settled().await;
    assert_eq!(followed.world.number(&generation(&followed)).await, 2);
    // An open cursor that lags behind is lost, too.
    followed.host().signal("STOP");
    followed.write(20).await;
    overwrite_oplog(&followed).await;
    followed.host().signal("CONT");
    until("the tables are made anew, and whole tables are read meanwhile", async || {
        let rows = followed.world.number("SELECT COUNT(*) FROM recorded").await;
        assert!(rows >= 60, "{rows} rows of 60");
        followed.world.number(&generation(&followed)).await == 3
    })
    .await;
    followed.write(20).await;
    followed.settled().await;
    assert!(followed.host().log().contains("(136 "), "the cursor was not lost:\n{}", followed.host().log());
}

/// MySQL is down, and so nothing is read: when it is back, what the checkpoint needs is gone.
pub async fn the_oplog_is_overwritten_without_mysql() {
    let (mut server, cluster) = tokio::join!(Mysqld::mysql(), Cluster::start(1, &TINY_OPLOG));
    let mut followed = Followed::on(cluster, server.options()).await;
    for word in ["", REBUILD] {
        followed.restart(word).await;
        let log = followed.host().log().len();
        server.kill();
        followed.write(20).await;
        overwrite_oplog(&followed).await;
        // The lease, and with it everything that was open, does not outlast this.
        until("the host lets go", async || {
            followed.host().log()[log..].contains("nothing more is written under the old epoch")
        })
        .await;
        overwrite_oplog(&followed).await;
        followed.write(20).await;
        server.start();
        server.until_ready().await;
        if word.is_empty() {
            let reason = followed.until_paused().await;
            assert!(reason.contains("Nothing is skipped") && reason.contains("resume_lost"), "{reason}");
            let recorded = followed.world.number("SELECT COUNT(*) FROM recorded").await;
            assert!((20..=40).contains(&recorded), "nothing is begun at now: {recorded} events");
        }
    }
    followed.settled().await;
    assert!(followed.world.number(&generation(&followed)).await > 1, "the tables were filled again");
}

pub async fn a_rebuild_is_killed() {
    const EVENTS: i64 = 60_000;
    let mut rng = random("a rebuild is killed");
    let mut followed = Followed::start(1, &TINY_OPLOG).await;
    followed.stop().await;
    for part in (followed.written..EVENTS).collect::<Vec<_>>().chunks(5000) {
        followed.world.insert(part.iter().copied().map(numbered)).await;
    }
    followed.written = EVENTS;
    overwrite_oplog(&followed).await;
    // Rows that history does not make: who reads sees them until the new tables are whole.
    let rows = "INSERT INTO last_seen SELECT CONCAT('old', a.n * 300 + b.n), 1, 1, 0 FROM \
                (WITH RECURSIVE c AS (SELECT 0 n UNION ALL SELECT n + 1 FROM c WHERE n < 299) SELECT n FROM c) a, \
                (WITH RECURSIVE c AS (SELECT 0 n UNION ALL SELECT n + 1 FROM c WHERE n < 299) SELECT n FROM c) b";
    followed.world.run(&rows.replace("last_seen", &format!("{}.last_seen", followed.world.name))).await;
    for _ in 0..12 {
        followed.start_host(REBUILD);
        some_time(rng.random_range(300..1500)).await;
        followed.kill();
        let old =
            followed.world.number("SELECT COUNT(*) FROM last_seen WHERE aggregate_id LIKE 'old%'").await;
        let rows = followed.world.number("SELECT COUNT(*) FROM recorded").await;
        let is_whole = if old == 0 { rows >= EVENTS } else { (old, rows) == (90_000, 20) };
        assert!(is_whole, "{rows} rows, and {old} of the old tables");
    }
    followed.start_host(REBUILD);
    followed.settled().await;
    assert_eq!(followed.world.number(&generation(&followed)).await, 2, "one loss leads to one rebuild");
}

pub async fn a_rebuild_that_would_lose() {
    let mut followed = Followed::start(1, &TINY_OPLOG).await;
    followed.stop().await;
    let first = doc! { "_id": "e0" };
    let document =
        followed.world.outbox.find_one_and_delete(first).await.expect("it is deleted").expect("it is there");
    // More come than went.
    followed.write(20).await;
    overwrite_oplog(&followed).await;
    followed.start_host(REBUILD);
    let reason = followed.until_paused().await;
    let expected = "a rebuild is not possible: the live tables were made from 20 events, and not all of them are among the \
                    39 documents that the outbox holds now";
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(followed.world.number("SELECT COUNT(*) FROM recorded").await, 20, "nothing was touched");
    followed.stop().await;
    followed.world.outbox.insert_one(document).await.expect("it is put back");
    followed.world.outbox.drop_indexes().await.expect("the index is dropped");
    followed.start_host(REBUILD);
    let reason = followed.until_paused().await;
    assert!(reason.contains("a rebuild is not possible: the order of events in history"), "{reason}");
    assert_eq!(followed.world.number("SELECT COUNT(*) FROM recorded").await, 20, "nothing was touched");
    assert_eq!(followed.world.number(&generation(&followed)).await, 1);
}

pub async fn a_quiet_outbox() {
    let mut followed = Followed::start(1, &TINY_OPLOG).await;
    let world = &followed.world;
    let places = format!("SELECT SUM(CRC32(position)) FROM {}.checkpoint", world.control());
    overwrite_oplog(&followed).await;
    let before = world.number(&places).await;
    until("idle lanes have gone on", async || world.number(&places).await != before).await;
    let status = followed.host().status("recorder").await.expect("it answers");
    assert!(status["oplog"]["left_seconds"].is_u64(), "what is left of the oplog is shown: {status}");
    followed.restart("").await;
    followed.write(20).await;
    followed.settled_within(Duration::from_secs(20)).await;
}
